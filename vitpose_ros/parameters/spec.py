"""What a parameter may be: its type, range, choices, and when it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

START, CONFIGURE, RUN = "start", "configure", "run"
"""When a parameter may change: only before the start (read-only), while the node is unconfigured,
or at any time.
"""

ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""Parameters that every ROS node has, by how their names begin."""


@dataclass(frozen=True)
class ParameterSpec:
    """A row of a parameter table.

    Attributes
    ----------
    default : its type is the parameter's type.
    description : what it does, with its unit.
    low, high : range of a number, both ends included.
    choices : the strings to choose from; empty for any string.
    changes : START, CONFIGURE or RUN.
    """

    default: bool | int | float | str
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changes: str = CONFIGURE

    def accepted(self) -> str:
        """The valid values, in words."""
        if self.choices:
            return " or ".join(f"'{choice}'" for choice in self.choices)
        kind = _KINDS[type(self.default)]
        if self.low is None or self.high is None:
            return kind
        return f"{kind} from {self.low:g} to {self.high:g}"

    def problem(self, value: Any) -> str | None:
        """Why `value` is not valid, or None.

        As in ROS, 1 is not a floating-point number and true is not a whole number.
        """
        if type(value) is not type(self.default):
            hint = ""
            if isinstance(self.default, float) and type(value) is int:
                hint = f"; write {float(value)}"
            return f"expected {self.accepted()}, got {value!r}{hint}"
        if self.choices and value not in self.choices:
            return f"expected {self.accepted()}, got {value!r}"
        if (
            self.low is not None
            and self.high is not None
            and not self.low <= float(value) <= self.high
        ):
            return f"expected {self.accepted()}, got {value!r}"
        return None


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    str: "a string",
}


NODE_TABLE: Mapping[str, ParameterSpec] = {
    "autostart": ParameterSpec(
        True,
        "Configure and activate the node at start. Set it to false under a lifecycle manager.",
        changes=START,
    ),
    "models_dir": ParameterSpec(
        "",
        "Folder of the models. Empty: $VITPOSE_ROS_MODELS, or ~/.local/share/vitpose_ros/models.",
        changes=START,
    ),
}
"""What every life-cycle node of this package has."""
