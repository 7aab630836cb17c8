"""Where a hand is looked at: regions from palms and from the last frame's joints, and which of two
hands are the same one.

Numbers and formulae are those of MediaPipe's graphs palm_detection_detection_to_roi and
hand_landmark_landmarks_to_roi, and of its Tasks' HandLandmarksDeduplicationCalculator.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.palms import Palm
from vitpose_ros.geometry import grow_square, iou, known_median, unrotated_box, upright_rotation
from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST
from vitpose_ros.types import FloatArray, Region

MIN_REGION_PX = 12.0
"""A region with a shorter side holds no hand that any network could read."""

SAME_REGION_IOU = 0.5
"""Two regions that overlap more than this are of one hand."""

_PALM_SCALE, _PALM_SHIFT_Y = 2.6, -0.5
_PALM_WRIST, _PALM_MIDDLE = 0, 2
_HAND_SCALE, _HAND_SHIFT_Y = 2.0, -0.1
_STEADY_JOINTS = (
    0,
    1,
    2,
    3,
    5,
    6,
    9,
    10,
    13,
    14,
    17,
    18,
)  # the palm and each finger's first bones: no finger tips

_PALM_JOINTS = [0, 5, 9, 13, 17, 1, 2]  # what a palm's points are of a hand
_SAME_PALM = 0.4

_SAME_JOINTS = 10
_SAME_DISTANCE = 0.2
_SAME_HAND_IOU = 0.2


def palm_region(palm: Palm, track_id: int = -1) -> Region | None:
    """The region of the whole hand around a palm; None when the palm is too small to look at."""
    x, y, width, height = palm.box
    if not np.isfinite(palm.points).all() or not min(width, height) > 0:
        return None
    rotation = upright_rotation(palm.points[_PALM_WRIST], palm.points[_PALM_MIDDLE])
    region = Region(x + width / 2, y + height / 2, width, height, rotation, palm.score, track_id)
    return _usable(grow_square(region, _PALM_SCALE, _PALM_SHIFT_Y))


def hand_region(uv: FloatArray, score: float, track_id: int) -> Region | None:
    """The region in which a hand with these joints is looked for in the next frame.

    Parameters
    ----------
    uv : (21, 2), px; NaN for joints that are not known.
    score, track_id : handed on to the region.

    Returns
    -------
    None when the wrist or a finger's root is not known, or when the joints lie on one spot, or on
    a line without length: they are no hand.
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
    return _usable(grow_square(region, _HAND_SCALE, _HAND_SHIFT_Y))


def _usable(region: Region) -> Region | None:
    return region if min(region.width, region.height) >= MIN_REGION_PX else None


def same_region(a: Region, b: Region) -> bool:
    """Whether two regions are of one hand; rotations are not compared, as in MediaPipe."""
    return iou(unrotated_box(a), unrotated_box(b)) > SAME_REGION_IOU


def same_hand(a: FloatArray, b: FloatArray) -> bool:
    """Whether two sets of joints, (21, 2) px, are one hand seen twice.

    They are when ten joints lie close to each other and the boxes overlap.
    """
    near = np.linalg.norm(a - b, axis=1) < _SAME_DISTANCE * max(palm_size(a), palm_size(b))
    return bool(near.sum() >= _SAME_JOINTS) and iou(joints_box(a), joints_box(b)) > _SAME_HAND_IOU


def same_palm(palm: Palm, uv: FloatArray) -> bool:
    """Whether a found palm is that of a hand with these joints, (21, 2) px.

    Their regions do not tell: a palm's is smaller than that of the hand's own joints.
    """
    apart = np.linalg.norm(palm.points - uv[_PALM_JOINTS], axis=1)
    return bool(known_median(apart) < _SAME_PALM * palm_size(uv))


def joints_box(uv: FloatArray) -> tuple[float, float, float, float]:
    """(x, y, width, height) around joints, px; those that are not known (NaN) are left out."""
    (x0, y0), (x1, y1) = np.nanmin(uv, axis=0), np.nanmax(uv, axis=0)
    return float(x0), float(y0), float(x1 - x0), float(y1 - y0)


def palm_size(uv: FloatArray) -> float:
    """Longest side of the triangle of wrist, index MCP and pinky MCP, px: a hand's size that stays
    when it is turned; uv is (21, 2).
    """
    a, b, c = uv[[WRIST, INDEX_MCP, PINKY_MCP]].tolist()
    sides = (math.dist(a, b), math.dist(b, c), math.dist(c, a))
    return max((side for side in sides if not math.isnan(side)), default=math.nan)
