"""Scripted motions: key poses with minimum-jerk motion between them.

Positions are those of a right hand, in metres from the camera: x to its own side, y away from the
viewer, z up. The left hand's are mirrored. Every script begins and ends in the same pose, so that
scripts can be repeated and joined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.synthetic.anatomy import ANGLE_LIMITS_DEG, HandPose

Array = npt.NDArray[np.float64]

SCRIPTS = ("tour", "reach", "grasp", "rotate", "cross", "leave", "occlude", "still")
"""The names of the scripts; `tour` joins all that move."""

_TOUR = ("reach", "grasp", "rotate", "cross", "leave", "occlude")

# Digits: thumb (CMC flexion, CMC abduction, MCP, IP), then fingers (MCP flexion, abduction towards
# the thumb, PIP, DIP).
RELAXED = ((16, -4, 10, 14), (16, -5, 24, 12), (18, 0, 28, 15), (20, 5, 30, 16), (22, 8, 28, 15))
OPEN = ((0, 0, 2, 2), (2, -1, 6, 3), (2, 0, 7, 3), (3, 1, 8, 4), (4, 3, 8, 4))
FLAT = ((20, -7, 5, 5), (4, -7, 6, 3), (4, 0, 6, 3), (5, 6, 7, 3), (6, 12, 7, 3))
READY = ((10, 34, 8, 12), (18, -3, 26, 12), (20, 0, 28, 14), (22, 3, 30, 14), (25, 5, 30, 14))
HOLD = ((26, 42, 26, 36), (34, -4, 40, 24), (36, 0, 43, 26), (39, 4, 45, 26), (43, 8, 44, 26))
PINCH = (
    (30, 40, 20, 30),
    (48, -5, 52, 25),
    (18, 0, 26, 12),
    (14, 4, 22, 10),
    (12, 8, 20, 10),
)
POINT = ((32, 26, 30, 35), (6, -3, 10, 5), (62, 0, 76, 42), (66, 5, 78, 42), (68, 9, 74, 40))
FIST = ((32, 30, 38, 45), (72, -6, 86, 50), (76, 0, 90, 52), (76, 5, 90, 52), (74, 9, 86, 48))


@dataclass(frozen=True)
class Track:
    """Values over time: keys reached with zero velocity, and minimum-jerk motion between them.

    Attributes
    ----------
    times_s : (K,) increasing, from 0 to the duration.
    values : (K, N); the last row equals the first.
    """

    times_s: Array
    values: Array

    def at(self, time_s: float) -> Array:
        """(N,) the values at a time within the duration."""
        after = int(
            np.clip(np.searchsorted(self.times_s, time_s, side="right"), 1, len(self.times_s) - 1)
        )
        start, end = self.times_s[after - 1], self.times_s[after]
        s = (time_s - start) / (end - start)
        share = s * s * s * (10.0 - 15.0 * s + 6.0 * s * s)
        return self.values[after - 1] + share * (self.values[after] - self.values[after - 1])


Key = tuple[float, Array]


def _key(
    time_s: float,
    wrist_m: tuple[float, float, float],
    digits: tuple[tuple[float, ...], ...] = RELAXED,
    flexion: float = -20.0,
    deviation: float = 0.0,
    supination: float = 12.0,
) -> Key:
    pose = HandPose(np.array(digits, float), flexion, deviation, supination, np.array(wrist_m))
    return time_s, pose.to_vector()


_HOME_M = (0.125, 0.27, -0.29)


def _home(time_s: float) -> Key:
    return _key(time_s, _HOME_M)


GRASP_POINT_M = (0.15, 0.33, -0.345)
"""The right wrist's position when the hand grasps the can."""

HELD_S = (1.6, 4.6)
"""Start and end of the time in which the right hand holds the can, in the script `grasp`."""


def _reach() -> tuple[list[Key], list[Key]]:
    right = [
        _home(0.0),
        _key(0.6, (0.05, 0.44, -0.32), OPEN, -26, 0, 8),
        _key(1.5, (0.05, 0.44, -0.34), PINCH, -18, 0, 8),
        _key(2.4, (0.20, 0.34, -0.28), PINCH, -22, 0, 10),
        _key(2.9, (0.20, 0.34, -0.29), OPEN, -24, 0, 15),
        _key(3.6, (0.17, 0.20, -0.23)),
        _key(4.15, (0.10, 0.38, -0.27), POINT, -19, 0, 15),
        _key(5.0, (0.10, 0.39, -0.28), POINT, -9, 0, 15),
        _home(6.0),
    ]
    left = [
        _home(0.0),
        _key(1.0, (0.12, 0.24, -0.27), RELAXED, -24, 0, 20),
        _key(1.55, (0.13, 0.42, -0.33), OPEN, -24, 0, 5),
        _key(2.6, (0.13, 0.42, -0.34), READY, -18, 0, 4),
        _key(3.5, (0.22, 0.31, -0.27), READY, -22, 0, 6),
        _key(4.2, (0.22, 0.32, -0.28), FLAT, -26, 0, 5),
        _home(6.0),
    ]
    return right, left


