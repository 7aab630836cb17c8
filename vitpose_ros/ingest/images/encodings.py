"""The pixel encodings of sensor_msgs/Image: how each lies in memory, and its conversion to BGR."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vitpose_ros.types import ByteArray


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie in memory.

    Attributes
    ----------
    channels : per pixel; for planar YUV those of the luma plane.
    depth : bytes per channel.
    to_bgr : OpenCV's conversion; None for BGR itself.
    chroma_rows : for planar YUV, rows of interleaved chroma per row of luma.
    chroma_pixels : for planar YUV, chroma pairs per pixel of a row.
    even_width, even_height : whether that side must be even.
    """

    channels: int
    depth: int
    to_bgr: int | None
    chroma_rows: float = 0.0
    chroma_pixels: float = 0.0
    even_width: bool = False
    even_height: bool = False


def _bayer(depth: int, to_bgr: int) -> Encoding:
    return Encoding(1, depth, to_bgr, even_width=True, even_height=True)


def _nv(to_bgr: int) -> Encoding:
    return Encoding(1, 1, to_bgr, 0.5, 0.5, even_width=True, even_height=True)


# ROS names a Bayer pattern by the first row from the left, OpenCV by the second row from the
# second pixel.
BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}
"""OpenCV's demosaicing by the name of the pattern."""

_UYVY = Encoding(2, 1, cv2.COLOR_YUV2BGR_UYVY, even_width=True)
_YUYV = Encoding(2, 1, cv2.COLOR_YUV2BGR_YUYV, even_width=True)

ENCODINGS: dict[str, Encoding] = {
    "bgr8": Encoding(3, 1, None),
    "rgb8": Encoding(3, 1, cv2.COLOR_RGB2BGR),
    "bgra8": Encoding(4, 1, cv2.COLOR_BGRA2BGR),
    "rgba8": Encoding(4, 1, cv2.COLOR_RGBA2BGR),
    "mono8": Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "bgr16": Encoding(3, 2, None),
    "rgb16": Encoding(3, 2, cv2.COLOR_RGB2BGR),
    "bgra16": Encoding(4, 2, cv2.COLOR_BGRA2BGR),
    "rgba16": Encoding(4, 2, cv2.COLOR_RGBA2BGR),
    "mono16": Encoding(1, 2, cv2.COLOR_GRAY2BGR),
    "8UC1": Encoding(1, 1, cv2.COLOR_GRAY2BGR),
    "8UC3": Encoding(3, 1, None),
    "8UC4": Encoding(4, 1, cv2.COLOR_BGRA2BGR),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _nv(cv2.COLOR_YUV2BGR_NV12),
    "nv21": _nv(cv2.COLOR_YUV2BGR_NV21),
    "nv24": Encoding(1, 1, None, 1.0, 1.0),
    **{f"bayer_{pattern}8": _bayer(1, code) for pattern, code in BAYER.items()},
    **{f"bayer_{pattern}16": _bayer(2, code) for pattern, code in BAYER.items()},
}
"""The accepted encodings. Generic OpenCV types (8UC3, 8UC4) are read as BGR and BGRA, as cv_bridge
does."""

# ITU-R BT.601, luma 16 .. 235, as OpenCV's conversions of the other YUV formats; rows B, G, R.
_BT601 = np.array(
    [
        [1.164, 2.018, 0.0, -1.164 * 16 - 2.018 * 128],
        [1.164, -0.391, -0.813, -1.164 * 16 + (0.391 + 0.813) * 128],
        [1.164, 0.0, 1.596, -1.164 * 16 - 1.596 * 128],
    ]
)


def nv24_to_bgr(luma: ByteArray, chroma: ByteArray) -> ByteArray:
    """Planar YUV 4:4:4 to BGR, which OpenCV lacks.

    Parameters
    ----------
    luma : (H, W) uint8.
    chroma : (H, W, 2) uint8, U and V.
    """
    yuv = np.dstack([luma, chroma])
    return np.asarray(cv2.transform(yuv, _BT601), np.uint8)
