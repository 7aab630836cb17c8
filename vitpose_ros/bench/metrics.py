"""Acceleration, lag, offset and error of a filtered curve.

A curve is (T, K, D): K joints at T times, NaN where a joint is not known. Lengths are measured in
object sizes, so that near and far objects count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize_scalar

Array = npt.NDArray[np.float64]

LEAST_LAG_S, MOST_LAG_S = -0.1, 0.3
"""The best time shift is searched between these."""

_GRID_S = 0.01
_HIGH_PASS_FRAMES = 11
_WINDOW_S = 0.05


@dataclass(frozen=True)
class Curve:
    """One object over T times.

    Attributes
    ----------
    time_s : (T,) rising.
    reference : (T, K, D), known at every time: the truth of a rendered scene; the raw joints of a
        real recording, whose truth nobody knows.
    raw : (T, K, D) as measured; NaN where missing.
    scale : (T,) the object's size, in the unit of the joints.
    """

    time_s: Array
    reference: Array
    raw: Array
    scale: Array


def acceleration(joints: Array) -> Array:
    """(T - 2, K) |p[t-1] - 2 p[t] + p[t+1]|, in units per frame squared.

    As in SmoothNet's evaluation (arXiv 2112.13715), a missing value voids its three entries.
    """
    return np.asarray(np.linalg.norm(joints[:-2] - 2 * joints[1:-1] + joints[2:], axis=-1))


def distance(joints: Array, reference: Array) -> Array:
    """(T, K) how far each joint is from a curve; NaN where it is missing."""
    return np.asarray(np.linalg.norm(joints - reference, axis=-1))


def acceleration_ratio(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """Mean acceleration over that of the raw curve, on the entries that both have. Of a real
    recording it includes the hand's own motion; below that, a filter bends the motion.
    """
    raw = [curve.raw for curve in curves]
    return _ratio(_accelerations(curves, filtered), _accelerations(curves, raw))


def mean_error(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """Mean distance from the reference in object sizes, of the joints known in both curves."""
    return _mean(_errors(curves, filtered))


def error_percentile(curves: Sequence[Curve], filtered: Sequence[Array], percent: float) -> float:
    """A percentile of the distances from the reference, in object sizes."""
    return float(np.nanpercentile(np.concatenate(_errors(curves, filtered), axis=None), percent))


def error_ratio(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """Mean distance from the reference over that of the raw curve, on the joints that both have."""
    raw = [curve.raw for curve in curves]
    return _ratio(_errors(curves, filtered), _errors(curves, raw))


def lag_s(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """The delay of the reference that fits best, s: positive where the curve is late.

    The shift with the least mean squared distance, in object sizes, over all curves together; the
    reference is interpolated by cubic splines. Each joint's mean distance is taken out before: a
    network that puts a joint beside its place is not late.

    Parameters
    ----------
    curves, filtered : the reference must move: what stands still fits every shift.

    Raises
    ------
    ValueError : the curves are all shorter than the shifts that are tried.
    """
    parts = [_Shift.of(curve, joints) for curve, joints in zip(curves, filtered, strict=True)]
    known = [part for part in parts if part is not None]
    if not known:
        raise ValueError(
            f"no curve is longer than {MOST_LAG_S - LEAST_LAG_S:g} s: there is no lag to measure"
        )
    count = sum(part.count for part in known)

    def misfit(shift_s: float) -> float:
        return sum(part.squares(shift_s) for part in known) / count

    grid = np.arange(LEAST_LAG_S, MOST_LAG_S + _GRID_S / 2, _GRID_S)
    best = float(grid[np.argmin([misfit(shift) for shift in grid])])
    low, high = max(best - _GRID_S, LEAST_LAG_S), min(best + _GRID_S, MOST_LAG_S)
    found = minimize_scalar(misfit, bounds=(low, high), method="bounded", options={"xatol": 1e-5})
    return float(found.x)


@dataclass(frozen=True)
class _Shift:
    """One curve, and its reference at any time."""

    time_s: Array
    joints: Array
    scale: Array
    reference: CubicSpline
    count: int

    @staticmethod
    def of(curve: Curve, joints: Array) -> _Shift | None:
        """None where no joint is known at a time that stays within the curve at every shift."""
        first, last = curve.time_s[0] + MOST_LAG_S, curve.time_s[-1] + LEAST_LAG_S
        inner = (curve.time_s >= first) & (curve.time_s <= last)
        joints = joints[inner]
        count = int(np.isfinite(joints).all(axis=-1).sum())
        if not count:
            return None
        spline = CubicSpline(curve.time_s, curve.reference, axis=0)
        return _Shift(curve.time_s[inner], joints, curve.scale[inner], spline, count)

    def squares(self, shift_s: float) -> float:
        """Sum of the squared distances to the reference delayed by a shift."""
        away = (self.joints - self.reference(self.time_s - shift_s)) / self.scale[:, None, None]
        known = np.isfinite(away)
        offset = np.where(known, away, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return float(np.nansum((away - offset) ** 2))


def offset(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """Mean distance, in object sizes, from the raw curve as a symmetric window smooths it, which
    has no lag. It shows what acceleration and lag do not: a filter that sticks while a hand moves
    slowly. Every raw joint must be known.
    """
    return _mean(
        [
            distance(joints, without_lag(curve)) / curve.scale[:, None]
            for curve, joints in zip(curves, filtered, strict=True)
        ]
    )


def without_lag(curve: Curve) -> Array:
    """(T, K, D) the raw curve smoothed by a Gaussian window of 0.05 s."""
    step_s = float(np.median(np.diff(curve.time_s)))
    return np.asarray(gaussian_filter1d(curve.raw, _WINDOW_S / step_s, axis=0))


def jitter(curves: Sequence[Curve], filtered: Sequence[Array]) -> float:
    """How much a still hand trembles: RMS of each joint about its moving mean over 11 frames, in
    object sizes.
    """
    squares: list[Array] = []
    for curve, joints in zip(curves, filtered, strict=True):
        if len(joints) < _HIGH_PASS_FRAMES:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(joints, _HIGH_PASS_FRAMES, axis=0)
        half = _HIGH_PASS_FRAMES // 2
        away = joints[half:-half] - windows.mean(axis=-1)
        squares.append((away**2).sum(axis=-1) / curve.scale[half:-half, None] ** 2)
    return float(np.sqrt(_mean(squares)))


def _accelerations(curves: Sequence[Curve], filtered: Sequence[Array]) -> list[Array]:
    return [
        acceleration(joints) / curve.scale[1:-1, None]
        for curve, joints in zip(curves, filtered, strict=True)
    ]


def _errors(curves: Sequence[Curve], filtered: Sequence[Array]) -> list[Array]:
    return [
        np.where(
            np.isfinite(curve.raw).all(axis=-1), distance(joints, curve.reference), np.nan
        ) / curve.scale[:, None]
        for curve, joints in zip(curves, filtered, strict=True)
    ]


def _mean(values: Sequence[Array]) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = [value[np.isfinite(value)] for value in values]
    return float(np.mean(np.concatenate(known))) if any(map(len, known)) else float("nan")


def _ratio(numerators: Sequence[Array], denominators: Sequence[Array]) -> float:
    """Ratio of the means over the entries that both know; NaN where there is none."""
    both = [
        np.isfinite(top) & np.isfinite(bottom)
        for top, bottom in zip(numerators, denominators, strict=True)
    ]
    top = sum(float(value[known].sum()) for value, known in zip(numerators, both, strict=True))
    bottom = sum(float(value[known].sum()) for value, known in zip(denominators, both, strict=True))
    return top / bottom if bottom > 0 else float("nan")
