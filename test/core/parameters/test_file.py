"""The node's parameter file, read without ROS."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitpose_ros.parameters.file import ParameterFileError, load_parameters
from vitpose_ros.parameters.table import TABLE

DEFAULTS = {name: spec.default for name, spec in TABLE.items()}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_the_shipped_file_has_the_defaults():
    shipped = Path(__file__).resolve().parents[3] / "config" / "pose.yaml"
    assert vars(load_parameters(shipped)) == DEFAULTS == vars(load_parameters(None))


@pytest.mark.parametrize(
    "section", ["/**", "/*", "pose_node", "/pose_node", "/**/pose_node"], ids=str
)
def test_every_way_to_name_the_node_is_understood(tmp_path, section):
    path = write(tmp_path, f"{section}:\n  ros__parameters:\n    max_hands: 1\n")
    assert load_parameters(path).max_hands == 1


def test_later_sections_and_changes_win(tmp_path):
    path = write(
        tmp_path,
        "/**:\n  ros__parameters: {max_hands: 1, view: auto}\n"
        "pose_node:\n  ros__parameters: {max_hands: 3}\n",
    )
    parameters = load_parameters(path, {"view": "third_person"})
    assert (parameters.max_hands, parameters.view) == (3, "third_person")


def test_other_nodes_sections_are_passed_over_and_unknown_names_are_told(tmp_path):
    told: list[str] = []
    path = write(
        tmp_path,
        "camera:\n  ros__parameters: {rate: 3}\n"
        "/**:\n  ros__parameters: {use_sim_time: true, max_hand: 1}\n",
    )
    assert vars(load_parameters(path, tell=told.append)) == DEFAULTS
    assert len(told) == 1 and "max_hand" in told[0] and "use_sim_time" not in told[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_hands: 1\n", "is no parameter file of ROS 2"),
        ("a: [1\n", "cannot be read"),
        ("left/pose_node:\n  ros__parameters: {max_hands: 1}\n", "no section for /pose_node"),
        ("/**:\n  ros__parameters: {max_hands: 1.0}\n", "expected a whole number from 1 to 16"),
        ("/**:\n  ros__parameters: {view: above}\n", "'egocentric' or 'third_person'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_accepted(tmp_path, text, reason):
    with pytest.raises(ParameterFileError, match=r"(?s).*") as error:
        load_parameters(write(tmp_path, text))
    assert reason in str(error.value)
