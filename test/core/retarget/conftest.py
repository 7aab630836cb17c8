"""A small robot hand of two fingers, the Shadow Hand, and human hands in the operator frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.models.errors import ModelError
from vitpose_ros.retarget.palm_frame import palm_axes
from vitpose_ros.retarget.robot import Robot, load_robot
from vitpose_ros.synthetic.scene import Scene

from .two_fingers import YAML, urdf

ROBOTS = Path(__file__).resolve().parents[3] / "config" / "robots"


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
    """The right hand of the rendered grasp at 30 Hz, each (21, 3) m in the palm's frame."""
    scene = Scene("grasp", seed=3, hands=1)
    hands = [scene.truth(number / 30)[0] for number in range(int(30 * scene.duration_s))]
    poses = []
    for hand in hands:
        xyz = hand.xyz.astype(np.float64)
        axes = palm_axes(xyz, np.ones(21, bool), hand.side)
        assert axes is not None
        poses.append((xyz - xyz[0]) @ axes)
    return poses
