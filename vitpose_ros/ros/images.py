"""Image messages to BGR arrays, without cv_bridge: one copy at most, `step` and `is_bigendian`
honoured.

Nothing here imports ROS: every function takes any object with the fields of sensor_msgs/Image or
CompressedImage. Checks that need no look at the pixels are apart from the conversion, so that a
bad image is refused before it takes a good one's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vitpose_ros.types import ByteArray


class ImageError(ValueError):
    """An image message that cannot be used; the text says what was found and what is accepted.

    Attributes
    ----------
    kind : a short name to count it under: "size", "data", "encoding", "compressed".
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class _Encoding:
    """How pixels lie in memory: channels per pixel, bytes per channel, and the way to BGR (None:
    it is BGR).
    """

    channels: int
    depth: int
    to_bgr: int | None
    rows: float = 1.0  # rows of data per row of image
    multiple: int = 1  # width (and, for Bayer and NV12, height) must be a multiple of this


# ROS names a Bayer pattern by its first row from the left; OpenCV by the second row from the
# second pixel.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}
_UYVY = _Encoding(2, 1, cv2.COLOR_YUV2BGR_UYVY, multiple=2)
_YUYV = _Encoding(2, 1, cv2.COLOR_YUV2BGR_YUYV, multiple=2)

ENCODINGS: dict[str, _Encoding] = {
    "bgr8": _Encoding(3, 1, None),
    "rgb8": _Encoding(3, 1, cv2.COLOR_RGB2BGR),
    "bgra8": _Encoding(4, 1, cv2.COLOR_BGRA2BGR),
    "rgba8": _Encoding(4, 1, cv2.COLOR_RGBA2BGR),
    "mono8": _Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "bgr16": _Encoding(3, 2, None),
    "rgb16": _Encoding(3, 2, cv2.COLOR_RGB2BGR),
    "mono16": _Encoding(1, 2, cv2.COLOR_GRAY2BGR),
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "8UC3": _Encoding(3, 1, None),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _Encoding(1, 1, cv2.COLOR_YUV2BGR_NV12, rows=1.5, multiple=2),
    **{f"bayer_{p}8": _Encoding(1, 1, code, multiple=2) for p, code in _BAYER.items()},
    **{f"bayer_{p}16": _Encoding(1, 2, code, multiple=2) for p, code in _BAYER.items()},
}
"""The accepted encodings of sensor_msgs/Image. 16-bit images use the full range: their high byte
is taken.
"""

COMPRESSED_FORMATS = ("jpeg", "jpg", "png")
"""The accepted kinds of sensor_msgs/CompressedImage, as they stand in its `format`."""

_TAIL = 4096  # bytes: cameras pad a JPEG after its end marker


