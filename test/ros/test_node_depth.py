"""The real node and a depth topic: what is paired with what, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image

from vitpose_ros.msg import Skeleton
from vitpose_ros.ros.messages import image_message, instance_from_message
from vitpose_ros.synthetic.scene import Scene

K = [80.0, 0.0, 30.0, 0.0, 70.0, 20.0, 0.0, 0.0, 1.0]
DEPTH = "aligned/image_raw"


class Pair:
    """A colour and a depth camera on the node's topics."""

    def __init__(self, graph: Any, camera: Any, fakes: Any) -> None:
        self.graph, self.camera, self._fakes = graph, camera, fakes
        create = graph.observer.create_publisher
        self.depth = create(Image, DEPTH, 5)
        self.info, self.depth_info = (
            create(CameraInfo, topic, 1) for topic in ("camera_info", "aligned/camera_info")
        )

    def start(self, calibrated: bool = True, **parameters: Any) -> Any:
        self._node = node = self.graph.start_pose_node(depth_topic=DEPTH, **parameters)
        self.graph.wait_for(self.depth.get_subscription_count, "the subscription to depth")
        if calibrated:
            self.graph.wait_for(self.info.get_subscription_count, "that to camera_info")
            self.info.publish(self.calibration())
            self.graph.wait_for(
                lambda: node._processor.calibration._message, "the node to take camera_info"
            )
        return node

    @staticmethod
    def calibration(k: list[float] = K) -> CameraInfo:
        return CameraInfo(width=64, height=48, distortion_model="plumb_bob", d=[0.0] * 5, k=k)

    def send_depth(self, stamp_ns: int, value: int = 500, **changes: Any) -> None:
        """Publish a depth image and wait until the node has it: topics keep no order."""
        header = self.camera.header(stamp_ns)
        header.frame_id = changes.get("frame_id", header.frame_id)
        shape = changes.get("shape", (48, 64))
        pixels = np.full(shape, value, changes.get("dtype", np.uint16))
        self.depth.publish(image_message(header, pixels, changes.get("encoding", "16UC1")))
        self.graph.wait_for(
            lambda: self._node._processor.depth._pairing._last_ns == [stamp_ns], "depth"
        )

    def seen(self, image: Any) -> Any:
        """The frame that the pipeline got for an image."""
        self.camera.skeletons.wait(lambda m: m.header.stamp == image.header.stamp, "skeletons")
        stamp = image.header.stamp
        ns = stamp.sec * 10**9 + stamp.nanosec
        return next(f for f in self._fakes[0].frames if f.stamp_ns == ns)


@pytest.fixture
def pair(graph: Any, camera: Any, fakes: Any) -> Pair:
    return Pair(graph, camera, fakes)


@pytest.mark.parametrize("first", ["colour", "depth"])
def test_depth_of_the_same_stamp_comes_with_the_image_whichever_arrives_first(
    pair: Pair, first: str
) -> None:
    pair.start()
    image = pair.camera.send(pair.camera.image())
    assert pair.seen(image).depth is None  # no depth ever came: nothing waits for it
    pair.send_depth(pair.camera.stamp_ns, 444)
    image = pair.camera.image()
    if first == "depth":
        pair.send_depth(pair.camera.stamp_ns, 500)
        pair.camera.send(image)
    else:
        pair.camera.send(image)
        pair.send_depth(pair.camera.stamp_ns, 500)
    depth = pair.seen(image).depth
    assert depth is not None and depth.image.max() == 500 and depth.unit_m == 0.001


def test_an_image_without_its_depth_waits_no_longer_than_the_next_one_and_goes_on_in_2d(
    pair: Pair,
) -> None:
    node = pair.start()
    first = pair.camera.image()
    pair.send_depth(pair.camera.stamp_ns)
    pair.camera.send(first)
    assert pair.seen(first).depth is not None
    second, third = pair.camera.image(), pair.camera.image()
    pair.camera.send(second)
    pair.graph.wait_for(lambda: node._processor.depth._pairing._waiting, "the image to wait")
    pair.camera.send(third)
    assert pair.seen(second).depth is None
    pair.send_depth(pair.camera.stamp_ns)
    assert pair.seen(third).depth is not None


