"""The launch files, evaluated with stand-ins for launch's classes, which only record what they were
given. test/ros/processes/test_launch.py runs them with the real launch.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vitpose_ros.program import LAUNCH_PID
from vitpose_ros.synthetic.scene import SCRIPTS

ROOT = Path(__file__).resolve().parent.parent

MODULES = {
    "launch": ["LaunchDescription"],
    "launch.actions": [
        *("DeclareLaunchArgument", "GroupAction", "IncludeLaunchDescription", "LogInfo"),
        *("OpaqueFunction", "Shutdown", "ExecuteProcess"),
    ],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.parameter_descriptions": ["ParameterValue"],
}


class Recorded:
    """In the place of every class of launch and launch_ros."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments, self.options = arguments, options

    def perform(self, context: dict[str, str]) -> str:
        return context.get(self.arguments[0], self.options.get("default"))


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, classes in MODULES.items():
        module = types.ModuleType(name)
        module.__dict__.update({one: type(one, (Recorded,), {}) for one in classes})
        monkeypatch.setitem(sys.modules, name, module)
    # Imported anew with the stand-ins, and not kept.
    monkeypatch.setitem(sys.modules, "vitpose_ros.ros.launching", None)
    del sys.modules["vitpose_ros.ros.launching"]


def load(name: str) -> tuple[dict[str, Any], list[Any]]:
    """A launch file's names, and the actions of its description."""
    names = runpy.run_path(str(ROOT / "launch" / name))
    return names, names["generate_launch_description"]().arguments[0]


def walk(actions: list[Any]) -> Iterator[tuple[Any, bool]]:
    """Every action, and whether it is in a group."""
    for action in actions:
        yield action, False
        if type(action).__name__ == "GroupAction":
            yield from ((inner, True) for inner, _ in walk(action.arguments[0]))


def of(kind: str, actions: list[Any]) -> list[Any]:
    return [action for action, _ in walk(actions) if type(action).__name__ == kind]


def defaults(actions: list[Any]) -> dict[str, Any]:
    declared = of("DeclareLaunchArgument", actions)
    return {action.arguments[0]: action.options["default_value"] for action in declared}


def pose_node(context: dict[str, str]) -> Any:
    """The node's action, for these arguments."""
    _, actions = load("pose.launch.py")
    (function,) = of("OpaqueFunction", actions)
    (node,) = function.options["function"]({**defaults(actions), **context})
    return node


GIVEN = [
    ({}, {}),
    ({"view": "third_person", "smoothing": "steady"}, None),
    ({"max_hands": "3", "threads": "1"}, {"max_hands": 3, "threads": 1}),
    (
        {"autostart": "false", "input_mirrored": "True"},
        {"autostart": False, "input_mirrored": True},
    ),
    ({"image_transport": "compressed", "reliability": "reliable"}, None),
]


@pytest.mark.parametrize(("given", "expected"), GIVEN, ids=[str(row[0]) for row in GIVEN])
def test_an_argument_overrides_the_parameter_file_only_if_it_is_given(
    given: dict[str, str], expected: dict[str, Any] | None
) -> None:
    file, overrides = pose_node(given).options["parameters"]
    assert file == defaults(load("pose.launch.py")[1])["params_file"]
    assert os.path.isfile(file)
    del overrides["use_sim_time"]
    values = {name: value.arguments[0] for name, value in overrides.items()}
    assert values == (given if expected is None else expected)
    assert all(type(v.arguments[0]) is v.options["value_type"] for v in overrides.values())


def test_arguments_that_are_parameters_have_the_parameters_names_and_types() -> None:
    names, actions = load("pose.launch.py")
    text = (ROOT / "config" / "pose.yaml").read_text()
    parameters = yaml.safe_load(text)["/**"]["ros__parameters"]
    kinds = {name: kind for name, (kind, _) in names["PARAMETERS"].items()}
    assert kinds == {name: type(parameters[name]) for name in kinds}
    assert {defaults(actions)[name] for name in kinds} == {""}


