"""The axes of hands and how their digits are bent, from joint positions.

The palm (wrist, knuckles of index, middle and little finger) defines the axes: x towards the middle
knuckle, y towards the thumb, z out of the back. In these axes a finger's first bone has a flexion
and an abduction; the other joints are hinges about the finger's own lateral axis.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros import limits
from vitpose_ros.smooth.rotations import bend, beside, cross, dot, unit

Array = npt.NDArray[np.float64]

JOINTS = 1 + np.arange(20).reshape(5, 4)
"""The joints of each digit in hand21, from the palm to the tip."""

_COS, _SIN = (of(np.radians(limits.SPLAY_DEG))[:, None] for of in (np.cos, np.sin))
_CENTRE, _THUMB_HINGE = unit(limits.THUMB_CENTRE), unit(limits.THUMB_HINGE)


def as_right(points: Array, mirror: Array) -> Array:
    """Left hands as right ones, and back.

    Parameters
    ----------
    points : (N, K, 3).
    mirror : (N,) -1 for hands to mirror, 1 for the others.
    """
    mirrored = points.copy()
    mirrored[..., 0] *= mirror[:, None]
    return mirrored


class HandAxes:
    """Right hands: their palms' axes, and how their digits are bent.

    Mirror left hands with `as_right` first. Unknown joints are NaN, and so is what depends on them.

    Parameters
    ----------
    points : (N, 21, 3) joints in hand21's order, in right-handed axes, m.

    Attributes
    ----------
    points : as given.
    ahead, aside, back : (N, 1, 3) the axes x, y, z.
    neutral, lateral : (N, 4, 3) where the four fingers point in a flat hand, and the axes of their
        flexion.
    bones, directions : (N, 5, 3, 3) each digit's bones from the palm to the tip, as vectors, and
        with length 1.
    hinge : (N, 5, 2, 3) the axes of each digit's two hinges; flexion is positive.
    angle, within : (N, 5, 2) of the hinges, see `rotations.bend`.
    """

    def __init__(self, points: Array) -> None:
        self.points = points
        wrist, index, middle, little = (points[:, None, joint] for joint in (0, 5, 9, 17))
        self.back = unit(cross(little - wrist, index - wrist))
        self.ahead = beside(middle - wrist, self.back)
        self.aside = cross(self.back, self.ahead)
        self.neutral = _COS * self.ahead + _SIN * self.aside
        self.lateral = _COS * self.aside - _SIN * self.ahead
        self.bones = points[:, JOINTS[:, 1:]] - points[:, JOINTS[:, :-1]]
        self.directions = unit(self.bones)
        first = self.directions[:, :, 0]
        across = np.concatenate([self._thumb_hinge(first[:, :1]), self.lateral], axis=1)
        near = beside(across, first)
        self.hinge = np.stack([near, beside(near, self.directions[:, :, 1])], axis=2)
        before, after = self.directions[:, :, :2], self.directions[:, :, 1:]
        self.angle, self.within = bend(before, after, self.hinge)

    def mcp_flexion(self) -> Array:
        """(N, 4) of the fingers: the angle in the plane across the lateral axis, which is defined
        at any abduction and does not change with it; 0 in a flat hand.
        """
        direction = self.directions[:, 1:, 0]
        return np.arctan2(-dot(direction, self.back), dot(direction, self.neutral))

    def mcp_abduction(self) -> Array:
        """(N, 4) of the fingers: the angle out of that plane, towards the thumb; 0 if flat."""
        across = dot(self.directions[:, 1:, 0], self.lateral)
        return np.arcsin(np.clip(across, -1.0, 1.0))

    def in_palm(self, vector: Array) -> Array:
        """(N, 1, 3): a vector given in the palm's axes."""
        return vector[0] * self.ahead + vector[1] * self.aside + vector[2] * self.back

    def _thumb_hinge(self, direction: Array) -> Array:
        """(N, 1, 3): the axis of the thumb's flexion, carried from the cone's middle by the
        shortest turn.
        """
        centre, hinge = self.in_palm(_CENTRE), self.in_palm(_THUMB_HINGE)
        axis, cos = cross(centre, direction), dot(centre, direction)[..., None]
        share = dot(axis, hinge)[..., None] / np.maximum(1.0 + cos, 0.1)
        return cos * hinge + cross(axis, hinge) + share * axis
