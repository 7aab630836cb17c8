"""Causal filters for points over time, many rows (tracks) and joints at once.

Time is in seconds of one clock and enters only as a difference: the time since the last measurement
of each joint. So a dropped image, or a joint that is missing in some, needs no special case, and
the same motion gives the same curve at any rate (`OneEuro` says how nearly).

Lengths that a filter compares with are in units of the object's own size, `scale`: the same numbers
serve near and far hands, pixels and metres.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TWO_PI = 2.0 * np.pi
TINY = 1e-9


class PointFilter(Protocol):
    """What every filter can do. State is kept for each row and joint."""

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """Take one measurement.

        Parameters
        ----------
        x : (N, K, D), in px or metres; anything where not valid.
        valid : (N, K). Where false the state is untouched. So it is where no time has passed since
            the joint's last measurement.
        weight : (N, K), 0 .. 1, confidence of the measurement: 1 is trusted as the filter was
            tuned, 0 has no influence.
        time_s : time of the measurement.
        scale : (N,) size of each object, in the unit of x, positive.

        Returns
        -------
        (N, K, D) the filtered points; where not valid the last ones, NaN where none were valid yet.

        Raises
        ------
        ValueError : there are other rows or joints than before; `take` changes rows.
        """
        ...

    def velocity(self) -> Array:
        """(N, K, D) units of x per second, as of each joint's last measurement; NaN where none was
        valid yet.
        """
        ...

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows: row i of the new state is row rows[i] of the old one, -1 is fresh."""
        ...

    def forget(self, joints: Mask) -> None:
        """Begin anew with the next measurement of the joints (N, K) that are marked."""
        ...

    def adopt(self, other: PointFilter) -> bool:
        """Go on with the state of a filter of the same kind and other numbers; False, and nothing
        done, when it is of another kind.
        """
        ...


class Memory:
    """The state of a filter: named arrays (N, K) or (N, K, D), made with the first measurement.

    Every filter has "time" (NaN: nothing measured yet), "point" and "speed", the velocity.
    """

    def __init__(self, flat: tuple[str, ...] = (), deep: tuple[str, ...] = ()) -> None:
        self._flat, self._deep = ("time", *flat), ("point", "speed", *deep)
        self._state: dict[str, Array] = {}

    def _elapsed(self, x: Array, valid: Mask, time_s: float) -> tuple[Array, Mask, Mask]:
        """(N, K) seconds since each joint's last measurement, NaN for none; and which joints begin
        with this one, and which go on.
        """
        if not self._state:
            self._state = {name: np.full(x.shape[:2], np.nan) for name in self._flat}
            self._state.update({name: planar(np.full(x.shape, np.nan)) for name in self._deep})
        point = self._state["point"]
        if point.shape != x.shape:
            raise ValueError(
                f"the filter holds (rows, joints, axes) {point.shape}, got {x.shape}; "
                "rows are changed by take()"
            )
        dt = time_s - self._state["time"]
        return dt, valid & np.isnan(dt), valid & (dt > 0)

    def velocity(self) -> Array:
        """See `PointFilter.velocity`."""
        return self._state["speed"].copy() if self._state else np.empty((0, 0, 0))

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """See `PointFilter.take`."""
        if not self._state:
            return
        rows = np.asarray(rows, np.intp)
        fresh = rows < 0
        for name, old in self._state.items():
            new = np.full((len(rows), *old.shape[1:]), np.nan)
            new[~fresh] = old[rows[~fresh]]
            self._state[name] = new if new.ndim == 2 else planar(new)

    def forget(self, joints: Mask) -> None:
        """See `PointFilter.forget`."""
        for array in self._state.values():
            array[joints] = np.nan

    def adopt(self, other: object) -> bool:
        """See `PointFilter.adopt`."""
        if not isinstance(other, Memory) or type(other) is not type(self):
            return False
        self._state = other._state
        return True


class NoFilter(Memory):
    """Points as they are measured; the velocity is that of the last two."""

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `PointFilter.step`."""
        dt, first, going = self._elapsed(x, valid, time_s)
        state = self._state
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (x - state["point"]) / dt[..., None]
        write(state["speed"], going, slope)
        state["speed"][first] = 0.0
        now = first | going
        write(state["point"], now, x)
        state["time"][now] = time_s
        return state["point"].copy()


class Ema(Memory):
    """Exponential moving average.

    alpha = 1 - exp(-weight^2 dt / tau): two steps of dt have the weight of one of 2 dt. Its lag
    behind a steady motion is tau - dt / 2 for short steps.

    Parameters
    ----------
    time_constant_s : tau, positive. alpha at a step dt is met by tau = -dt / log(1 - alpha).

    Raises
    ------
    ValueError : the time constant is not positive.
    """

    def __init__(self, time_constant_s: float) -> None:
        super().__init__()
        self._tau = positive("time_constant_s", time_constant_s)

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `PointFilter.step`."""
        dt, first, going = self._elapsed(x, valid, time_s)
        state = self._state
        with np.errstate(invalid="ignore", divide="ignore"):
            alpha = -np.expm1(-weight * weight * dt / self._tau)
            move = alpha[..., None] * (x - state["point"])
            slope = move / dt[..., None]
        write(state["point"], going, state["point"] + move)
        write(state["speed"], going, slope)
        write(state["point"], first, x)
        state["speed"][first] = 0.0
        state["time"][first | going] = time_s
        return state["point"].copy()