def _grasp() -> tuple[list[Key], list[Key]]:
    x, y, z = GRASP_POINT_M
    right = [
        _home(0.0),
        _key(0.9, (x + 0.03, y - 0.06, z + 0.02), READY, -5, 0, 62),
        _key(1.3, (x, y, z), READY, -4, 0, 66),
        _key(1.7, (x, y, z), HOLD, -4, 0, 66),
        _key(2.5, (x - 0.03, y - 0.03, z + 0.13), HOLD, -4, 4, 66),
        _key(3.4, (x - 0.03, y - 0.06, z + 0.13), HOLD, -4, -4, 60),
        _key(4.4, (x, y, z), HOLD, -4, 0, 66),
        _key(4.8, (x, y, z), READY, -4, 0, 66),
        _key(5.4, (x + 0.04, y - 0.07, z + 0.03), READY, -5, 0, 55),
        _home(6.2),
    ]
    left = [
        _home(0.0),
        _key(0.8, (0.13, 0.28, -0.26), OPEN, -24, 0, 10),
        _key(1.8, (0.13, 0.28, -0.26), FIST, -19, 0, 15),
        _key(2.8, (0.14, 0.30, -0.26), OPEN, -24, 0, 15),
        _key(3.7, (0.13, 0.32, -0.28), PINCH, -22, 0, 8),
        _key(4.6, (0.12, 0.30, -0.28), READY, -22, 0, 8),
        _home(6.2),
    ]
    return right, left


def _rotate() -> tuple[list[Key], list[Key]]:
    place = (0.13, 0.30, -0.26)
    right = [
        _home(0.0),
        _key(0.8, place, OPEN, -22, 0, 5),
        _key(2.2, place, OPEN, -8, 0, 90),
        _key(3.6, place, OPEN, 4, 0, 168),
        _key(4.4, place, RELAXED, 12, 0, 165),
        _key(5.8, place, RELAXED, -4, 0, 80),
        _key(6.9, place, OPEN, -26, 8, 5),
        _key(7.5, place, OPEN, -22, -12, 5),
        _home(8.2),
    ]
    left = [
        _home(0.0),
        _key(1.0, place, OPEN, -22, 0, 10),
        _key(2.7, place, OPEN, -6, 0, 100),
        _key(4.2, place, FLAT, 4, 0, 165),
        _key(5.0, place, OPEN, 8, 0, 160),
        _key(6.6, place, OPEN, -10, 0, 60),
        _key(7.4, place, OPEN, -22, 0, 8),
        _home(8.2),
    ]
    return right, left


def _cross() -> tuple[list[Key], list[Key]]:
    right = [
        _home(0.0),
        _key(1.0, (0.14, 0.27, -0.25), OPEN, -20, 0, 8),
        _key(2.2, (-0.05, 0.31, -0.24), OPEN, -16, 0, 6),
        _key(2.8, (-0.05, 0.32, -0.24), RELAXED, -16, 0, 8),
        _key(4.0, (0.14, 0.27, -0.26), RELAXED),
        _home(5.0),
    ]
    left = [
        _home(0.0),
        _key(1.0, (0.13, 0.30, -0.33), FLAT, -20, 0, 5),
        _key(2.3, (-0.02, 0.36, -0.35), FLAT, -20, 0, 5),
        _key(2.9, (-0.02, 0.36, -0.35), OPEN, -20, 0, 6),
        _key(4.1, (0.13, 0.29, -0.32), OPEN),
        _home(5.0),
    ]
    return right, left


def _leave() -> tuple[list[Key], list[Key]]:
    right = [
        _home(0.0),
        _key(0.9, (0.20, -0.12, -0.32)),
        _key(1.7, (0.62, 0.10, -0.28)),
        _key(2.7, (0.22, 0.33, -0.26), OPEN),
        _key(3.6, (0.12, 0.36, -0.3), OPEN, -24, 0, 25),
        _home(4.6),
        _key(5.6, (0.60, 0.34, -0.26), OPEN),
        _key(6.1, (0.60, 0.30, -0.26), RELAXED),
        _home(7.2),
    ]
    left = [
        _home(0.0),
        _key(1.2, (0.12, 0.32, -0.28), OPEN),
        _key(2.4, (0.13, 0.29, -0.28), RELAXED, -22, 0, 30),
        _key(3.4, (0.55, 0.32, -0.28)),
        _key(4.0, (0.50, -0.05, -0.32)),
        _key(4.8, (0.14, -0.10, -0.34)),
        _home(5.7),
        _key(6.4, (0.11, 0.30, -0.27), OPEN),
        _home(7.2),
    ]
    return right, left


