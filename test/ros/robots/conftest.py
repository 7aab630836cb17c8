"""Hands in metres, and message packages that ROS has and its wheels lack.

Those packages are built here, with the same names and fields, and exist only in the tests'
temporary folder: beside a real ROS they would shadow the real ones. Where the real package is
installed, it is used.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.synthetic.anatomy import HandPose, bone_maps, hand21_m
from vitpose_ros.synthetic.motion import OPEN
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource

MESSAGES = {
    "tf2_msgs": ("TFMessage", "geometry_msgs/TransformStamped[] transforms\n"),
    "teleop_ros2_interfaces": (
        "NamedPoseArray",
        "std_msgs/Header header\nstring[] name\ngeometry_msgs/Pose[] pose\nbool[] is_valid\n",
    ),
}
CMAKE = """cmake_minimum_required(VERSION 3.16)
project({package})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(std_msgs REQUIRED)
find_package(geometry_msgs REQUIRED)
rosidl_generate_interfaces(
  ${{PROJECT_NAME}} "msg/{message}.msg" DEPENDENCIES std_msgs geometry_msgs
)
ament_package()
"""
PACKAGE = """<package format="3">
  <name>{package}</name><version>0.0.0</version><description>For tests.</description>
  <maintainer email="maintainers@vitpose-ros.example.org">tests</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  <depend>std_msgs</depend><depend>geometry_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""


def _build(packages: list[str], folder: Path) -> Path:
    """Build packages of one message each; their install folder."""
    install = folder / "install"
    for package in packages:
        source = folder / "src" / package
        message, text = MESSAGES[package]
        (source / "msg").mkdir(parents=True)
        (source / "msg" / f"{message}.msg").write_text(text)
        (source / "CMakeLists.txt").write_text(CMAKE.format(package=package, message=message))
        (source / "package.xml").write_text(PACKAGE.format(package=package))
    command = [sys.executable, "-m", "colcon", "--log-base", folder / "log", "build"]
    command += ["--merge-install", "--base-paths", folder / "src", "--build-base", folder / "build"]
    command += ["--install-base", install, "--cmake-args", "-DBUILD_TESTING=OFF"]
    command += [f"-DPython3_EXECUTABLE={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return install


def _load(packages: list[str], install: Path) -> None:
    """Make packages that were built after this process started importable in it."""
    libraries = [path for p in packages for path in (install / "lib").glob(f"lib{p}__*.so")]
    while libraries:  # each needs others that must be loaded before it
        loaded = [library for library in libraries if _opens(library)]
        assert loaded, f"none of these can be loaded: {libraries}"
        libraries = [library for library in libraries if library not in loaded]
    for package in packages:
        (module,) = install.glob(f"**/*-packages/{package}")
        if str(module.parent) not in sys.path:
            sys.path.append(str(module.parent))
    importlib.invalidate_caches()


def _opens(library: Path) -> bool:
    try:
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The message classes by their package."""
    missing = [package for package in MESSAGES if importlib.util.find_spec(package) is None]
    if missing:
        if importlib.util.find_spec("colcon_core") is None:
            pytest.skip(f"{', '.join(missing)}: not installed, nor is colcon, which builds them")
        _load(missing, _build(missing, tmp_path_factory.mktemp("foreign")))
    return {
        package: getattr(importlib.import_module(f"{package}.msg"), message)
        for package, (message, _) in MESSAGES.items()
    }


@pytest.fixture(scope="session")
def true_hand() -> Callable[..., Instance]:
    """``true_hand(side, track_id, space="xyz", unknown=(), pinch_m=None, ...)``: a confirmed hand.

    Its joints are known exactly, in the given space only. `pinch_m` is the distance between the
    tips of thumb and index finger, for a hand of adult size.
    """

    def make(
        side: Side,
        track_id: int,
        space: str = "xyz",
        unknown: tuple[int, ...] = (),
        pinch_m: float | None = None,
        **fields: Any,
    ) -> Instance:
        pose = HandPose(np.array(OPEN, float))
        points = hand21_m(bone_maps(pose, 1.0, np.array((-0.3, 0.0, 0.0)))[0])
        if side is Side.LEFT:
            points[:, 1] *= -1
        if pinch_m is not None:
            size = np.linalg.norm(points[9] - points[0]) / 0.097
            away = points[4] - points[8]
            points[4] = points[8] + pinch_m * size * away / np.linalg.norm(away)
        points = (points + np.array((0.0, 0.1, 0.5))).astype(np.float32)
        points[list(unknown)] = np.nan
        uv = 30 + 100 * points[:, :2]
        state = np.where(np.isnan(uv[:, 0]), JointState.ABSENT, JointState.MEASURED)
        known = ~np.isnan(points[:, 0]) if space == "xyz" else np.zeros(21, bool)
        keypoints = Keypoints(
            HAND21,
            uv,
            (state > 0).astype(np.float32),
            state.astype(np.uint8),
            z_source=np.where(known, ZSource.MEASURED, ZSource.NONE).astype(np.uint8),
            **{space: points},
        )
        fields = {"side": side, "track_state": TrackState.CONFIRMED, "side_score": 0.9, **fields}
        return Instance(keypoints, 0.9, "fake", track_id=track_id, **fields)

    return make


class Robot:
    """A camera, the node's fake pipeline, and the topics that a robot listens to."""

    def __init__(self, graph: Any, camera: Any, fakes: Any) -> None:
        self.graph, self.camera, self._fakes = graph, camera, fakes

    def start(self, outputs: str, **parameters: Any) -> None:
        self.graph.start_pose_node(outputs=outputs, **parameters)

    def listen(self, kind: type, topic: str) -> Any:
        """Collect a topic's messages, once the node has noticed."""
        collector = self.graph.listen(kind, topic)
        name = f"{self.graph.namespace}/{topic}"
        self.graph.wait_for(lambda: self.graph.observer.count_publishers(name) > 0, f"{topic}")
        return collector

    def see(self, *instances: Any) -> Any:
        """The stamp of an image in which these are found."""
        self._fakes[-1].instances = instances
        return self.camera.process().header.stamp

    def until(self, collector: Any, *instances: Any) -> Any:
        """The first message that comes of images with these instances."""
        return self.graph.wait_for(
            lambda: self.see(*instances) and next(iter(collector.messages), None), "a message"
        )


@pytest.fixture
def robot(graph: Any, camera: Any, fakes: Any) -> Robot:
    return Robot(graph, camera, fakes)
