"""The node's outputs for robots, on real topics: who sends, what, and when nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState as JointAngles
from sensor_msgs.msg import Joy, PointCloud2

from vitpose_ros.layouts import COCO17
from vitpose_ros.msg import OpenXrHands
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.ros import retargeting
from vitpose_ros.synthetic.scene import Rendering
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

FRAME_ID = "wrist_camera_optical_frame"
HAND_TOPICS = {"wrist_pose": PoseStamped, "joints": PointCloud2, "pinch": Joy}
ALL = "wrist_pose joints joint_angles pinch openxr"


def test_a_wrist_pose_has_the_stamp_of_the_image_and_the_position_of_the_wrist(
    robot: Any, true_hand: Any
) -> None:
    robot.start("wrist_pose")
    right, left = true_hand(Side.RIGHT, 1), true_hand(Side.LEFT, 2)
    for name, hand in (("right", right), ("left", left)):
        pose = robot.until(robot.listen(PoseStamped, f"{name}_hand/wrist_pose"), right, left)
        assert pose.header.frame_id == FRAME_ID
        at = pose.pose.position
        assert (at.x, at.y, at.z) == pytest.approx(hand.keypoints.xyz[0].tolist())
        q = pose.pose.orientation
        assert np.linalg.norm((q.x, q.y, q.z, q.w)) == pytest.approx(1)


def test_a_palm_without_orientation_holds_the_last_one_and_the_log_says_so(
    robot: Any, true_hand: Any, graph: Any
) -> None:
    robot.start("wrist_pose")
    poses = robot.listen(PoseStamped, "right_hand/wrist_pose")
    hand = true_hand(Side.RIGHT, 1)
    before = robot.until(poses, hand)
    points = hand.keypoints.xyz.copy()
    points[5] = points[0] + 0.9 * (points[9] - points[0])  # wrist and both knuckles on a line
    points += np.float32(0.1)
    edge_on = replace(hand, keypoints=replace(hand.keypoints, xyz=points))
    stamp = robot.see(edge_on)
    held = poses.wait(lambda m: m.header.stamp == stamp, "the pose of the image")
    assert held.pose.orientation == before.pose.orientation
    assert held.pose.position.x == pytest.approx(before.pose.position.x + 0.1, abs=1e-6)
    graph.wait_for_log("the palm of the right hand defines no orientation.*is held")


NOT_SENT = {
    "lost": {"track_state": TrackState.LOST},
    "tentative": {"track_state": TrackState.TENTATIVE},
    "of unknown side": {"side": Side.UNKNOWN},
}


@pytest.mark.parametrize("change", NOT_SENT.values(), ids=NOT_SENT.keys())
def test_a_hand_that_must_not_command_sends_nothing(
    robot: Any, true_hand: Any, change: dict[str, Any]
) -> None:
    robot.start(ALL)
    silent = [robot.listen(kind, f"left_hand/{topic}") for topic, kind in HAND_TOPICS.items()]
    angles = robot.listen(JointAngles, "joint_angles")
    heard = robot.listen(PointCloud2, "right_hand/joints")
    unusable = replace(true_hand(Side.LEFT, 2), **change)
    right = true_hand(Side.RIGHT, 1)
    robot.until(heard, unusable, right)  # the topics are connected
    stamp = robot.see(unusable, right)
    heard.wait(lambda m: m.header.stamp == stamp, "the right hand's joints")
    said = angles.wait(lambda m: m.header.stamp == stamp, "the angles")
    assert not any(name.startswith("left") for name in said.name)
    assert not any(collector.messages for collector in silent)


def test_a_hand_that_is_known_only_by_its_shape_has_joints_but_no_wrist_pose(
    robot: Any, true_hand: Any, graph: Any
) -> None:
    robot.start(ALL)
    poses = robot.listen(PoseStamped, "right_hand/wrist_pose")
    joints = robot.listen(PointCloud2, "right_hand/joints")
    openxr = robot.listen(OpenXrHands, "openxr_hands")
    shape = true_hand(Side.RIGHT, 1, space="shape_xyz")
    cloud = robot.until(joints, shape)
    assert np.isfinite(xyz(cloud)).all()
    assert (column(cloud, "z_source") == 0).all()
    assert not any(robot.until(openxr, shape).is_valid)
    graph.wait_for_log("the right hand has a shape but no metric position.*wrist_pose")
    assert not poses.messages


def test_a_hand_whose_palm_has_no_metric_position_is_a_shape_and_nothing_is_mixed(
    robot: Any, true_hand: Any
) -> None:
    robot.start("joints")
    metric, shape = true_hand(Side.RIGHT, 1), true_hand(Side.RIGHT, 1, space="shape_xyz")
    tip = np.full((21, 3), np.nan, np.float32)
    tip[8] = metric.keypoints.xyz[8] + 1
    source = (np.arange(21) == 8).astype(np.uint8)
    both = replace(shape, keypoints=replace(shape.keypoints, xyz=tip, z_source=source))
    cloud = robot.until(robot.listen(PointCloud2, "right_hand/joints"), both)
    assert (column(cloud, "z_source") == 0).all()
    assert np.linalg.norm(xyz(cloud)[8]) < 0.25


def test_a_hand_known_only_in_the_image_sends_nothing_and_the_log_says_why(
    robot: Any, hand: Any, graph: Any
) -> None:
    robot.start(ALL)
    robot.listen(PointCloud2, "right_hand/joints")
    flat = replace(hand, track_state=TrackState.CONFIRMED)
    robot.graph.wait_for(
        lambda: robot.see(flat) and any("only in the image" in t for t in graph.logged()),
        "the reason in the log",
    )


def test_openxr_hands_are_26_joints_each_the_left_hand_first(robot: Any, true_hand: Any) -> None:
    robot.start("openxr")
    left = true_hand(Side.LEFT, 1)
    message = robot.until(robot.listen(OpenXrHands, "openxr_hands"), left)
    assert message.header.frame_id == FRAME_ID
    assert len(message.name) == len(message.pose) == len(message.is_valid) == 52
    assert message.name[0] == "left_PALM" and message.name[26 + 25] == "right_LITTLE_TIP"
    assert sum(message.is_valid) == 21 and not any(message.is_valid[26:])
    for name, pose, valid, radius in zip(
        message.name, message.pose, message.is_valid, message.radius, strict=True
    ):
        numbers = (pose.position.x, pose.orientation.w, radius)
        assert np.isfinite(numbers).all() == valid, name
        assert np.isnan(numbers).all() != valid, name
    tip = message.pose[message.name.index("left_THUMB_TIP")].position
    assert (tip.x, tip.y, tip.z) == pytest.approx(left.keypoints.xyz[4].tolist())


def column(cloud: PointCloud2, name: str) -> np.ndarray:
    """A field of a cloud, (21,)."""
    (field,) = (f for f in cloud.fields if f.name == name)
    raw = np.frombuffer(bytes(cloud.data), np.uint8).reshape(cloud.width, cloud.point_step)
    kind = {7: "<f4", 2: "u1"}[field.datatype]
    size = np.dtype(kind).itemsize
    values: np.ndarray = np.ascontiguousarray(raw[:, field.offset : field.offset + size]).view(
        kind
    )[:, 0]
    return values


def xyz(cloud: PointCloud2) -> np.ndarray:
    return np.stack([column(cloud, name) for name in "xyz"], axis=1)


def test_joints_are_relative_to_the_wrist_in_the_operator_convention(
    robot: Any, true_hand: Any
) -> None:
    robot.start("joints")
    right = true_hand(Side.RIGHT, 1)
    cloud = robot.until(robot.listen(PointCloud2, "right_hand/joints"), right)
    assert cloud.header.frame_id == f"{robot.graph.namespace.strip('/')}/operator_right_wrist"
    points = xyz(cloud)
    assert points.shape == (21, 3)
    np.testing.assert_allclose(points[0], 0, atol=1e-6)
    palm = np.linalg.norm(right.keypoints.xyz[9] - right.keypoints.xyz[0])
    np.testing.assert_allclose(points[9], (0, 0, palm), atol=1e-6)
    assert points[4, 1] > points[20, 1], "the thumb is at +y on a right hand"
    assert (column(cloud, "state") == JointState.MEASURED).all()
    assert (column(cloud, "z_source") == 1).all()


def test_a_joint_that_is_unknown_is_nan_in_the_cloud(robot: Any, true_hand: Any) -> None:
    robot.start("joints")
    hand = true_hand(Side.RIGHT, 1, unknown=(8,))
    cloud = robot.until(robot.listen(PointCloud2, "right_hand/joints"), hand)
    np.testing.assert_array_equal(np.isnan(xyz(cloud)).any(axis=1), np.arange(21) == 8)
    assert not cloud.is_dense


def test_angles_have_names_and_unknown_ones_are_left_out(robot: Any, true_hand: Any) -> None:
    robot.start("joint_angles")
    hand = true_hand(Side.LEFT, 1, unknown=(8,))
    message = robot.until(robot.listen(JointAngles, "joint_angles"), hand)
    assert len(message.name) == len(message.position) == 19
    assert all(name.startswith("left_") for name in message.name)
    assert "left_index_dip_flexion" not in message.name
    assert np.isfinite(message.position).all()


BODY = {
    "left_shoulder": (0.18, -0.5, 2),
    "right_shoulder": (-0.18, -0.5, 2),
    "left_hip": (0.1, 0, 2),
    "right_hip": (-0.1, 0, 2),
    "right_elbow": (-0.18, -0.2, 2),
    "right_wrist": (-0.18, -0.2, 1.75),
}
"""Facing the camera: the right upper arm hangs, the forearm points to the camera."""


def test_a_bodys_arms_have_angles_from_its_shape(robot: Any) -> None:
    robot.start("joint_angles")
    points = np.array([BODY.get(j, (np.nan,) * 3) for j in COCO17.joints], np.float32)
    known = ~np.isnan(points[:, 0])
    state = np.where(known, JointState.MEASURED, JointState.ABSENT).astype(np.uint8)
    keypoints = Keypoints(
        COCO17, points[:, :2] * 10 + 30, known.astype(np.float32), state, shape_xyz=points
    )
    body = Instance(keypoints, 0.9, "fake", track_id=7, track_state=TrackState.CONFIRMED)
    message = robot.until(robot.listen(JointAngles, "joint_angles"), body)
    angles = dict(zip(message.name, np.degrees(message.position), strict=True))
    assert set(angles) == {
        *("right_elbow_flexion", "right_shoulder_flexion", "right_shoulder_abduction"),
        "right_shoulder_rotation",
    }
    assert angles.pop("right_elbow_flexion") == pytest.approx(90, abs=1e-3)
    assert list(angles.values()) == pytest.approx([0, 0, 0], abs=1e-3)


def test_a_joint_map_moves_a_robots_joints(robot: Any, true_hand: Any, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(
        "finger: {angle: right_index_pip_flexion, scale: 2, limits: [-9, 9]}\n"
        "other: {angle: left_index_pip_flexion, limits: [0, 1]}\n"
    )
    robot.start("joint_angles", joint_map=str(path))
    mapped = robot.listen(JointAngles, "mapped_joint_angles")
    human = robot.listen(JointAngles, "joint_angles")
    hand = true_hand(Side.RIGHT, 1)
    message, angles = robot.until(mapped, hand), robot.until(human, hand)
    expected = 2 * angles.position[list(angles.name).index("right_index_pip_flexion")]
    assert list(message.name) == ["finger"], "the left hand is not known"
    assert message.position[0] == pytest.approx(expected)


def test_pinch_has_hysteresis_and_its_limits_may_change_at_run_time(
    robot: Any, true_hand: Any, graph: Any
) -> None:
    robot.start("pinch")
    pinches = robot.listen(Joy, "right_hand/pinch")

    def state(distance_m: float) -> tuple[int, float]:
        hand = true_hand(Side.RIGHT, 1, pinch_m=distance_m)
        robot.until(pinches, hand)
        stamp = robot.see(hand)
        message = pinches.wait(lambda m: m.header.stamp == stamp, "the pinch")
        return message.buttons[0], message.axes[0]

    assert state(0.06) == (0, pytest.approx(0))
    assert state(0.04) == (0, pytest.approx(0.5, abs=1e-3))
    assert state(0.02) == (1, pytest.approx(1))
    assert state(0.04) == (1, pytest.approx(0.5, abs=1e-3))
    assert graph.set_parameter("pinch_open", 0.035).successful
    assert state(0.04)[0] == 0
    refused = graph.set_parameter("pinch_close", 0.1)
    assert not refused.successful and "less than pinch_open" in refused.reason


def test_a_pinch_of_a_joint_that_was_not_measured_is_not_sent(robot: Any, true_hand: Any) -> None:
    robot.start("pinch joints")
    pinches, joints = (
        robot.listen(Joy, "right_hand/pinch"),
        robot.listen(PointCloud2, "right_hand/joints"),
    )
    hand = true_hand(Side.RIGHT, 1)
    robot.until(pinches, hand)
    robot.until(joints, hand)
    states = hand.keypoints.state.copy()
    states[8] = JointState.PREDICTED
    stamp = robot.see(replace(hand, keypoints=replace(hand.keypoints, state=states)))
    joints.wait(lambda m: m.header.stamp == stamp, "the same image's joints")
    assert all(m.header.stamp != stamp for m in pinches.messages)


def test_nothing_is_built_while_nobody_subscribes(
    robot: Any, true_hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    monkeypatch.setattr(
        retargeting.Operator, "__call__", lambda *_: built.append(1) or 1 / 0, raising=True
    )
    robot.start(ALL)
    robot.see(true_hand(Side.RIGHT, 1))
    robot.see(true_hand(Side.RIGHT, 1))
    assert not built


def test_skeletons_do_not_wait_for_the_outputs(
    robot: Any, true_hand: Any, graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    build = retargeting.joints_message
    robot.start("joints")
    joints = robot.listen(PointCloud2, "right_hand/joints")

    def slow(*given: Any) -> Any:
        before = len(robot.camera.skeletons.messages)
        stamp = given[0].stamp
        graph.wait_for(
            lambda: any(m.header.stamp == stamp for m in robot.camera.skeletons.messages),
            "this image's skeletons, while its outputs are not built yet",
        )
        order.append(f"after {before}")
        return build(*given)

    monkeypatch.setattr(retargeting, "joints_message", slow)
    robot.until(joints, true_hand(Side.RIGHT, 1))
    assert order


def test_rendered_hands_that_the_networks_find_arrive_in_their_operator_frames(
    graph: Any, camera: Any, models: Any, rendering: Rendering
) -> None:
    graph.start_pose_node(outputs="joints joint_angles")
    clouds = {
        hand.side: graph.listen(PointCloud2, f"{hand.side.name.lower()}_hand/joints")
        for hand in rendering.hands
    }
    angles = graph.listen(JointAngles, "joint_angles")
    graph.wait_for(
        lambda: (
            camera.process(camera.image(rendering.image))
            and all(collector.messages for collector in clouds.values())
            and any(len(message.name) == 40 for message in angles.messages)
        ),
        "the joints and the angles of both hands",
    )
    for hand in rendering.hands:
        found = xyz(clouds[hand.side].messages[-1])
        true = (hand.xyz - hand.xyz[0]) @ operator_axes(hand.xyz.astype(float), hand.side)
        thumb = 1 if hand.side is Side.RIGHT else -1
        assert thumb * (found[4, 1] - found[20, 1]) > 0.03
        assert (found[[8, 12, 16, 20], 2] > 0.05).all(), "an open hand's fingers point ahead"
        assert np.median(np.linalg.norm(found - true, axis=1)) < 0.04, "the network's own error"
