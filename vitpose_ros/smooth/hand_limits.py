"""Joint limits of fingers.

Angles are those of `hand_axes`; the thumb's metacarpal lies in a cone. A joint beyond its range and
tolerance is rotated back to the limit, together with all joints beyond it, so that no length
changes.

The side of the hand says where its back is. So do the hinges, since fingers bend only towards the
palm: they decide where the side is unknown, and where they contradict the side, only overbending is
limited. Nothing is limited where the palm does not have the shape of a palm.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros import limits
from vitpose_ros.smooth.hand_axes import JOINTS, HandAxes, as_right
from vitpose_ros.smooth.rotations import beside, cross, dot, excess, ramp, rotated, unit

Array = npt.NDArray[np.float64]

_AGREES_RAD = np.radians((-30.0, -10.0))
"""Flexion of a hand's hinges at which its known side gets no and full confidence."""
_DECIDES_RAD = np.radians((30.0, 60.0))
"""The same for a side inferred from the hinges alone."""
_ARCHED_RAD = np.radians((12.0, 8.0))
"""How far the middle knuckle lies out of the palm's plane (seen from the wrist) where the palm gets
no and full confidence; a flat hand's lies 4 degrees out."""
_PALM_M = (0.13, 0.11)
"""The same for the distance from wrist to middle knuckle, which is 0.08 to 0.11 m in adults."""
_WITHIN = (0.25, 0.5)
"""The share of a bone in its hinge's plane at which its angle gets no and full confidence."""

_MCP_FLEXION, _MCP_ABDUCTION = limits.MCP_FLEXION.radians(), limits.MCP_ABDUCTION.radians()
_CONE_RAD = np.radians(limits.THUMB_CONE_DEG + limits.TOLERANCE_DEG)
_CENTRE = unit(limits.THUMB_CENTRE)


def _digits(thumb: limits.Ranges, fingers: limits.Ranges) -> tuple[Array, Array]:
    (thumb_low, thumb_high), (low, high) = thumb.radians(), fingers.radians()
    return np.concatenate([thumb_low, low]), np.concatenate([thumb_high, high])


_HINGES = tuple(
    np.stack(levels, axis=1)
    for levels in zip(
        _digits(limits.THUMB_MCP_FLEXION, limits.PIP_FLEXION),
        _digits(limits.THUMB_IP_FLEXION, limits.DIP_FLEXION),
        strict=True,
    )
)
"""(5, 2) each: the least and the greatest angle of each digit's hinges."""

_Rotation = tuple[Array, Array, int]
"""Axes (N, 5, 3) and angles (N, 5) by which each digit is rotated, and its first rotated bone."""


def limit_hands(points: Array, right: npt.NDArray[np.int64]) -> Array:
    """Hands whose joints are within their limits.

    Parameters
    ----------
    points : (N, 21, 3) joints in hand21's order, in right-handed axes, metres; NaN where unknown.
    right : (N,) 1 for a right hand, -1 for a left one, 0 if unknown.

    Returns
    -------
    (N, 21, 3) : unchanged where nothing is beyond a limit, or where that cannot be known.
    """
    mirror = np.where(right < 0, -1.0, 1.0)
    unknown = right == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        hands = _Hands(as_right(points, mirror))
        flexion = hands.flexion()
        confidence = ramp(flexion, *_AGREES_RAD)
        if unknown.any():
            confidence = np.where(unknown, ramp(np.abs(flexion), *_DECIDES_RAD), confidence)
            mirror = np.where(unknown & (flexion < 0), -1.0, mirror)
            hands = _Hands(as_right(points, mirror))
        limited = hands.limited(np.nan_to_num(confidence)[:, None])
    return points if limited is hands.points else as_right(limited, mirror)


