"""sensor_msgs/CompressedImage to BGR: JPEG and PNG, refused when they are damaged or too large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from vitpose_ros.ingest.images import jpeg, png
from vitpose_ros.ingest.images.bit_depth import BitDepth
from vitpose_ros.ingest.images.encodings import BAYER
from vitpose_ros.ingest.images.errors import ImageError, check_size
from vitpose_ros.ingest.images.raw import DEPTH_ENCODINGS, DEPTH_HINT
from vitpose_ros.ingest.quoting import quoted
from vitpose_ros.types import ByteArray

COMPRESSED_FORMATS = ("jpeg", "jpg", "png")
"""The accepted kinds of sensor_msgs/CompressedImage, as they stand in its `format`."""


class CompressedImages:
    """Reads the sensor_msgs/CompressedImage messages of one camera.

    Parameters
    ----------
    max_megapixels : larger images are refused before they are decoded.
    tell : takes sentences about the camera that are worth a line in the log.

    Raises
    ------
    ImportError : the JPEG decoder is not installed.
    """

    def __init__(self, max_megapixels: float, tell: Callable[[str], None]) -> None:
        self._max_pixels = round(max_megapixels * 1e6)
        self._bit_depth = BitDepth(tell)
        self._decode_jpeg = jpeg.JpegDecoder()

    def check(self, message: Any) -> None:
        """Refuse an image of an unknown kind, empty, cut off or too large, by its headers alone.

        Raises
        ------
        ImageError : saying what was found.
        """
        self._header(message.format, bytes(message.data))

    def decode(self, message: Any) -> ByteArray:
        """An image as (H, W, 3) uint8 in BGR order.

        An orientation tag in the file is not followed: camera_info describes the sensor's own rows
        and columns. Grey images whose format names a Bayer pattern first, as in 'bayer_rggb8; jpeg
        compressed', are demosaiced.

        Raises
        ------
        ImageError : see `check`; or the data are damaged.
        """
        data = bytes(message.data)
        header = self._header(message.format, data)
        pattern = _bayer_pattern(message.format)
        if isinstance(header, jpeg.JpegHeader):
            grey = header.components == 1
            image = self._decode_jpeg(data[: header.end], header, grey)
        else:
            grey = header.grey
            image = self._decode_png(data, header)
        if not grey:
            return image
        if pattern is None:
            return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
        if header.width % 2 or header.height % 2:
            raise ImageError(
                "size",
                f"a Bayer image must have even sides, this one is {header.width}x{header.height}",
            )
        return cv2.cvtColor(image, BAYER[pattern])  # type: ignore[return-value]

    def _header(self, name: str, data: bytes) -> jpeg.JpegHeader | png.PngHeader:
        if not data:
            raise ImageError("size", "the compressed image is empty")
        lower = name.lower()
        if not any(kind in lower for kind in COMPRESSED_FORMATS) or "depth" in lower:
            raise ImageError(
                "encoding", f"format {quoted(name)} is not known; accepted are jpeg and png"
            )
        if _first_word(name) in (kind.lower() for kind in DEPTH_ENCODINGS):
            raise ImageError("encoding", f"format {quoted(name)} is not used{DEPTH_HINT}")
        header: jpeg.JpegHeader | png.PngHeader
        if data.startswith(jpeg.START):
            header = jpeg.read_header(data)
        elif data.startswith(png.START):
            header = png.read_header(data)
        else:
            raise ImageError(
                "compressed",
                f"format is {quoted(name)}, but the {len(data)} bytes begin as neither JPEG nor "
                "PNG does",
            )
        check_size(header.width, header.height, self._max_pixels)
        return header

    def _decode_png(self, data: bytes, header: png.PngHeader) -> ByteArray:
        """(H, W, 3) BGR, or (H, W) when the file is grey."""
        flags = cv2.IMREAD_GRAYSCALE if header.grey else cv2.IMREAD_COLOR
        if header.bits == 16:
            flags |= cv2.IMREAD_ANYDEPTH
        try:
            image = cv2.imdecode(np.frombuffer(png.checked(data), np.uint8), flags)
        except cv2.error as error:
            raise ImageError("compressed", f"the PNG cannot be decoded: {error}") from error
        if image is None:
            raise ImageError("compressed", f"the PNG of {len(data)} bytes is damaged")
        if image.dtype == np.uint16:
            return self._bit_depth.to_8_bit(np.asarray(image, np.uint16))
        return image  # type: ignore[return-value]


def _first_word(name: str) -> str:
    """The camera's own encoding, which image_transport writes before the semicolon."""
    return name.partition(";")[0].strip().lower()


def _bayer_pattern(name: str) -> str | None:
    """The pattern that a format names, as 'rggb' of 'bayer_rggb8; jpeg compressed'."""
    word = _first_word(name)
    return word[6:10] if word.startswith("bayer_") and word[6:10] in BAYER else None
