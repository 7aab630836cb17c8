"""A small robot hand of two fingers, the Shadow Hand, and human hands in the operator frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.models.errors import ModelError
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.retarget.robot import Robot, load_robot
from vitpose_ros.synthetic.scene import Scene

ROBOTS = Path(__file__).resolve().parents[3] / "config" / "robots"

JOINT = """
  <joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>
    <origin xyz="{at}"/><axis xyz="{axis}"/>{limit}</joint>"""
LIMIT = '<limit lower="{low}" upper="{high}" effort="1" velocity="1"/>'

YAML = """
format: 1
name: two fingers
side: {side}
retargeter: least_squares
description: {{path: hand.urdf}}
palm: palm
operator_axes: {{x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1]}}
points: {{thumb_mcp: t1, thumb_ip: t2, thumb_tip: t3, index_mcp: i1, index_pip: i2, index_tip: i3}}
limits: {{velocity: 2.0, acceleration: 10.0}}
joints: {{thumb: {{}}, thumb_bend: {{}}, index: {{}}, index_bend: {{}}}}
safe_poses: {{open: {{}}}}
"""


def urdf(limit: str = LIMIT) -> str:
    """Two fingers of two joints each, in the axes of the operator frame."""
    links = ["palm", *(f"{f}{n}" for f in "ti" for n in (1, 2, 3))]
    text = "".join(f'<link name="{name}"/>' for name in links)
    for finger, name, y in (("t", "thumb", 0.04), ("i", "index", 0.0)):
        low = limit.format(low=-0.2, high=1.6)
        axis = "0 1 0"
        text += JOINT.format(
            name=name, parent="palm", child=f"{finger}1", at=f"0 {y} 0.09", axis=axis, limit=low
        )
        text += JOINT.format(
            name=f"{name}_bend",
            parent=f"{finger}1",
            child=f"{finger}2",
            at="0 0 0.04",
            axis=axis,
            limit=low,
        )
        text += (
            f'<joint name="{finger}_tip" type="fixed"><parent link="{finger}2"/>'
            f'<child link="{finger}3"/><origin xyz="0 0 0.03"/></joint>'
        )
    return f'<robot name="hand">{text}</robot>'


@pytest.fixture
def make_robot(tmp_path: Path) -> Callable[..., Robot]:
    """``make_robot(yaml=YAML, description=urdf())``."""

    def make(yaml: str = YAML.format(side="right"), description: str | None = None) -> Robot:
        (tmp_path / "hand.urdf").write_text(urdf() if description is None else description)
        (tmp_path / "robot.yaml").write_text(yaml)
        return load_robot(tmp_path / "robot.yaml")

    return make


@pytest.fixture(scope="session")
def shadow() -> Robot:
    """The Shadow Hand; the test is skipped where its description is not on this machine."""
    try:
        return load_robot(ROBOTS / "shadow.yaml")
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def grasp() -> list[np.ndarray]:
    """The right hand of the rendered grasp at 30 Hz, each (21, 3) m in the operator frame."""
    scene = Scene("grasp", seed=3, hands=1)
    hands = [scene.truth(number / 30)[0] for number in range(int(30 * scene.duration_s))]
    poses = []
    for hand in hands:
        xyz = hand.xyz.astype(np.float64)
        axes = operator_axes(xyz, hand.side)
        assert axes is not None
        poses.append((xyz - xyz[0]) @ axes)
    return poses
