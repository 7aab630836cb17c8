"""The launch files, run by the real launch where it is installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None,
    reason="launch and launch_ros are not on the Python package index: source a ROS to run these",
)

Run = Callable[..., Any]

TIMEOUT_S = 45.0

# `ros2 launch FILE name:=value ...`, without ros2cli
LAUNCH = """
import sys
import launch
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

given = [tuple(text.split(":=", 1)) for text in sys.argv[2:]]
service = launch.LaunchService(argv=sys.argv[2:], noninteractive=True)
service.include_launch_description(launch.LaunchDescription([
    IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=given),
]))
sys.exit(service.run())
"""


def launch_file(name: str) -> str:
    return os.path.join(get_package_share_directory("vitpose_ros"), "launch", name)


@pytest.fixture
def launch(run: Run, tmp_path: Path) -> Run:
    """``launch(file, *arguments, env=None)``: a running launch, ended with the test."""
    script = tmp_path / "launch_it"
    script.write_text(LAUNCH)

    def go(file: str, *arguments: str, **variables: str) -> Any:
        env = {**os.environ, "ROS_LOG_DIR": str(tmp_path / "log"), **variables}
        return run([sys.executable, str(script), file, *arguments], env=env)

    return go


def processes(marker: str) -> dict[int, str]:
    """Number and command line of the running processes whose command line has this text."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has ended
        if marker in command and "launch_it" not in command:
            found[int(folder.name)] = command
    return found


def alive(graph: Any) -> Callable[[], bool]:
    """Whether a pose node of the test's namespace has reported its state."""
    statuses = graph.listen(DiagnosticArray, "/diagnostics")
    return lambda: any(
        status.name.startswith(graph.namespace)
        for message in statuses.messages
        for status in message.status
    )


def parameters(graph: Any, node: str, *names: str) -> dict[str, Any]:
    request = GetParameters.Request(names=names)
    answer = graph.call(GetParameters, f"{node}/get_parameters", request)
    return dict(zip(names, map(parameter_value_to_python, answer.values), strict=True))


REFUSED = [
    ("params_file:=/nowhere.yaml", "params_file:=/nowhere.yaml: there is no such file"),
    ("log_level:=loud", "'debug', 'info', 'warn', 'error', 'fatal'"),
    ("max_hands:=many", "max_hands:=many: expected a whole number"),
    ("threads:=2.5", "threads:=2.5: expected a whole number"),
    ("input_mirrored:=perhaps", "input_mirrored:=perhaps: expected true or false"),
    ("rviz:=maybe", "'true', 'false'"),
]


@pytest.mark.parametrize(("argument", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_wrong_argument_is_refused_before_anything_starts(
    graph: Any, launch: Run, argument: str, said: str
) -> None:
    one = launch(launch_file("pose.launch.py"), f"namespace:={graph.namespace}", argument)
    assert one.wait() == 1
    assert said in one.output()
    assert "Traceback" not in one.output()
    assert "process started" not in one.output()


def test_without_rviz_its_package_is_named_and_the_node_runs(
    graph: Any, launch: Run, tmp_path: Path
) -> None:
    reported = alive(graph)
    path = ":".join(p for p in os.environ["PATH"].split(":") if not (Path(p) / "rviz2").exists())
    options = [f"namespace:={graph.namespace}", "rviz:=true", "autostart:=false"]
    one = launch(launch_file("pose.launch.py"), *options, PATH=path, ROS_DISTRO="jazzy")
    graph.wait_for(reported, "the node's diagnostics", TIMEOUT_S)
    assert "RViz is not installed" in one.output()
    assert "sudo apt install ros-jazzy-rviz2" in one.output()
    assert one.interrupt() == 0
    assert not processes(graph.namespace)
    assert "Traceback" not in one.output()


FAKE_RVIZ = """#!/bin/sh
echo "$@" > "$0.arguments.part"
mv "$0.arguments.part" "$0.arguments"
exec sleep 600
"""


@pytest.mark.usefixtures("models")
def test_rviz_takes_the_cameras_frame_and_all_ends_with_a_killed_launch(
    graph: Any, launch: Run, tmp_path: Path
) -> None:
    rviz = tmp_path / "rviz2"
    rviz.write_text(FAKE_RVIZ)
    rviz.chmod(0o755)
    file = tmp_path / "demo.launch.py"
    text = Path(launch_file("demo.launch.py")).read_text()
    file.write_text(text.replace('"script": ', '"frame_id": "head_lens", "script": '))
    path = f"{tmp_path}:{os.environ['PATH']}"
    one = launch(str(file), f"namespace:={graph.namespace}", PATH=path)
    arguments = tmp_path / "rviz2.arguments"
    graph.wait_for(arguments.exists, f"RViz; {one.output()}", TIMEOUT_S)
    given = arguments.read_text().split()
    assert given[0] == "-d" and given[1].endswith("share/vitpose_ros/config/pose.rviz")
    assert given[2:4] == ["-f", "head_lens"]
    assert f"__ns:={graph.namespace}" in given
    ours = [pid for pid in processes("vitpose_ros") if _parent(pid) == one.process.pid]
    rviz_pids = [pid for pid in processes("sleep 600") if _parent(pid) == one.process.pid]
    assert len(ours) == 2 and len(rviz_pids) == 1
    one.process.send_signal(signal.SIGKILL)
    one.process.wait()
    graph.wait_for(
        lambda: all(_parent(pid) is None for pid in [*ours, *rviz_pids]),
        "the end of the node, the camera and RViz",
        TIMEOUT_S,
    )


def _parent(pid: int) -> int | None:
    """A process's parent; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])


BROKEN = """
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

def generate_launch_description():
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource({file!r}),
            launch_arguments={{"namespace": {namespace!r}}}.items(),
        ),
        Node(package="no_such_package", executable="anything"),
    ])
