"""The node with two calibrated cameras: two rendered views of the same hands, on real topics."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vitpose_ros.msg import Skeleton, SkeletonArray
from vitpose_ros.ros.messages import image_message, instance_from_message
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.setting import Eye

PERIOD_NS = 33_333_333
BLACK = np.zeros((480, 640, 3), np.uint8)


@dataclass
class Side:
    """One of the two cameras."""

    scene: Scene
    frame_id: str
    topic: str
    image: object
    info: object
    skeletons: object

    def send(self, stamp_ns, image):
        stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        header = Header(stamp=stamp, frame_id=self.frame_id)
        k = self.scene.camera_matrix
        self.info.publish(
            CameraInfo(
                header=header,
                width=640,
                height=480,
                distortion_model="plumb_bob",
                d=[0.0] * 5,
                k=k.ravel(),
                r=np.eye(3).ravel(),
                p=np.hstack([k, np.zeros((3, 1))]).ravel(),
            )
        )
        self.image.publish(image_message(header, image, "bgr8"))


def pose_of(scene):
    return {
        "translation_m": scene.pose.translation_m.tolist(),
        "rotation_xyzw": Rotation.from_matrix(scene.pose.rotation).as_quat().tolist(),
    }


class Pair:
    """Two cameras that see the same hands, and what the node publishes for each."""

    def __init__(self, graph, folder):
        eyes = (Eye((-0.15, 0.0, 0.0), 17.0), Eye((0.15, 0.0, 0.0), -17.0))
        self.graph, self.stamp_ns = graph, 1_700_000_000_000_000_000
        names = (("left", "image", "skeletons"), ("right", "right/image_raw", "camera_2/skeletons"))
        self.sides = []
        for eye, (name, topic, out) in zip(eyes, names, strict=True):
            info = f"{topic.rpartition('/')[0]}/camera_info".lstrip("/")
            self.sides.append(
                Side(
                    Scene("still", 1, eye=eye),
                    f"{name}_optical_frame",
                    topic,
                    graph.observer.create_publisher(Image, topic, 2),
                    graph.observer.create_publisher(CameraInfo, info, 2),
                    graph.listen(SkeletonArray, out),
                )
            )
        self.images = [side.scene.render(0.0).image for side in self.sides]
        self.extrinsics = folder / "rig.yaml"
        self.extrinsics.write_text(
            yaml.safe_dump({"cameras": {s.frame_id: pose_of(s.scene) for s in self.sides}})
        )

    def start(self, **parameters):
        given = {"extrinsics": str(self.extrinsics), **parameters}
        node = self.graph.start_pose_node(other_cameras="right/image_raw", **given)
        for side in self.sides:
            self.graph.wait_for(
                lambda side=side: (
                    side.image.get_subscription_count() and side.info.get_subscription_count()
                ),
                f"the node's subscription to {side.topic}",
            )
        return node

    def shoot(self, sides=(0, 1), images=None, apart_ns=0):
        """One image of each camera; returns what the node says to that of the first one."""
        self.send(sides, images, apart_ns)
        return self.sides[0].skeletons.wait(
            lambda m: stamp_of(m) == self.stamp_ns, "the skeletons of the first camera's image"
        )

    def send(self, sides=(0, 1), images=None, apart_ns=0):
        """One image of each camera."""
        self.stamp_ns += PERIOD_NS
        for number in sides:
            picture = (images or self.images)[number]
            self.sides[number].send(self.stamp_ns + number * apart_ns, picture)

    def other(self, message):
        """What the node says to the second camera's image of the same time."""
        return self.sides[1].skeletons.wait(
            lambda m: abs(stamp_of(m) - stamp_of(message)) < PERIOD_NS / 2,
            "the second camera's skeletons",
        )


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture
def pair(graph, tmp_path: Path, models) -> Pair:
    return Pair(graph, tmp_path)


def test_two_cameras_give_one_id_and_true_metres_in_each_ones_own_frame(pair):
    pair.start(smoothing="none")
    for _ in range(8):
        message = pair.shoot()
    messages = message, pair.other(message)
    ids = []
    for side, each in zip(pair.sides, messages, strict=True):
        assert each.header.frame_id == side.frame_id
        truth = {int(hand.side): hand for hand in side.scene.truth(0.0)}
        assert len(each.skeletons) == 2
        for skeleton in each.skeletons:
            source = np.array(skeleton.z_source)
            fixed = source == Skeleton.Z_TRIANGULATED
            assert fixed.sum() >= 12
            off = instance_from_message(skeleton).keypoints.xyz - truth[skeleton.side].xyz
            assert np.median(np.linalg.norm(off[fixed], axis=1)) < 0.03
            assert np.isfinite(np.array(skeleton.xyz_std)[fixed]).all()
        ids.append({skeleton.track_id for skeleton in each.skeletons})
    assert ids[0] == ids[1]


def test_cameras_that_are_not_triggered_together_are_paired_by_the_nearest_stamp(pair):
    pair.start()
    for _ in range(4):
        message = pair.shoot(apart_ns=5_000_000)
    assert stamp_of(pair.other(message)) == stamp_of(message) + 5_000_000
    status = pair.graph.wait_for_status(
        lambda s: "5.0 ms apart" in s.get("camera 2", ""), "the distance of the stamps"
    )
    assert "% of images paired" in status["camera 2"]
    assert "hands and bodies" in status["triangulated"]


