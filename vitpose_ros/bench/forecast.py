"""Where will the joints be when a robot acts on them? Predictions against holding the last pose.

The joints predicted for stamp + horizon are compared with the reference at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from vitpose_ros.bench.methods import DEFAULT_PRESET, smooth
from vitpose_ros.bench.metrics import Array, Curve
from vitpose_ros.bench.recording import HandRecording, Recording
from vitpose_ros.bench.smoothing import IN_VIEW_SCRIPTS, image_curves
from vitpose_ros.smooth.predict import Velocity, ahead
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.types import Keypoints

HORIZONS_S = (0.033, 0.066, 0.1)

Guess = Callable[[Keypoints, Velocity, float], Array]
"""(21, 2) px of joints, their velocity, and a horizon."""

Scene = tuple[Sequence[HandRecording], Sequence[Curve]]
"""The hands of a scene, and what is compared with."""


@dataclass(frozen=True)
class Forecast:
    """Mean error of one way to predict.

    Attributes
    ----------
    name : of the way.
    error_palm : for each of HORIZONS_S the mean distance from the reference, palm lengths.
    """

    name: str
    error_palm: tuple[float, ...]


def rendered_scenes(recording: Recording) -> list[Scene]:
    """The moving scenes of a recording; the reference is the truth."""
    scenes = recording.of(*IN_VIEW_SCRIPTS).scenes()
    return [(scene.hands, image_curves(scene)) for scene in scenes]


def forecasts(scenes: Sequence[Scene]) -> list[Forecast]:
    """All ways to predict, measured on the same joints; holding comes first."""
    default = PRESETS[DEFAULT_PRESET]
    raw = replace(PRESETS["none"], hold_s=0.5)  # as measured, but velocities are known
    ways: list[tuple[str, SmoothingSettings, Guess]] = [
        ("hold the raw pose", raw, _hold),
        (f"hold the pose of '{DEFAULT_PRESET}'", default, _hold),
        ("raw, constant velocity of the last two", raw, _straight),
        (f"'{DEFAULT_PRESET}', constant velocity", default, _straight),
        (f"'{DEFAULT_PRESET}', damped (prediction_horizon)", default, _damped),
    ]
    found = [
        np.concatenate([_errors(scene, settings, guess) for scene in scenes], axis=1)
        for _, settings, guess in ways
    ]
    common = np.all([np.isfinite(error) for error in found], axis=0)
    return [
        Forecast(name, tuple(float(error[h][common[h]].mean()) for h in range(len(HORIZONS_S))))
        for (name, *_), error in zip(ways, found, strict=True)
    ]


def _errors(scene: Scene, settings: SmoothingSettings, guess: Guess) -> Array:
    """(H, joints of all hands and images) errors in palm lengths; NaN where nothing was seen."""
    hands, curves = scene
    count = len(hands[0].stamp_ns)
    guessed = np.full((len(HORIZONS_S), len(hands), count, 21, 2), np.nan)

    def each(number: int, image: int, joints: Keypoints, velocity: Velocity) -> None:
        for h, horizon_s in enumerate(HORIZONS_S):
            guessed[h, number, image] = guess(joints, velocity, horizon_s)

    smooth(settings, hands, each)
    errors = np.full(guessed.shape[:-1], np.nan)
    for number, curve in enumerate(curves):
        reference = CubicSpline(curve.time_s, curve.reference, axis=0)
        for h, horizon_s in enumerate(HORIZONS_S):
            known = curve.time_s <= curve.time_s[-1] - horizon_s
            away = guessed[h, number, known] - reference(curve.time_s[known] + horizon_s)
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
