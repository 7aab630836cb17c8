"""Filters of other projects, as they are published, to measure this package's beside them.

Those of MediaPipe and MMPose work on every axis by itself, which no filter of this package does,
and are written from their formulae; they are not offered for use. A moving average with a fixed
share per image is, at one rate, `smooth.filters.Ema`.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.smooth.filters import Ema

Array = npt.NDArray[np.float64]


class Baseline(Protocol):
    """A filter of one object from image to image."""

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """Filter one measurement.

        Parameters
        ----------
        x : (K, D) measured; every joint is known.
        dt_s : time since the last measurement; at the first one it plays no part.
        size : what speeds are divided by, in the unit of x.
        """
        ...


class MediaPipeOneEuro:
    """The One-Euro filter of MediaPipe's landmark smoothing (util/filtering/one_euro_filter.cc).

    The speed that opens the cut-off is that of the raw value, of one axis, over the object's scale:
    for pixels the mean side of the region that the network looks at, for metres 1.

    Parameters
    ----------
    min_cutoff_hz, beta, d_cutoff_hz : of the filter.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, d_cutoff_hz: float) -> None:
        self._min, self._beta, self._d = min_cutoff_hz, beta, d_cutoff_hz
        self._raw = self._point = self._slope = np.empty(0)

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """See `Baseline.step`."""
        if not self._point.size:
            self._raw, self._point, self._slope = x, x, np.zeros_like(x)
            return x
        slope = (x - self._raw) / (dt_s * size)
        self._slope = self._slope + _share(self._d, dt_s) * (slope - self._slope)
        share = _share(self._min + self._beta * np.abs(self._slope), dt_s)
        self._raw, self._point = x, self._point + share * (x - self._point)
        return self._point


class MmposeOneEuro:
    """The One-Euro filter of MMPose 0.x (core/post_processing/one_euro_filter.py), as demos of
    ViTPose use it: speeds are px per image and of one axis, from the last filtered point; the
    cut-off of the slope is the image rate. Its handling of missing joints is left out.

    Parameters
    ----------
    rate_hz : images per second.
    """

    MIN_CUTOFF_HZ, BETA = 1.7, 0.3

    def __init__(self, rate_hz: float) -> None:
        self._rate = rate_hz
        self._point = self._slope = np.empty(0)

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """See `Baseline.step`."""
        if not self._point.size:
            self._point, self._slope = x, np.zeros_like(x)
            return x
        slope = (x - self._point) / (dt_s * self._rate)
        self._slope = self._slope + _share(self._rate, dt_s) * (slope - self._slope)
        share = _share(self.MIN_CUTOFF_HZ + self.BETA * np.abs(self._slope), dt_s)
        self._point = self._point + share * (x - self._point)
        return self._point


class MovingAverage:
    """`smooth.filters.Ema` that takes a share of each new value at a rate.

    Parameters
    ----------
    share : of each new value, above 0 and below 1.
    rate_hz : images per second.
    """

    def __init__(self, share: float, rate_hz: float) -> None:
        self._ema = Ema(-1.0 / (rate_hz * math.log1p(-share)))
        self._time_s = 0.0

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """See `Baseline.step`."""
        self._time_s += dt_s
        row, scale = (1, len(x)), np.full(1, size)
        valid, weight = np.ones(row, bool), np.ones(row)
        return self._ema.step(x[None], valid, weight, self._time_s, scale)[0]


def _share(cutoff_hz: npt.ArrayLike, dt_s: float) -> Array:
    """What share of a new value a low-pass takes: 1 / (1 + 1 / (2 pi cut-off dt))."""
    turn = 2.0 * math.pi * dt_s * np.asarray(cutoff_hz, np.float64)
    return np.asarray(turn / (1.0 + turn))
