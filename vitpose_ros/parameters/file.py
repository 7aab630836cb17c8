"""The node's parameter file, read without ROS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vitpose_ros.parameters.spec import ROS_OWN
from vitpose_ros.parameters.table import TABLE, Parameters

NODE = "/pose_node"
"""The node whose parameters are read; sections of a file name nodes."""


class ParameterFileError(ValueError):
    """A file or a value that cannot be used; the text says what is accepted."""


def load_parameters(
    path: Path | None,
    changes: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Parameters:
    """The parameters that `pose_node` would have with a file.

    Parameters
    ----------
    path : the file; None for the defaults.
    changes : further values, which win.
    tell : called with a sentence about parameters that have no effect.

    Raises
    ------
    ParameterFileError : the file cannot be read, has no section for the node, or a value is not
        valid.
    """
    given = {} if path is None else _read(path, tell)
    for name in changes or {}:
        if name not in TABLE:
            raise ParameterFileError(
                f"there is no parameter '{name}'; known are {', '.join(sorted(TABLE))}"
            )
    values = {name: spec.default for name, spec in TABLE.items()} | given | dict(changes or {})
    for name, spec in TABLE.items():
        if problem := spec.problem(values[name]):
            raise ParameterFileError(f"parameter '{name}': {problem}")
    parameters = Parameters(**values)
    if problem := parameters.problem():
        raise ParameterFileError(problem)
    if remark := parameters.without_effect([*given, *(changes or {})]):
        tell(remark)
    return parameters


def _read(path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterFileError(f"the parameter file {path} cannot be read: {error}") from error
    sections = list(_sections(content, ""))
    if not sections:
        raise ParameterFileError(
            f"{path} is no parameter file of ROS 2: a node's name (or /**), then ros__parameters, "
            "then the parameters, as in config/pose.yaml"
        )
    mine = [values for name, values in sections if _matches(name)]
    if not mine:
        named = ", ".join(name for name, _ in sections)
        raise ParameterFileError(f"{path} has no section for {NODE} or /**, only for {named}")
    given: dict[str, Any] = {}
    for values in mine:
        given |= values
    unknown = [name for name in given if name not in TABLE and not name.startswith(ROS_OWN)]
    if unknown:
        tell(f"{path}: no effect of {', '.join(sorted(unknown))}: pose_node has no such parameter")
    return {name: value for name, value in given.items() if name in TABLE}


def _sections(content: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(node name, parameters); namespaces may be levels of their own."""
    if not isinstance(content, dict):
        return
    for name, inner in content.items():
        if name == "ros__parameters":
            if isinstance(inner, dict):
                yield prefix, inner
        else:
            yield from _sections(inner, f"{prefix}/{str(name).strip('/')}")


def _matches(section: str) -> bool:
    pattern = re.escape(section).replace(r"/\*\*", "(/.*)?").replace(r"\*", "[^/]*")
    return re.fullmatch(pattern, NODE) is not None
