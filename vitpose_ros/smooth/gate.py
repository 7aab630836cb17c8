"""The gate before a filter: joints that jump as nothing does are not believed at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vitpose_ros.smooth.filters import Array, Mask, length, planar

Counts = npt.NDArray[np.int64]

AGREEING = 3
"""So many measurements in a row that agree with each other are a real jump."""

MAX_REJECTS = 10
"""After so many rejected measurements in a row the next is believed, whatever it says: a gate that
locks is worse than an outlier."""

# In object sizes: a palm's longest side, 0.09 m, or a trunk, 0.5 m.
_JOINT_FLOOR, _JOINT_SPEED = 0.2, 8.0
_OBJECT_FLOOR, _OBJECT_SPEED = 0.5, 60.0
_ELSEWHERE, _FAR = 0.3, 1.0
FEW = 4
"""With fewer joints nothing is said of an object as a whole."""


class Decision(NamedTuple):
    """What is done with each joint's measurement; three masks (N, K).

    Attributes
    ----------
    use : goes into the filter.
    outlier : was measured, and is not believed.
    restart : goes into the filter, which begins anew there: the joint is elsewhere now.
    """

    use: Mask
    outlier: Mask
    restart: Mask


class Gate:
    """Decides which measurements a filter takes.

    An object moves as a whole, and its joints move within it. What all joints have in common (the
    median of how far they are from where they were expected) may be as fast as an arm swings; what
    a joint does beyond that may not. So a reach is no outlier, and a single finger tip that is for
    one image elsewhere is one. The limits are a speed times the time since the joint's last
    accepted measurement, and a floor for noise: 0.2 + 8 /s object sizes for a joint, 0.5 + 60 /s
    for the whole (5 m/s for a hand).

    A rejected joint is believed again when three measurements in a row agree with each other, and
    after ten rejected ones in any case. If it is more than an object size away by then, it begins
    anew there; otherwise it stays believed while the filter takes it there: joints that the network
    reads now one way, now another, would jump to and fro. A joint that was away for longer than
    `predict_s` and comes back elsewhere (0.3 object sizes) begins anew at once.

    Parameters
    ----------
    predict_s : for so long the expected place means something.
    """

    def __init__(self, predict_s: float) -> None:
        self.predict_s = predict_s
        self._seen = np.empty((0, 0, 0))  # last measurement, believed or not; NaN for none
        self._agree: Counts = np.empty((0, 0), np.int64)  # in a row that agree, while rejected
        self._rejects: Counts = np.empty((0, 0), np.int64)

    def __call__(
        self, x: Array, valid: Mask, expected: Array, age_s: Array, size: Array
    ) -> Decision:
        """Judge one measurement of each joint.

        Parameters
        ----------
        x : (N, K, D) measured.
        valid : (N, K).
        expected : (N, K, D) where the joint should be by now; NaN where nothing is known.
        age_s : (N, K) time since the joint's last accepted measurement; NaN for none.
        size : (N,) of the objects, in the unit of x.
        """
        if not self._seen.size:
            self._seen = planar(np.full(x.shape, np.nan))
            self._agree = np.zeros(valid.shape, np.int64)
            self._rejects = np.zeros(valid.shape, np.int64)
        known = valid & ~np.isnan(age_s)
        size = size[:, None]
        with np.errstate(invalid="ignore"):
            off = np.where(known[..., None], x - expected, np.nan)
            common = median(off, known)
            limit = (_JOINT_FLOOR + _JOINT_SPEED * age_s) * size
            whole = _OBJECT_FLOOR + _OBJECT_SPEED * age_s
            few = known.sum(axis=1) < FEW
            limit[few] += (whole * size)[few]
            jumps = (length(off - common) > limit) | (length(common) > whole * size)
            gone = known & (age_s > self.predict_s)
            suspect = known & jumps & ~gone
            near = ~(length(off) > _ELSEWHERE * size)
            elsewhere = np.where(gone, _ELSEWHERE, _FAR) * size
            restart = known & (gone | (self._rejects > 0)) & ~suspect & (length(off) > elsewhere)
        if suspect.any():
            suspect, believed = self._listen(x, valid, suspect, limit)
            restart |= believed & (length(off) > elsewhere)
        self._agree[valid & ~suspect & near] = 0  # else the filter is still on its way there
        self._rejects[valid & ~suspect] = 0
        np.copyto(self._seen, x, where=valid[..., None])
        return Decision(valid & ~suspect, suspect, restart)

    def _listen(self, x: Array, valid: Mask, suspect: Mask, limit: Array) -> tuple[Mask, Mask]:
        """Which suspects stay so, and which are believed since they said the same again."""
        with np.errstate(invalid="ignore"):
            step = np.where(valid[..., None], x - self._seen, np.nan)
            same = length(step - median(step, valid)) <= limit
        self._rejects[suspect] += 1
        self._agree[suspect] = np.where(same & (self._agree > 0), self._agree + 1, 1)[suspect]
        believed = suspect & ((self._agree >= AGREEING) | (self._rejects > MAX_REJECTS))
        return suspect & ~believed, believed

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows as a filter does: see `filters.PointFilter.take`."""
        if not self._seen.size:
            return
        fresh = rows < 0
        for name, empty in (("_seen", np.nan), ("_agree", 0), ("_rejects", 0)):
            new = getattr(self, name)[rows]
            new[fresh] = empty
            setattr(self, name, planar(new) if new.ndim == 3 else new)


def median(x: Array, there: Mask) -> Array:
    """(N, 1, D) median over the joints that are there, 0 where they are too few to be an object.

    The lower one of two middle values is taken: np.nanmedian is twenty times slower.
    """
    count = there.sum(axis=1)
    ordered = np.sort(x, axis=1)  # NaN last
    middle = ordered[np.arange(len(x)), np.maximum((count - 1) // 2, 0)][:, None]
    middle[count < FEW] = 0.0
    return np.where(np.isnan(middle), 0.0, middle)
