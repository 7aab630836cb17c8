"""The table of parameters agrees with the dataclass, the shipped file and the core's own limits."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

from vitpose_ros.parameters.smoothing import SMOOTHING_TABLE
from vitpose_ros.parameters.spec import CONFIGURE, RUN, START, ParameterSpec
from vitpose_ros.parameters.table import TABLE, Parameters
from vitpose_ros.pipeline import Settings
from vitpose_ros.ros.declare import descriptor_of
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings

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


def test_the_documentation_has_every_parameter_and_when_it_may_change() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "node.md").read_text()
    section = text.partition("## Parameters")[2].partition("## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section, re.MULTILINE)
    said = {START: "at the start", CONFIGURE: "while unconfigured", RUN: "at any time"}
    assert dict(rows) == {name: said[spec.changes] for name, spec in TABLE.items()}


def test_every_default_is_one_that_is_accepted() -> None:
    assert {name: spec.problem(spec.default) for name, spec in TABLE.items()} == dict.fromkeys(
        TABLE
    )


def test_what_may_change_at_run_time_covers_all_that_the_pipeline_takes_over() -> None:
    taken = {field.name for field in (*fields(HandSettings), *fields(PersonSettings))} - {"static"}
    assert all(TABLE[name].changes == RUN for name in {*taken, *SMOOTHING_TABLE})
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


FILTER_NUMBERS = {field.name for field in fields(SmoothingSettings)} - {"gate", "hold_s"}


def test_every_number_of_the_filter_is_a_parameter_of_custom() -> None:
    assert {name for name in TABLE if name.startswith("smoothing_")} == {
        f"smoothing_{name}" for name in FILTER_NUMBERS
    }


@pytest.mark.parametrize("name", sorted(FILTER_NUMBERS))
def test_every_number_in_range_reaches_the_filter_of_custom_and_only_that(name: str) -> None:
    spec = TABLE[f"smoothing_{name}"]
    for edge in (spec.low, spec.high):
        given = {f"smoothing_{name}": edge, "smoothing": "custom"}
        parameters = Parameters(**{**DEFAULTS, **given})
        assert getattr(parameters.settings().smoothing, name) == edge
        assert f"{name}={edge:g}" in parameters.smoothing_text
        assert not parameters.without_effect(TABLE)
        idle = replace(parameters, smoothing="balanced")
        assert idle.settings().smoothing == SmoothingSettings()
        assert f"smoothing_{name}: no effect while smoothing is 'balanced'" in (
            idle.without_effect(TABLE)
        )


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("hold_s", [0.0, 0.05, 0.5, 1.0])
def test_a_preset_is_itself_but_for_the_gate_and_the_time_of_holding(
    name: str, hold_s: float
) -> None:
    given = {"smoothing": name, "hold_time": hold_s, "outlier_gate": False}
    parameters = Parameters(**{**DEFAULTS, **given, "smoothing_beta": 9.0})
    expected = replace(PRESETS[name], gate=False, hold_s=hold_s)
    assert parameters.settings().smoothing == expected
    assert parameters.smoothing_text == name
    assert parameters.without_effect(["smoothing_beta"])
    assert not parameters.without_effect(["max_hands"])


WHOLE = ParameterSpec(3, "", low=1, high=9)
SHARE = ParameterSpec(0.5, "", low=0.0, high=1.0)
CHOICE = ParameterSpec("raw", "", choices=("raw", "compressed"))
SWITCH = ParameterSpec(True, "")

# specification, value, the error (None: valid)
VALUES = [
    (WHOLE, 9, None),
    (WHOLE, 10, "expected a whole number from 1 to 9, got 10"),
    (WHOLE, 3.0, "expected a whole number from 1 to 9, got 3.0"),
    (WHOLE, True, "expected a whole number from 1 to 9, got True"),
    (WHOLE, "3", "expected a whole number from 1 to 9, got '3'"),
    (WHOLE, None, "expected a whole number from 1 to 9, got None"),
    (SHARE, 1.0, None),
    (SHARE, 1, "expected a number with a decimal point from 0 to 1, got 1; write 1.0"),
    (SHARE, -0.1, "expected a number with a decimal point from 0 to 1, got -0.1"),
    (SHARE, float("nan"), "expected a number with a decimal point from 0 to 1, got nan"),
    (SHARE, True, "expected a number with a decimal point from 0 to 1, got True"),
    (CHOICE, "compressed", None),
    (CHOICE, "zip", "expected 'raw' or 'compressed', got 'zip'"),
    (SWITCH, False, None),
    (SWITCH, 0, "expected true or false, got 0"),
    (SWITCH, "true", "expected true or false, got 'true'"),
]


@pytest.mark.parametrize(("spec", "value", "said"), VALUES)
def test_a_value_is_valid_or_the_error_names_what_is(
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
        descriptor = descriptor_of(spec)
        assert descriptor.description, name
        assert descriptor.read_only == (spec.changes == START), name
        assert descriptor.additional_constraints.endswith(remarks[spec.changes]), name
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [] if spec.low is None else [(spec.low, spec.high)]
        ), name


def test_a_preset_decides_until_a_parameter_differs_from_its_default() -> None:
    parameters = Parameters(**{**DEFAULTS, "preset": "exact"})
    assert parameters.choice().topdown.precision == "fp32"
    assert parameters.settings().hands.search_tiles_per_frame == 4
    own = replace(parameters, search_tiles_per_frame=2, precision="bf16", hand_model="mine")
    assert own.settings().hands.search_tiles_per_frame == 2
    assert own.choice().topdown.precision == "bf16"
    assert own.choice().models.hand_model == "mine"
    assert "set by hand: hand_model, precision, search_tiles_per_frame" in own.choice().reason


def test_without_a_preset_the_parameters_are_as_they_are() -> None:
    choice = Parameters(**{**DEFAULTS, "body_model": "vitpose-b"}).choice()
    assert choice.models.body_model == "vitpose-b" and choice.reason == ""
