"""Parameters from a table: declared with ranges and read-only flags, checked, and explained when
they do not fit.

A value from a file or the command line that does not fit does not end the process: its sentence is
kept, and a good value that is set later is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

START, CONFIGURE, RUN = "start", "configure", "run"
"""When a parameter may change: never after the start (read-only), while the node is unconfigured,
or at any time.
"""


@dataclass(frozen=True)
class ParameterSpec:
    """A row of a table of parameters.

    Attributes
    ----------
    default : the value without a file; its type is the parameter's type.
    description : what it does, with its unit.
    low, high : the accepted range of a number, both ends included.
    choices : the accepted texts; empty for any.
    changes : START, CONFIGURE or RUN.
    """

    default: bool | int | float | str
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    changes: str = CONFIGURE

    def accepted(self) -> str:
        """What may be given, for people."""
        if self.choices:
            return " or ".join(f"'{choice}'" for choice in self.choices)
        kind = _KINDS[type(self.default)]
        if self.low is None or self.high is None:
            return kind
        return f"{kind} from {self.low:g} to {self.high:g}"

    def problem(self, value: Any) -> str | None:
        """Why `value` cannot be taken, or None. As in ROS, 1 is no floating-point number and true
        is no whole number.
        """
        if type(value) is not type(self.default):
            hint = ""
            if isinstance(self.default, float) and type(value) is int:
                hint = f"; write {float(value)}"
            return f"accepted is {self.accepted()}{hint}"
        if self.choices and value not in self.choices:
            return f"accepted is {self.accepted()}"
        if (
            self.low is not None
            and self.high is not None
            and not self.low <= float(value) <= self.high
        ):
            return f"accepted is {self.accepted()}"
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
    str: "a text",
}

_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class DeclaredParameters:
    """The declared parameters of a node, and what is wrong with them.

    Parameters
    ----------
    node : where they are declared, with what its parameter file and command line give.
    table : the specification of each parameter, by name.

    Attributes
    ----------
    problems : for each parameter whose given value was refused at the start, the sentence about
        it. Until it is empty, the node must not become active.
    """

    def __init__(self, node: Node, table: Mapping[str, ParameterSpec]) -> None:
        self._node = node
        self._table = table
        self.problems: dict[str, str] = {}
        for name, spec in table.items():
            # Read what was given before it is enforced: rclpy would raise without saying what is
            # accepted.
            given = node.declare_parameter(
                name, spec.default, ParameterDescriptor(dynamic_typing=True)
            ).value
            node.undeclare_parameter(name)
            problem = spec.problem(given)
            if problem is not None:
                self.problems[name] = self._sentence(name, given, problem)
            node.declare_parameter(
                name, spec.default, spec.descriptor(), ignore_override=problem is not None
            )

    def _sentence(self, name: str, given: Any, problem: str) -> str:
        node = self._node.get_fully_qualified_name()
        if self._table[name].changes == START:
            remedy = "mend it in the parameter file and start the node again"
        else:
            remedy = f"mend it in the parameter file, or: ros2 param set {node} {name} VALUE"
        return f"parameter '{name}' was given as {given!r}, but {problem}; {remedy}"

    def unknown(self) -> list[str]:
        """Names that were given to this node but that it does not have: most often a slip of the
        pen in a file.
        """
        # rclpy has no public way to ask for this; without the attribute the service to the user is
        # lost, and nothing else.
        given: Mapping[str, Any] = getattr(self._node, "_parameter_overrides", {})
        return sorted(
            name for name in given if name not in self._table and not name.startswith(_ROS_OWN)
        )

    def values(self) -> dict[str, Any]:
        """Name and value of every parameter, as of now."""
        return {name: self._node.get_parameter(name).value for name in self._table}

    def preview(
        self, changes: Sequence[Parameter], configured: bool
    ) -> tuple[dict[str, Any] | None, str]:
        """The values as they would be after `changes`, or None and the reason why they are refused.

        Parameters
        ----------
        changes : what somebody asks to set; names that are not in the table are passed over.
        configured : whether the node has taken up its models and topics.
        """
        values: dict[str, Any] = {}
        for parameter in changes:
            spec = self._table.get(parameter.name)
            if spec is None:
                continue
            problem = spec.problem(parameter.value)
            if problem is not None:
                return None, f"'{parameter.name}' was given as {parameter.value!r}, but {problem}"
            if configured and spec.changes == CONFIGURE:
                node = self._node.get_fully_qualified_name()
                return None, (
                    f"'{parameter.name}' can change only while the node is unconfigured: ros2 "
                    f"lifecycle set {node} "
                    "deactivate, then cleanup; set it; then configure and activate"
                )
            values[parameter.name] = parameter.value
        return {**self.values(), **values}, ""

    def accept(self, changes: Sequence[Parameter]) -> None:
        """Note that these changes were taken: a parameter that was refused at the start is now
        mended.
        """
        for parameter in changes:
            self.problems.pop(parameter.name, None)
