"""The node with a target frame: real /tf and /tf_static traffic, and what is said without it.

tf2_ros is not among ROS's wheels. Where it is not installed, a stand-in with its interface keeps
the transforms of real messages, so that all but the library itself is the real thing.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import MarkerArray

from vitpose_ros.transform import Transform

pytestmark = pytest.mark.timeout(600)  # building takes most of it, on a busy machine
CAMERA, ARM, BASE = "wrist_camera_optical_frame", "arm", "base_link"
QUARTER = 0.5**0.5


class TransformError(Exception):
    """In the place of tf2's exceptions."""


class Buffer:
    """Transforms by child frame: one for static ones, the exact stamp for the others."""

    def __init__(self) -> None:
        self.static: dict[str, Any] = {}
        self.moving: dict[tuple[str, int], Any] = {}

    def lookup_transform(self, target: str, source: str, time: Any, timeout: Any) -> Any:
        assert timeout.nanoseconds < 10**8
        chain, frame = Transform.identity(), source
        for _ in range(9):
            if frame == target:
                found = TransformStamped()
                x, y, z = (float(value) for value in chain.translation_m)
                found.transform.translation.x = x
                found.transform.translation.y, found.transform.translation.z = y, z
                q = found.transform.rotation
                q.x, q.y, q.z, q.w = _quaternion(chain.rotation)
                return found
            step = self.static.get(frame) or self.moving.get((frame, time.nanoseconds))
            if step is None:
                raise TransformError(f"'{frame}' is not connected to '{target}' at this stamp")
            q, t = step.transform.rotation, step.transform.translation
            own = Transform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
            chain, frame = own.after(chain), step.header.frame_id
        raise TransformError(f"the tree contains a loop at '{frame}'")


def _quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    from scipy.spatial.transform import Rotation

    return tuple(float(value) for value in Rotation.from_matrix(rotation).as_quat())


