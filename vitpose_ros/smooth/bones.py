"""Constant bone lengths: learnt over time, and joints moved to fit them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import Pairs
from vitpose_ros.smooth.rotations import TINY, dot, ramp

Array = npt.NDArray[np.float64]

MEMORY_S = 20.0
"""The most that a length is worth; it then follows changes with this time constant."""
SURE_S = (0.5, 1.5)
"""Seconds of full confidence after which a length begins to be enforced, and is fully enforced."""
SPREAD = (0.35, 0.25)
"""Mean deviation, as a fraction of the length, at which it is not enforced, and is fully enforced.
Lengths of MediaPipe's hands have 0.05 to 0.2; they differ with the pose more than from image to
image."""

_FIRST_S, _MOST_S = 0.03, 0.1  # what a bone's first image counts, and the most that one counts
_FIRST_SPREAD, _LEAST_SPREAD = 0.1, 0.02
_CLIP, _CLIP_SPREAD = 1.5, 4.0  # in spreads: the most that an image tells of length, and of spread
_STEPS, _CLOSE = 6, 1e-4  # Gauss-Newton: at most, and the part of a length that may be lacking
_SHORT = 0.05  # of its length: the direction of a shorter bone is not reliable


class BoneLengths:
    """Lengths of the bones of many tracks, one row each.

    A length is the running mean of its logarithm, weighted by the confidence and duration of each
    image, whose influence is bounded by the usual spread (a recursive Huber estimator). A few bad
    images do not move it, and after `MEMORY_S` hardly anything does. In the first second the bound
    is wider, so that it recovers soon from a bad start.

    Parameters
    ----------
    bones : pairs of joints.
    mates : for each bone the index of its counterpart on the body's other side, or its own. Both
        sides are measured together.
    """

    def __init__(self, bones: Pairs, mates: npt.NDArray[np.intp]) -> None:
        self._first, self._second = np.array(bones, np.intp).reshape(-1, 2).T
        self._mates = mates
        self._log = np.empty((0, len(bones)))  # of metres; NaN: never measured
        self._spread = np.empty((0, len(bones)))
        self._seconds = np.empty((0, len(bones)))

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows: row i of the new state is row rows[i] of the old one, -1 is fresh."""
        fresh = rows < 0
        for name, start in (("_log", np.nan), ("_spread", _FIRST_SPREAD), ("_seconds", 0.0)):
            old = getattr(self, name)
            new = old[rows] if len(old) else np.empty((len(rows), old.shape[1]))
            new[fresh] = start
            setattr(self, name, new)

    def learn(self, points: Array, weight: Array, elapsed_s: Array) -> None:
        """Measure the bones in one image.

        Parameters
        ----------
        points : (N, K, 3) joints, metres; NaN where unknown.
        weight : (N, K) how much each joint's place is worth, 0 .. 1.
        elapsed_s : (N,) since the image before, NaN for none; a long time counts as a short one.
        """
        length = self._lengths(points)
        worth = np.minimum(weight[:, self._first], weight[:, self._second])
        elapsed = np.where(np.isnan(elapsed_s), _FIRST_S, np.clip(elapsed_s, 0.0, _MOST_S))
        worth = np.where(length > TINY, worth * elapsed[:, None], 0.0)
        log = np.log(np.where(worth > 0, length, 1.0))
        before = np.where(np.isnan(self._log), log, self._log)
        self._seconds = np.minimum(self._seconds + worth, MEMORY_S)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(worth > 0, worth / self._seconds, 0.0)
        spread = np.maximum(self._spread, _LEAST_SPREAD)
        off = log - before
        bound = spread * np.maximum(_CLIP, _CLIP_SPREAD - self._seconds)
        new = before + share * np.clip(off, -bound, bound)
        self._log = np.where(worth > 0, new, self._log)
        self._spread += share * (np.minimum(np.abs(off), _CLIP_SPREAD * spread) - self._spread)

    def held(self, points: Array) -> Array:
        """(N, B) the lengths that bones should have, metres.

        The learnt ones where they are reliable, those of `points` where they are not, with a
        smooth transition. NaN where a joint is unknown, or where two coincide, so that their bone
        has no direction.
        """
        log, spread, seconds = self._both_sides()
        sure = ramp(seconds, *SURE_S) * ramp(spread, *SPREAD)
        length = self._lengths(points)
        with np.errstate(invalid="ignore", divide="ignore"):
            now = np.log(length)
            target = np.exp(np.where(sure > 0, now + sure * (log - now), now))
            return np.where(length > _SHORT * target, target, np.nan)

    def _both_sides(self) -> tuple[Array, Array, Array]:
        mates = self._mates
        mine, others = self._seconds, self._seconds[:, mates]
        together = np.maximum(mine + others, TINY)
        share = others / together  # a bone that is its own mate: one half of twice the same
        log = _mixed(self._log, self._log[:, mates], share)
        return log, _mixed(self._spread, self._spread[:, mates], share), np.maximum(mine, others)

    def _lengths(self, points: Array) -> Array:
        bones = points[:, self._second] - points[:, self._first]
        return np.sqrt(dot(bones, bones))


def _mixed(mine: Array, others: Array, share: Array) -> Array:
    """A weighted mean; with a share of 0 or 1 the value without weight may be NaN."""
    return np.where(share <= 0, mine, np.where(share >= 1, others, mine + share * (others - mine)))


class BoneFit:
    """Moves joints, as little as possible, so that bones get their lengths.

    It minimises the sum of squared moves under the linearised lengths (Gauss-Newton): both ends of
    a bone share the correction. Setting bones one by one from the root outwards would accumulate
    the errors of their directions in the tips: with MediaPipe's hands in rendered images and the
    true lengths, that increases the shape's error by 4 %, where this decreases it by 6 %. The mean
    of the connected joints stays where it is.

    Parameters
    ----------
    bones : pairs of joints without loops.
    count : of joints, K.
    """

    def __init__(self, bones: Pairs, count: int) -> None:
        self._first, self._second = np.array(bones, np.intp).reshape(-1, 2).T
        self._incidence = np.zeros((len(bones), count))
        rows = np.arange(len(bones))
        self._incidence[rows, self._first], self._incidence[rows, self._second] = -1.0, 1.0
        self._coupling = self._incidence @ self._incidence.T

    def __call__(self, points: Array, lengths: Array) -> Array:
        """The joints moved.

        Parameters
        ----------
        points : (N, K, 3), NaN where unknown: these stay so.
        lengths : (N, B), in the unit of the points; NaN leaves a bone free.

        Returns
        -------
        (N, K, 3).
        """
        moved = points.copy()
        fixed = np.isfinite(lengths)
        target = np.where(fixed, lengths, 1.0)
        free = np.eye(len(self._first)) * ~fixed[:, None, :]
        for _ in range(_STEPS):
            bones = np.where(fixed[..., None], moved[:, self._second] - moved[:, self._first], 0.0)
            now = np.sqrt(dot(bones, bones))
            along = bones / np.maximum(now, TINY)[..., None]
            matrix = self._coupling * (along @ np.swapaxes(along, 1, 2)) + free
            lack = np.where(fixed, now - target, 0.0)
            if (np.abs(lack) < _CLOSE * target).all():
                break
            force = np.linalg.solve(matrix, lack[..., None]) * along
            moved -= self._incidence.T @ force
        return moved
