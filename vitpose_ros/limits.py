"""The body's limits as data, like `layouts`: bones of constant length and ranges of joints.

Ranges are those of the AAOS tables (adults; the passive range where tables differ), degrees. They
apply with `TOLERANCE_DEG` on both sides, because people differ and networks put joints where the
skin shows them; 99 % of the flexions of MediaPipe's hands in a real video are then inside. Other
joints have no limit that joint positions alone reveal: see `smooth.biomechanics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import FINGERS, Layout, Pairs

Array = npt.NDArray[np.float64]

TOLERANCE_DEG = 15.0
"""How far a joint may exceed its range before it is moved back to this bound."""


@dataclass(frozen=True)
class Ranges:
    """Joint ranges in degrees, without the tolerance; hyperextension is negative.

    Attributes
    ----------
    low, high : arrays of the same shape.
    """

    low: Array
    high: Array

    def radians(self) -> tuple[Array, Array]:
        """Low and high with the tolerance."""
        return np.radians(self.low - TOLERANCE_DEG), np.radians(self.high + TOLERANCE_DEG)


def _ranges(*pairs: tuple[float, float]) -> Ranges:
    low, high = np.array(pairs, float).T
    return Ranges(low, high)


# --- hands: index, middle, ring, little finger

MCP_FLEXION = _ranges((-45, 90), (-45, 90), (-45, 90), (-45, 100))
MCP_ABDUCTION = _ranges((-25, 25), (-25, 25), (-25, 25), (-25, 25))
"""From the finger's direction in a flat hand, towards the thumb (positive) or away."""
PIP_FLEXION = _ranges(*[(0, 110)] * 4)
DIP_FLEXION = _ranges(*[(0, 90)] * 4)
THUMB_MCP_FLEXION, THUMB_IP_FLEXION = _ranges((-10, 70)), _ranges((-15, 90))

SPLAY_DEG = np.array((9.0, 0.0, -9.0, -19.0))
"""Directions of the fingers of a flat, relaxed hand in the palm's plane, measured from the line
between wrist and middle knuckle towards the thumb."""

THUMB_CENTRE = np.array((0.60, 0.40, -0.69))
"""The mean direction of the thumb's metacarpal, in the palm's axes: towards the middle knuckle,
towards the thumb, out of the back."""
THUMB_HINGE = np.array((-0.75, -0.03, -0.66))
"""The flexion axis of the thumb's other two joints for that direction. Both come from
`synthetic.anatomy`, whose thumb has the tables' ranges: at 45 degrees from the palm, the axis turns
by up to 35."""
THUMB_CONE_DEG = 45.0
"""The largest angle between the metacarpal and THUMB_CENTRE: palmar and radial abduction form one
cone, because positions cannot separate them."""


# --- bodies, by joint name

ELBOW_FLEXION, KNEE_FLEXION = _ranges((0, 150)), _ranges((-10, 140))

_LIMBS = (
    *(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")),
    *(("ankle", "heel"), ("heel", "foot_index"), ("heel", "big_toe")),
    *(("wrist", "index"), ("wrist", "pinky")),
)
_HAND_BONES: Pairs = tuple(
    bone
    for finger in range(len(FINGERS))
    for bone in (
        (0, 4 * finger + 1),
        *((4 * finger + joint, 4 * finger + joint + 1) for joint in (1, 2, 3)),
    )
)


def rigid_bones(layout: Layout) -> Pairs:
    """The pairs of joints whose distance stays constant as the body moves; they form no loops.

    For bodies: limbs, the distance between the hips, and feet; for hands: palm and fingers.
    Shoulders, spine and face are not rigid. For animals, nothing is known.
    """
    if layout.kind == "animal":
        return ()
    if layout.kind == "hand":
        return _HAND_BONES
    index = {name: i for i, name in enumerate(layout.joints)}
    names = [("left_hip", "right_hip")]
    names += [(f"{side}_{a}", f"{side}_{b}") for a, b in _LIMBS for side in ("left", "right")]
    bones = tuple((index[a], index[b]) for a, b in names if a in index and b in index)
    for start in hand_starts(layout):
        bones += tuple((start + a, start + b) for a, b in _HAND_BONES)
    return bones


def hand_starts(layout: Layout) -> tuple[int, ...]:
    """First joints of a layout's hands, left before right; each hand is in hand21's order."""
    if layout.kind == "hand":
        return (0,)
    names = ("left_hand_wrist", "right_hand_wrist")
    return tuple(layout.index(name) for name in names if name in layout.joints)
