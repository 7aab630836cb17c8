"""Plausible skeletons: constant bone lengths, and joints within their limits.

It works in three dimensions, on `xyz` and `shape_xyz`, after smoothing. First bones get the length
that their track has shown over time (`bones`), then fingers, elbows and knees are rotated into
their limits (`hand_limits`, `body_limits`), which changes no length. Unknown joints stay unknown,
and moved ones are marked. Pixels do not change; docs/biomechanics.md says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import Layout
from vitpose_ros.limits import hand_starts, rigid_bones
from vitpose_ros.smooth.body_limits import BodyLimits
from vitpose_ros.smooth.bones import BoneFit, BoneLengths
from vitpose_ros.smooth.hand_limits import limit_hands
from vitpose_ros.smooth.rotations import dot
from vitpose_ros.types import Correction, JointState, Keypoints, Side

Array = npt.NDArray[np.float64]

_MOVED_M = 1e-5
"""A joint that would move by less stays where it is and is not marked."""
_OCCLUDED_WORTH = 0.25
"""Weight of a joint that the model infers, against one that it sees."""
_RIGHT = {Side.RIGHT: 1, Side.LEFT: -1, Side.UNKNOWN: 0}
_SPACES = ("xyz", "shape_xyz")


class Biomechanics:
    """Bone lengths and joint limits for all tracks of one layout.

    Lengths are learnt for each track, and separately for `xyz` and `shape_xyz`, whose scales
    differ, from joints of this image, weighted by their scores. Both sides of a body share
    their lengths. Animals are not changed.

    Parameters
    ----------
    layout : of all keypoints.
    lengths, angles : which of the two to apply.
    """

    def __init__(self, layout: Layout, *, lengths: bool = True, angles: bool = True) -> None:
        self.layout = layout
        self._angles = angles
        self._bones = rigid_bones(layout) if lengths else ()
        self._fit = BoneFit(self._bones, len(layout))
        self._body = BodyLimits(layout) if layout.kind == "body" else None
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        mates = _mates(self._bones, self.layout)
        self._lengths = {space: BoneLengths(self._bones, mates) for space in _SPACES}
        self._rows: dict[int, int] = {}
        self._stamps_ns = np.empty(0, np.int64)

    def __call__(
        self,
        stamp_ns: int,
        ids: Sequence[int],
        keypoints: Sequence[Keypoints | None],
        sides: Sequence[Side] | None = None,
    ) -> list[Keypoints | None]:
        """Correct the skeletons of one image.

        Parameters
        ----------
        stamp_ns : time of the image; it only weights what an image says about lengths.
        ids : the tracks' ids, each once. Tracks that are left out are forgotten.
        keypoints : of each track, smoothed; None for a track without joints, which is not
            forgotten.
        sides : of each hand's track. UNKNOWN for all if None: then the direction in which fingers
            are bent decides.

        Returns
        -------
        One for each id: the same object if nothing was moved, else one with other `xyz`,
        `shape_xyz` and `corrected`.

        Raises
        ------
        ValueError : the lists' lengths differ, an id stands twice, or a layout is another.
        """
        sides = [Side.UNKNOWN] * len(ids) if sides is None else sides
        self._check(ids, keypoints, sides)
        elapsed_s = self._take(ids, stamp_ns, [joints is not None for joints in keypoints])
        result = list(keypoints)
        rows = [row for row, joints in enumerate(keypoints) if joints is not None]
        if not rows or self.layout.kind == "animal":
            return result
        given = [joints for joints in keypoints if joints is not None]
        weight = np.zeros((len(ids), len(self.layout)))
        weight[rows] = _weight(given)
        right = np.array([_RIGHT[sides[row]] for row in rows])
        moved = {
            space: self._correct(space, rows, given, weight, elapsed_s, right) for space in _SPACES
        }
        for index, (row, joints) in enumerate(zip(rows, given, strict=True)):
            result[row] = _with(joints, index, moved)
        return result

    def _correct(
        self,
        space: str,
        rows: list[int],
        given: list[Keypoints],
        weight: Array,
        elapsed_s: Array,
        right: npt.NDArray[np.int64],
    ) -> tuple[Array, npt.NDArray[np.uint8]] | None:
        """The joints of one space (M, K, 3) and their corrections (M, K); None if no joint is
        known.
        """
        points = np.stack([getattr(joints, space) for joints in given]).astype(np.float64)
        if np.isnan(points).all():
            return None
        done = np.zeros(points.shape[:2], np.uint8)
        if self._bones:
            fitted = self._to_lengths(self._lengths[space], points, rows, weight, elapsed_s)
            done |= _changed(points, fitted) * np.uint8(Correction.BONE_LENGTH)
            points = fitted
        if self._angles:
            limited = self._limit(points, right)
            done |= _changed(points, limited) * np.uint8(Correction.JOINT_LIMIT)
            points = limited
        return points, done

    def _to_lengths(
        self, lengths: BoneLengths, points: Array, rows: list[int], weight: Array, elapsed_s: Array
    ) -> Array:
        everywhere = np.full((len(weight), *points.shape[1:]), np.nan)
        everywhere[rows] = points
        lengths.learn(everywhere, weight, elapsed_s)
        return self._fit(points, lengths.held(everywhere)[rows])

    def _limit(self, points: Array, right: npt.NDArray[np.int64]) -> Array:
        if self._body is not None:
            points = self._body(points)
        starts = hand_starts(self.layout)
        if not starts:
            return points
        if self._body is not None:  # a whole body's left hand comes first
            right = np.tile((-1, 1), len(points))
        joints = np.add.outer(np.array(starts), np.arange(21))
        limited = points.copy()
        hands = limit_hands(points[:, joints].reshape(-1, 21, 3), right)
        limited[:, joints] = hands.reshape(len(points), len(starts), 21, 3)
        return limited

    def _take(self, ids: Sequence[int], stamp_ns: int, known: list[bool]) -> Array:
        """Give each id its row; (N,) seconds since each was last known, NaN for new ones."""
        order = np.array([self._rows.get(track, -1) for track in ids], np.intp)
        if len(ids) != len(self._rows) or (order != np.arange(len(ids))).any():
            for lengths in self._lengths.values():
                lengths.take(order)
        before = np.full(len(ids), -1, np.int64)
        before[order >= 0] = self._stamps_ns[order[order >= 0]]
        self._rows = {track: row for row, track in enumerate(ids)}
        self._stamps_ns = np.where(known, stamp_ns, before)
        return np.where(before >= 0, (stamp_ns - before) * 1e-9, np.nan)

    def _check(
        self, ids: Sequence[int], keypoints: Sequence[Keypoints | None], sides: Sequence[Side]
    ) -> None:
        if not len(ids) == len(keypoints) == len(sides):
            raise ValueError(
                f"expected one skeleton and one side for each of {len(ids)} ids, got "
                f"{len(keypoints)} and {len(sides)}"
            )
        if len(set(ids)) != len(ids):
            raise ValueError(f"each id may stand once in an image, got {list(ids)}")
        for joints in keypoints:
            if joints is not None and joints.layout is not self.layout:
                raise ValueError(
                    f"expected joints of layout '{self.layout.name}', got '{joints.layout.name}'"
                )


def _mates(bones: tuple[tuple[int, int], ...], layout: Layout) -> npt.NDArray[np.intp]:
    """For each bone the index of its counterpart on the other side, or its own."""
    flip = layout.flip_permutation()
    index = {frozenset(bone): i for i, bone in enumerate(bones)}
    return np.array([index[frozenset((flip[a], flip[b]))] for a, b in bones], np.intp)


def _weight(given: list[Keypoints]) -> Array:
    """(M, K) weight of a joint's position: its squared score, 1 if the model gives none."""
    score = np.stack([joints.score for joints in given]).astype(np.float64)
    score[np.isnan(score)] = 1.0
    state = np.stack([joints.state for joints in given])
    worth = np.where(state == JointState.OCCLUDED, _OCCLUDED_WORTH, state >= JointState.MEASURED)
    return worth * np.clip(score, 0.0, 1.0) ** 2


def _changed(before: Array, after: Array) -> npt.NDArray[np.bool_]:
    """(M, K) bool, whether a joint was moved noticeably."""
    move = after - before
    return dot(move, move) > _MOVED_M**2


def _with(
    joints: Keypoints,
    row: int,
    moved: dict[str, tuple[Array, npt.NDArray[np.uint8]] | None],
) -> Keypoints:
    """The keypoints with the moved joints of each space."""
    changes = {space: of for space, of in moved.items() if of is not None and of[1][row].any()}
    if not changes:
        return joints
    corrected = joints.corrected.copy()
    arrays = {}
    for space, (points, done) in changes.items():
        corrected |= done[row]
        arrays[space] = np.where(
            done[row][:, None] > 0, points[row].astype(np.float32), getattr(joints, space)
        )
    return replace(joints, corrected=corrected, **arrays)
