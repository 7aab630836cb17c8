"""Node parameters of smoothing, and of everything else that is done to joints over time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vitpose_ros.ros.declare import RUN, ParameterSpec
from vitpose_ros.smooth.predict import MAX_HORIZON_S
from vitpose_ros.smooth.settings import FILTERS, PRESETS, SmoothingSettings, preset
from vitpose_ros.track.tracks import LOST_S

CUSTOM = "custom"
"""The value of `smoothing` that makes the parameters smoothing_... take effect."""

_PREFIX = "smoothing_"
_NUMBERS = {
    "one_euro": ("min_cutoff_hz", "beta", "follow"),
    "ema": ("time_constant_s",),
    "kalman": ("acceleration", "noise"),
    "none": (),
}  # by filter, named as in SmoothingSettings


@dataclass(frozen=True)
class SmoothingParameters:
    """A snapshot of their values. Fields are named as the parameters; SMOOTHING_TABLE has units and
    ranges.
    """

    smoothing: str
    smoothing_filter: str
    smoothing_min_cutoff_hz: float
    smoothing_beta: float
    smoothing_follow: float
    smoothing_time_constant_s: float
    smoothing_acceleration: float
    smoothing_noise: float
    outlier_gate: bool
    hold_time: float
    biomechanics: bool
    prediction_horizon: float

    def smoothing_settings(self) -> SmoothingSettings:
        """The settings that the pipeline takes."""
        if self.smoothing == CUSTOM:
            chosen = SmoothingSettings(filter=self.smoothing_filter, **self._numbers())
        else:
            chosen = preset(self.smoothing)
        held_s = self.hold_time
        predicted_s = min(chosen.predict_s, held_s)
        return replace(chosen, gate=self.outlier_gate, predict_s=predicted_s, hold_s=held_s)

    def _numbers(self) -> dict[str, Any]:
        """The numbers of the filter of `custom`."""
        return {name: getattr(self, _PREFIX + name) for name in _NUMBERS[self.smoothing_filter]}

    @property
    def smoothing_text(self) -> str:
        """The value of SkeletonArray.smoothing: a preset's name, or a filter's name with its
        numbers.
        """
        if self.smoothing != CUSTOM:
            return self.smoothing
        numbers = (f"{name}={value:g}" for name, value in self._numbers().items())
        return " ".join([self.smoothing_filter, *numbers])

    def without_effect(self, names: Collection[str]) -> str:
        """A warning about parameters in `names` that were changed but have no effect, or ''.

        Parameters of `custom` have none while a preset or another filter is selected.
        """
        counts = {_PREFIX + "filter", *(_PREFIX + name for name in self._numbers())}
        idle = [
            name
            for name, spec in SMOOTHING_TABLE.items()
            if name in names
            and name.startswith(_PREFIX)
            and getattr(self, name) != spec.default
            and not (self.smoothing == CUSTOM and name in counts)
        ]
        if not idle:
            return ""
        return (
            f"{', '.join(idle)}: without effect while smoothing is '{self.smoothing}' and "
            f"smoothing_filter '{self.smoothing_filter}'"
        )


_DEFAULT = SmoothingSettings()

SMOOTHING_TABLE: Mapping[str, ParameterSpec] = {
    "smoothing": ParameterSpec(
        "balanced",
        "How joints are smoothed over time: a preset, listed from least to most smoothing, or "
        "'custom' to use smoothing_filter and its parameters.",
        choices=(*PRESETS, CUSTOM),
        changes=RUN,
    ),
    "smoothing_filter": ParameterSpec(
        _DEFAULT.filter, "Filter of 'custom'.", choices=FILTERS, changes=RUN
    ),
    "smoothing_min_cutoff_hz": ParameterSpec(
        _DEFAULT.min_cutoff_hz,
        "Custom one_euro: cutoff frequency at rest, Hz. Lower is smoother.",
        low=0.01,
        high=1000.0,
        changes=RUN,
    ),
    "smoothing_beta": ParameterSpec(
        _DEFAULT.beta,
        "Custom one_euro: increase of the cutoff with a joint's speed, Hz per (object size/s). "
        "Higher lags less.",
        low=0.0,
        high=1000.0,
        changes=RUN,
    ),
    "smoothing_follow": ParameterSpec(
        _DEFAULT.follow,
        "Custom one_euro: increase of the cutoff when all joints together deviate from their "
        "predicted positions, Hz per object size. Higher follows sudden motion sooner.",
        low=0.0,
        high=10000.0,
        changes=RUN,
    ),
    "smoothing_time_constant_s": ParameterSpec(
        _DEFAULT.time_constant_s,
        "Custom ema: time constant, s. Longer is smoother.",
        low=0.001,
        high=10.0,
        changes=RUN,
    ),
    "smoothing_acceleration": ParameterSpec(
        _DEFAULT.acceleration,
        "Custom kalman: expected acceleration, object sizes/s^2. Higher lags less.",
        low=0.01,
        high=10000.0,
        changes=RUN,
    ),
    "smoothing_noise": ParameterSpec(
        _DEFAULT.noise,
        "Custom kalman: standard deviation of a joint measured with full confidence, object sizes. "
        "Higher is smoother.",
        low=0.0001,
        high=10.0,
        changes=RUN,
    ),
    "outlier_gate": ParameterSpec(
        _DEFAULT.gate,
        "Reject a joint that jumps implausibly far until three images in a row agree on its new "
        "position. Works with every smoothing.",
        changes=RUN,
    ),
    "hold_time": ParameterSpec(
        _DEFAULT.hold_s,
        "How long a joint that is no longer measured is kept as PREDICTED before it becomes "
        "ABSENT, s. 0 keeps none. Works with every smoothing.",
        low=0.0,
        high=LOST_S,
        changes=RUN,
    ),
    "biomechanics": ParameterSpec(
        False,
        "Keep bone lengths constant and joint angles within human limits, in metric coordinates. "
        "Moved joints are marked in `corrected`; pixels do not change.",
        changes=RUN,
    ),
    "prediction_horizon": ParameterSpec(
        0.0,
        "Extrapolate joints to this long after the image's stamp, s; they are then PREDICTED. 0 is "
        "off.",
        low=0.0,
        high=MAX_HORIZON_S,
        changes=RUN,
    ),
}
"""All parameters of smoothing."""