def _occlude() -> tuple[list[Key], list[Key]]:
    right = [
        _home(0.0),
        _key(0.8, (0.10, 0.30, -0.3), OPEN),
        _key(2.0, (0.12, 0.31, -0.3), RELAXED),
        _key(3.0, (0.08, 0.31, -0.3), PINCH, -18, 0, 25),
        _key(4.2, (0.12, 0.29, -0.29), OPEN),
        _home(6.0),
    ]
    left = [
        _home(0.0),
        _key(1.0, (0.15, 0.30, -0.29), OPEN),
        _key(2.4, (0.22, 0.41, -0.25), READY, -4, 0, 8),
        _key(3.2, (0.22, 0.42, -0.26), OPEN, 6, 0, 6),
        _key(4.6, (0.14, 0.30, -0.29), RELAXED),
        _home(6.0),
    ]
    return right, left


_AWAY_M = (0.75, 0.30, -0.10)
_PLATE = [  # the plate's centre, world, metres
    (0.0, _AWAY_M),
    (0.8, _AWAY_M),
    (2.0, (0.08, 0.30, -0.17)),
    (2.7, (0.05, 0.28, -0.18)),
    (4.2, _AWAY_M),
    (6.0, _AWAY_M),
]


def _still() -> tuple[list[Key], list[Key]]:
    right = [_key(t, _HOME_M, OPEN) for t in (0.0, 1.0)]
    left = [_key(t, _HOME_M, RELAXED) for t in (0.0, 1.0)]
    return right, left


_BUILDERS = {
    "reach": _reach,
    "grasp": _grasp,
    "rotate": _rotate,
    "cross": _cross,
    "leave": _leave,
    "occlude": _occlude,
    "still": _still,
}


def _track(keys: list[Key]) -> Track:
    return Track(np.array([time for time, _ in keys]), np.stack([value for _, value in keys]))


class Motion:
    """The motion in a script: of both hands, the plate, and the can while it is held.

    Parameters
    ----------
    script : one of SCRIPTS.
    seed : for the natural sway of the hands.
    """

    def __init__(self, script: str, seed: int) -> None:
        if script not in SCRIPTS:
            raise ValueError(f"unknown script '{script}'; known are {', '.join(SCRIPTS)}")
        right: list[Key] = []
        left: list[Key] = []
        plate: list[Key] = [(0.0, np.array(_AWAY_M))]
        self.held_s: tuple[float, float] | None = None
        start = 0.0
        for name in _TOUR if script == "tour" else (script,):
            for keys, part in zip((right, left), _BUILDERS[name](), strict=True):
                keys += [(start + time, value) for time, value in part[bool(keys) :]]
            if name == "occlude":
                plate += [(start + time, np.array(place)) for time, place in _PLATE[start == 0.0 :]]
            if name == "grasp":
                self.held_s = (start + HELD_S[0], start + HELD_S[1])
            start = right[-1][0]
        self.duration_s = float(start)
        if plate[-1][0] < start:
            plate.append((start, np.array(_AWAY_M)))
        self._hands = (_track(right), _track(left))
        self._plate = _track(plate)
        self._sways = script != "still"
        rng = np.random.default_rng((seed, 77))
        whole = np.maximum(np.round(self.duration_s * np.array((0.23, 0.41, 0.67))), 1.0)
        self._rates = 2 * np.pi * whole / self.duration_s
        self._phases = rng.uniform(0, 2 * np.pi, (2, HandPose.VALUES, 3))
        amplitude = np.r_[np.full(20, 1.2), 1.5, 1.0, 2.0, np.full(3, 0.003)]
        self._amplitudes = amplitude[:, None] * np.array((0.6, 0.3, 0.15))

    def hand(self, side: int, time_s: float) -> HandPose:
        """The pose of a hand (0 right, 1 left) at any time."""
        time_s = float(time_s) % self.duration_s
        vector = self._hands[side].at(time_s)
        if self._sways:
            vector = vector + (
                self._amplitudes * np.sin(self._rates * time_s + self._phases[side])
            ).sum(axis=1)
            low, high = ANGLE_LIMITS_DEG
            vector[:23] = np.clip(vector[:23], low, high)
        return HandPose.from_vector(vector)

    def plate_m(self, time_s: float) -> Array:
        """(3,) the plate's centre in the world, metres."""
        return self._plate.at(float(time_s) % self.duration_s)

    def hold(self, time_s: float) -> float:
        """How far the can follows the right hand: 0 on the table, 1 held."""
        if self.held_s is None:
            return 0.0
        time_s = float(time_s) % self.duration_s
        ramp = np.clip(min(time_s - self.held_s[0], self.held_s[1] - time_s) / 0.25, 0.0, 1.0)
        return float(ramp * ramp * (3.0 - 2.0 * ramp))


def grasp_pose() -> HandPose:
    """The right hand's pose when it grasps the can."""
    return HandPose.from_vector(_grasp()[0][3][1])


def elbow_m(wrist_m: Array) -> Array:
    """The elbow's position for a wrist: at the viewer's side, below the camera."""
    x, y, z = wrist_m
    return np.array((0.30 + 0.30 * (x - 0.13), y - 0.40, z - 0.06))
