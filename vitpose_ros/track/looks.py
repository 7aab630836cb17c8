"""Followed hands are looked at from two sides by turns, and their joints are the mean of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitpose_ros.detect.hands import palm_size
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.types import ByteArray, FloatArray, Region

MAX_SPAN_S = 0.15
"""Three images in a row may take so long: over more time, a hand's motion is not steady."""

_MOST_OFF, _MOST_OFF_IN_SPACE = 0.15, 0.3
"""So far from the mean, in sizes of the palm, two looks may be (0.01 to 0.03 is usual). A joint
that jumps is farther off.
"""

_SEEN = 0.5
"""Presence below which a hand is not seen in a turned crop."""

_NEAR = 0.33
"""Of a crop's side: hands whose crops are nearer to one another, middle to middle, are near."""

Reader = Callable[[ByteArray, Sequence[Region]], "list[HandEstimate | None]"]


@dataclass(frozen=True)
class _Look:
    """What was read of one track in one image: joints (21, 5), px and metres; score (21,)."""

    stamp_ns: int
    joints: FloatArray
    score: FloatArray


class TwoLooks:
    """Turns the crops of followed hands to one side in one image, to the other side in the next.

    What a network gets wrong about a hand stays as long as the hand keeps its pose: no smoothing
    over time takes it away. When the crop is turned, a part of it changes. The other look is only
    one image old, and what has moved since is known from the two looks of the same side, one before
    it and one after it. So the mean of both at the time of this image is

        here - (between - before) / 2

    where `between` lies between this reading and the one before the last, at the time of the last
    one, `before`. With steps of equal length this is 3/4, 1/2 and -1/4 of the last three readings:
    late by nothing while the motion is steady, and without what changes from look to look. A joint
    by which the looks would be impossibly far apart is left as it was read: it jumped. Scores are
    the mean of this image's and the last one's; the presence of a hand is that of this image, so
    that one that is gone is gone at once.

    Hands that are near to one another are read in crops as they are: turned ones were lost, and
    taken for one another, more often where hands cross. A hand that is not seen in a turned crop is
    looked for in the crop as it is before it is given up.

    But for that it costs nothing but these sums: each image is looked at once. Measured on
    MediaPipe's hands with 20 degrees: see docs/smoothing.md.

    Parameters
    ----------
    turn_rad : how far crops are turned, to either side.
    """

    def __init__(self, turn_rad: float) -> None:
        self._turn_rad = turn_rad
        self._stamp_ns: int | None = None
        self._past: dict[int, list[_Look]] = {}

    def reset(self) -> None:
        """Forget what was read."""
        self._stamp_ns = None
        self._past = {}

    def __call__(
        self, read: Reader, image: ByteArray, regions: Sequence[Region], stamp_ns: int
    ) -> list[HandEstimate | None]:
        """Read the hands of an image.

        Parameters
        ----------
        read : the network.
        image, stamp_ns : of this image.
        regions : of followed hands, with the ids of their tracks.
        """
        soon = self._stamp_ns is not None and _seconds(self._stamp_ns, stamp_ns) <= MAX_SPAN_S / 2
        self._stamp_ns, self._turn_rad = stamp_ns, -self._turn_rad
        turns = [
            self._turn_rad if soon and not _by_another(region, regions) else 0.0
            for region in regions
        ]
        estimates = read(image, list(map(_turned, regions, turns)))
        unseen = [i for i, turn in enumerate(turns) if turn and _presence(estimates[i]) < _SEEN]
        plain = read(image, [regions[i] for i in unseen]) if unseen else []
        for i, again in zip(unseen, plain, strict=True):
            if _presence(again) > _presence(estimates[i]):
                estimates[i], turns[i] = again, 0.0
        before, self._past = self._past, {}
        return [
            self._mean(region.track_id, found, before, stamp_ns)
            if found is not None and turn and found.presence >= _SEEN
            else found
            for region, turn, found in zip(regions, turns, estimates, strict=True)
        ]

    def _mean(
        self, track_id: int, estimate: HandEstimate, past: dict[int, list[_Look]], stamp_ns: int
    ) -> HandEstimate:
        """The mean of this look and the other one; the look itself where that is not known."""
        joints = np.hstack((estimate.uv, estimate.shape_xyz))
        here = _Look(stamp_ns, joints, estimate.score)
        looks = [*past.get(track_id, []), here][-3:]
        self._past[track_id] = looks
        if len(looks) < 3:
            return estimate
        first, middle, _ = looks
        share = _seconds(first.stamp_ns, middle.stamp_ns) / _seconds(first.stamp_ns, stamp_ns)
        between = first.joints + share * (here.joints - first.joints)
        off = ((between - middle.joints) / 2).astype(np.float32)
        uv, shape = estimate.uv, estimate.shape_xyz
        most, most_in_space = _MOST_OFF * palm_size(uv), _MOST_OFF_IN_SPACE * palm_size(shape)
        return replace(
            estimate,
            uv=np.subtract(uv, _possible(off[:, :2], most)),
            score=np.mean((estimate.score, middle.score), axis=0),
            shape_xyz=np.subtract(shape, _possible(off[:, 2:], most_in_space)),
        )


def _presence(estimate: HandEstimate | None) -> float:
    return 0.0 if estimate is None else estimate.presence


def _by_another(region: Region, regions: Sequence[Region]) -> bool:
    """Whether another hand is so near that one may be taken for the other, or hide it."""
    return any(
        math.dist((region.cx, region.cy), (other.cx, other.cy))
        < _NEAR * max(region.width, other.width)
        for other in regions
        if other is not region
    )


def _turned(region: Region, by_rad: float) -> Region:
    return region if not by_rad else replace(region, rotation_rad=region.rotation_rad + by_rad)


def _possible(off: FloatArray, most: float) -> FloatArray:
    """(K, D), 0 for joints that are farther off, or not known."""
    with np.errstate(invalid="ignore"):
        possible = np.linalg.norm(off, axis=1) <= most
    return np.where(possible[:, None], off, np.float32(0.0))


def _seconds(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) * 1e-9
