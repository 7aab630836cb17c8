"""The settings of lifting."""

from __future__ import annotations

import math
from dataclasses import dataclass

SMALLEST_HAND_M, LARGEST_HAND_M = 0.08, 0.3
"""From a small child's hand to one longer than any."""


@dataclass(frozen=True)
class LiftSettings:
    """How joints get metres.

    Attributes
    ----------
    skin_scale : the joint lies behind the skin that a depth camera measures by this many times the
        radius in `skin`; 0 leaves it on the skin. 0 .. 3.
    hand_size_m : length of the hands, flat, from the crease of the wrist to the tip of the middle
        finger, 0.08 .. 0.3 m; 0 where it is not known. It gives the distance of hands without
        depth.

    Raises
    ------
    ValueError : names the field, the given value and what is accepted.
    """

    skin_scale: float = 1.0
    hand_size_m: float = 0.0

    def __post_init__(self) -> None:
        _check("skin_scale", self.skin_scale, 0.0, 3.0)
        if self.hand_size_m != 0:
            _check("hand_size_m", self.hand_size_m, SMALLEST_HAND_M, LARGEST_HAND_M, "0, or ")


def _check(name: str, value: object, low: float, high: float, also: str = "") -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(float(value)) or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise ValueError(f"{name}: expected {also}a number from {low:g} to {high:g}, got {value!r}")
