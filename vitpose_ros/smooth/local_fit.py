"""Smoothing without lag, for joints whose later measurements are known, too.

Each joint is fitted by a parabola over time, in a Gaussian window around each measurement (local
quadratic regression). What moves evenly or accelerates evenly stays exactly where it is.
"""

from __future__ import annotations

import numpy as np

from vitpose_ros.filters import Array, Mask

SIGMA_S = 0.05
"""Standard deviation of the window. Chosen on the first half of recordings of a real hand, where it
predicts measurements that were left out best; docs/smoothing.md has the alternatives."""

_REACH = 4.0  # windows end here, in standard deviations
_SINGULAR = 1e-9
_BLOCK = 4096  # images
_OWN_MOTION = 0.3
"""Share of a joint's own velocity, beyond that of its object, that is believed at the ends of a
gap: fingers turn back sooner than hands."""


def local_fit(time_s: Array, x: Array, valid: Mask) -> tuple[Array, Array]:
    """Smoothed positions and their velocities.

    Parameters
    ----------
    time_s : (T,) rising.
    x : (T, K, D) measurements; anything where not valid.
    valid : (T, K).

    Returns
    -------
    (T, K, D) positions in the unit of x, and velocities in that unit per second; NaN where not
    valid. A position whose window has fewer than three measurements stays as it is.
    """
    position, velocity = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    reach_s = _REACH * SIGMA_S
    for first in range(0, len(time_s), _BLOCK):  # hours of whole bodies must fit the memory
        last = min(first + _BLOCK, len(time_s)) - 1
        low = int(np.searchsorted(time_s, time_s[first] - reach_s, "left"))
        high = int(np.searchsorted(time_s, time_s[last] + reach_s, "right"))
        fitted = _fit(time_s[low:high], x[low:high], valid[low:high])
        inner = slice(first - low, last + 1 - low)
        position[first : last + 1], velocity[first : last + 1] = (one[inner] for one in fitted)
    return position, velocity


def _fit(time_s: Array, x: Array, valid: Mask) -> tuple[Array, Array]:
    x = np.where(valid[..., None], x, 0.0)
    sums = np.zeros((5, *valid.shape))
    sums[0] = valid
    moments = np.zeros((3, *x.shape))
    count = valid.astype(np.int64)
    for step in range(1, len(time_s)):
        u = (time_s[step:] - time_s[:-step]) / SIGMA_S
        if u.min() > _REACH:
            break
        weight = np.where(u <= _REACH, np.exp(-0.5 * u * u), 0.0)[:, None]
        weight = weight * (valid[step:] & valid[:-step])
        count[:-step] += weight > 0
        count[step:] += weight > 0
        away = x[step:] - x[:-step]
        for power in range(5):
            part = weight * u[:, None] ** power
            sums[power, :-step] += part
            sums[power, step:] += part * (-1) ** power
            if power < 3:
                moments[power, :-step] += part[..., None] * away
                moments[power, step:] -= part[..., None] * away * (-1) ** power
    move, slope = _parabola(sums, moments, count)
    unknown = ~valid
    position, velocity = x + move, slope / SIGMA_S
    position[unknown] = velocity[unknown] = np.nan
    return position, velocity


def _parabola(s: Array, b: Array, count: np.ndarray) -> tuple[Array, Array]:
    """Value and slope at 0 of the weighted least-squares parabola (Cramer's rule); of the line, or
    of the constant 0, where the measurements are too few.
    """
    c00, c01, c02 = s[2] * s[4] - s[3] ** 2, s[2] * s[3] - s[1] * s[4], s[1] * s[3] - s[2] ** 2
    c11, c12 = s[0] * s[4] - s[2] ** 2, s[1] * s[2] - s[0] * s[3]
    determinant = s[0] * c00 + s[1] * c01 + s[2] * c02
    solid = (count >= 3) & (determinant > _SINGULAR * s[0] * s[2] * s[4])
    line = s[0] * s[2] - s[1] ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (c00[..., None] * b[0] + c01[..., None] * b[1] + c02[..., None] * b[2]) / (
            determinant[..., None]
        )
        slope = (c01[..., None] * b[0] + c11[..., None] * b[1] + c12[..., None] * b[2]) / (
            determinant[..., None]
        )
        straight = (s[0][..., None] * b[1] - s[1][..., None] * b[0]) / line[..., None]
    straight = np.where((count >= 2)[..., None] & np.isfinite(straight), straight, 0.0)
    solid = solid[..., None]
    return np.where(solid, value, 0.0), np.where(solid, slope, straight)


def bridge(
    time_s: Array, position: Array, velocity: Array, known: Mask, longest_s: float
) -> tuple[Array, Array]:
    """Fill gaps between known positions.

    A gap is bridged by a cubic (Hermite) that leaves and arrives with the velocities at its ends:
    that of the whole object, and a share of the joint's own beyond it.

    Parameters
    ----------
    time_s : (T,) rising.
    position, velocity : (T, K, D) of the known joints.
    known : (T, K).
    longest_s : longer gaps stay, and so does what is before the first and after the last
        measurement.

    Returns
    -------
    (T, K, D) positions; and (T, K) s, the time to the nearest known position: 0 where it is known,
    NaN where it was not bridged.
    """
    position, age = position.copy(), np.where(known, 0.0, np.nan)
    common = np.full((len(time_s), 1, position.shape[2]), np.nan)
    some = known.any(axis=1)
    common[some] = _median(velocity[some], known[some])
    velocity = common + _OWN_MOTION * (velocity - common)
    for joint in range(known.shape[1]):
        there = np.flatnonzero(known[:, joint])
        gaps = np.flatnonzero(np.diff(there) > 1)
        for before, after in zip(there[gaps], there[gaps + 1], strict=True):
            span_s = time_s[after] - time_s[before]
            if span_s > longest_s:
                continue
            inside = slice(before + 1, after)
            u = ((time_s[inside] - time_s[before]) / span_s)[:, None]
            ends = position[[before, after], joint]
            leaving, arriving = span_s * velocity[[before, after], joint]
            position[inside, joint] = (
                (2 * u**3 - 3 * u**2 + 1) * ends[0]
                + (u**3 - 2 * u**2 + u) * leaving
                + (3 * u**2 - 2 * u**3) * ends[1]
                + (u**3 - u**2) * arriving
            )
            nearest = np.minimum(
                time_s[inside] - time_s[before], time_s[after] - time_s[inside]
            )
            age[inside, joint] = nearest
    return position, age


def _median(velocity: Array, known: Mask) -> Array:
    """(T, 1, D) median over the known joints, of which there is one at least."""
    return np.nanmedian(np.where(known[..., None], velocity, np.nan), axis=1, keepdims=True)
