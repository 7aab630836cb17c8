"""JPEG: what the markers say of the image, and a decoder that refuses damaged data.

Structure of a file: ITU-T T.81, annex B. Decoding is libjpeg-turbo's, by way of simplejpeg: it
gives the pixels that OpenCV gives, in the same time, and reports libjpeg's warnings instead of
printing them. OpenCV and Pillow decode damaged data to a half grey image without an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitpose_ros.ingest.images.errors import ImageError
from vitpose_ros.types import ByteArray

START = b"\xff\xd8"

MAX_SCANS = 64
"""More scans than any encoder writes: each costs the decoder a pass over the whole image."""

_END, _SCAN = 0xD9, 0xDA
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a segment: TEM, RST, SOI
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Scan data end at the first marker that is neither a stuffed zero, a restart nor a fill byte.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_STRAY = 16  # bytes: UVC webcams leave up to ten before restart markers of whole images


@dataclass(frozen=True)
class JpegHeader:
    """The contents of a JPEG's markers.

    Attributes
    ----------
    width, height : px; 0 where there is no frame header.
    components : 1 for grey, 3 for colour.
    end : bytes up to and including the end marker. Drivers that publish their whole buffer leave
        zeros, or the rest of an older image, behind it.
    """

    width: int
    height: int
    components: int
    end: int


def read_header(data: bytes) -> JpegHeader:
    """Walk over the markers of a JPEG, from the start marker to the end marker.

    Raises
    ------
    ImageError : the end marker is missing, as in a truncated file; or more than MAX_SCANS scans.
    """
    width = height = components = scans = 0
    position = len(START)
    while True:
        position = data.find(b"\xff", position)
        while data[position : position + 1] == b"\xff":
            position += 1
        if position < 0 or position >= len(data):
            raise _cut_off(data)
        marker = data[position]
        position += 1
        if marker == _END:
            return JpegHeader(width, height, components, position)
        if marker == 0 or marker in _ALONE:
            continue
        segment = data[position : position + 10]
        length = int.from_bytes(segment[:2], "big")
        if marker in _FRAMES and len(segment) >= 8:
            height, width = int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[5:7], "big")
            components = segment[7]
        position += length
        if marker == _SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError("compressed", f"the JPEG has more than {MAX_SCANS} scans")
            found = _AFTER_SCAN.search(data, position)
            if found is None:
                raise _cut_off(data)
            position = found.start()


def _cut_off(data: bytes) -> ImageError:
    return ImageError("compressed", f"the JPEG is cut off: {len(data)} bytes without an end marker")


class JpegDecoder:
    """Decodes JPEGs and refuses damaged ones.

    Raises
    ------
    ImportError : simplejpeg is not installed.
    """

    def __init__(self) -> None:
        try:
            from simplejpeg import decode_jpeg
        except ImportError as error:
            raise ImportError(
                "compressed images need the Python package simplejpeg: pip install simplejpeg "
                f"({error})"
            ) from error
        self._decode: Callable[..., Any] = decode_jpeg

    def __call__(self, data: bytes, header: JpegHeader, grey: bool) -> ByteArray:
        """Decode.

        Parameters
        ----------
        data : up to the end marker.
        header : of these data.
        grey : give luma alone.

        Returns
        -------
        (H, W, 3) uint8 in BGR order, or (H, W) when `grey`.

        Raises
        ------
        ImageError : libjpeg cannot decode the data, or warns that they are damaged. It notices
            most damage, not all: altered bytes can make up another valid image.
        """
        image = np.empty((header.height, header.width, 1 if grey else 3), np.uint8)
        try:
            decoded = self._decode(data, "GRAY" if grey else "BGR", buffer=image)
        except ValueError as error:
            # With a warning all rows have been written nevertheless.
            if not _is_padding(str(error), data):
                raise ImageError("compressed", f"the JPEG is damaged: {error}") from error
        else:
            if decoded.shape != image.shape:
                raise ImageError("compressed", "the JPEG is damaged: it has two sizes")
        return image[..., 0] if grey else image


def _is_padding(warning: str, data: bytes) -> bool:
    """Whether libjpeg only met bytes without meaning between whole data: a few before a marker, or
    any number of one value before the end marker.
    """
    found = _EXTRANEOUS.search(warning)
    if found is None:
        return False
    count, marker = int(found[1]), int(found[2], 16)
    if count <= _STRAY:
        return True
    return marker == _END and len(set(data[-2 - count : -2])) == 1