REFUSED = [
    ({"params_file": "/nowhere.yaml"}, r"params_file:=/nowhere.yaml: there is no such file"),
    ({"max_hands": "many"}, "max_hands:=many: expected a whole number"),
    ({"threads": "2.5"}, "threads:=2.5: expected a whole number"),
    ({"autostart": "perhaps"}, "autostart:=perhaps: expected true or false"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_a_wrong_argument_is_refused_with_a_sentence(given: dict[str, str], said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        pose_node(given)


def recording(tmp_path: Path, **given: str) -> tuple[list[str], Any]:
    """The recorder's command, and the marker's action."""
    _, actions = load("record.launch.py")
    (function,) = of("OpaqueFunction", actions)
    context = {**defaults(actions), "folder": str(tmp_path / "bags"), **given}
    recorder, marker = function.options["function"](context)
    return recorder.options["cmd"], marker


@pytest.mark.parametrize(
    ("given", "wanted", "unwanted"),
    [
        (
            {"image": "/camera/image_raw", "image_transport": "compressed"},
            ["/camera/image_raw/compressed", "/camera/camera_info", "/skeletons", "/tf_static"],
            ["/camera/image_raw", "/camera/image_raw/compressed/x", "/skeletons2"],
        ),
        (
            {"image": "image_raw", "namespace": "left", "topics": "/arm/q /arm/v"},
            ["/left/image_raw", "/left/camera_info", "/left/episode_marks", "/arm/q"],
            ["/skeletons", "/image_raw", "/left/image_raw/compressed"],
        ),
    ],
    ids=["one camera", "in a namespace"],
)
def test_the_recorder_takes_the_cameras_and_the_nodes_topics(tmp_path, given, wanted, unwanted):
    command, marker = recording(tmp_path, **given)
    pattern = command[command.index("--regex") + 1]
    assert all(re.search(pattern, topic) for topic in wanted)
    assert not any(re.search(pattern, topic) for topic in unwanted)
    assert Path(command[command.index("-o") + 1]).parent == tmp_path / "bags"
    assert Path(command[command.index("--storage-config-file") + 1]).is_file()
    assert marker.options["parameters"][0]["folder"] == str(tmp_path / "bags")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_free_gb": "1e9"}, "GB are free in .*, less than min_free_gb:=1e"),
        ({"min_free_gb": "much"}, "min_free_gb:=much: expected a number"),
        ({"folder": "/proc/bags"}, "folder:=/proc/bags cannot be used"),
    ],
)
def test_a_recording_that_has_no_room_is_refused_before_it_begins(tmp_path, given, said):
    with pytest.raises(RuntimeError, match=said):
        recording(tmp_path, **given)


@pytest.mark.parametrize(
    "name", ["demo.launch.py", "two_cameras.launch.py", "record.launch.py"]
)
def test_an_included_file_does_not_leave_its_arguments_to_what_follows(name: str) -> None:
    _, actions = load(name)
    included = [
        grouped
        for action, grouped in walk(actions)
        if type(action).__name__ == "IncludeLaunchDescription"
    ]
    assert included and all(included)


@pytest.mark.parametrize("selected", [False, True], ids=["no profile yet", "a profile selected"])
def test_a_program_ends_with_its_launch_and_gets_the_profile_unless_one_is_selected(
    monkeypatch: pytest.MonkeyPatch, selected: bool
) -> None:
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    if selected:
        monkeypatch.setenv(names[1], "/mine.xml")
    env = pose_node({}).options["additional_env"]
    assert env.pop(LAUNCH_PID) == str(os.getpid())
    assert set(env) == (set() if selected else set(names))
    assert all(Path(file).name == "fastdds.xml" for file in env.values())


def test_without_rviz_the_launch_names_its_package_and_starts_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    _, actions = load("pose.launch.py")
    (message,) = of("LogInfo", actions)
    assert "sudo apt install ros-jazzy-rviz2" in message.options["msg"]
    assert not of("Node", actions)


@pytest.mark.parametrize(
    ("given", "expected"), [("", "camera"), ("x", "x/camera"), ("/x", "/x/camera")]
)
def test_the_demos_camera_is_in_the_nodes_namespace(given: str, expected: str) -> None:
    _, actions = load("demo.launch.py")
    (function,) = of("OpaqueFunction", actions)
    context = {"namespace": given} if given else {}
    (camera,) = function.options["function"](context)
    assert camera.options["namespace"] == expected


def test_the_demos_scripts_are_those_of_the_rendered_scene() -> None:
    _, actions = load("demo.launch.py")
    (script,) = [a for a in of("DeclareLaunchArgument", actions) if a.arguments[0] == "script"]
    assert script.options["choices"] == list(SCRIPTS)
