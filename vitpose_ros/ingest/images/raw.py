"""sensor_msgs/Image to BGR: one copy at most, `step` and `is_bigendian` honoured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.ingest.images.bit_depth import BitDepth
from vitpose_ros.ingest.images.encodings import ENCODINGS, Encoding, nv24_to_bgr
from vitpose_ros.ingest.images.errors import ImageError, check_size
from vitpose_ros.ingest.quoting import quoted
from vitpose_ros.types import ByteArray

DEPTH_ENCODINGS = ("16UC1", "32FC1")
DEPTH_HINT = " (this looks like a depth image: name the colour topic)"


class RawImages:
    """Reads the sensor_msgs/Image messages of one camera.

    Parameters
    ----------
    max_megapixels : larger images are refused.
    tell : takes sentences about the camera that are worth a line in the log.
    """

    def __init__(self, max_megapixels: float, tell: Callable[[str], None]) -> None:
        self._max_pixels = round(max_megapixels * 1e6)
        self._bit_depth = BitDepth(tell)

    def check(self, message: Any) -> None:
        """Refuse an image that cannot be converted, without reading a pixel.

        Raises
        ------
        ImageError : no size or too large, an unknown encoding, a step shorter than a row, or fewer
            bytes than the size needs.
        """
        width, height, step = int(message.width), int(message.height), int(message.step)
        check_size(width, height, self._max_pixels)
        encoding = ENCODINGS.get(message.encoding)
        if encoding is None:
            hint = DEPTH_HINT if message.encoding in DEPTH_ENCODINGS else ""
            raise ImageError(
                "encoding",
                f"encoding {quoted(message.encoding)} is not known{hint}; accepted are "
                f"{', '.join(ENCODINGS)}",
            )
        if (encoding.even_width and width % 2) or (encoding.even_height and height % 2):
            raise ImageError(
                "size",
                f"a {message.encoding} image must have even sides, this one is {width}x{height}",
            )
        row = width * encoding.channels * encoding.depth
        if step < row:
            raise ImageError(
                "data",
                f"step is {step} bytes, but a row of {width} pixels in {message.encoding} needs "
                f"{row}",
            )
        whole = round(step * height * (1 + 2 * encoding.chroma_rows * encoding.chroma_pixels))
        # The last row needs no padding: some drivers leave it out.
        last_row = 2 * encoding.chroma_pixels if encoding.chroma_rows else 1
        if len(message.data) < whole - round((step - row) * last_row):
            raise ImageError(
                "data",
                f"{len(message.data)} bytes of data, but {width}x{height} {message.encoding} with "
                f"step {step} needs {whole}",
            )

    def decode(self, message: Any) -> ByteArray:
        """An image as (H, W, 3) uint8 in BGR order.

        A bgr8 image without padding is a view on the message's own bytes, not a copy.

        Raises
        ------
        ImageError : see `check`.
        """
        self.check(message)
        encoding = ENCODINGS[message.encoding]
        width, height, step = int(message.width), int(message.height), int(message.step)
        data = np.frombuffer(message.data, np.uint8)
        if encoding.chroma_rows:
            return _planar(data, encoding, width, height, step)
        pixels = _rows(data, height, width * encoding.channels * encoding.depth, step)
        pixels = np.ascontiguousarray(pixels)
        shape = (height, width, encoding.channels) if encoding.channels > 1 else (height, width)
        if encoding.depth == 2:
            order = ">u2" if message.is_bigendian else "<u2"
            wide = pixels.view(order).reshape(shape).astype(np.uint16, copy=False)
            pixels = self._bit_depth.to_8_bit(wide)
        pixels = pixels.reshape(shape)
        return pixels if encoding.to_bgr is None else _bgr(pixels, encoding.to_bgr)


def _planar(data: ByteArray, encoding: Encoding, width: int, height: int, step: int) -> ByteArray:
    """Planar YUV to BGR. The stride of chroma is `step` times the chroma bytes per luma pixel."""
    rows, pairs = round(height * encoding.chroma_rows), round(width * encoding.chroma_pixels)
    luma = _rows(data, height, width, step)
    chroma = _rows(data[step * height :], rows, 2 * pairs, round(step * 2 * encoding.chroma_pixels))
    if encoding.to_bgr is None:
        return nv24_to_bgr(luma, chroma.reshape(rows, pairs, 2))
    return _bgr(np.concatenate([luma, chroma]), encoding.to_bgr)


def _rows(data: ByteArray, rows: int, row: int, step: int) -> ByteArray:
    """(rows, row) bytes of a buffer whose rows begin `step` bytes apart; no copy."""
    return np.lib.stride_tricks.as_strided(data, (rows, row), (step, 1))


def _bgr(pixels: npt.NDArray[np.uint8], code: int) -> ByteArray:
    return cv2.cvtColor(pixels, code)  # type: ignore[return-value]
