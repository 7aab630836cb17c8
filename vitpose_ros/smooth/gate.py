"""The outlier gate: holds back implausible jumps for one image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.filters import Array, Mask, length, planar
from vitpose_ros.layouts import Layout

FEW = 4
"""With fewer joints there is no common motion."""

_JOINT_SIZES = {"hand": 0.6, "body": 1.0, "animal": 1.0}
"""How far a joint moves from one image to the next against each joint that it is connected to, in
object sizes. Connected joints stay a bone apart, so that even half a turn moves one by no more than
two bones: 0.5 palms for the outer bones of a finger, one trunk for a forearm. On a real hand the
largest was 0.45 palms at 30 Hz and 0.54 at 10 Hz, in a flick of the fingers.
"""

_OBJECT_SIZES, _OBJECT_SIZES_PER_S2 = 0.15, 600.0
"""How far all joints together are from where they were going, in object sizes: noise, and an
acceleration of 55 m/s^2 for a hand, more than an arm or a turning camera reaches.
"""


class Gate:
    """Finds joints that jump.

    A joint is an outlier where it moved against all joints that it is connected to by more than
    bones allow, and all joints are where they accelerated together by more than an arm can. What
    was an outlier in one image is accepted in the next, wherever it is: the gate costs a real jump
    one image, and cannot lock.

    Parameters
    ----------
    layout : of the K joints.
    """

    def __init__(self, layout: Layout) -> None:
        self._limit = _JOINT_SIZES[layout.kind]
        self._neighbours = _neighbours(layout)
        self._last = np.empty((0, 0, 0))  # (N, K, D) accepted in the last image; NaN elsewhere
        self._velocity = np.empty((0, 0))  # (N, D) of all joints together, units/s; NaN: unknown
        self._time_s = -np.inf

    def __call__(self, x: Array, valid: Mask, time_s: float, size: Array) -> Mask:
        """(N, K) which measurements are outliers.

        Parameters
        ----------
        x : (N, K, D) measured; valid : (N, K) where.
        time_s : of the image.
        size : (N,) of the objects, in the unit of x.
        """
        if not self._last.size:
            self._last = planar(np.full(x.shape, np.nan))
            self._velocity = np.full((len(x), x.shape[2]), np.nan)
        dt, size = time_s - self._time_s, size[:, None]
        if dt <= 0:
            return np.zeros_like(valid)
        x = np.where(valid[..., None], x, np.nan)
        step = x - self._last
        known = ~np.isnan(step[..., 0])
        common = median(step, known)
        most = (_OBJECT_SIZES + _OBJECT_SIZES_PER_S2 * dt * dt) * size
        with np.errstate(invalid="ignore"):
            jumped = length(common - dt * self._velocity[:, None]) > most
            apart = length(step - common) > self._limit * size
            if apart.any():
                apart &= self._apart(step, size)
        outlier = (jumped | apart) & known
        self._velocity = common[:, 0] / dt
        self._last = planar(x)
        self._last[outlier] = np.nan
        self._time_s = time_s
        return outlier

    def _apart(self, step: Array, size: Array) -> Mask:
        """(N, K) whether joints moved too far against all that they are connected to."""
        against = step[:, :, None] - step[:, self._neighbours]
        squared = np.einsum("nkmd,nkmd->nkm", against, against)
        nearest = np.fmin.reduce(np.where(self._neighbours >= 0, squared, np.nan), axis=2)
        return np.asarray(~(nearest <= (self._limit * size) ** 2))

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows as the filter does: see `filters.OneEuro.take`."""
        if not self._last.size:
            return
        fresh = np.asarray(rows) < 0
        self._last, self._velocity = planar(self._last[rows]), self._velocity[rows]
        self._last[fresh] = self._velocity[fresh] = np.nan


def median(x: Array, there: Mask) -> Array:
    """(N, 1, D) median over the joints that are there, NaN where they are too few.

    The lower one of two middle values is taken: np.nanmedian is twenty times slower.
    """
    count = there.sum(axis=1)
    ordered = np.sort(x, axis=1)  # NaN last
    middle = ordered[np.arange(len(x)), np.maximum((count - 1) // 2, 0)][:, None]
    middle[count < FEW] = np.nan
    return np.asarray(middle)


def _neighbours(layout: Layout) -> npt.NDArray[np.intp]:
    """(K, M) the joints to which each is connected, filled up with -1."""
    lists: list[list[int]] = [[] for _ in range(len(layout))]
    for a, b in layout.edges:
        lists[a].append(b)
        lists[b].append(a)
    most = max(map(len, lists))
    return np.array([joints + [-1] * (most - len(joints)) for joints in lists], np.intp)
