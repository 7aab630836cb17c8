"""Geometry of hands in an image: the crop that a hand's joints lead to, its size, and whether two
sets of joints are one hand.

Source of numbers and formulae: MediaPipe's graph hand_landmark_landmarks_to_roi and its Tasks'
HandLandmarksDeduplicationCalculator.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import grow_square, iou, unrotated_box, upright_rotation
from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST
from vitpose_ros.types import NO_ID, FloatArray, Region

MIN_REGION_PX = 12.0
"""A region with a shorter side is too small for any network to read a hand in."""

SAME_REGION_IOU = 0.5
"""Two regions with a larger overlap show one hand."""

_HAND_SCALE, _HAND_SHIFT_Y = 2.0, -0.1
_STEADY_JOINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # the palm and the proximal bones

_SAME_JOINTS = 10
_SAME_DISTANCE = 0.2
_SAME_HAND_IOU = 0.2


def hand_region(uv: FloatArray, score: float, track_id: int = NO_ID) -> Region | None:
    """The region in which to look for a hand with these joints in the next image.

    Parameters
    ----------
    uv : (21, 2), px; NaN for unknown joints.
    score, track_id : passed on to the region.

    Returns
    -------
    None when the wrist or an MCP joint is unknown, or when the joints lie on a spot or a line.
    """
    known: npt.NDArray[np.bool_] = np.isfinite(uv[:, 0]) & np.isfinite(uv[:, 1])
    if not known[[WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP]].all():
        return None
    x, y = uv[:, 0].astype(np.float64), uv[:, 1].astype(np.float64)
    target = [((v[INDEX_MCP] + v[RING_MCP]) / 2 + v[MIDDLE_MCP]) / 2 for v in (x, y)]
    rotation = upright_rotation((x[WRIST], y[WRIST]), target)
    cos, sin = math.cos(rotation), math.sin(rotation)
    steady = [joint for joint in _STEADY_JOINTS if known[joint]]
    along_x, along_y = cos * x[steady] + sin * y[steady], -sin * x[steady] + cos * y[steady]
    width, height = float(np.ptp(along_x)), float(np.ptp(along_y))
    if not (width > 0 and height > 0):
        return None
    mid_x, mid_y = (along_x.min() + along_x.max()) / 2, (along_y.min() + along_y.max()) / 2
    centre = cos * mid_x - sin * mid_y, sin * mid_x + cos * mid_y
    region = Region(float(centre[0]), float(centre[1]), width, height, rotation, score, track_id)
    return large_enough(grow_square(region, _HAND_SCALE, _HAND_SHIFT_Y))


def large_enough(region: Region) -> Region | None:
    """The region, or None when it is too small to read a hand in."""
    return region if min(region.width, region.height) >= MIN_REGION_PX else None


def same_region(a: Region, b: Region) -> bool:
    """Whether two regions show one hand; rotations are not compared, as in MediaPipe."""
    return iou(unrotated_box(a), unrotated_box(b)) > SAME_REGION_IOU


def same_hand(a: FloatArray, b: FloatArray) -> bool:
    """Whether two sets of joints, (21, 2) px, are one hand measured twice: ten joints lie close to
    each other, and the boxes overlap.
    """
    near = np.linalg.norm(a - b, axis=1) < _SAME_DISTANCE * max(palm_size(a), palm_size(b))
    return bool(near.sum() >= _SAME_JOINTS) and iou(joints_box(a), joints_box(b)) > _SAME_HAND_IOU


def joints_box(uv: FloatArray) -> tuple[float, float, float, float]:
    """(x, y, width, height) around the known joints, px."""
    (x0, y0), (x1, y1) = np.nanmin(uv, axis=0), np.nanmax(uv, axis=0)
    return float(x0), float(y0), float(x1 - x0), float(y1 - y0)


def palm_size(uv: FloatArray) -> float:
    """Longest side of the triangle of wrist, index MCP and pinky MCP, in the unit of `uv` (21, 2):
    a size that changes little when the hand turns.
    """
    a, b, c = uv[[WRIST, INDEX_MCP, PINKY_MCP]].tolist()
    sides = (math.dist(a, b), math.dist(b, c), math.dist(c, a))
    return max((side for side in sides if not math.isnan(side)), default=math.nan)
