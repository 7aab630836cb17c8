"""How programs start: with a broken configuration, without a home folder, and under a launch."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray

from vitpose_ros.models.store import ModelStore

Start = Finish = Callable[..., Any]

TIMEOUT_S = 45.0


def program(name: str) -> str:
    return str(Path(get_package_prefix("vitpose_ros")) / "lib" / "vitpose_ros" / name)


def one_line(text: str) -> str:
    """Without the breaks of a narrow terminal."""
    return " ".join(text.split())


def ended(pid: int) -> bool:
    """Whether a process that is not our child has ended; nobody may have collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


# a parameter file, and what must be said about it
BROKEN = [
    ("/**:\n  ros__parameters:\n    max_hands: [1\n  x", "near line 3"),
    ("/**:\n  max_hands: 3\n", "before ros__parameters at line 2"),
    ("/**:\n  ros__parameters:\n    max_hands: [1, a]\n", "same type"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN, ids=[row[1] for row in BROKEN])
def test_a_broken_parameter_file_is_named_with_its_line(
    finish: Finish, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    code, output = finish("pose_node", "--ros-args", "--params-file", str(file))
    assert code == 2, output
    assert f"pose_node: the parameter file '{file}' cannot be read" in output
    assert said in output and "config/pose.yaml" in output
    assert "Traceback" not in output


# HOME, and what must be said
HOMELESS = [("/proc", "cannot write its log to '/proc/.ros/log'"), (None, "has no home folder")]


@pytest.mark.parametrize(("home", "said"), HOMELESS, ids=["read-only home", "no home"])
@pytest.mark.parametrize("name", ["pose_node", "synthetic_camera", "demo"])
def test_without_a_home_a_program_names_the_variable_to_set(
    finish: Finish, tmp_path: Path, name: str, home: str | None, said: str
) -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("HOME", "ROS_LOG_DIR")}
    env.update({"HOME": home} if home else {})
    arguments = ["--output", str(tmp_path)] if name == "demo" else []
    code, output = finish(name, *arguments, env=env)
    assert code == (1 if name == "demo" else 2), output
    assert said in one_line(output) and "set ROS_LOG_DIR" in one_line(output)
    assert "Traceback" not in output


NO_SUCH_USER = """
import pwd

def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = getpwuid
"""


@pytest.mark.parametrize(
    ("name", "arguments", "has_store", "said"),
    [
        ("pose_node", [], False, "Set VITPOSE_ROS_MODELS"),
        ("pose_node", [], True, "Set HOME"),
        ("vitpose_ros", ["models", "list"], False, "Set VITPOSE_ROS_MODELS"),
    ],
    ids=["node", "node with a store", "command line"],
)
def test_for_an_unknown_user_without_a_home_the_variable_to_set_is_named(
    graph: Any,
    run: Callable[..., Any],
    models: ModelStore,
    tmp_path: Path,
    name: str,
    arguments: list[str],
    has_store: bool,
    said: str,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_SUCH_USER)
    unset = ("HOME", "VITPOSE_ROS_MODELS", "XDG_DATA_HOME")
    env = {key: value for key, value in os.environ.items() if key not in unset}
    if has_store:
        env["VITPOSE_ROS_MODELS"] = str(models.root)
    env["PYTHONPATH"] = f"{tmp_path}:{env.get('PYTHONPATH', '')}"
    env["ROS_LOG_DIR"] = str(tmp_path / "log")
    remap = ["--ros-args", "-r", f"__ns:={graph.namespace}"] if name == "pose_node" else []
    one = run([program(name), *arguments, *remap], env=env)
    graph.wait_for(lambda: said in one_line(one.output()), f"'{said}'", TIMEOUT_S)
    assert "Traceback" not in one.output()


@pytest.mark.parametrize("stage", ["numpy", "cv2", "rclpy"])
@pytest.mark.parametrize("name", ["pose_node", "vitpose_ros"])
def test_ctrl_c_while_a_program_is_imported_ends_it_without_a_traceback(
    start: Start, name: str, stage: str
) -> None:
    one = start(name, *(["models", "list"] if name == "vitpose_ros" else []))
    maps = Path(f"/proc/{one.process.pid}/maps")
    deadline_s = time.monotonic() + TIMEOUT_S
    with contextlib.suppress(OSError):  # it has finished already
        while one.process.poll() is None and stage not in maps.read_text():
            assert time.monotonic() < deadline_s, f"{stage} was never loaded"
    # 0: it had finished, or had begun to work; 130: it was still starting.
    assert one.interrupt() in (0, 130), one.output()
    assert "Traceback" not in one.output() and "Error" not in one.output()


def test_a_program_ends_with_the_launch_that_started_it(
    graph: Any, run: Callable[..., Any]
) -> None:
    statuses = graph.listen(DiagnosticArray, "/diagnostics")
    node = program("pose_node")
    launch = (
        "import os, signal, subprocess, sys\n"
        "env = {**os.environ, 'VITPOSE_ROS_LAUNCH_PID': str(os.getpid())}\n"
        "print(subprocess.Popen(sys.argv[1:], env=env).pid, flush=True)\n"
        "signal.pause()"
    )
    options = ["--ros-args", "-r", f"__ns:={graph.namespace}"]
    launched = run([sys.executable, "-c", launch, node, *options])

    def alive() -> bool:
        return any(s.name.startswith(graph.namespace) for m in statuses.messages for s in m.status)

    graph.wait_for(alive, "the node's diagnostics", TIMEOUT_S)
    pid = int(launched.output().split()[0])
    launched.process.kill()
    launched.process.wait()
    try:
        graph.wait_for(lambda: ended(pid), "the node's end", TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_program_whose_launch_has_already_ended_does_not_start(finish: Finish) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    env = {**os.environ, "VITPOSE_ROS_LAUNCH_PID": str(ended.pid)}
    code, output = finish("pose_node", env=env)
    assert code == 1
    assert output == "pose_node: the launch that started it has ended\n"
