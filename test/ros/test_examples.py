"""The gripper of examples/pinch_gripper.py moves only by joints that were seen."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.duration import Duration
from std_msgs.msg import Header

from vitpose_ros.ros.messages import skeleton_array_message
from vitpose_ros.types import Instance, JointState, TrackState

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP = 0, 4, 8, 9


class Topic:
    """In the place of a publisher."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def publish(self, message: Any) -> None:
        self.values.append(message.data)


class Gripper:
    """The example's node, fed by hand, and what it published and said."""

    def __init__(self, node: Any) -> None:
        self.node, self.topic = node, Topic()
        node._opening = self.topic
        self.warnings: list[str] = []
        node.get_logger().warning = self.warnings.append

    def see(self, *hands: Instance) -> float | None:
        """The opening that is published for these hands, if any."""
        before = len(self.topic.values)
        message = skeleton_array_message(Header(), (640, 480), hands, ["net"])
        self.node._on_skeletons(message)
        return self.topic.values[-1] if len(self.topic.values) > before else None


@pytest.fixture
def gripper() -> Iterator[Gripper]:
    rclpy.init(args=[])
    node = runpy.run_path(str(EXAMPLES / "pinch_gripper.py"))["PinchGripper"]()
    yield Gripper(node)
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def pinching(hand: Instance) -> Instance:
    """A confirmed right hand whose thumb and index finger are half a palm apart."""
    uv = hand.keypoints.uv.copy()
    uv[[WRIST, MIDDLE_MCP, THUMB_TIP, INDEX_TIP]] = (300, 300), (300, 240), (280, 200), (310, 200)
    return replace(
        hand,
        keypoints=replace(hand.keypoints, uv=uv),
        raw=replace(hand.raw, uv=uv),
        track_state=TrackState.CONFIRMED,
    )


def in_state(hand: Instance, state: JointState, joints: list[int]) -> Instance:
    states = hand.keypoints.state.copy()
    states[joints] = state
    return replace(hand, keypoints=replace(hand.keypoints, state=states))


def test_a_hand_that_is_seen_moves_it(gripper: Gripper, pinching: Instance) -> None:
    assert gripper.see(pinching) == pytest.approx((0.5 - 0.25) / (0.9 - 0.25), abs=1e-4)


@pytest.mark.parametrize("joint", [WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP])
@pytest.mark.parametrize("state", [JointState.PREDICTED, JointState.OCCLUDED])
def test_a_joint_that_is_carried_on_or_guessed_moves_nothing(
    gripper: Gripper, pinching: Instance, joint: int, state: JointState
) -> None:
    assert gripper.see(in_state(pinching, state, [joint])) is None


def test_a_lost_or_tentative_hand_moves_nothing_and_the_loss_is_said_once(
    gripper: Gripper, pinching: Instance
) -> None:
    assert gripper.see(pinching) is not None
    held = in_state(pinching, JointState.PREDICTED, list(range(21)))
    assert gripper.see(replace(held, track_state=TrackState.LOST)) is None
    assert gripper.see(replace(pinching, track_state=TrackState.LOST)) is None
    assert gripper.see(replace(pinching, track_state=TrackState.TENTATIVE)) is None
    gripper.node._watch()
    assert not gripper.warnings, "it was seen a moment ago"
    gripper.node._seen_at -= Duration(seconds=1.0)
    for _ in range(3):
        gripper.node._watch()
    assert gripper.warnings == ["the hand is lost: the gripper stays as it is"]


def test_without_a_hand_or_its_joints_nothing_is_made_up(
    gripper: Gripper, pinching: Instance
) -> None:
    joints = pinching.keypoints
    gone = replace(
        joints,
        uv=np.full_like(joints.uv, np.nan),
        score=np.zeros_like(joints.score),
        state=np.zeros_like(joints.state),
    )
    assert gripper.see() is None
    assert gripper.see(replace(pinching, keypoints=gone)) is None
    assert gripper.topic.values == []
