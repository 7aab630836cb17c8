"""The 26 joints of an OpenXR hand (XR_EXT_hand_tracking), from the 21 joints of hand21.

Each joint has a position, an orientation and a radius. Axes: -z along the bone, towards the
fingertip (at a tip, along the last bone), +y out of the back of the finger or of the hand, +x to
the right when the palm is down and the fingers point ahead; on both hands. A joint sits at the near
end of the bone that it is named after.

The palm and the metacarpals of the four fingers have no counterpart in hand21: they are not valid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import HAND21, MIDDLE_MCP, WRIST
from vitpose_ros.lift.anatomy import HAND_LENGTH_M, HAND_TREE, radii_m
from vitpose_ros.retarget.angles import mirror_of
from vitpose_ros.smooth.hand_axes import HandAxes, as_right
from vitpose_ros.smooth.rotations import beside, cross
from vitpose_ros.types import Side

Array = npt.NDArray[np.float64]

_FINGERS = ("INDEX", "MIDDLE", "RING", "LITTLE")
_BONES = ("METACARPAL", "PROXIMAL", "INTERMEDIATE", "DISTAL", "TIP")
JOINTS = (
    *("PALM", "WRIST"),
    *(f"THUMB_{bone}" for bone in ("METACARPAL", "PROXIMAL", "DISTAL", "TIP")),
    *(f"{finger}_{bone}" for finger in _FINGERS for bone in _BONES),
)
"""Names in OpenXR's order."""

SOURCE = np.array(
    (
        *(-1, 0, 1, 2, 3, 4),
        *(joint for finger in range(4) for joint in (-1, *range(5 + 4 * finger, 9 + 4 * finger))),
    )
)
"""For each OpenXR joint the one of hand21, or -1."""

_RADIUS_M = np.where(SOURCE < 0, np.nan, radii_m(HAND21)[SOURCE])
_PALM_M = HAND_LENGTH_M * next(share for a, b, share in HAND_TREE if (a, b) == (WRIST, MIDDLE_MCP))
"""From wrist to middle MCP in the hand of these radii."""


@dataclass(frozen=True)
class OpenXrHand:
    """The joints of a hand in the order of JOINTS.

    Attributes
    ----------
    position : (26, 3) m; NaN where not valid.
    orientation : (26, 4) quaternions x, y, z, w; NaN where not valid.
    radius : (26,) m, from a table that is scaled with the hand; NaN where not valid.
    valid : (26,) bool, both position and orientation are known.
    """

    position: Array
    orientation: Array
    radius: Array
    valid: npt.NDArray[np.bool_]


def openxr_hand(points: Array, hand: HandAxes, side: Side, wrist: Array) -> OpenXrHand:
    """The OpenXR joints of a hand.

    Parameters
    ----------
    points : (21, 3) m; NaN where unknown.
    hand : its axes, see `angles.side_axes`.
    side : LEFT or RIGHT.
    wrist : (3, 3) the axes of its operator frame.
    """
    axes = np.full((26, 3, 3), np.nan)
    # The operator frame has z to the fingers, x out of the palm, and y towards OpenXR's left.
    axes[1] = np.stack([-wrist[:, 1], -wrist[:, 0], -wrist[:, 2]], axis=1)
    digits = _digit_axes(hand, side)
    axes[2:6] = digits[0]
    for finger in range(4):
        first = 7 + 5 * finger
        axes[first : first + 4] = digits[1 + finger]
    position = np.full((26, 3), np.nan)
    known = SOURCE >= 0
    position[known] = points[SOURCE[known]]
    valid = known & np.isfinite(position).all(axis=1) & np.isfinite(axes).all(axis=(1, 2))
    position[~valid] = np.nan
    orientation = np.full((26, 4), np.nan)
    if valid.any():
        orientation[valid] = Rotation.from_matrix(axes[valid]).as_quat()
    scale = np.linalg.norm(points[MIDDLE_MCP] - points[WRIST]) / _PALM_M
    radius = np.where(valid, _RADIUS_M * scale, np.nan)
    return OpenXrHand(position, orientation, radius, valid)


def _digit_axes(hand: HandAxes, side: Side) -> Array:
    """(5, 4, 3, 3) the axes of each digit's joints from the palm to the tip, as columns."""
    with np.errstate(invalid="ignore", divide="ignore"):
        bone, hinge = hand.directions[0], hand.hinge[0]
        last = beside(hinge[:, 1], bone[:, 2])
    mirror = np.repeat(mirror_of(side), 5)
    z = -as_right(bone, mirror)
    # A hinge points towards the thumb: to the left on a right hand.
    thumbward = as_right(np.concatenate([hinge, last[:, None]], axis=1), mirror)
    x = -thumbward if side is Side.RIGHT else thumbward
    axes = np.stack([x, cross(z, x), z], axis=-1)
    return np.concatenate([axes, axes[:, -1:]], axis=1)
