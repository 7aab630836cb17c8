"""Joint limits of elbows and knees.

A hinge that is bent too far is opened to its limit, in the plane in which it is bent, together with
all joints beyond it. An elbow's hyperextension cannot be detected, since only a bend shows where an
upper arm's hinge points. A knee's can if the foot is known: it points forwards, and a stretched
shank hardly rotates against the thigh. Shoulders and hips reach nearly every direction, and necks
and spines have no joints of their own in these layouts: they have no limits here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros import limits
from vitpose_ros.layouts import Layout
from vitpose_ros.limits import hand_starts
from vitpose_ros.smooth.rotations import bend, beside, cross, dot, excess, ramp, rotated, unit

Array = npt.NDArray[np.float64]

_HANGS = {
    "wrist": ("pinky", "index", "thumb"),
    "ankle": ("heel", "foot_index", "big_toe", "small_toe"),
}
"""Joints that rotate with a limb's last one, in layouts that have them, besides the hand."""
_FOOT_ASIDE = (0.3, 0.6)
"""How much of a foot's length stands out from the shank where its direction gets no and full
confidence."""
_STRETCHED_RAD = np.radians((-90.0, -60.0))
"""A knee beyond this is not hyperextended: what was found is no leg, or the other way round."""


class BodyLimits:
    """Rotates elbows and knees of bodies of one layout into their limits.

    Parameters
    ----------
    layout : of a body; joints are found by their names, and missing ones limit nothing.
    """

    def __init__(self, layout: Layout) -> None:
        chains, feet, low, high = [], [], [], []
        self._hangs: list[npt.NDArray[np.intp]] = []
        for side, hand in zip(("left", "right"), (*hand_starts(layout), None, None), strict=False):
            for names, ranges in (
                (("shoulder", "elbow", "wrist"), limits.ELBOW_FLEXION),
                (("hip", "knee", "ankle"), limits.KNEE_FLEXION),
            ):
                joints = _indices(layout, side, names)
                if len(joints) < 3:
                    continue
                hangs = [joints[2], *_indices(layout, side, _HANGS[names[2]])]
                if names[2] == "wrist" and hand is not None:
                    hangs += range(hand, hand + 21)
                foot = [_indices(layout, side, (end,)) for end in ("heel", "big_toe")]
                foot[1] = foot[1] or _indices(layout, side, ("foot_index",))
                known = names[2] == "ankle" and all(foot)
                feet.append((foot[0][0], foot[1][0]) if known else (-1, -1))
                chains.append(joints)
                self._hangs.append(np.array(hangs, np.intp))
                low.append(ranges.radians()[0][0])
                high.append(ranges.radians()[1][0])
        self._chains = np.array(chains, np.intp).reshape(-1, 3)
        self._feet = np.array(feet, np.intp).reshape(-1, 2)
        self._low, self._high = np.array(low), np.array(high)

    def __call__(self, points: Array) -> Array:
        """Bodies whose elbows and knees are within their limits.

        Parameters
        ----------
        points : (N, K, 3) joints in right-handed axes, any unit; NaN where unknown.

        Returns
        -------
        (N, K, 3) : unchanged where nothing is beyond a limit, or where that cannot be known.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            axis, turn = self._rotations(points)
        if not turn.any():
            return points
        middle, limited = points[:, self._chains[:, 1]], points.copy()
        for chain, hangs in enumerate(self._hangs):
            rows = np.flatnonzero(turn[:, chain])
            if len(rows):
                pivot = middle[rows, None, chain]
                arm = points[rows[:, None], hangs] - pivot
                moved = rotated(arm, axis[rows, None, chain], turn[rows, None, chain])
                limited[rows[:, None], hangs] = pivot + moved
        return limited

    def _rotations(self, points: Array) -> tuple[Array, Array]:
        """Axes (N, C, 3) and angles (N, C) that bring each limb back within its limits."""
        first, middle, last = (points[:, self._chains[:, i]] for i in range(3))
        before, after = unit(middle - first), unit(last - middle)
        axis = cross(before, after)
        sine = np.sqrt(dot(axis, axis))
        beyond = np.arctan2(sine, dot(before, after)) - self._high
        hinge, stretch = self._stretched(points, before, after)
        axis = np.where((stretch > 0)[..., None], hinge, axis / sine[..., None])
        return axis, np.where(stretch > 0, stretch, -np.maximum(np.nan_to_num(beyond), 0.0))

    def _stretched(self, points: Array, before: Array, after: Array) -> tuple[Array, Array]:
        """The knees' hinges (N, C, 3), and by how much each is hyperextended (N, C); 0 where its
        foot does not show it.
        """
        foot = unit(points[:, self._feet[:, 1]] - points[:, self._feet[:, 0]])
        ahead = beside(foot, after)
        aside = np.sqrt(np.maximum(1.0 - dot(foot, after) ** 2, 0.0))
        hinge = beside(cross(ahead, after), before)
        angle, _ = bend(before, after, hinge)
        beyond = -np.minimum(excess(angle, self._low, np.full_like(self._low, np.pi)), 0.0)
        beyond = beyond * ramp(aside, *_FOOT_ASIDE) * ramp(angle, *_STRETCHED_RAD)
        return hinge, np.where(self._feet[:, 0] >= 0, np.nan_to_num(beyond), 0.0)



def _indices(layout: Layout, side: str, names: tuple[str, ...]) -> list[int]:
    joints = {name: index for index, name in enumerate(layout.joints)}
    return [joints[f"{side}_{name}"] for name in names if f"{side}_{name}" in joints]
