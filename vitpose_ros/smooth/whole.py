"""A filter that takes an object's motion apart: how it moves as a whole, and how its shape changes.

All joints tell together how the whole moves: their noise is averaged there, and a filter may follow
fast. The shape changes slower, and its noise, which is the larger part, may be filtered more. So
a hand that reaches does not lag, and its fingers do not tremble.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vitpose_ros.smooth.filters import Array, Mask, PointFilter, planar

Rows = npt.NDArray[np.bool_]

_FEW = 4
_LEAST_LIKENESS = 0.8
"""Below this correlation a shape has not turned in the image, it has become another one, for
instance because it turned in space. The turn stays as it is, then."""


class WholeAndShape:
    """Filters place, turn and shape, each on its own. A `filters.PointFilter`.

    A measurement x is place + R(turn) shape. Place and turn are those that fit the filtered shape
    best (least squares over the joints that are known, weighted by confidence; Umeyama, PAMI 1991,
    without scale); what they leave is the measured shape. For points in the image, D = 2.

    Parameters
    ----------
    make_whole : makes the filters of the place (in the unit of x) and of the turn (rad).
    make_shape : makes the filter of the shape.
    """

    def __init__(
        self, make_whole: Callable[[], PointFilter], make_shape: Callable[[], PointFilter]
    ) -> None:
        self._place, self._turn, self._inner = make_whole(), make_whole(), make_shape()
        self._shape = np.empty((0, 0, 0))  # filtered, NaN where not known yet
        self._angle = np.empty(0)  # measured last, not wrapped
        self._point = np.empty((0, 0, 0))
        self._turned = np.empty(0)  # filtered

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `filters.PointFilter.step`."""
        if not self._shape.size:
            self._shape, self._point = (planar(np.full(x.shape, np.nan)) for _ in range(2))
            self._angle, self._turned = np.zeros(len(x)), np.zeros(len(x))
        elif self._shape.shape != x.shape:
            raise ValueError(
                f"the filter holds (rows, joints, axes) {self._shape.shape}, got {x.shape}; "
                "rows are changed by take()"
            )
        seen: Rows = valid.max(axis=1)
        fit = valid & ~np.isnan(self._shape[..., 0])
        fresh: Rows = seen & ~fit.max(axis=1)
        if fresh.any():
            self._begin(x, valid, fresh)
            fit[fresh] = valid[fresh]
        share = fit * (weight + 1e-3)
        total = share.sum(axis=1)
        share /= np.where(total > 0, total, 1.0)[:, None]
        middle = _mean(share, x, fit)
        inner_middle = _mean(share, self._shape, fit)
        self._measure_turn(x - middle[:, None], self._shape - inner_middle[:, None], share, fit)
        place = middle - _turned(inner_middle[:, None], self._angle)[:, 0]
        shape = _turned(x - place[:, None], -self._angle)

        trust = np.einsum("nk,nk->n", share, weight)[:, None]
        there = seen[:, None]
        place = self._place.step(place[:, None], there, trust, time_s, scale)
        angle = self._angle[:, None, None]
        turn = self._turn.step(angle, there, trust, time_s, np.ones(len(x)))[:, 0, 0]
        self._turned = np.where(seen, turn, self._turned)
        self._shape = self._inner.step(shape, valid, weight, time_s, scale)
        points = place + _turned(self._shape, self._turned)
        np.copyto(self._point, points, where=valid[..., None])
        return self._point.copy()

    def _begin(self, x: Array, valid: Mask, rows: Rows) -> None:
        """Rows of which nothing is known: their shape lies around its middle, not turned."""
        self._forget_whole(rows)
        there = valid & rows[:, None]
        share = there / np.maximum(there.sum(axis=1), 1)[:, None]
        middle = _mean(share, x, there)
        np.copyto(self._shape, x - middle[:, None], where=there[..., None])

    def _measure_turn(self, x: Array, shape: Array, share: Array, fit: Mask) -> None:
        """Note how far each shape is turned; both are given around their middles."""
        a, b = np.where(fit[..., None], x, 0.0), np.where(fit[..., None], shape, 0.0)
        ax, ay, bx, by = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
        dot = (share * (ax * bx + ay * by)).sum(axis=1)
        cross = (share * (ay * bx - ax * by)).sum(axis=1)
        lengths = (share * (ax * ax + ay * ay)).sum(axis=1)
        lengths *= (share * (bx * bx + by * by)).sum(axis=1)
        alike = (dot**2 + cross**2 > _LEAST_LIKENESS**2 * lengths) & (fit.sum(axis=1) >= _FEW)
        off = np.arctan2(cross, dot) - self._angle
        off -= 2 * np.pi * np.round(off / (2 * np.pi))
        self._angle = np.where(alike, self._angle + off, self._angle)

    def velocity(self) -> Array:
        """See `filters.PointFilter.velocity`."""
        if not self._shape.size:
            return np.empty((0, 0, 0))
        rate = self._place.velocity() + _turned(self._inner.velocity(), self._turned)
        arm = _turned(self._shape, self._turned) * self._turn.velocity()
        rate[..., 0] -= arm[..., 1]
        rate[..., 1] += arm[..., 0]
        return rate

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """See `filters.PointFilter.take`."""
        if not self._shape.size:
            return
        self._shape, self._point = planar(self._shape[rows]), planar(self._point[rows])
        self._angle, self._turned = self._angle[rows], self._turned[rows]
        for part in (self._place, self._turn, self._inner):
            part.take(rows)
        gone = rows < 0
        self._shape[gone] = self._point[gone] = np.nan
        self._angle[gone] = self._turned[gone] = 0.0

    def forget(self, joints: Mask) -> None:
        """See `filters.PointFilter.forget`."""
        if self._shape.size:
            self._inner.forget(joints)
            self._shape[joints] = self._point[joints] = np.nan

    def adopt(self, other: object) -> bool:
        """See `filters.PointFilter.adopt`."""
        if not isinstance(other, WholeAndShape):
            return False
        pairs = (
            (self._place, other._place),
            (self._turn, other._turn),
            (self._inner, other._inner),
        )
        if not all(type(own) is type(its) for own, its in pairs):
            return False
        for own, its in pairs:
            own.adopt(its)
        self._shape, self._point = other._shape, other._point
        self._angle, self._turned = other._angle, other._turned
        return True

    def _forget_whole(self, rows: Rows) -> None:
        self._place.forget(rows[:, None])
        self._turn.forget(rows[:, None])
        self._angle = np.where(rows, 0.0, self._angle)
        self._turned = np.where(rows, 0.0, self._turned)


def _mean(share: Array, x: Array, there: Mask) -> Array:
    """(N, D) mean over the joints that are there."""
    return np.asarray((share[:, None] @ np.where(there[..., None], x, 0.0))[:, 0])


def _turned(x: Array, angle: Array) -> Array:
    """Points (N, K, 2) turned by an angle (N,)."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    out = np.empty_like(x, np.float64)
    out[..., 0] = cos * x[..., 0] - sin * x[..., 1]
    out[..., 1] = sin * x[..., 0] + cos * x[..., 1]
    return out