class _Hands(HandAxes):
    """Right hands that are brought within their limits.

    Rotating a joint moves the hinges beyond it along and keeps their angles. So all angles are
    measured first, and joints are rotated from the tips to the palm.

    Attributes
    ----------
    plausible : (N, 1) 0 .. 1, whether the palm has the shape of one; 1 where it is not known. Where
        a network is lost, its palm shows it, and limits would only move the error.
    """

    def __init__(self, points: Array) -> None:
        super().__init__(points)
        self.plausible = _plausible(points[:, None, 9] - points[:, None, 0], self.back)

    def flexion(self) -> Array:
        """(N,) the sum of a finger's hinge angles, the median of the four fingers; NaN where no
        finger is known.
        """
        total = self.angle[:, 1:].sum(axis=2)
        total.sort(axis=1)  # NaN last
        count = np.isfinite(total).sum(axis=1)
        rows = np.arange(len(total))
        return (total[rows, np.maximum(count - 1, 0) // 2] + total[rows, count // 2 % 4]) / 2

    def limited(self, confidence: Array) -> Array:
        """(N, 21, 3) the joints within their limits; `points` itself when all are.

        Parameters
        ----------
        confidence : (N, 1) 0 .. 1, in where the back of the hand is.
        """
        confidence = confidence * self.plausible
        rotations = [*self._hinges(confidence), self._roots(confidence), self._flexions(confidence)]
        if not any((turn != 0).any() for _, turn, _ in rotations):
            return self.points
        bones = self.bones.copy()
        for axis, turn, start in rotations:
            moved = rotated(bones[:, :, start:], axis[:, :, None], turn[:, :, None])
            bones[:, :, start:] = np.where((turn != 0)[..., None, None], moved, bones[:, :, start:])
        shift = np.where(np.isfinite(bones), bones - self.bones, 0.0)
        limited = self.points.copy()
        limited[:, JOINTS[:, 1:]] += shift.cumsum(axis=2)
        return limited

    def _hinges(self, confidence: Array) -> tuple[_Rotation, _Rotation]:
        """Rotations into the limits of the outer and of the inner hinges. If the back is unknown, a
        bend in any direction counts as flexion.
        """
        hinge, angle, within = self.hinge, self.angle, self.within
        signed = (confidence[..., None] > 0) & np.isfinite(angle)
        if not signed.all():
            before, after = self.directions[:, :, :2], self.directions[:, :, 1:]
            axis = cross(before, after)
            sine = np.sqrt(dot(axis, axis))
            hinge = np.where(signed[..., None], hinge, axis / sine[..., None])
            angle = np.where(signed, angle, np.arctan2(sine, dot(before, after)))
            within = np.where(signed, within, 1.0)
        beyond = np.nan_to_num(excess(angle, *_HINGES) * ramp(within, *_WITHIN))
        back = -np.where(beyond < 0, confidence[..., None], self.plausible[..., None]) * beyond
        return (hinge[:, :, 1], back[:, :, 1], 2), (hinge[:, :, 0], back[:, :, 0], 1)

    def _roots(self, confidence: Array) -> _Rotation:
        """Rotations into the thumb's cone and into the fingers' abduction: the angle out of the
        plane across the lateral axis.
        """
        direction, centre = self.directions[:, :, 0], self.in_palm(_CENTRE)
        far = np.arccos(np.clip(dot(direction[:, :1], centre), -1.0, 1.0)) - _CONE_RAD
        inward = beside(direction[:, 1:], self.lateral)
        back = [np.maximum(far, 0.0), -excess(self.mcp_abduction(), *_MCP_ABDUCTION)]
        axis = [unit(cross(direction[:, :1], centre)), cross(inward, self.lateral)]
        turn = np.nan_to_num(confidence * np.concatenate(back, axis=1))
        return np.concatenate(axis, axis=1), turn, 0

    def _flexions(self, confidence: Array) -> _Rotation:
        """Rotations into the fingers' MCP flexion."""
        turn = np.zeros(self.angle.shape[:2])
        turn[:, 1:] = -np.nan_to_num(confidence * excess(self.mcp_flexion(), *_MCP_FLEXION))
        return np.concatenate([self.back, self.lateral], axis=1), turn, 0  # the thumb has none


def _plausible(ray: Array, back: Array) -> Array:
    """See `_Hands`; `ray` goes from the wrist to the middle knuckle."""
    length = np.sqrt(dot(ray, ray))
    arched = np.arcsin(np.minimum(np.abs(dot(ray, back)) / length, 1.0))
    return np.nan_to_num(ramp(arched, *_ARCHED_RAD) * ramp(length, *_PALM_M), nan=1.0)
