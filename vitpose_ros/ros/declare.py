"""Node parameters from a table: declared with ranges and read-only flags, and checked.

An invalid value from a file or the command line does not end the process. The error is kept, and a
valid value that is set later clears it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

START, CONFIGURE, RUN = "start", "configure", "run"
"""When a parameter may change: only before the start (read-only), while the node is unconfigured,
or at any time.
"""


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

    def descriptor(self) -> ParameterDescriptor:
        """The declaration that ROS enforces and `ros2 param describe` shows."""
        remark = {
            START: "read-only: restart the node to change it",
            CONFIGURE: "may change while the node is unconfigured",
            RUN: "may change at any time",
        }[self.changes]
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=f"{self.accepted()}; {remark}",
            read_only=self.changes == START,
        )
        if self.low is not None and self.high is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
                ]
        return descriptor


_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    str: "a string",
}

_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class DeclaredParameters:
    """The declared parameters of a node, with the errors in their values.

    Parameters
    ----------
    node : where they are declared; its parameter file and command line give the values.
    table : the specification of each parameter, by name.

    Attributes
    ----------
    problems : an error for each parameter whose initial value is not valid. Until it is empty, the
        node must not become active.
    """

    def __init__(self, node: Node, table: Mapping[str, ParameterSpec]) -> None:
        self._node = node
        self._table = table
        self.problems: dict[str, str] = {}
        for name, spec in table.items():
            # Read the value before rclpy enforces the range: its error does not name the range.
            given = node.declare_parameter(
                name, spec.default, ParameterDescriptor(dynamic_typing=True)
            ).value
            node.undeclare_parameter(name)
            problem = spec.problem(given)
            if problem is not None:
                self.problems[name] = self._error(name, problem)
            node.declare_parameter(
                name, spec.default, spec.descriptor(), ignore_override=problem is not None
            )

    def _error(self, name: str, problem: str) -> str:
        node = self._node.get_fully_qualified_name()
        if self._table[name].changes == START:
            remedy = "correct it in the parameter file and restart the node"
        else:
            remedy = f"correct it in the parameter file, or: ros2 param set {node} {name} VALUE"
        return f"parameter '{name}': {problem}; {remedy}"

    def unknown(self) -> list[str]:
        """Names that were given to this node but that it does not have, most often by a typo."""
        return sorted(
            name
            for name in self.given()
            if name not in self._table and not name.startswith(_ROS_OWN)
        )

    def given(self) -> dict[str, Any]:
        """Name and value of every parameter that a file or the command line gave to the node."""
        # rclpy offers no public way to ask for this. Without the attribute nothing is known to be
        # given, and mistakes in names stay unnoticed.
        overrides: Mapping[str, Parameter] = getattr(self._node, "_parameter_overrides", {})
        return {name: parameter.value for name, parameter in overrides.items()}

    def values(self) -> dict[str, Any]:
        """Name and current value of every parameter."""
        return {name: self._node.get_parameter(name).value for name in self._table}

    def preview(
        self, changes: Sequence[Parameter], configured: bool
    ) -> tuple[dict[str, Any] | None, str]:
        """The values after `changes`, or None and the reason to refuse them.

        Parameters
        ----------
        changes : parameters to set; names that are not in the table are ignored.
        configured : whether the node has loaded its models and created its topics.
        """
        values: dict[str, Any] = {}
        for parameter in changes:
            spec = self._table.get(parameter.name)
            if spec is None:
                continue
            problem = spec.problem(parameter.value)
            if problem is not None:
                return None, f"'{parameter.name}': {problem}"
            if configured and spec.changes == CONFIGURE:
                node = self._node.get_fully_qualified_name()
                return None, (
                    f"'{parameter.name}' can change only while the node is unconfigured: "
                    f"ros2 lifecycle set {node} deactivate, then cleanup; set it; then configure "
                    "and activate"
                )
            values[parameter.name] = parameter.value
        return {**self.values(), **values}, ""

    def accept(self, changes: Sequence[Parameter]) -> None:
        """Clear the errors of parameters that were set to valid values."""
        for parameter in changes:
            self.problems.pop(parameter.name, None)
