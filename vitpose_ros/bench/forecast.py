"""Where will the joints be when somebody acts on them? Predictions against holding the last pose.

What is compared is the place at stamp + horizon with the truth of that time; the pose that is held
or carried on is that of the stamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from vitpose_ros.bench.metrics import Array
from vitpose_ros.bench.recording import HandRecording, Recording
from vitpose_ros.bench.smoothing import DEFAULT_PRESET, IN_VIEW_SCRIPTS, image_curves, smooth
from vitpose_ros.smooth.predict import Velocity, ahead
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.types import Keypoints

HORIZONS_S = (0.033, 0.066, 0.1)

Guess = Callable[[Keypoints, Velocity, float], Array]
"""(21, 2) px: joints, how they move, and for how long."""

_Way = tuple[str, tuple[HandRecording, ...], SmoothingSettings, Guess]
"""Its name, what it works on, and how."""


@dataclass(frozen=True)
class Forecast:
    """Mean error of one way to predict.

    Attributes
    ----------
    name : of the way.
    error_palm : for each of HORIZONS_S the mean distance from the truth, palm lengths.
    """

    name: str
    error_palm: tuple[float, ...]


def forecasts(recording: Recording) -> list[Forecast]:
    """Holding first; then what could be better. All are measured on the same joints."""
    moving = recording.of(*IN_VIEW_SCRIPTS)
    default = PRESETS[DEFAULT_PRESET]
    raw = PRESETS["none"]
    last_two = replace(raw, hold_s=0.5)  # as measured, but the filter runs and tells a velocity
    single, measured = moving.single, moving.hands
    kalman = replace(default, filter="kalman")
    ways: list[_Way] = [
        ("hold the raw pose", single, raw, _hold),
        (f"hold the pose of '{DEFAULT_PRESET}'", measured, default, _hold),
        ("raw, constant velocity of the last two", single, last_two, _straight),
        ("Kalman, constant velocity", measured, kalman, _straight),
        (f"'{DEFAULT_PRESET}', constant velocity", measured, default, _straight),
        (f"'{DEFAULT_PRESET}', damped (offered)", measured, default, _damped),
    ]
    found = [
        _guesses(replace(moving, hands=hands), settings, guess)
        for _, hands, settings, guess in ways
    ]
    common = np.all([np.isfinite(error) for error in found], axis=0)
    return [
        Forecast(name, tuple(float(error[h][common[h]].mean()) for h in range(len(HORIZONS_S))))
        for (name, *_), error in zip(ways, found, strict=True)
    ]


def _guesses(recording: Recording, settings: SmoothingSettings, guess: Guess) -> Array:
    """(H, joints of all hands and images) errors in palm lengths; NaN where nothing was seen."""
    errors = [_of_scene(scene, settings, guess) for scene in recording.scenes()]
    return np.concatenate(errors, axis=1)


def _of_scene(scene: Recording, settings: SmoothingSettings, guess: Guess) -> Array:
    hands = scene.hands
    count = len(hands[0].stamp_ns)
    guessed = np.full((len(HORIZONS_S), len(hands), count, 21, 2), np.nan)

    def each(number: int, image: int, joints: Keypoints, velocity: Velocity) -> None:
        for h, horizon_s in enumerate(HORIZONS_S):
            guessed[h, number, image] = guess(joints, velocity, horizon_s)

    smooth(settings, hands, each)
    errors = np.full(guessed.shape[:-1], np.nan)
    for number, curve in enumerate(image_curves(scene)):
        true = CubicSpline(curve.time_s, curve.true, axis=0)
        for h, horizon_s in enumerate(HORIZONS_S):
            known = curve.time_s <= curve.time_s[-1] - horizon_s
            away = guessed[h, number, known] - true(curve.time_s[known] + horizon_s)
            away[~np.isfinite(curve.raw[known])] = np.nan
            size = curve.scale[known, None]
            errors[h, number, known] = np.linalg.norm(away, axis=-1) / size
    return errors.reshape(len(HORIZONS_S), -1)


def _hold(joints: Keypoints, velocity: Velocity, horizon_s: float) -> Array:
    return joints.uv.astype(np.float64)


def _straight(joints: Keypoints, velocity: Velocity, horizon_s: float) -> Array:
    return np.asarray(joints.uv + horizon_s * np.nan_to_num(velocity.uv), np.float64)


def _damped(joints: Keypoints, velocity: Velocity, horizon_s: float) -> Array:
    return ahead(joints, velocity, horizon_s).uv.astype(np.float64)