def check_image(message: Any) -> None:
    """Refuse a sensor_msgs/Image that cannot be converted, without reading a pixel.

    Raises
    ------
    ImageError : no size, an unknown encoding, a step shorter than a row, or fewer bytes than the
        size needs.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    if width == 0 or height == 0:
        raise ImageError("size", f"the image is {width}x{height}: it has no pixels")
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        hint = ""
        if message.encoding in ("16UC1", "32FC1"):
            hint = " (this looks like a depth image: name the colour topic)"
        raise ImageError(
            "encoding",
            f"encoding '{message.encoding}' is not known{hint}; accepted are "
            f"{', '.join(ENCODINGS)}",
        )
    tall = message.encoding == "nv12" or message.encoding.startswith("bayer")
    if width % encoding.multiple or (tall and height % encoding.multiple):
        raise ImageError(
            "size", f"a {message.encoding} image must have even sides, this one is {width}x{height}"
        )
    row = width * encoding.channels * encoding.depth
    if step < row:
        raise ImageError(
            "data",
            f"step is {step} bytes, but a row of {width} pixels in {message.encoding} needs {row}",
        )
    rows = int(height * encoding.rows)
    # The last row needs no padding: some drivers leave it out.
    needed = step * (rows - 1) + row
    if len(message.data) < needed:
        raise ImageError(
            "data",
            f"{len(message.data)} bytes of data, but {width}x{height} {message.encoding} with step "
            f"{step} "
            f"needs {step * rows}",
        )


def decode_image(message: Any) -> ByteArray:
    """A sensor_msgs/Image as (H, W, 3) uint8 in BGR order.

    A bgr8 image without padding is a view on the message's own bytes, not a copy.

    Raises
    ------
    ImageError : as check_image.
    """
    check_image(message)
    encoding = ENCODINGS[message.encoding]
    width, height, step = int(message.width), int(message.height), int(message.step)
    rows, row = int(height * encoding.rows), width * encoding.channels * encoding.depth
    data = np.frombuffer(message.data, np.uint8)
    pixels = np.lib.stride_tricks.as_strided(data, (rows, row), (step, 1))
    if step != row:
        pixels = np.ascontiguousarray(pixels)
    pixels = pixels.reshape(rows, width, encoding.channels, encoding.depth)
    # Of two bytes the high one: the second in memory when little-endian.
    pixels = pixels[..., 0 if message.is_bigendian else encoding.depth - 1]
    if encoding.channels == 1:
        pixels = pixels[..., 0]
    pixels = np.ascontiguousarray(pixels)
    return pixels if encoding.to_bgr is None else cv2.cvtColor(pixels, encoding.to_bgr)  # type: ignore[return-value]


def check_compressed(message: Any) -> None:
    """Refuse a sensor_msgs/CompressedImage that is of an unknown kind, empty or cut off.

    OpenCV decodes a JPEG without its end and fills the rest with grey: such an image is refused
    here.

    Raises
    ------
    ImageError : saying what was found.
    """
    size = len(message.data)
    if size == 0:
        raise ImageError("size", "the compressed image is empty")
    name = message.format.lower()
    head, tail = bytes(message.data[:8]), bytes(message.data[-_TAIL:])
    if not any(kind in name for kind in COMPRESSED_FORMATS) or "depth" in name:
        raise ImageError(
            "encoding", f"format '{message.format}' is not known; accepted are jpeg and png"
        )
    if head.startswith(b"\xff\xd8"):
        if b"\xff\xd9" not in tail:
            raise ImageError(
                "compressed", f"the JPEG is cut off: {size} bytes without an end marker"
            )
    elif head == b"\x89PNG\r\n\x1a\n":
        if b"IEND" not in tail:
            raise ImageError("compressed", f"the PNG is cut off: {size} bytes without an end chunk")
    else:
        raise ImageError(
            "compressed",
            f"format is '{message.format}', but the {size} bytes begin as neither JPEG nor PNG "
            "does",
        )


def decode_compressed(message: Any) -> ByteArray:
    """A sensor_msgs/CompressedImage (JPEG or PNG) as (H, W, 3) uint8 in BGR order.

    An orientation tag in the file is not followed: camera_info describes the sensor's own rows and
    columns.

    Raises
    ------
    ImageError : as check_compressed, or when the decoder finds it damaged.
    """
    check_compressed(message)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(message.data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(
            "compressed", f"the {message.format} image cannot be decoded: {error}"
        ) from error
    if image is None:
        raise ImageError(
            "compressed", f"the {message.format} image of {len(message.data)} bytes is damaged"
        )
    return image  # type: ignore[return-value]


@dataclass(frozen=True)
class Transport:
    """How images come: what is checked on arrival, how it is decoded, and what is appended to the
    topic's name.
    """

    check: Callable[[Any], None]
    decode: Callable[[Any], ByteArray]
    topic_suffix: str


TRANSPORTS = {
    "raw": Transport(check_image, decode_image, ""),
    "compressed": Transport(check_compressed, decode_compressed, "/compressed"),
}
