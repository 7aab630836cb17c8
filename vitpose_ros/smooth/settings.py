"""The settings of smoothing, and the presets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vitpose_ros.filters import OneEuro

D_CUTOFF_HZ = 2.0
"""Cut-off of the speed that opens the filter, of all presets."""


@dataclass(frozen=True)
class SmoothingSettings:
    """How joints are smoothed over time. The defaults are the preset `balanced`.

    Attributes
    ----------
    min_cutoff_hz, beta : of the filter, see `filters.OneEuro`; speeds are in object sizes per
        second, see `scale.object_size`. An infinite min_cutoff_hz leaves measured joints as they
        are.
    gate : hold back implausible jumps for one image; see `gate.Gate`.
    hold_s : a joint that is not measured is predicted for so long, its score falling to 0, and is
        absent afterwards.

    Raises
    ------
    ValueError : naming the field, what was given and what is accepted.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 0.62
    gate: bool = True
    hold_s: float = 0.5

    def __post_init__(self) -> None:
        for name in ("min_cutoff_hz", "beta", "hold_s"):
            value = getattr(self, name)
            least = "a positive number" if name == "min_cutoff_hz" else "a number of at least 0"
            valid = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name == "min_cutoff_hz":
                valid = valid and value > 0
            else:
                valid = valid and math.isfinite(value) and value >= 0
            if not valid:
                raise ValueError(f"{name}: expected {least}, got {value!r}")
        if not isinstance(self.gate, bool):
            raise ValueError(f"gate: expected true or false, got {self.gate!r}")

    @property
    def does_nothing(self) -> bool:
        """Joints are published as they were measured, and those that were not are absent."""
        return math.isinf(self.min_cutoff_hz) and not self.gate and self.hold_s == 0

    def make_filter(self, root: Sequence[int] = ()) -> OneEuro:
        """A new filter of these settings; see `filters.OneEuro` for the root joints."""
        return OneEuro(self.min_cutoff_hz, self.beta, D_CUTOFF_HZ, root)


PRESETS = {
    "none": SmoothingSettings(min_cutoff_hz=math.inf, beta=0.0, gate=False, hold_s=0.0),
    "responsive": SmoothingSettings(beta=1.4),
    "balanced": SmoothingSettings(),
    "steady": SmoothingSettings(min_cutoff_hz=0.6, beta=0.25),
}
"""Settings by name, from the least smooth to the smoothest.

`responsive` follows within 12 ms, for teleoperation; `balanced` within 23 ms, for most uses;
`steady` within 60 ms, for slow arms and for reading a held pose. These are lags on the held-out
half of recordings of a real hand, in the image and in metres; docs/smoothing.md says how the
numbers were chosen.
"""


def preset(name: str) -> SmoothingSettings:
    """The settings of that name; ValueError lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(
            f"unknown smoothing '{name}'; known are {', '.join(PRESETS)}"
        ) from None
