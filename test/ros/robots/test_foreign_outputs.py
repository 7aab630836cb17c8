"""Outputs whose messages are of other packages: TF, and what IsaacTeleop's consumers read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2

from vitpose_ros.retarget.openxr import JOINTS
from vitpose_ros.types import Side, TrackState

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # building takes most of it, on a busy machine
]


def test_wrists_with_a_metric_position_are_in_tf_under_the_frame_of_the_image(
    graph: Any, camera: Any, fakes: Any, foreign: Any, true_hand: Any
) -> None:
    graph.start_pose_node(outputs="tf joints")
    tf = graph.listen(foreign["tf2_msgs"], "/tf")
    clouds = graph.listen(PointCloud2, "right_hand/joints")
    right, left = true_hand(Side.RIGHT, 1), true_hand(Side.LEFT, 2, space="shape_xyz")
    fakes[0].instances = (right, left)
    prefix = graph.namespace.strip("/")
    graph.wait_for(
        lambda: graph.observer.count_publishers("/tf") > 0, "the node's publisher of /tf"
    )
    graph.wait_for(lambda: camera.process() and clouds.messages, "a cloud of joints")
    message = tf.wait(lambda m: prefix in m.transforms[0].child_frame_id, "this node's transforms")
    (transform,) = message.transforms
    assert transform.header.frame_id == "wrist_camera_optical_frame"
    assert transform.child_frame_id == f"{prefix}/operator_right_wrist"
    assert transform.child_frame_id == clouds.messages[0].header.frame_id
    at = transform.transform.translation
    assert [at.x, at.y, at.z] == pytest.approx(right.keypoints.xyz[0].tolist())


def test_isaac_teleops_consumers_get_25_joints_a_hand_and_the_wrists(
    graph: Any, camera: Any, fakes: Any, foreign: Any, true_hand: Any
) -> None:
    graph.start_pose_node(outputs="xr_teleop")
    kind = foreign["teleop_ros2_interfaces"]
    hands, wrists = graph.listen(kind, "xr_teleop/hand"), graph.listen(kind, "xr_teleop/ee_poses")
    right = true_hand(Side.RIGHT, 1)
    fakes[0].instances = (right,)
    graph.wait_for(lambda: camera.process() and hands.messages and wrists.messages, "both messages")
    message = hands.messages[0]
    assert message.name[0] == "left_WRIST" and message.name[24] == "left_LITTLE_TIP"
    assert message.name[25] == "right_WRIST" and len(message.name) == len(message.pose) == 50
    assert not any(message.is_valid[:25]), "no left hand is tracked"
    by_name = dict(zip(message.name, zip(message.pose, message.is_valid, strict=True), strict=True))
    assert not by_name["right_INDEX_METACARPAL"][1]
    pose, valid = by_name["right_INDEX_TIP"]
    assert valid
    tip = (pose.position.x, pose.position.y, pose.position.z)
    assert tip == pytest.approx(right.keypoints.xyz[8].tolist())
    assert sum(message.is_valid) == len(JOINTS) - 5
    ends = wrists.messages[0]
    assert list(ends.name) == ["left", "right"] and list(ends.is_valid) == [False, True]
    assert ends.pose[1] == by_name["right_WRIST"][0]


def test_a_hand_that_is_lost_is_said_to_be_invalid(
    graph: Any, camera: Any, fakes: Any, foreign: Any, true_hand: Any
) -> None:
    graph.start_pose_node(outputs="xr_teleop")
    hands = graph.listen(foreign["teleop_ros2_interfaces"], "xr_teleop/hand")
    fakes[0].instances = (true_hand(Side.RIGHT, 1),)
    graph.wait_for(lambda: camera.process() and hands.messages, "a message")
    fakes[0].instances = (true_hand(Side.RIGHT, 1, track_state=TrackState.LOST),)
    stamp = camera.process().header.stamp
    last = hands.wait(lambda m: m.header.stamp == stamp, "the last image's hands")
    assert not any(last.is_valid)
    assert np.isfinite([pose.position.x for pose in last.pose]).all(), "as IsaacTeleop has it"
