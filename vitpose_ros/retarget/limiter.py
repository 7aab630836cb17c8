"""Commands that a robot can follow: within position limits, never faster and never accelerated
harder than allowed, whatever is asked for and however irregular the steps are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class MotionLimiter:
    """Moves from the last emitted command towards a target.

    In a step of dt, the velocity changes by at most acceleration * dt, and is at most the largest
    one from which the joint can still stop at the target and at its position limit. With v the
    velocity in the step, a the acceleration and e the distance, that is v dt + v^2 / (2 a) <= e.
    If it holds once, braking keeps it true for steps of any length, so that neither a target nor a
    limit is overrun: a limit never, a target only where it was moved closer than the way to stop.

    Parameters
    ----------
    lower, upper : (N,) position limits, rad.
    velocity, acceleration : (N,) limits, rad/s and rad/s^2.

    Attributes
    ----------
    position, speed : (N,) the last emitted command, rad, and its velocity, rad/s.
    """

    def __init__(self, lower: Array, upper: Array, velocity: Array, acceleration: Array) -> None:
        self._lower, self._upper = lower, upper
        self._velocity, self._acceleration = velocity, acceleration
        self.start((lower + upper) / 2)

    def start(self, position: Array) -> None:
        """Begin at rest at a position (N,), rad. One beyond a limit can only move back inside."""
        self.position: Array = position.astype(np.float64)
        self.halt()

    def halt(self) -> None:
        """After a time without commands, the robot is at rest at the last one."""
        self.speed: Array = np.zeros_like(self.position)

    @property
    def at_rest(self) -> bool:
        """Whether the last step moved nothing."""
        return not self.speed.any()

    def step(self, target: Array, dt_s: float, most: float = np.inf) -> Array:
        """The next command (N,), rad.

        Parameters
        ----------
        target : (N,) rad; NaN for joints that have to brake and then hold.
        dt_s : time since the last command; 0 changes nothing.
        most : a lower limit of the velocity, rad/s. It brings a faster joint down at its
            acceleration limit.
        """
        if not dt_s > 0:
            return self.position.copy()
        here, change = self.position, self._acceleration * dt_s
        away = np.clip(target, self._lower, self._upper) - here
        wanted = np.sign(away) * np.minimum(
            self._stoppable(np.abs(away), dt_s), np.minimum(self._velocity, most)
        )
        wanted = np.where(np.isfinite(wanted), wanted, 0.0)
        speed = np.clip(wanted, self.speed - change, self.speed + change)
        speed = np.minimum(speed, self._stoppable(np.maximum(self._upper - here, 0.0), dt_s))
        speed = np.maximum(speed, -self._stoppable(np.maximum(here - self._lower, 0.0), dt_s))
        self.speed = speed
        self.position = here + speed * dt_s
        return self.position.copy()

    def _stoppable(self, distance: Array, dt_s: float) -> Array:
        """The largest velocity for a step of dt from which the joint stops within the distance."""
        braking = self._acceleration * dt_s
        root = np.sqrt(braking * braking + 2.0 * self._acceleration * distance)
        # Not root - braking: the difference of nearly equal numbers.
        return np.asarray(2.0 * self._acceleration * distance / (root + braking))