@pytest.fixture
def tf2(foreign: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The message class of /tf; tf2_ros can be imported."""
    message = foreign["tf2_msgs"]
    if importlib.util.find_spec("tf2_ros") is None:

        class TransformListener:
            def __init__(self, buffer: Buffer, node: Any) -> None:
                def take(received: Any) -> None:
                    for one in received.transforms:
                        stamp = one.header.stamp
                        key = one.child_frame_id, stamp.sec * 10**9 + stamp.nanosec
                        buffer.moving[key] = one

                def keep(received: Any) -> None:
                    buffer.static.update({one.child_frame_id: one for one in received.transforms})

                latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
                self.tf_sub = node.create_subscription(message, "/tf", take, 100)
                self.tf_static_sub = node.create_subscription(message, "/tf_static", keep, latched)

        module: Any = ModuleType("tf2_ros")
        module.Buffer, module.TransformListener = Buffer, TransformListener
        module.TransformException = TransformError
        monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return message


class Tree:
    """Publishes transforms: the camera on the arm (static), the arm over the base (moving)."""

    def __init__(self, graph: Any, message: Any) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._message = message
        self.static = graph.observer.create_publisher(message, "/tf_static", latched)
        self.moving = graph.observer.create_publisher(message, "/tf", 10)

    def publish(self, where: Any, parent: str, child: str, stamp: Any, x: float) -> None:
        one = TransformStamped()
        one.header.stamp, one.header.frame_id, one.child_frame_id = stamp, parent, child
        one.transform.translation.x = x
        one.transform.rotation.z = one.transform.rotation.w = QUARTER  # a quarter turn about z
        where.publish(self._message(transforms=[one]))


@pytest.fixture
def tree(graph: Any, tf2: Any) -> Tree:
    return Tree(graph, tf2)


def test_frames_get_the_transform_of_their_own_stamp_and_messages_name_the_target(
    graph: Any, camera: Any, fakes: Any, tree: Tree, true_hand: Any
) -> None:
    from vitpose_ros.types import Side

    node = graph.start_pose_node(target_frame=BASE)
    fakes[0].instances = (true_hand(Side.RIGHT, 1),)
    markers = graph.listen(MarkerArray, "skeleton_markers")
    graph.wait_for(tree.moving.get_subscription_count, "the node's subscription to /tf")
    buffer = node._processor.cameras.target._buffer
    first, second = camera.image(), camera.image()
    tree.publish(tree.static, ARM, CAMERA, first.header.stamp, 0.1)
    for number, image in enumerate((first, second), start=1):
        tree.publish(tree.moving, BASE, ARM, image.header.stamp, float(number))
    graph.wait_for(lambda: buffer.static and len(buffer.moving) >= 2, "the transforms")
    for number, image in enumerate((first, second), start=1):
        found = camera.process(image)
        assert found.header.frame_id == BASE and found.image_frame_id == CAMERA
        to_target = fakes[0].frames[-1].to_target
        # The camera is 0.1 m along the arm's x, which is the base's y; two quarter turns.
        np.testing.assert_allclose(to_target.translation_m, [number, 0.1, 0], atol=1e-9)
        np.testing.assert_allclose(to_target.directions([1, 0, 0]), [-1, 0, 0], atol=1e-9)
    assert graph.wait_for(lambda: camera.process() and markers.messages, "markers")
    assert markers.messages[-1].markers[0].header.frame_id == BASE


def test_a_missing_transform_is_named_and_nothing_is_metric(
    graph: Any, camera: Any, fakes: Any, tf2: Any
) -> None:
    graph.start_pose_node(target_frame=BASE)
    found = camera.process()
    assert found.header.frame_id == BASE
    assert not fakes[0].frames[-1].to_target.known
    said = graph.wait_for_log(f"no transform from '{CAMERA}' to '{BASE}'")
    assert f"ros2 run tf2_ros tf2_echo {BASE} {CAMERA}" in said
    status = graph.wait_for_status(lambda s: "no transform" in s.get("target_frame", ""), "TF")
    assert CAMERA in status["target_frame"]


def test_an_old_transform_is_not_used_for_a_newer_image(
    graph: Any, camera: Any, fakes: Any, tree: Tree
) -> None:
    node = graph.start_pose_node(target_frame=BASE)
    graph.wait_for(tree.moving.get_subscription_count, "the node's subscription to /tf")
    buffer = node._processor.cameras.target._buffer
    old = camera.image()
    tree.publish(tree.moving, BASE, CAMERA, old.header.stamp, 1.0)
    graph.wait_for(lambda: getattr(buffer, "moving", True), "the transform")
    camera.process(old)
    assert fakes[0].frames[-1].to_target.known
    camera.process()
    assert not fakes[0].frames[-1].to_target.known


def test_a_loop_of_transforms_is_said(graph: Any, camera: Any, fakes: Any, tree: Tree) -> None:
    node = graph.start_pose_node(target_frame=BASE)
    graph.wait_for(tree.static.get_subscription_count, "the node's subscription to /tf_static")
    buffer = node._processor.cameras.target._buffer
    image = camera.image()
    tree.publish(tree.static, ARM, CAMERA, image.header.stamp, 0.1)
    graph.wait_for(lambda: len(getattr(buffer, "static", "xx")) > 0, "the first transform")
    tree.publish(tree.static, CAMERA, ARM, image.header.stamp, 0.1)
    graph.wait_for(lambda: len(getattr(buffer, "static", "xx")) > 1, "the second transform")
    camera.process(image)
    assert not fakes[0].frames[-1].to_target.known
    graph.wait_for_log("no transform from .*loop|no transform from .*connected")


def test_without_tf2_ros_a_target_frame_is_refused_and_the_package_is_named(
    graph: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    graph.start_pose_node(target_frame=BASE)
    said = graph.wait_for_log("parameter 'target_frame' is 'base_link', which needs")
    assert "ros-$ROS_DISTRO-tf2-ros-py" in said and "leave target_frame empty" in said


def test_the_images_own_frame_as_target_needs_no_transform(
    graph: Any, camera: Any, fakes: Any, tf2: Any
) -> None:
    graph.start_pose_node(target_frame=CAMERA)
    camera.process()
    assert fakes[0].frames[-1].to_target.known
    np.testing.assert_array_equal(fakes[0].frames[-1].to_target.rotation, np.eye(3))