def test_a_camera_that_falls_silent_is_left_out_and_told_and_comes_back(pair):
    pair.start(silence_timeout=0.5)
    for _ in range(4):
        pair.shoot()
    for _ in range(4):  # the next image of the first camera releases the one that waits
        pair.send(sides=(0,))

    def told(text):
        return any(f"right/image_raw {text}" in line for line in pair.graph.logged())

    for _ in range(500):
        message = pair.shoot(sides=(0,))  # answered without the other camera
        if told("is left out: no image for 0.5 s"):
            break
    assert told("is left out: no image for 0.5 s") and len(message.skeletons) == 2
    for _ in range(500):
        message = pair.shoot()
        if told("takes part again"):
            break
    assert told("takes part again") and pair.other(message).skeletons


def test_a_blind_camera_does_not_hurt(pair):
    pair.start(smoothing="none")
    for _ in range(6):
        message = pair.shoot(images=[pair.images[0], BLACK])
    assert len(message.skeletons) == 2
    assert pair.other(message).skeletons == []
    for skeleton in message.skeletons:
        assert not (np.array(skeleton.z_source) == Skeleton.Z_TRIANGULATED).any()


@pytest.mark.parametrize(
    ("parameters", "pattern"),
    [
        (
            {"extrinsics": ""},
            "'other_cameras' needs to know where the cameras are: set 'extrinsics'",
        ),
        ({"extrinsics": "/nowhere/rig.yaml"}, r"'extrinsics': .*rig\.yaml cannot be read"),
        ({"other_cameras": "a a"}, "other_cameras: expected each topic once"),
        ({"other_cameras": "image"}, "'other_cameras': .*/image is named twice"),
        (
            {"other_cameras": " ".join("abcdefgh")},
            "other_cameras: expected at most 7 topics, got 8",
        ),
    ],
)
def test_what_cannot_work_is_refused_when_the_node_is_configured(
    graph, models, parameters, pattern
):
    graph.start_pose_node(**{"other_cameras": "right/image_raw", **parameters})
    graph.wait_for_log(pattern)


def test_a_camera_that_the_extrinsics_do_not_name_is_told(pair):
    content = yaml.safe_load(pair.extrinsics.read_text())
    content["cameras"]["other_frame"] = content["cameras"].pop("right_optical_frame")
    pair.extrinsics.write_text(yaml.safe_dump(content))
    pair.start()
    for _ in range(3):
        message = pair.shoot()
    pair.graph.wait_for_log("no camera with the frame_id 'right_optical_frame'.*other_frame")
    assert not np.isin(message.skeletons[0].z_source, Skeleton.Z_TRIANGULATED).any()


def tf2_with(poses):
    """In the place of tf2_ros: transforms that do not come from messages. That real ones are used
    is shown where the target frame is tested.
    """

    class Buffer:
        def lookup_transform(self, target, source, time, timeout):
            if source not in poses:
                raise LookupError(f"'{source}' is not connected to '{target}'")
            pose, found = poses[source], TransformStamped()
            t, q = found.transform.translation, found.transform.rotation
            t.x, t.y, t.z = pose["translation_m"]
            q.x, q.y, q.z, q.w = pose["rotation_xyzw"]
            return found

    def listener(buffer, node):
        subscriptions = [
            node.create_subscription(TransformStamped, topic, lambda m: None, 1)
            for topic in ("tf_stand_in", "tf_static_stand_in")
        ]
        return SimpleNamespace(tf_sub=subscriptions[0], tf_static_sub=subscriptions[1])

    module = ModuleType("tf2_ros")
    module.Buffer, module.TransformListener = Buffer, listener
    module.TransformException = LookupError
    return module


@pytest.mark.parametrize("known", [True, False])
def test_without_a_file_tf_says_where_the_cameras_are(pair, monkeypatch, known):
    poses = {side.frame_id: pose_of(side.scene) for side in pair.sides}
    if not known:
        del poses["right_optical_frame"]
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2_with(poses))
    pair.start(extrinsics="", target_frame="world", smoothing="none")
    for _ in range(6):
        message = pair.shoot()
    assert message.header.frame_id == "world" and len(message.skeletons) == 2
    scene = pair.sides[0].scene
    truth = {int(hand.side): scene.pose.points(hand.xyz) for hand in scene.truth(0.0)}
    for skeleton in message.skeletons:
        fixed = np.array(skeleton.z_source) == Skeleton.Z_TRIANGULATED
        assert fixed.any() == known
        off = instance_from_message(skeleton).keypoints.xyz - truth[skeleton.side]
        assert not known or np.median(np.linalg.norm(off[fixed], axis=1)) < 0.03


def test_cameras_that_see_different_scenes_are_told_by_what_may_be_wrong(pair):
    content = yaml.safe_load(pair.extrinsics.read_text())
    content["cameras"]["right_optical_frame"]["translation_m"] = [0.0, 1.0, 0.5]
    pair.extrinsics.write_text(yaml.safe_dump(content))
    pair.start()
    pair.shoot()
    for _ in range(20):  # within 0.5 s of stamps: a longer gap restarts tracking
        pair.stamp_ns += 350_000_000
        pair.shoot()
    pair.graph.wait_for_log(r"none is the same in two of them for \d+ s: .*extrinsics, camera_info")