class OneEuro(Memory):
    """One-Euro filter (Casiez, Roussel, Vogel, CHI 2012): a low-pass that opens with speed.

    cut-off = weight^2 (min_cutoff + beta |v| / scale), v the velocity of the whole point, not of
    each axis: a steady diagonal motion is filtered as a straight one.

    Unlike the paper's, both low-passes are exact for any time step. The position follows the
    continuous first-order low-pass of a motion that is straight between two measurements:
    with a = 2 pi cut-off dt, e = exp(-a) and c = (1 - e) / a,

        y' = e y + (c - e) x + (1 - c) x'

    whose lag behind a steady motion is 1 / (2 pi cut-off) at every rate; the usual
    alpha = 1 / (1 + 1 / a) has a lag and a gain that change with dt. Its two newest measurements
    also cancel the noise that changes sign from image to image, the worst of what is seen as
    jitter: of white noise at a lag of 20 ms and 30 Hz, 0.36 of the acceleration is left, against
    0.50 with the usual step.

    No memory is longer than the joint has been measured (cut-off >= 1 / (2 pi age)), so that a bad
    first measurement is soon forgotten.

    Parameters
    ----------
    min_cutoff_hz : cut-off at rest, positive.
    beta : Hz of cut-off per object size per second of speed, at least 0.
    d_cutoff_hz : cut-off of the velocity, positive.

    Raises
    ------
    ValueError : a number outside of these.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, d_cutoff_hz: float) -> None:
        super().__init__(flat=("start",), deep=("measured",))
        self._min = positive("min_cutoff_hz", min_cutoff_hz)
        self._beta = not_negative("beta", beta)
        self._d = positive("d_cutoff_hz", d_cutoff_hz)

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `PointFilter.step`."""
        dt, first, going = self._elapsed(x, valid, time_s)
        state = self._state
        point, speed, before = state["point"], state["speed"], state["measured"]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            age = time_s - state["start"]
            trust = weight * weight
            slope = (x - before) / dt[..., None]
            alpha = -np.expm1(-TWO_PI * self._d * trust * dt)
            alpha[age <= dt] = 1.0  # the first slope: there is no older one to lean on
            new_speed = speed + alpha[..., None] * (slope - speed)
            sizes_per_s = length(new_speed) / scale[:, None]
            cutoff = self._min + self._beta * np.fmax(sizes_per_s, 0.0)
            a = trust * np.fmax(TWO_PI * dt * cutoff, dt / age) + TINY
            keep = np.exp(-a)
            c = -np.expm1(-a) / a
            new_point = x + keep[..., None] * (point - x) + (c - keep)[..., None] * (before - x)
        write(speed, going, new_speed)
        write(point, going, new_point)
        write(point, first, x)
        speed[first] = 0.0
        now = first | going
        write(before, now, x)
        state["time"][now] = time_s
        state["start"][first] = time_s
        return point.copy()


class Kalman(Memory):
    """Kalman filter of a point with constant velocity and white-noise acceleration.

    Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.2.2. The
    axes share their covariance, since their noise is alike.

    Parameters
    ----------
    acceleration : square root of the acceleration's spectral density, object sizes / s^1.5.
    noise : standard deviation of a measurement of weight 1, object sizes; that of weight w is
        noise / w.

    Raises
    ------
    ValueError : a number that is not positive.
    """

    _START_SPEED = 3.0  # object sizes / s: what a joint may have when it is seen first

    def __init__(self, acceleration: float, noise: float) -> None:
        super().__init__(flat=("pp", "pv", "vv"))
        self._acceleration = positive("acceleration", acceleration)
        self._noise = positive("noise", noise)

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `PointFilter.step`."""
        dt, first, going = self._elapsed(x, valid, time_s)
        state = self._state
        size = np.broadcast_to(scale[:, None], dt.shape)
        q = (self._acceleration * size) ** 2
        r = (self._noise * size / np.maximum(weight, 1e-3)) ** 2
        point, speed = state["point"], state["speed"]
        with np.errstate(invalid="ignore"):
            vv = state["vv"] + q * dt
            pv = state["pv"] + dt * state["vv"] + q * dt**2 / 2
            pp = state["pp"] + dt * (2 * state["pv"] + dt * state["vv"]) + q * dt**3 / 3
            gain_p, gain_v = pp / (pp + r), pv / (pp + r)
            ahead = point + speed * dt[..., None]
            new_point = ahead + gain_p[..., None] * (x - ahead)
            new_speed = speed + gain_v[..., None] * (x - ahead)
        write(point, going, new_point)
        write(speed, going, new_speed)
        write(state["vv"], going, vv - gain_v * pv)
        write(state["pv"], going, (1 - gain_p) * pv)
        write(state["pp"], going, (1 - gain_p) * pp)
        write(point, first, x)
        speed[first] = 0.0
        write(state["pp"], first, r)
        state["pv"][first] = 0.0
        write(state["vv"], first, (self._START_SPEED * size) ** 2)
        state["time"][first | going] = time_s
        return point.copy()


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


def write(target: Array, where: Mask, values: Array) -> None:
    """Write values, of the target's shape, where the mask (N, K) says so."""
    np.copyto(target, values, where=where if target.ndim == 2 else where[..., None])


def positive(name: str, value: float) -> float:
    """The value; ValueError where it is no positive number."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a positive number, got {value!r}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """The value; ValueError where it is no number of at least 0."""
    if not (np.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)
