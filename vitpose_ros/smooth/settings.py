"""What may be set of smoothing, and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitpose_ros.smooth.carried import CarriedOneEuro
from vitpose_ros.smooth.filters import Ema, Kalman, NoFilter, PointFilter

FILTERS = ("one_euro", "ema", "kalman", "none")
"""The filters by name."""

_POSITIVE = ("min_cutoff_hz", "time_constant_s", "acceleration", "noise")
_IN_SPACE_HZ = 2.0
_NOT_NEGATIVE = ("beta", "follow", "predict_s", "hold_s")


@dataclass(frozen=True)
class SmoothingSettings:
    """How joints are smoothed over time. The defaults are the preset `balanced`.

    Attributes
    ----------
    filter : one of FILTERS. "none" leaves measured joints as they are.
    min_cutoff_hz, beta, follow : of "one_euro"; see `carried.CarriedOneEuro`. Lengths are in object
        sizes; see `scale.object_size`.
    time_constant_s : of "ema"; see `filters.Ema`.
    acceleration, noise : of "kalman"; see `filters.Kalman`.
    gate : joints that jump as nothing does are not believed until they stay; see `gate.Gate`.
    predict_s : for so long a joint that is not seen is carried on by its own velocity, damped.
    hold_s : after so long without being seen a joint is absent; in between it is held. Its score
        falls to 0 until then. Not less than predict_s.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    filter: str = "one_euro"
    min_cutoff_hz: float = 1.6
    beta: float = 0.45
    follow: float = 38.0
    time_constant_s: float = 0.03
    acceleration: float = 1.0
    noise: float = 0.07
    gate: bool = True
    predict_s: float = 0.1
    hold_s: float = 0.5

    def __post_init__(self) -> None:
        if self.filter not in FILTERS:
            raise ValueError(f"filter: expected one of {', '.join(FILTERS)}, got {self.filter!r}")
        for name in _POSITIVE + _NOT_NEGATIVE:
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name in _POSITIVE and not (number and math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a positive number, got {value!r}")
            if name in _NOT_NEGATIVE and not (number and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
        if not isinstance(self.gate, bool):
            raise ValueError(f"gate: expected true or false, got {self.gate!r}")
        if self.hold_s < self.predict_s:
            raise ValueError(
                f"hold_s: a joint is held after it was predicted; expected at least predict_s "
                f"({self.predict_s}), got {self.hold_s}"
            )

    @property
    def does_nothing(self) -> bool:
        """Joints are published as they were measured, and those that were not are absent."""
        return self.filter == "none" and not self.gate and self.hold_s == 0

    def make_filter(self, axes: int = 2) -> PointFilter:
        """A new filter of these settings, for points with 2 axes (px) or 3 (metres).

        In space a hand's shape lies about its middle: there is no motion that all joints have in
        common, which opens the filter in the image. So the cut-off of "one_euro" at rest is higher.
        """
        if self.filter == "one_euro":
            more_hz = _IN_SPACE_HZ if axes == 3 else 0.0
            return CarriedOneEuro(self.min_cutoff_hz + more_hz, self.beta, self.follow)
        if self.filter == "ema":
            return Ema(self.time_constant_s)
        if self.filter == "kalman":
            return Kalman(self.acceleration, self.noise)
        return NoFilter()


PRESETS = {
    "none": SmoothingSettings(filter="none", gate=False, predict_s=0.0, hold_s=0.0),
    "responsive": SmoothingSettings(min_cutoff_hz=4.0, beta=0.8, follow=60.0),
    "balanced": SmoothingSettings(),
    "steady": SmoothingSettings(min_cutoff_hz=0.55, beta=0.11, follow=8.8),
}
"""Settings by name, from the least smooth to the smoothest.

As measured at 30 Hz on rendered first-person hands that move (reach, grasp, rotate, cross, occlude;
ten scenes of each) with the noise of MediaPipe's landmarks; `vitpose_ros bench smoothing` measures
anew. Jitter is the mean acceleration over that of the network's single readings; error is the mean
distance from the truth over theirs. What is smoothed are the means of two looks (`track.looks`),
whose error is 0.96 before it is smoothed.

| preset     | image: jitter | lag   | error | in space: jitter | lag   | error |
|------------|---------------|-------|-------|------------------|-------|-------|
| responsive | 0.46          | 5 ms  | 0.960 | 0.44             | 10 ms | 0.98  |
| balanced   | 0.34          | 12 ms | 0.994 | 0.31             | 19 ms | 0.98  |
| steady     | 0.24          | 58 ms | 1.454 | 0.22             | 46 ms | 0.98  |

The numbers were tuned on six of the ten scenes (`steady` was set smoother after that); two scenes
differ from two others by up to 0.05 (docs/smoothing.md). There, "kalman" with its default numbers
reaches 0.40, 19 ms and 1.08, "ema" 0.64, 19 ms and 0.98.

On single readings, at the jitter of `balanced`, no causal filter was found whose error in the image
is below the raw one (`balanced`: 1.039). Nearly all of that error is an offset that lasts as long
as the pose: windows that see the future as well (a Gaussian, a local parabola, weighted by
presence) take 2 to 3 % of it away, and what every lag and overshoot adds comes on top.
"""


def preset(name: str) -> SmoothingSettings:
    """The settings of that name; ValueError lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(
            f"unknown smoothing '{name}'; known are {', '.join(PRESETS)}"
        ) from None
