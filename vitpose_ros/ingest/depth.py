"""Depth messages to the core's Depth, and whether they belong to the colour image.

Units follow the encoding (REP 118): 16UC1 is millimetres with 0 for no measurement, 32FC1 metres
with NaN or infinity for none. image_transport's compressedDepth is a PNG behind a header of twelve
bytes; of 32FC1, the PNG holds quantised inverse depth.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.ingest.camera_info import camera_model
from vitpose_ros.ingest.images import png
from vitpose_ros.ingest.images.errors import ImageError, check_size
from vitpose_ros.ingest.quoting import quoted
from vitpose_ros.types import Depth, Frame

COMPRESSED_DEPTH = "/compressedDepth"
"""Ending of the topics that carry compressed depth."""

_TYPES = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}
_ACCEPTED = "16UC1 (mm) and 32FC1 (m)"
_HEADER = struct.Struct("<iff")  # format, and the two numbers of the quantisation
_SAME_FOCAL = 0.005
"""Depth whose camera matrix differs by more than this share of the focal length is of another
camera, or is not aligned: 3 px for a focal length of 600 px."""


def read_depth(message: Any, max_pixels: int) -> Depth:
    """The depth image of a message.

    Parameters
    ----------
    message : sensor_msgs/Image, or sensor_msgs/CompressedImage of the transport compressedDepth.
    max_pixels : larger images are refused.

    Raises
    ------
    ImageError : the text says what was found and what is accepted.
    """
    if hasattr(message, "format"):
        return _compressed(message.format, bytes(message.data), max_pixels)
    width, height, step = int(message.width), int(message.height), int(message.step)
    check_size(width, height, max_pixels)
    if message.encoding not in _TYPES:
        raise ImageError(
            "encoding",
            f"encoding {quoted(message.encoding)} is no depth; accepted are {_ACCEPTED}",
        )
    kind, unit_m = _TYPES[message.encoding]
    row = width * int(kind[1])
    if step < row or len(message.data) < step * (height - 1) + row:
        raise ImageError(
            "data",
            f"{len(message.data)} bytes with a step of {step} do not hold {width}x{height} pixels "
            f"of {message.encoding}",
        )
    data = np.frombuffer(message.data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1))
    order = ">" if message.is_bigendian else "<"
    pixels = np.ascontiguousarray(rows).view(order + kind)
    return Depth(pixels.astype(kind, copy=False), unit_m)


def _compressed(name: str, data: bytes, max_pixels: int) -> Depth:
    encoding = name.partition(";")[0].strip()
    if "compressedDepth" not in name or encoding not in _TYPES or "rvl" in name.lower():
        raise ImageError(
            "encoding",
            f"format {quoted(name)} is not known; accepted is compressedDepth as PNG, of "
            f"{_ACCEPTED}. Subscribe to the raw depth topic, or set the camera driver's "
            "compressedDepth format to png",
        )
    body = data[_HEADER.size :]
    if not body.startswith(png.START):
        raise ImageError(
            "compressed", f"the {len(data)} bytes of {quoted(name)} hold no PNG behind their header"
        )
    header = png.read_header(body)
    check_size(header.width, header.height, max_pixels)
    pixels = cv2.imdecode(np.frombuffer(png.checked(body), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise ImageError("compressed", f"the PNG of {quoted(name)} is no image of 16 bits")
    if encoding != "32FC1":
        return Depth(np.asarray(pixels, np.uint16), _TYPES[encoding][1])
    _, scale, offset = _HEADER.unpack_from(data)
    inverse = pixels.astype(np.float32) - np.float32(offset)
    metres: npt.NDArray[np.float32] = np.full(pixels.shape, np.nan, np.float32)
    np.divide(np.float32(scale), inverse, out=metres, where=(pixels > 0) & (inverse > 0))
    return Depth(metres, 1.0)


def foreign(depth: Depth, frame_id: str, frame: Frame, camera: CameraModel | None) -> str:
    """Why a depth image is not that of a colour image, pixel for pixel; '' if it is.

    Drivers do publish depth under the name of aligned depth that is not.

    Parameters
    ----------
    depth, frame_id : the image, and the frame in its header.
    frame : the colour image.
    camera : of the depth image, from its own camera_info; None if there is none.
    """
    align = "Let the driver align depth to colour (RealSense: align_depth.enable:=true)"
    height, width = depth.image.shape
    if frame_id != frame.frame_id:
        return (
            f"its frame_id is {quoted(frame_id)}, that of the colour image "
            f"{quoted(frame.frame_id)}: it is not aligned to colour. {align}"
        )
    if (width, height) != (frame.width, frame.height):
        return (
            f"it has {width}x{height} px, the colour image {frame.width}x{frame.height}: it is not "
            f"aligned to colour. {align}"
        )
    colour = frame.camera
    if camera is None or colour is None:
        return ""
    names = ("fx", "fy", "cx", "cy")
    off = [n for n in names if abs(getattr(camera, n) - getattr(colour, n)) > _limit(colour)]
    if not off:
        return ""
    numbers = ", ".join(f"{n} {getattr(camera, n):.1f} px" for n in names)
    wanted = ", ".join(f"{n} {getattr(colour, n):.1f} px" for n in names)
    return (
        f"its camera_info has {numbers}, that of the colour image {wanted}: it is of another "
        f"camera, or not aligned to colour. {align}"
    )


def _limit(camera: CameraModel) -> float:
    return _SAME_FOCAL * camera.fx


def depth_camera(message: Any, frame: Frame, rectified: bool, mirrored: bool) -> CameraModel | None:
    """The camera that a depth image's own camera_info describes; None for one that says nothing
    that can be compared.

    Parameters
    ----------
    message : sensor_msgs/CameraInfo, or None.
    frame : the colour image.
    rectified, mirrored : as the colour image is.
    """
    if message is None or not any(message.k):
        return None
    try:
        return camera_model(message, (frame.width, frame.height), rectified, mirrored)
    except ValueError:
        return None