REFUSED = [
    ({"frame_id": "depth_optical_frame"}, "frame_id is 'depth_optical_frame'"),
    ({"shape": (24, 32)}, "it has 32x24 px, the colour image 64x48"),
    ({"encoding": "mono8", "dtype": np.uint8}, "encoding 'mono8' is no depth"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED, ids=["frame", "size", "encoding"])
def test_depth_that_is_not_the_images_is_refused_and_said_and_skeletons_go_on(
    pair: Pair, changes: dict[str, Any], reason: str
) -> None:
    pair.start()
    image = pair.camera.image()
    pair.send_depth(pair.camera.stamp_ns, 100, **changes)
    pair.camera.send(image)
    pair.graph.wait_for_log(f"{DEPTH}: depth is not used, skeletons go on in 2D: .*{reason}")
    assert pair.seen(image).depth is None
    status = pair.graph.wait_for_status(lambda s: "not used" in s.get("depth", ""), "depth")
    assert reason in status["depth"]


def test_depth_with_the_camera_matrix_of_another_camera_is_refused(pair: Pair) -> None:
    node = pair.start()
    pair.graph.wait_for(pair.depth_info.get_subscription_count, "the depth's camera_info")
    pair.depth_info.publish(pair.calibration([60.0, *K[1:]]))
    pair.graph.wait_for(lambda: node._processor.depth._info, "the node to take it")
    image = pair.camera.image()
    pair.send_depth(pair.camera.stamp_ns)
    pair.camera.send(image)
    pair.graph.wait_for_log("its camera_info has fx 60.0 px.*not aligned to colour")
    assert pair.seen(image).depth is None


def test_without_a_camera_info_depth_is_not_used_and_the_reason_is_said(pair: Pair) -> None:
    pair.start(calibrated=False)
    image = pair.camera.image()
    pair.send_depth(pair.camera.stamp_ns)
    pair.camera.send(image)
    pair.graph.wait_for_log("depth is not used.*the colour image has no camera_info")
    assert pair.seen(image).depth is None


def test_a_camera_without_camera_info_is_said_when_metres_are_wanted(
    graph: Any, camera: Any, fakes: Any
) -> None:
    graph.start_pose_node(hand_size=0.18, silence_timeout=0.5)
    camera.process()
    said = graph.wait_for_log("joints get no metres, because no camera_info arrives on")
    assert f"{graph.namespace}/camera_info: let the driver publish it" in said


def test_a_depth_topic_that_nobody_publishes_is_said_with_the_remedy(
    graph: Any, camera: Any, fakes: Any
) -> None:
    graph.start_pose_node(depth_topic="nowhere", silence_timeout=0.5)
    camera.process()
    said = graph.wait_for_log("nowhere: depth is missing")
    assert "nobody publishes on it: correct the parameter depth_topic" in said


def test_the_size_of_a_hand_reaches_the_pipeline_and_may_change(
    graph: Any, camera: Any, fakes: Any
) -> None:
    graph.start_pose_node(hand_size=0.18)
    assert fakes[0].settings.lifting.hand_size_m == 0.18
    assert graph.set_parameter("hand_size", 0.2).successful
    camera.process()
    assert fakes[0].settings.lifting.hand_size_m == 0.2
    refused = graph.set_parameter("hand_size", 0.01)
    assert not refused.successful and "expected 0, or a number from 0.08" in refused.reason


@pytest.mark.timeout(180)
def test_rendered_hands_with_depth_are_published_in_metres(graph: Any, camera: Any) -> None:
    scene = Scene("still", seed=1)
    k = scene.camera_matrix.ravel().tolist()
    create = graph.observer.create_publisher
    depth, info = create(Image, DEPTH, 5), create(CameraInfo, "camera_info", 1)
    node = graph.start_pose_node(depth_topic=DEPTH, smoothing="none", hold_time=0.0)
    graph.wait_for(depth.get_subscription_count, "the subscription to depth")
    graph.wait_for(info.get_subscription_count, "the subscription to camera_info")
    info.publish(CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.0] * 5, k=k))
    graph.wait_for(lambda: node._processor.calibration._message, "camera_info")
    shot = scene.render(0.0)
    message = camera.image(shot.image)
    depth.publish(image_message(message.header, shot.depth_m, "32FC1"))
    stamp_ns = camera.stamp_ns
    graph.wait_for(lambda: node._processor.depth._pairing._last_ns == [stamp_ns], "depth")
    found = camera.process(message)
    assert len(found.skeletons) == 2
    true = {int(h.side): h for h in shot.hands}
    for skeleton in found.skeletons:
        hand, joints = true[skeleton.side], instance_from_message(skeleton).keypoints
        off = np.linalg.norm(joints.xyz - hand.xyz, axis=1)[hand.visible]
        assert np.median(off) < 0.02
        assert (joints.z_source == Skeleton.Z_MEASURED).mean() > 0.5
        assert (joints.xyz_std[joints.z_source > 0] > 0).all()
