"""The One-Euro filter for points over time: many rows (tracks) and joints at once.

Time is in seconds of one clock and enters only as the time since each joint's last measurement, so
a dropped image, or a joint that is missing in some, needs no special case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import known_median

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COMMON_SPEED, COMMON_BETA = 0.5, 4.0
"""Common motion opens the filter of all joints: by COMMON_BETA Hz for each object size per second
above COMMON_SPEED. A network's noise moves a resting hand by less."""

_TWO_PI = 2.0 * math.pi
_PLANES = ("point", "measured", "speed", "velocity")


class OneEuro:
    """One-Euro filter (Casiez, Roussel, Vogel, CHI 2012): a low-pass that opens with speed.

        speed'  = speed + (1 - exp(-2 pi d_cutoff dt)) ((x - x_before) / (scale dt) - speed)
        cut-off = min_cutoff + beta |speed'| + COMMON_BETA max(0, |common| - COMMON_SPEED)
        y'      = y + (1 - exp(-2 pi cut-off dt)) (x - y)

    As in MediaPipe, speed is that of the measurements, over the object's size. It is the speed of
    the whole point, not of each axis: a diagonal motion is filtered like a straight one. Both
    low-passes are exact for a step of any length, where the paper's alpha = 1 / (1 + 1 / (2 pi
    cut-off dt)) is not: two steps of dt weigh as much as one of 2 dt.

    The last term is not in the paper. `common` is the median of speed' over the root joints: an
    object that moves as a whole is followed closely, while joints that move on their own, or
    tremble, are not. Without it a hand that reaches lags by a tenth of its palm.

    Parameters
    ----------
    min_cutoff_hz : cut-off at rest, positive; infinite for no filter at all.
    beta : Hz of cut-off per object size per second of speed, at least 0.
    d_cutoff_hz : cut-off of the speed, positive.
    root : indices of the joints that only move with the object as a whole; none by default.

    Raises
    ------
    ValueError : a number outside of these.
    """

    def __init__(
        self, min_cutoff_hz: float, beta: float, d_cutoff_hz: float, root: Sequence[int] = ()
    ) -> None:
        self._state: dict[str, Array] = {}
        self._root = list(root)
        self._d = _positive("d_cutoff_hz", d_cutoff_hz)
        self.tune(min_cutoff_hz, beta)

    def tune(self, min_cutoff_hz: float, beta: float) -> None:
        """Use other numbers from the next measurement on."""
        self._min = _positive("min_cutoff_hz", min_cutoff_hz, finite=False)
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta: expected a number of at least 0, got {beta!r}")
        self._beta = float(beta)

    def step(self, x: Array, valid: Mask, time_s: float, scale: Array) -> Array:
        """Take one measurement.

        Parameters
        ----------
        x : (N, K, D), in px or metres; anything where not valid.
        valid : (N, K). Where false the state is untouched, as it is where no time has passed since
            the joint's last measurement.
        time_s : time of the measurement.
        scale : (N,) size of each object, in the unit of x, positive.

        Returns
        -------
        (N, K, D) the filtered points; where not valid the last ones, NaN where none were valid yet.

        Raises
        ------
        ValueError : there are other rows or joints than before; `take` changes rows.
        """
        if not self._state:
            self._state = {name: planar(np.full(x.shape, np.nan)) for name in _PLANES}
            self._state["time"] = np.full(x.shape[:2], np.nan)
        point, measured, speed, velocity = (self._state[name] for name in _PLANES)
        if point.shape != x.shape:
            raise ValueError(
                f"the filter holds (rows, joints, axes) {point.shape}, got {x.shape}; "
                "rows are changed by take()"
            )
        dt = time_s - self._state["time"]
        first, going = valid & np.isnan(dt), valid & (dt > 0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            slope = (x - measured) / (dt * scale[:, None])[..., None]
            new_speed = speed + _gain(self._d, dt)[..., None] * (slope - speed)
            cutoff = self._min + self._beta * length(new_speed)
            if self._root:
                cutoff += COMMON_BETA * self._common_excess(new_speed, going)
            move = _gain(cutoff, dt)[..., None] * (x - point)
            new_velocity = move / dt[..., None]
        for target, value in (
            (point, point + move),
            (speed, new_speed),
            (velocity, new_velocity),
        ):
            np.copyto(target, value, where=going[..., None])
        now = first | going
        np.copyto(measured, x, where=now[..., None])
        self._state["time"][now] = time_s
        if first.any():
            np.copyto(point, x, where=first[..., None])
            speed[first] = velocity[first] = 0.0
        return point.copy()

    def _common_excess(self, speed: Array, going: Mask) -> Array:
        """(N, 1) by how much each object's common speed exceeds COMMON_SPEED, sizes/s."""
        root = np.where(going[:, self._root, None], speed[:, self._root], np.nan)
        common = length(known_median(root.transpose(0, 2, 1))[:, None])
        return np.maximum(np.nan_to_num(common) - COMMON_SPEED, 0.0)

    def velocity(self) -> Array:
        """(N, K, D) units of x per second by which each filtered point moved to its last
        measurement; NaN where none was valid yet.
        """
        return self._state["velocity"].copy() if self._state else np.empty((0, 0, 0))

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows: row i of the new state is row rows[i] of the old one, -1 is fresh."""
        kept = np.asarray(rows) >= 0
        for name, old in self._state.items():
            new = np.full((len(rows), *old.shape[1:]), np.nan)
            new[kept] = old[rows[kept]]
            self._state[name] = new if new.ndim == 2 else planar(new)

    def forget(self, joints: Mask) -> None:
        """Begin anew with the next measurement of the joints (N, K) that are marked."""
        for array in self._state.values():
            array[joints] = np.nan


def planar(x: npt.NDArray) -> npt.NDArray:
    """The same (N, K, D) values with one plane after the other in memory: what combines points with
    one number for each runs along K then, not along D, and takes a fourth of the time.
    """
    return np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)


def length(x: Array) -> Array:
    """(N, K) lengths of vectors (N, K, D)."""
    squared = x[..., 0] * x[..., 0]
    for axis in range(1, x.shape[2]):
        squared += x[..., axis] * x[..., axis]
    return np.asarray(np.sqrt(squared))


def _gain(cutoff_hz: Array | float, dt: Array) -> Array:
    """The share of a new value that an exact first-order low-pass takes over a step."""
    return np.asarray(-np.expm1(-_TWO_PI * cutoff_hz * dt))


def _positive(name: str, value: float, finite: bool = True) -> float:
    if not value > 0 or (finite and not math.isfinite(value)):
        raise ValueError(f"{name}: expected a positive number, got {value!r}")
    return float(value)
