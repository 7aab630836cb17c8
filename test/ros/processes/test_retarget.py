"""retarget_node as a process."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

pytest.importorskip("mujoco")

ROBOT = runpy.run_path(str(Path(__file__).parents[2] / "core" / "retarget" / "two_fingers.py"))


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
