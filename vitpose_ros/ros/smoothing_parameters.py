"""The parameters of the pose node that say what is done to joints over time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vitpose_ros.ros.declare import RUN, ParameterSpec
from vitpose_ros.smooth.predict import MAX_HORIZON_S
from vitpose_ros.smooth.settings import FILTERS, PRESETS, SmoothingSettings, preset
from vitpose_ros.track.tracks import LOST_S

CUSTOM = "custom"
"""The value of `smoothing` with which the parameters smoothing_... count."""

_PREFIX = "smoothing_"
_NUMBERS = {
    "one_euro": ("min_cutoff_hz", "beta", "follow"),
    "ema": ("time_constant_s",),
    "kalman": ("acceleration", "noise"),
    "none": (),
}  # of each filter, as SmoothingSettings names them


@dataclass(frozen=True)
class SmoothingParameters:
    """Their values at one moment. Field names are the parameters' names; SMOOTHING_TABLE gives
    units and ranges.
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
        """What the pipeline does with them."""
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
        """What smooths, for SkeletonArray.smoothing: a preset's name, or a filter's with its
        numbers.
        """
        if self.smoothing != CUSTOM:
            return self.smoothing
        numbers = (f"{name}={value:g}" for name, value in self._numbers().items())
        return " ".join([self.smoothing_filter, *numbers])

    def without_effect(self, names: Collection[str]) -> str:
        """A sentence about those of these parameters that were changed and do not count now, or ''.

        They are the ones of `custom`, while a preset or another filter is chosen.
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
        "How joints are smoothed over time: a preset, from the least smooth to the smoothest, or "
        "'custom' for smoothing_filter and its numbers.",
        choices=(*PRESETS, CUSTOM),
        changes=RUN,
    ),
    "smoothing_filter": ParameterSpec(
        _DEFAULT.filter, "The filter of 'custom'.", choices=FILTERS, changes=RUN
    ),
    "smoothing_min_cutoff_hz": ParameterSpec(
        _DEFAULT.min_cutoff_hz,
        "Custom one_euro: cut-off frequency at rest, Hz; lower is smoother.",
        low=0.01,
        high=1000.0,
        changes=RUN,
    ),
    "smoothing_beta": ParameterSpec(
        _DEFAULT.beta,
        "Custom one_euro: by how much the cut-off rises with a joint's speed, Hz per (object "
        "size/s); higher lags less.",
        low=0.0,
        high=1000.0,
        changes=RUN,
    ),
    "smoothing_follow": ParameterSpec(
        _DEFAULT.follow,
        "Custom one_euro: by how much the cut-off rises where all joints together are off from "
        "where they were expected, Hz per object size; higher follows sudden motions sooner.",
        low=0.0,
        high=10000.0,
        changes=RUN,
    ),
    "smoothing_time_constant_s": ParameterSpec(
        _DEFAULT.time_constant_s,
        "Custom ema: time constant, s; longer is smoother.",
        low=0.001,
        high=10.0,
        changes=RUN,
    ),
    "smoothing_acceleration": ParameterSpec(
        _DEFAULT.acceleration,
        "Custom kalman: the accelerations to expect, object sizes/s^2; higher lags less.",
        low=0.01,
        high=10000.0,
        changes=RUN,
    ),
    "smoothing_noise": ParameterSpec(
        _DEFAULT.noise,
        "Custom kalman: standard deviation of a joint that is fully trusted, object sizes; higher "
        "is smoother.",
        low=0.0001,
        high=10.0,
        changes=RUN,
    ),
    "outlier_gate": ParameterSpec(
        _DEFAULT.gate,
        "With every smoothing: a joint that jumps as nothing does is not believed until three "
        "images agree.",
        changes=RUN,
    ),
    "hold_time": ParameterSpec(
        _DEFAULT.hold_s,
        "With every smoothing: after so long without being seen a joint is absent, s; until then "
        "it is PREDICTED. 0 holds nothing.",
        low=0.0,
        high=LOST_S,
        changes=RUN,
    ),
    "biomechanics": ParameterSpec(
        False,
        "Bones of a hand or body keep the length that they have shown, and joints their limits, in "
        "metres; what was moved is marked, and pixels stay.",
        changes=RUN,
    ),
    "prediction_horizon": ParameterSpec(
        0.0,
        "Joints are carried on to so long after the image's stamp, s, and are then PREDICTED; 0 is "
        "off.",
        low=0.0,
        high=MAX_HORIZON_S,
        changes=RUN,
    ),
}
"""Each of them."""
