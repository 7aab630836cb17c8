"""Node parameters from a table: declared with ranges and read-only flags, and checked.

An invalid value from a file or the command line does not end the process. The error is kept, and a
valid value that is set later clears it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from vitpose_ros.parameters.spec import CONFIGURE, ROS_OWN, RUN, START, ParameterSpec


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
                name, spec.default, descriptor_of(spec), ignore_override=problem is not None
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
            if name not in self._table and not name.startswith(ROS_OWN)
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


def descriptor_of(spec: ParameterSpec) -> ParameterDescriptor:
    """The declaration that ROS enforces and `ros2 param describe` shows."""
    remark = {
        START: "read-only: restart the node to change it",
        CONFIGURE: "may change while the node is unconfigured",
        RUN: "may change at any time",
    }[spec.changes]
    descriptor = ParameterDescriptor(
        description=spec.description,
        additional_constraints=f"{spec.accepted()}; {remark}",
        read_only=spec.changes == START,
    )
    if spec.low is not None and spec.high is not None:
        if isinstance(spec.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=1)
            ]
    return descriptor
