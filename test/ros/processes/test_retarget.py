"""retarget_node as a process."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import cv2
import pytest
from ament_index_python.packages import get_package_prefix
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore

pytest.importorskip("mujoco")

ROBOT = runpy.run_path(str(Path(__file__).parents[2] / "core" / "retarget" / "two_fingers.py"))


def program(name: str) -> str:
    return str(Path(get_package_prefix("vitpose_ros")) / "lib" / "vitpose_ros" / name)


@pytest.mark.parametrize("in_background", [False, True])
def test_the_node_says_that_the_clutch_is_open_and_ends_on_sigint_without_a_traceback(
    graph: Any, start: Any, tmp_path: Path, in_background: bool
) -> None:
    (tmp_path / "hand.urdf").write_text(ROBOT["urdf"]())
    (tmp_path / "robot.yaml").write_text(ROBOT["YAML"].format(side="right"))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    states = graph.listen(String, "retarget_node/state", latched)
    node = start(
        "retarget_node",
        *("--ros-args", "-r", f"__ns:={graph.namespace}"),
        *("-p", f"robot:={tmp_path / 'robot.yaml'}"),
        in_background=in_background,
    )
    states.wait(lambda m: m.data.startswith("released: the clutch is open"), "the open clutch")
    assert node.interrupt() == 0, node.output()
    assert "Traceback" not in node.output()


def test_a_node_without_a_robot_stays_alive_says_why_and_ends_on_sigint(
    graph: Any, start: Any
) -> None:
    node = start("retarget_node", "--ros-args", "-r", f"__ns:={graph.namespace}")
    graph.wait_for(lambda: "no robot is named" in node.output(), "the reason in its output")
    assert node.process.poll() is None
    assert node.interrupt() == 0
    assert "Traceback" not in node.output()


@pytest.mark.usefixtures("models")
@pytest.mark.timeout(180)
def test_the_demo_with_a_robot_writes_film_picture_and_figures(run: Any, tmp_path: Path) -> None:
    try:
        ModelStore().get("shadow-hand")
    except ModelError as error:
        pytest.skip(str(error))
    options = ["--robot", "shadow", "--duration", "6", "--script", "still"]
    demo = run([program("demo"), *options, "--output", str(tmp_path)])
    assert demo.process.wait(170) == 0, demo.output()
    figures = json.loads((tmp_path / "summary.json").read_text())["robot"]
    assert {"robot", "images_followed", "tip_error_to_truth_mm"} <= set(figures)
    if figures["images_followed"]:  # a very busy machine is too slow for a robot
        assert 0 < figures["tip_error_mm"]["mean"] < 60, demo.output()
    assert figures["image_to_command_ms"]["p50"] > 0
    picture = cv2.imread(str(tmp_path / "robot.png"))
    assert picture.shape == (644, 1280, 3)
    assert (tmp_path / "robot.mp4").stat().st_size > 10_000
    assert not (tmp_path / "overlay.mp4").exists()
