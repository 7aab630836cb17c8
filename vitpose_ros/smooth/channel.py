"""One kind of coordinates (pixels, or metres) of all joints of all tracks, over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.filters import Array, Mask, planar
from vitpose_ros.layouts import Layout
from vitpose_ros.smooth.gate import Gate, median
from vitpose_ros.smooth.predict import coasting_s
from vitpose_ros.smooth.scale import object_size, root_joints
from vitpose_ros.smooth.settings import SmoothingSettings

MEMORY_S = 0.5
"""The filter remembers a joint for at least so long, even where less is published."""


class Channel:
    """Gate, filter, and prediction over gaps.

    Parameters
    ----------
    layout : of the K joints.
    settings : see `SmoothingSettings`.
    usual_size : of an object until its size is known, in the unit of the coordinates.
    """

    def __init__(self, layout: Layout, settings: SmoothingSettings, usual_size: float) -> None:
        self._layout, self._settings = layout, settings
        self._filter = settings.make_filter(root_joints(layout))
        self._gate = Gate(layout)
        self._usual_size = usual_size
        self._size = np.empty(0)  # (N,) of the objects as last known
        self._last_s = np.empty((0, 0))  # (N, K) time of the last accepted measurement, or NaN
        self._points = np.empty((0, 0, 0))  # (N, K, D) as given out last
        self._time_s = 0.0  # when that was

    @property
    def alive(self) -> bool:
        """Something is known."""
        return bool(np.isfinite(self._last_s).any())

    @property
    def size(self) -> Array:
        """(N,) the objects' sizes as last known, in the unit of the coordinates."""
        return self._size

    def update(self, settings: SmoothingSettings) -> None:
        """Use other settings from the next image on."""
        self._settings = settings
        self._filter.tune(settings.min_cutoff_hz, settings.beta)

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows as the filter does: see `filters.OneEuro.take`."""
        if not self._last_s.size:
            return
        fresh = rows < 0
        self._last_s, self._points = self._last_s[rows], planar(self._points[rows])
        self._size = self._size[rows]
        self._last_s[fresh] = self._points[fresh] = np.nan
        self._size[fresh] = self._usual_size
        self._filter.take(rows)
        self._gate.take(rows)

    def velocity(self) -> Array:
        """(N, K, D) units/s; NaN where nothing is known."""
        return self._filter.velocity()

    def __call__(self, x: Array, valid: Mask, time_s: float) -> tuple[Array, Array, Mask]:
        """Take what was measured.

        Parameters
        ----------
        x, valid, time_s : as of `filters.OneEuro.step`.

        Returns
        -------
        (N, K, D) points: filtered where a measurement was used, else predicted, NaN where nothing
        is known any more; (N, K) time in s since the last used measurement, 0 where it is this one,
        NaN for none; and (N, K) which measurements were outliers.
        """
        settings = self._settings
        if not self._last_s.size:
            self._last_s = np.full(valid.shape, np.nan)
            self._points = planar(np.full(x.shape, np.nan))
            self._size = np.full(len(x), self._usual_size)
            self._time_s = time_s
        size = object_size(self._layout, x)
        np.copyto(self._size, size, where=np.isfinite(size))
        age = np.maximum(time_s - self._last_s, 0.0)
        with np.errstate(invalid="ignore"):
            lost = age > max(settings.hold_s, MEMORY_S)
        if lost.any():
            self._last_s[lost] = age[lost] = self._points[lost] = np.nan
            self._filter.forget(lost)
        before, use, outlier = self._points, valid, np.zeros_like(valid)
        if settings.gate:
            outlier = self._gate(x, valid, time_s, self._size)
            use = valid & ~outlier
        filtered = self._filter.step(x, use, time_s, self._size)
        self._points = filtered
        if not use.all():
            predicted = self._predicted(before, filtered, use, age, time_s)
            self._points = planar(np.where(use[..., None], filtered, predicted))
        self._last_s[use] = time_s
        age[use] = 0.0
        self._time_s = time_s
        return self._points, age, outlier

    def _predicted(
        self, before: Array, filtered: Array, use: Mask, age: Array, time_s: float
    ) -> Array:
        """Where joints are that were not measured: they move with the others of their object, or
        by their own velocity, which dies away, where too few others are known.
        """
        there = use & ~np.isnan(before[..., 0])
        common = median(np.where(there[..., None], filtered - before, np.nan), there)
        gone = np.maximum(age - (time_s - self._time_s), 0.0)
        own = self._filter.velocity() * (coasting_s(age) - coasting_s(gone))[..., None]
        return np.asarray(before + np.where(np.isnan(common), own, common))
