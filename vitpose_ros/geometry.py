"""Boxes, rotated regions and the warps between them and the image: pure functions.

Pixel coordinates are as in `types`: (0, 0) is the centre of the top left pixel. Pixels 0 .. n of a
crop with n pixels span the region from edge to edge, as in MediaPipe's CPU converter
(image_to_tensor_converter_opencv), so crop pixel 0 lies on the region's edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray, FloatArray, Region

Box = tuple[float, float, float, float]
"""(x, y, width, height) in px."""

Matrix = npt.NDArray[np.float64]


def known_median(values: npt.NDArray) -> npt.NDArray:
    """The median along the last axis, ignoring NaN; NaN if all values are NaN.

    Equals np.nanmedian, which takes twenty times as long for short axes.
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=-1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)])
    low, high = (np.take_along_axis(ordered, at[..., None], -1)[..., 0] for at in middle)
    return np.asarray((low + high) / 2)


def wrap_angle(angle_rad: float) -> float:
    """The same angle in [-pi, pi)."""
    return angle_rad - 2 * math.pi * math.floor((angle_rad + math.pi) / (2 * math.pi))


def upright_rotation(start: Sequence[float], end: Sequence[float]) -> float:
    """The rotation, in rad, of a region in which the line from `start` to `end` (px) points
    straight up.

    Source: MediaPipe's DetectionsToRectsCalculator with a target angle of 90 degrees.
    """
    return wrap_angle(math.pi / 2 - math.atan2(-(end[1] - start[1]), end[0] - start[0]))


def region_to_image(region: Region, size: tuple[int, int]) -> Matrix:
    """The affine map from a crop's pixels to the image's.

    Parameters
    ----------
    region : the part of the image that the crop shows.
    size : (width, height) of the crop, px.

    Returns
    -------
    (2, 3) float64: image = matrix @ (x, y, 1).
    """
    cos, sin = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    ax, ay = region.width / size[0], region.height / size[1]
    half_w, half_h = region.width / 2, region.height / 2
    return np.array(
        [
            [cos * ax, -sin * ay, region.cx - cos * half_w + sin * half_h],
            [sin * ax, cos * ay, region.cy - sin * half_w - cos * half_h],
        ]
    )


def apply_affine(matrix: Matrix, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Map (N, 2) points with a (2, 3) affine matrix; (N, 2) float64."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def crop(
    image: ByteArray,
    region: Region,
    size: tuple[int, int],
    replicate: bool = True,
) -> ByteArray:
    """Cut a region out of an image, rotated upright and scaled (bilinear).

    Parameters
    ----------
    image : (H, W, 3) uint8.
    region : may extend beyond the image or lie outside it.
    size : (width, height) of the crop, px.
    replicate : pixels outside the image: the nearest one of the image if True, else zero.

    Returns
    -------
    (height, width, 3) uint8.
    """
    return cv2.warpAffine(  # type: ignore[return-value]
        image,
        region_to_image(region, size),
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
    )


def crop_rgb(image: ByteArray, region: Region, out: FloatArray, replicate: bool = True) -> None:
    """Cut a region out of a BGR image and write it into `out`: (height, width, 3) float32 RGB, 0 ..
    1.

    Only the crop is converted, not the whole image. See `crop`.
    """
    height, width = out.shape[:2]
    bgr = crop(image, region, (width, height), replicate=replicate)
    np.multiply(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.float32(1 / 255), out=out)


def letterbox_region(width: int, height: int) -> Region:
    """The square around an image of this size (px), centred; the short side is padded."""
    side = float(max(width, height))
    return Region(width / 2, height / 2, side, side)


def grow_square(region: Region, scale: float, shift_y: float) -> Region:
    """Shift a region along its own y axis by a fraction of its height, and make it a square with
    its long side times `scale`.

    Source: MediaPipe's RectTransformationCalculator with square_long.
    """
    shift = shift_y * region.height
    side = max(region.width, region.height) * scale
    return Region(
        cx=region.cx - math.sin(region.rotation_rad) * shift,
        cy=region.cy + math.cos(region.rotation_rad) * shift,
        width=side,
        height=side,
        rotation_rad=region.rotation_rad,
        score=region.score,
        track_id=region.track_id,
    )


def unrotated_box(region: Region) -> Box:
    """The region's box, ignoring its rotation, as MediaPipe compares regions."""
    return region.cx - region.width / 2, region.cy - region.height / 2, region.width, region.height


def intersection(a: Box, b: Box) -> float:
    """The intersection area of two boxes, px^2."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 if neither has an area."""
    shared = intersection(a, b)
    union = a[2] * a[3] + b[2] * b[3] - shared
    return shared / union if union > 0 else 0.0


def overlap_of_smaller(a: Box, b: Box) -> float:
    """Intersection over the smaller box's area: 1 if one contains the other, 0 without area."""
    smaller = min(a[2] * a[3], b[2] * b[3])
    return intersection(a, b) / smaller if smaller > 0 else 0.0
