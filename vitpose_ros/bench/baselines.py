"""Filters of other projects as they are published, to measure the package's own against.

They are written from their formulae and are not offered for use.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Baseline(Protocol):
    """A filter of one object from image to image."""

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """Filter one measurement.

        Parameters
        ----------
        x : (K, D) measured; every joint is known.
        dt_s : time since the last measurement; ignored at the first one.
        size : what speeds are divided by, in the unit of x.
        """
        ...


class PublishedOneEuro:
    """The One-Euro filter as MediaPipe has it (util/filtering/one_euro_filter.cc).

    The speed that opens the cut-off is that of the raw value over a size. MediaPipe's landmark
    smoothing takes the speed of each axis by itself.

    Parameters
    ----------
    min_cutoff_hz, beta, d_cutoff_hz : of the filter.
    by_joint : take the speed of the whole joint for all of its axes.
    """

    def __init__(
        self, min_cutoff_hz: float, beta: float, d_cutoff_hz: float, by_joint: bool = False
    ) -> None:
        self._min, self._beta, self._d = min_cutoff_hz, beta, d_cutoff_hz
        self._by_joint = by_joint
        self._raw = self._point = self._slope = np.empty(0)

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """See `Baseline.step`."""
        if not self._point.size:
            self._raw, self._point, self._slope = x, x, np.zeros_like(x)
            return x
        slope = (x - self._raw) / (dt_s * size)
        self._slope = self._slope + _share(self._d, dt_s) * (slope - self._slope)
        speed = np.abs(self._slope)
        if self._by_joint:
            speed = np.linalg.norm(self._slope, axis=-1, keepdims=True)
        share = _share(self._min + self._beta * speed, dt_s)
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
    """An exponential moving average.

    Parameters
    ----------
    share : of each new value, above 0 and below 1, at the rate.
    rate_hz : images per second.
    """

    def __init__(self, share: float, rate_hz: float) -> None:
        self._time_constant_s = -1.0 / (rate_hz * math.log1p(-share))
        self._point = np.empty(0)

    def step(self, x: Array, dt_s: float, size: float) -> Array:
        """See `Baseline.step`."""
        if not self._point.size:
            self._point = x
        self._point = self._point - math.expm1(-dt_s / self._time_constant_s) * (x - self._point)
        return self._point


def _share(cutoff_hz: npt.ArrayLike, dt_s: float) -> Array:
    """What share of a new value a low-pass takes: 1 / (1 + 1 / (2 pi cut-off dt))."""
    turn = 2.0 * math.pi * dt_s * np.asarray(cutoff_hz, np.float64)
    return np.asarray(turn / (1.0 + turn))
