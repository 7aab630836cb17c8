"""The default filter: a One-Euro filter of what joints do beyond the motion that they have."""

from __future__ import annotations

import numpy as np

from vitpose_ros.smooth.filters import (
    TINY,
    TWO_PI,
    Array,
    Mask,
    Memory,
    length,
    not_negative,
    positive,
    write,
)

_SPEED_GAIN = 0.6
_SPEED_TIME_S = 0.5
_MOST_OFF = 0.03


class CarriedOneEuro(Memory):
    """One-Euro filter that carries its points on by their velocity, and opens as the whole moves.

    A low-pass alone is late by 1 / (2 pi cut-off) behind every motion. Here each point first goes
    on with its own velocity, and only by how much a measurement is off that is filtered:

        ahead  = point + dt speed
        off    = measurement - ahead
        point' = ahead + (1 - c) off + (c - e) off'         e = exp(-a), c = (1 - e) / a
        speed' = exp(-dt / 0.5 s) speed + 0.6 (1 - e)^2 / (1 + e) off / dt
        a      = 2 pi dt weight^2 (min_cutoff + beta |speed| / scale + follow |common| / scale)

    with off' = (measurement' - point) of the image before: the low-pass of `filters.OneEuro`, seen
    from what moves along. `common` is the mean of `off` over the joints of the object: what they do
    together is motion, and is followed at once, what one does by itself is mostly noise. In object
    sizes, `off` counts for no more than

        0.03 + dt (1 / s + |speed|) + |common'|             common' that of the image before

    More at once is an error nearly always; where it is not, the limit grows from image to image.

    For short steps, point and speed are an oscillator that the motion drives, with a damping ratio
    of 1 / sqrt(2 * 0.6) = 0.9: a hand that stops is hardly overshot, and the curve is alike at any
    rate.

    A joint begins with the mean speed of the others. No memory is longer than it has been measured
    (cut-off >= 1 / (2 pi age)), so that a bad first measurement is soon forgotten.

    Parameters
    ----------
    min_cutoff_hz : cut-off at rest, positive.
    beta : Hz of cut-off per object size per second of a joint's speed, at least 0.
    follow : Hz of cut-off per object size by which all joints together are off, at least 0.

    Raises
    ------
    ValueError : a number outside of these.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, follow: float) -> None:
        super().__init__(flat=("start", "common"), deep=("behind",))
        self._min = positive("min_cutoff_hz", min_cutoff_hz)
        self._beta = not_negative("beta", beta)
        self._follow = not_negative("follow", follow)

    def step(self, x: Array, valid: Mask, weight: Array, time_s: float, scale: Array) -> Array:
        """See `filters.PointFilter.step`."""
        dt, first, going = self._elapsed(x, valid, time_s)
        state = self._state
        point, speed, behind = state["point"], state["speed"], state["behind"]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            sizes = 1.0 / scale[:, None]
            new_point = point + dt[..., None] * speed
            off = x - new_point
            rate = length(speed) * sizes
            most = _MOST_OFF + (1.0 + rate) * dt + state["common"]
            off *= np.fmin(1.0, most / (length(off) * sizes))[..., None]
            common = length(_mean(off, weight * going)) * sizes
            cutoff = self._min + self._beta * rate + self._follow * common
            age = time_s - state["start"]
            a = weight * weight * np.fmax(TWO_PI * dt * cutoff, dt / age) + TINY
            keep = np.exp(-a)
            gain = 1.0 - keep
            c = gain / a
            move = (1.0 - c)[..., None] * off
            move += (c - keep)[..., None] * behind
            learn = _SPEED_GAIN * gain * gain / (dt * (1.0 + keep))
            new_speed = np.exp(dt / -_SPEED_TIME_S)[..., None] * speed
            new_speed += learn[..., None] * off
        write(point, going, new_point + move)
        write(speed, going, new_speed)
        write(behind, going, off - move)
        write(state["common"], going, np.broadcast_to(common, going.shape))
        write(point, first, x)
        if first.any():
            shared = _mean(new_speed, weight * going)
            write(speed, first, np.broadcast_to(shared, speed.shape))
        behind[first] = 0.0
        state["common"][first] = np.inf
        state["time"][first | going] = time_s
        state["start"][first] = time_s
        return point.copy()


def _mean(x: Array, share: Array) -> Array:
    """(N, 1, D) mean over the joints, by their shares (N, K); what has no share may be NaN."""
    total = np.maximum(share.sum(axis=1), TINY)[:, None]
    parts = np.where(share > 0, share / total, 0.0)
    known = np.where(np.isnan(x), 0.0, x)
    return np.asarray(np.einsum("nk,nkd->nd", parts, known)[:, None])
