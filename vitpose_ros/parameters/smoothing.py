"""Node parameters of smoothing, and of everything else that is done to joints over time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from vitpose_ros.parameters.spec import RUN, ParameterSpec
from vitpose_ros.smooth.predict import MAX_HORIZON_S
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings, preset
from vitpose_ros.track.tracks import LOST_S

CUSTOM = "custom"
"""The value of `smoothing` that makes the parameters smoothing_... take effect."""

_PREFIX = "smoothing_"


@dataclass(frozen=True)
class SmoothingParameters:
    """A snapshot of their values. Fields are named as the parameters; SMOOTHING_TABLE has units and
    ranges.
    """

    smoothing: str
    smoothing_min_cutoff_hz: float
    smoothing_beta: float
    outlier_gate: bool
    hold_time: float
    biomechanics: bool
    prediction_horizon: float

    def smoothing_settings(self) -> SmoothingSettings:
        """The settings that the pipeline takes."""
        if self.smoothing == CUSTOM:
            chosen = SmoothingSettings(self.smoothing_min_cutoff_hz, self.smoothing_beta)
        else:
            chosen = preset(self.smoothing)
        return replace(chosen, gate=self.outlier_gate, hold_s=self.hold_time)

    @property
    def smoothing_text(self) -> str:
        """The value of SkeletonArray.smoothing: a preset's name, or the filter's name with its
        numbers.
        """
        if self.smoothing != CUSTOM:
            return self.smoothing
        least, beta = self.smoothing_min_cutoff_hz, self.smoothing_beta
        return f"one_euro min_cutoff_hz={least:g} beta={beta:g}"

    def without_effect(self, names: Collection[str]) -> str:
        """A warning about parameters in `names` that were changed but have no effect, or ''.

        Parameters of `custom` have none while a preset is selected.
        """
        idle = [
            name
            for name, spec in SMOOTHING_TABLE.items()
            if name in names and name.startswith(_PREFIX) and getattr(self, name) != spec.default
        ]
        if not idle or self.smoothing == CUSTOM:
            return ""
        return (
            f"{', '.join(idle)}: no effect while smoothing is '{self.smoothing}'; "
            f"set smoothing to '{CUSTOM}' to use them"
        )


_DEFAULT = SmoothingSettings()

SMOOTHING_TABLE: Mapping[str, ParameterSpec] = {
    "smoothing": ParameterSpec(
        "balanced",
        "How joints are smoothed over time: a preset, listed from least to most smoothing, or "
        "'custom' to use smoothing_min_cutoff_hz and smoothing_beta.",
        choices=(*PRESETS, CUSTOM),
        changes=RUN,
    ),
    "smoothing_min_cutoff_hz": ParameterSpec(
        _DEFAULT.min_cutoff_hz,
        "Custom: cutoff frequency of the One-Euro filter at rest, Hz. Lower is smoother.",
        low=0.01,
        high=1000.0,
        changes=RUN,
    ),
    "smoothing_beta": ParameterSpec(
        _DEFAULT.beta,
        "Custom: increase of the cutoff with a joint's speed, Hz per (object size/s). Higher lags "
        "less.",
        low=0.0,
        high=1000.0,
        changes=RUN,
    ),
    "outlier_gate": ParameterSpec(
        _DEFAULT.gate,
        "Reject for one image a joint that jumps farther than bones allow, or a whole hand or body "
        "that jumps. Works with every smoothing.",
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
