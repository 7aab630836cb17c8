"""What may be set of smoothing, and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitpose_ros.smooth.filters import Ema, Kalman, NoFilter, OneEuro, PointFilter
from vitpose_ros.smooth.whole import WholeAndShape

FILTERS = ("one_euro", "ema", "kalman", "none")
"""The filters by name."""

_POSITIVE = (
    *("whole_cutoff_hz", "min_cutoff_hz", "d_cutoff_hz"),
    *("time_constant_s", "acceleration", "noise"),
)
_NOT_NEGATIVE = ("whole_beta", "beta", "predict_s", "hold_s")


@dataclass(frozen=True)
class SmoothingSettings:
    """How joints are smoothed over time. The defaults are the preset `balanced`.

    Attributes
    ----------
    filter : one of FILTERS. "none" leaves measured joints as they are.
    whole_cutoff_hz, whole_beta : of "one_euro": min_cutoff_hz and beta with which an object's place
        and turn in the image are filtered, and its joints in space; see `whole.WholeAndShape` and
        `filters.OneEuro`. Lengths are in object sizes; see `scale.object_size`.
    min_cutoff_hz, beta : the same of its shape in the image.
    d_cutoff_hz : of all.
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
    whole_cutoff_hz: float = 1.9
    whole_beta: float = 7.5
    min_cutoff_hz: float = 1.3
    beta: float = 2.0
    d_cutoff_hz: float = 1.0
    time_constant_s: float = 0.05
    acceleration: float = 20.0
    noise: float = 0.02
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

        In space, "one_euro" filters each joint as a whole object: turns in space are not taken
        apart, and a shape that turns with the slower numbers would be late.
        """
        if self.filter == "one_euro" and axes == 3:
            return OneEuro(self.whole_cutoff_hz, self.whole_beta, self.d_cutoff_hz)
        if self.filter == "one_euro":
            return WholeAndShape(
                lambda: OneEuro(self.whole_cutoff_hz, self.whole_beta, self.d_cutoff_hz),
                lambda: OneEuro(self.min_cutoff_hz, self.beta, self.d_cutoff_hz),
            )
        if self.filter == "ema":
            return Ema(self.time_constant_s)
        if self.filter == "kalman":
            return Kalman(self.acceleration, self.noise)
        return NoFilter()


PRESETS = {
    "none": SmoothingSettings(filter="none", gate=False, predict_s=0.0, hold_s=0.0),
    "responsive": SmoothingSettings(
        whole_cutoff_hz=6.0, whole_beta=7.0, min_cutoff_hz=4.8, beta=0.8, d_cutoff_hz=1.2
    ),
    "balanced": SmoothingSettings(),
    "steady": SmoothingSettings(
        whole_cutoff_hz=1.5, whole_beta=2.1, min_cutoff_hz=1.1, beta=0.2, d_cutoff_hz=1.0
    ),
}
"""Settings by name, from the least smooth to the smoothest.

As measured at 30 Hz on rendered first-person hands that move (reach, grasp, rotate, cross, occlude;
two scenes each) with the noise of MediaPipe's landmarks; `vitpose_ros bench smoothing` measures
anew. Jitter is the mean acceleration over that of the raw joints; error is the mean distance from
the truth over that of the raw joints.

| preset     | image: jitter | lag   | error | in space: jitter | lag   | error |
|------------|---------------|-------|-------|------------------|-------|-------|
| responsive | 0.43          | 11 ms | 1.02  | 0.49             | 17 ms | 1.00  |
| balanced   | 0.35          | 17 ms | 1.07  | 0.38             | 23 ms | 1.00  |
| steady     | 0.25          | 39 ms | 1.22  | 0.23             | 49 ms | 1.00  |

In the image the error does not become smaller than the raw one: nearly all of that is an offset
that lasts as long as the pose. A filter that knew the future could take away 0.01 of it at most
(measured with a symmetric Gaussian window), which any lag costs again.
"""


def preset(name: str) -> SmoothingSettings:
    """The settings of that name; ValueError lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(
            f"unknown smoothing '{name}'; known are {', '.join(PRESETS)}"
        ) from None