"""


def test_a_node_does_not_outlive_a_launch_that_fails(
    graph: Any, launch: Run, tmp_path: Path
) -> None:
    file = tmp_path / "broken.launch.py"
    file.write_text(BROKEN.format(file=launch_file("pose.launch.py"), namespace=graph.namespace))
    one = launch(str(file))
    assert one.wait() == 1
    assert "no_such_package" in one.output()
    graph.wait_for(lambda: not processes(graph.namespace), "the node's end", TIMEOUT_S)


def test_arguments_of_two_cameras_reach_both_nodes_and_each_has_its_own_view(
    graph: Any, launch: Run
) -> None:
    first, second = f"{graph.namespace}/head", f"{graph.namespace}/wrist"
    one = launch(
        launch_file("two_cameras.launch.py"),
        *(f"camera_1:={first}", f"camera_2:={second}", "autostart:=false"),
        *("view_1:=third_person", "max_hands:=3", "threads:=1", "input_mirrored:=true"),
        *("image_transport:=compressed", "reliability:=reliable"),
    )
    given = {
        "max_hands": 3,
        "threads": 1,
        "input_mirrored": True,
        "image_transport": "compressed",
        "reliability": "reliable",
        "autostart": False,
        "smoothing": "balanced",
    }
    for namespace, view in ((first, "third_person"), (second, "egocentric")):
        expected = {**given, "view": view}
        assert parameters(graph, f"{namespace}/pose_node", *expected) == expected
    assert one.interrupt() == 0


GROUPS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def camera(**arguments):
    source = PythonLaunchDescriptionSource({file!r})
    arguments["autostart"] = "false"
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])

def generate_launch_description():
    return LaunchDescription([
        camera(namespace={first!r}, view="third_person", max_hands="5", threads="2"),
        camera(namespace={second!r}),
    ])
"""


def test_in_a_group_a_second_include_does_not_inherit_the_first_ones_arguments(
    graph: Any, launch: Run, tmp_path: Path
) -> None:
    first, second = f"{graph.namespace}/head", f"{graph.namespace}/wrist"
    file = tmp_path / "groups.launch.py"
    text = GROUPS.format(file=launch_file("pose.launch.py"), first=first, second=second)
    file.write_text(text)
    one = launch(str(file))
    for namespace, expected in (
        (first, {"view": "third_person", "max_hands": 5, "threads": 2}),
        (second, {"view": "egocentric", "max_hands": 2, "threads": 0}),
    ):
        assert parameters(graph, f"{namespace}/pose_node", *expected) == expected
    assert one.interrupt() == 0


def test_with_respawn_a_node_that_died_comes_back(graph: Any, launch: Run) -> None:
    reported = alive(graph)
    options = [f"namespace:={graph.namespace}", "autostart:=false", "respawn:=true"]
    one = launch(launch_file("pose.launch.py"), *options)
    graph.wait_for(reported, "the node's diagnostics", TIMEOUT_S)
    (pid,) = processes(graph.namespace)
    os.kill(pid, signal.SIGKILL)
    graph.wait_for(
        lambda: one.output().count("process started with pid") == 2, "a new node", TIMEOUT_S
    )
    (new,) = processes(graph.namespace)
    assert new != pid
    assert one.interrupt() == 0
    graph.wait_for(lambda: not processes(graph.namespace), "the node's end", TIMEOUT_S)
