"""The table of parameters agrees with the dataclass, the shipped file and the core's own limits."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

from vitpose_ros.bodies import PersonSettings
from vitpose_ros.hands import HandSettings
from vitpose_ros.pipeline import Settings
from vitpose_ros.ros.declare import CONFIGURE, RUN, START, ParameterSpec
from vitpose_ros.ros.parameters import TABLE, Parameters

DEFAULTS = {name: spec.default for name, spec in TABLE.items()}


def shipped() -> dict[str, Any]:
    path = Path(get_package_share_directory("vitpose_ros")) / "config" / "pose.yaml"
    return yaml.safe_load(path.read_text())["/**"]["ros__parameters"]


def test_the_table_has_exactly_the_fields_of_the_dataclass() -> None:
    assert sorted(TABLE) == sorted(field.name for field in fields(Parameters))


def test_the_types_of_the_defaults_are_those_of_the_dataclass() -> None:
    types = {field.name: field.type for field in fields(Parameters)}
    assert {name: type(value).__name__ for name, value in DEFAULTS.items()} == types


def test_the_shipped_file_has_every_parameter_with_its_default() -> None:
    file = shipped()
    assert file == DEFAULTS
    assert {name: type(value) for name, value in file.items()} == {
        name: type(value) for name, value in DEFAULTS.items()
    }


def test_the_shipped_file_marks_exactly_those_that_may_change_at_run_time() -> None:
    path = Path(get_package_share_directory("vitpose_ros")) / "config" / "pose.yaml"
    marked, comment = set(), ""
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment += text
        else:
            if "[run]" in comment and text.partition(":")[0] in TABLE:
                marked.add(text.partition(":")[0])
            comment = ""
    assert marked == {name for name, spec in TABLE.items() if spec.changes == RUN}


def test_every_default_is_one_that_is_accepted() -> None:
    assert {name: spec.problem(spec.default) for name, spec in TABLE.items()} == dict.fromkeys(
        TABLE
    )


def test_what_may_change_at_run_time_covers_all_that_the_pipeline_takes_over() -> None:
    taken = {field.name for field in (*fields(HandSettings), *fields(PersonSettings))} - {"static"}
    assert all(TABLE[name].changes == RUN for name in taken)
    assert Parameters(**DEFAULTS).settings() == Settings()


NUMBERS = [
    (kind, field.name)
    for kind in (HandSettings, PersonSettings)
    for field in fields(kind)
    if not isinstance(field.default, bool)
]


@pytest.mark.parametrize(("settings", "name"), NUMBERS)
def test_the_table_and_the_pipeline_have_the_same_limits(settings: type, name: str) -> None:
    spec = TABLE[name]
    kind = type(spec.default)
    step = 1 if kind is int else 0.001
    for edge in (spec.low, spec.high):
        assert spec.problem(kind(edge)) is None
        settings(**{name: kind(edge)})
    for beyond in (kind(spec.low - step), kind(spec.high + step)):
        assert spec.problem(beyond) is not None
        with pytest.raises(ValueError, match=name):
            settings(**{name: beyond})


WHOLE = ParameterSpec(3, "", low=1, high=9)
SHARE = ParameterSpec(0.5, "", low=0.0, high=1.0)
CHOICE = ParameterSpec("raw", "", choices=("raw", "compressed"))
SWITCH = ParameterSpec(True, "")

# specification, value, what is said about it (None: accepted)
VALUES = [
    (WHOLE, 9, None),
    (WHOLE, 10, "accepted is a whole number from 1 to 9"),
    (WHOLE, 3.0, "accepted is a whole number from 1 to 9"),
    (WHOLE, True, "accepted is a whole number from 1 to 9"),
    (WHOLE, "3", "accepted is a whole number from 1 to 9"),
    (WHOLE, None, "accepted is a whole number from 1 to 9"),
    (SHARE, 1.0, None),
    (SHARE, 1, "accepted is a number with a decimal point from 0 to 1; write 1.0"),
    (SHARE, -0.1, "accepted is a number with a decimal point from 0 to 1"),
    (SHARE, float("nan"), "accepted is a number with a decimal point from 0 to 1"),
    (SHARE, True, "accepted is a number with a decimal point from 0 to 1"),
    (CHOICE, "compressed", None),
    (CHOICE, "zip", "accepted is 'raw' or 'compressed'"),
    (SWITCH, False, None),
    (SWITCH, 0, "accepted is true or false"),
    (SWITCH, "true", "accepted is true or false"),
]


@pytest.mark.parametrize(("spec", "value", "said"), VALUES)
def test_a_value_is_accepted_or_it_is_said_what_is(
    spec: ParameterSpec, value: Any, said: str | None
) -> None:
    assert spec.problem(value) == said


def test_a_declaration_shows_range_and_when_the_parameter_may_change() -> None:
    remarks = {
        START: "read-only: restart the node to change it",
        CONFIGURE: "may change while the node is unconfigured",
        RUN: "may change at any time",
    }
    for name, spec in TABLE.items():
        descriptor = spec.descriptor()
        assert descriptor.description, name
        assert descriptor.read_only == (spec.changes == START), name
        assert descriptor.additional_constraints.endswith(remarks[spec.changes]), name
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [] if spec.low is None else [(spec.low, spec.high)]
        ), name
