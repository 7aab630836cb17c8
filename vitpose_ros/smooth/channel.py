"""One kind of coordinates (pixels, or metres) of all joints of all tracks, over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.smooth.filters import Array, Ema, Mask, planar
from vitpose_ros.smooth.gate import FEW, Gate, median
from vitpose_ros.smooth.predict import coasting_s
from vitpose_ros.smooth.settings import SmoothingSettings

GATE_S, MEMORY_S = 0.1, 0.5
"""The gate and the filter remember a joint for at least so long, even where less is published."""

_SIZE_TIME_S = 0.3
"""Sizes are averaged over this time: their noise must not modulate the filter."""


class Channel:
    """Gate, filter, and the bridge over gaps.

    Parameters
    ----------
    settings : see `SmoothingSettings`.
    usual_size : of an object that has never told its own, in the unit of the coordinates.
    axes : 2 for pixels, 3 for metres.
    """

    def __init__(self, settings: SmoothingSettings, usual_size: float, axes: int) -> None:
        self._settings, self._axes = settings, axes
        self._filter = settings.make_filter(axes)
        self._gate = Gate(max(settings.predict_s, GATE_S))
        self._log_size = Ema(_SIZE_TIME_S)
        self._usual_size = usual_size
        self._last_s = np.empty((0, 0))  # time of each joint's last accepted measurement, or NaN
        self._points = np.empty((0, 0, 0))  # as given out last
        self._time_s = 0.0  # when that was

    @property
    def alive(self) -> bool:
        """Something is known."""
        return bool(np.isfinite(self._last_s).any())

    def update(self, settings: SmoothingSettings) -> bool:
        """Use other settings; False, and nothing done, when they need a filter of another kind."""
        new = settings.make_filter(self._axes)
        if not new.adopt(self._filter):
            return False
        self._settings, self._filter = settings, new
        self._gate.predict_s = max(settings.predict_s, GATE_S)
        return True

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows as a filter does: see `filters.PointFilter.take`."""
        if not self._last_s.size:
            return
        self._last_s, self._points = self._last_s[rows], planar(self._points[rows])
        self._last_s[rows < 0] = self._points[rows < 0] = np.nan
        for part in (self._filter, self._gate, self._log_size):
            part.take(rows)

    def velocity(self) -> Array:
        """(N, K, D) units/s; NaN where nothing is known."""
        return self._filter.velocity()

    def __call__(
        self, x: Array, valid: Mask, weight: Array, time_s: float, size: Array
    ) -> tuple[Array, Array, Mask]:
        """Take what was measured.

        Parameters
        ----------
        x, valid, weight, time_s : as of `filters.PointFilter.step`.
        size : (N,) of the objects as they look now; NaN where it is not known.

        Returns
        -------
        (N, K, D) points: filtered where a measurement was used, else carried on, NaN where nothing
        is known any more; (N, K) time in s since the last used measurement, 0 where it is this one,
        NaN for none; and (N, K) which measurements were not believed.
        """
        settings = self._settings
        if not self._last_s.size:
            self._last_s = np.full(valid.shape, np.nan)
            self._points = planar(np.full(x.shape, np.nan))
            self._time_s = time_s
        size = self._steady(size, time_s)
        age = np.maximum(time_s - self._last_s, 0.0)
        with np.errstate(invalid="ignore"):
            lost = age > max(settings.hold_s, MEMORY_S)
        if lost.any():
            self._last_s[lost] = age[lost] = self._points[lost] = np.nan
            self._filter.forget(lost)
        before, use, outlier = self._points, valid, np.zeros_like(valid)
        expected = self._expected(age, time_s)
        if settings.gate:
            use, outlier, restart = self._gate(x, valid, expected, age, size)
            if restart.any():
                self._filter.forget(restart)
        filtered = self._filter.step(x, use, weight, time_s, size)
        if use.all():
            self._points = filtered
        else:
            carried = self._carried(before, filtered, expected, use)
            self._points = np.where(use[..., None], filtered, carried)
        self._last_s[use] = time_s
        age[use] = 0.0
        self._time_s = time_s
        return self._points, age, outlier

    def _expected(self, age: Array, time_s: float) -> Array:
        """Where joints are by now if they go on as they did: moved for predict_s, then held."""
        velocity = self._filter.velocity()
        if not velocity.size:
            return self._points
        most = self._settings.predict_s
        gone = np.maximum(age - (time_s - self._time_s), 0.0)
        rest_s = coasting_s(np.minimum(age, most)) - coasting_s(np.minimum(gone, most))
        return self._points + velocity * rest_s[..., None]

    def _carried(self, before: Array, filtered: Array, expected: Array, use: Mask) -> Array:
        """Where joints are that were not measured: they go with the others of their object, else
        they go on as they did.
        """
        there = use & ~np.isnan(before[..., 0])
        others = there.sum(axis=1) >= FEW
        if not others.any():
            return expected
        together = before + median(np.where(there[..., None], filtered - before, np.nan), there)
        return np.where(others[:, None, None], together, expected)

    def _steady(self, size: Array, time_s: float) -> Array:
        """(N,) sizes averaged over time, never NaN."""
        log = np.log(size)[:, None, None]
        known = np.isfinite(log)[..., 0]
        steady = np.exp(self._log_size.step(log, known, np.ones(known.shape), time_s, size))
        return np.where(np.isnan(steady), self._usual_size, steady)[:, 0, 0]
