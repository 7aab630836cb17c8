"""examples/pinch_gripper.py obeys the rules that it illustrates."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64, Header

from vitpose_ros.layouts import COCO17
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.ros.messages import skeleton_array_message
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GRIPPER = runpy.run_path(str(EXAMPLES / "pinch_gripper.py"))
WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP = 0, 4, 8, 9
PERIOD_S = 0.033


class Gripper:
    """The example's follower, fed by hand, with what it commanded and said."""

    def __init__(self, opening: float = 1.0) -> None:
        self.said: list[str] = []
        self.now_s = 100.0
        self.follower = GRIPPER["PinchFollower"](opening, self.said.append)

    def see(
        self,
        *hands: Instance,
        age_s: float = 0.03,
        reset: bool = False,
        horizon_s: float = 0.0,
        after_s: float = PERIOD_S,
    ) -> float | None:
        """The opening that is commanded for these hands, or None."""
        self.now_s += after_s
        header = Header()
        taken_ns = round(1e9 * (self.now_s - age_s))
        header.stamp.sec, header.stamp.nanosec = divmod(taken_ns, 1_000_000_000)
        message = skeleton_array_message(
            header, (640, 480), hands, ["net"], reset, horizon_s=horizon_s
        )
        opening: float | None = self.follower.follow(message, age_s, self.now_s)
        return opening


@pytest.fixture
def gripper() -> Gripper:
    return Gripper()


@pytest.fixture
def pinching(hand: Instance) -> Callable[..., Instance]:
    """``pinching(opening, track_id=5)``: a confirmed right hand that asks for this opening."""

    def make(opening: float, track_id: int = 5) -> Instance:
        uv = hand.keypoints.uv.copy()
        pinch_px = 60 * (0.25 + opening * (0.9 - 0.25))
        uv[[WRIST, MIDDLE_MCP, THUMB_TIP]] = (300, 300), (300, 240), (280, 200)
        uv[INDEX_TIP] = (280 + pinch_px, 200)
        return replace(
            hand,
            keypoints=replace(hand.keypoints, uv=uv),
            raw=replace(hand.raw, uv=uv),
            track_id=track_id,
            track_state=TrackState.CONFIRMED,
        )

    return make


def in_state(hand: Instance, state: JointState, *joints: int) -> Instance:
    states = hand.keypoints.state.copy()
    states[list(joints or range(21))] = state
    return replace(hand, keypoints=replace(hand.keypoints, state=states))


def test_a_measured_hand_moves_it(gripper: Gripper, pinching: Any) -> None:
    for opening in (0.95, 0.5, 0.0, 0.3):
        assert gripper.see(pinching(opening)) == pytest.approx(opening, abs=1e-5)
    assert gripper.said == ["the gripper follows hand 5"]


@pytest.mark.parametrize("joint", [WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP])
@pytest.mark.parametrize("state", [JointState.PREDICTED, JointState.OCCLUDED])
def test_a_joint_that_is_predicted_or_inferred_moves_nothing(
    gripper: Gripper, pinching: Any, joint: int, state: JointState
) -> None:
    assert gripper.see(in_state(pinching(0.9), state, joint)) is None
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(in_state(pinching(0.5), state, joint)) is None


def test_with_a_prediction_horizon_the_raw_state_decides(gripper: Gripper, pinching: Any) -> None:
    predicted = in_state(pinching(0.9), JointState.PREDICTED)
    assert gripper.see(predicted, horizon_s=0.05) == pytest.approx(0.9, abs=1e-5)
    states = predicted.raw.state.copy()
    states[THUMB_TIP] = JointState.OCCLUDED
    hidden = replace(predicted, raw=replace(predicted.raw, state=states))
    assert gripper.see(hidden, horizon_s=0.05) is None


UNUSABLE = {
    "tentative": {"track_state": TrackState.TENTATIVE},
    "lost": {"track_state": TrackState.LOST},
    "left": {"side": Side.LEFT},
    "of unknown side": {"side": Side.UNKNOWN},
}


@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_only_a_confirmed_right_hand_takes_over(
    gripper: Gripper, pinching: Any, change: dict[str, Any]
) -> None:
    assert gripper.see(replace(pinching(0.9), **change)) is None
    assert gripper.said == []


def test_joints_of_another_layout_or_of_a_tiny_hand_are_no_pinch(
    gripper: Gripper, pinching: Any
) -> None:
    hand = pinching(0.9)
    body = replace(
        hand,
        keypoints=Keypoints(
            COCO17, hand.keypoints.uv[:17], np.ones(17, np.float32), hand.keypoints.state[:17]
        ),
        raw=Keypoints(COCO17, hand.raw.uv[:17], np.ones(17, np.float32), hand.raw.state[:17]),
    )
    assert gripper.see(body) is None
    tiny = replace(hand, keypoints=replace(hand.keypoints, uv=hand.keypoints.uv / 15))
    assert gripper.see(tiny) is None, "a palm of 4 px"


def test_a_hand_takes_over_only_at_the_grippers_own_opening(pinching: Any) -> None:
    gripper = Gripper(opening=0.2)  # it may hold something
    assert gripper.see(pinching(0.9)) is None
    assert gripper.see(pinching(0.4)) is None
    assert gripper.see(pinching(0.3)) == pytest.approx(0.3, abs=1e-5)
    assert gripper.see(pinching(0.9)) == pytest.approx(0.9, abs=1e-5)


def test_of_two_hands_that_fit_the_one_followed_longest_takes_over(
    gripper: Gripper, pinching: Any
) -> None:
    young = replace(pinching(0.9, track_id=8), track_age_s=1.0)
    old = replace(pinching(0.95, track_id=3), track_age_s=7.0)
    assert gripper.see(young, old) == pytest.approx(0.95, abs=1e-5)


def test_it_stays_with_its_hand_though_an_older_one_comes(gripper: Gripper, pinching: Any) -> None:
    mine = replace(pinching(0.9, track_id=8), track_age_s=1.0)
    assert gripper.see(mine) is not None
    older = replace(pinching(1.0, track_id=3), track_age_s=7.0)
    assert gripper.see(older, mine) == pytest.approx(0.9, abs=1e-5)


def test_another_id_stops_it_and_takes_over_only_where_the_gripper_is(
    gripper: Gripper, pinching: Any
) -> None:
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(pinching(0.1, track_id=6)) is None
    assert gripper.said[-1] == "the gripper stays as it is: hand 5: its track ended"
    assert gripper.see(pinching(0.1, track_id=6)) is None
    assert gripper.see(pinching(0.85, track_id=6)) == pytest.approx(0.85, abs=1e-5)
    assert gripper.said[-1] == "the gripper follows hand 6"


def test_a_hand_that_changes_sides_stops_it(gripper: Gripper, pinching: Any) -> None:
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(replace(pinching(0.5), side=Side.LEFT)) is None
    assert "no longer reported as a right hand" in gripper.said[-1]


def test_reset_stops_it_though_the_id_is_the_same(gripper: Gripper, pinching: Any) -> None:
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(pinching(0.2), reset=True) is None
    assert gripper.said[-1] == "the gripper stays as it is: hand 5: tracking restarted"


def test_after_a_reset_earlier_stamps_count_as_new(gripper: Gripper, pinching: Any) -> None:
    assert gripper.see(pinching(0.9)) is not None
    gripper.now_s -= 60  # a bag that starts again
    assert gripper.see(pinching(0.9, track_id=9)) is None
    assert gripper.see(pinching(0.9, track_id=9), reset=True) is not None


@pytest.mark.parametrize("age_s", [0.31, 5.0, -0.06, -3600.0])
def test_an_old_image_or_one_from_the_future_moves_nothing(
    gripper: Gripper, pinching: Any, age_s: float
) -> None:
    assert gripper.see(pinching(0.9), age_s=age_s) is None
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(pinching(0.5), age_s=age_s) is None


def test_an_image_that_arrives_after_a_newer_one_moves_nothing(
    gripper: Gripper, pinching: Any
) -> None:
    assert gripper.see(pinching(0.9), age_s=0.0) is not None
    assert gripper.see(pinching(0.5), age_s=0.1) is None


def test_a_short_dropout_is_bridged_by_staying(gripper: Gripper, pinching: Any) -> None:
    assert gripper.see(pinching(0.9)) is not None
    held = replace(in_state(pinching(0.9), JointState.PREDICTED), track_state=TrackState.LOST)
    for _ in range(10):
        assert gripper.see(held) is None
    assert gripper.see(pinching(0.2)) == pytest.approx(0.2, abs=1e-5)
    assert len(gripper.said) == 1


def test_a_hand_not_measured_for_long_stops_it_and_that_is_said_once(
    gripper: Gripper, pinching: Any
) -> None:
    assert gripper.see(pinching(0.9)) is not None
    held = replace(in_state(pinching(0.9), JointState.PREDICTED), track_state=TrackState.LOST)
    for _ in range(20):
        assert gripper.see(held) is None
    assert gripper.said[1:] == ["the gripper stays as it is: hand 5: not measured for 0.5 s"]
    assert gripper.see(pinching(0.2)) is None, "found again, elsewhere than the gripper"


def test_silence_and_a_frozen_old_stream_stop_it_too(gripper: Gripper, pinching: Any) -> None:
    assert gripper.see(pinching(0.9)) is not None
    gripper.follower.check(gripper.now_s + 0.4)
    assert len(gripper.said) == 1
    gripper.follower.check(gripper.now_s + 0.6)
    assert "not measured for 0.5 s" in gripper.said[-1]
    assert gripper.see(pinching(0.9)) is not None
    assert gripper.see(pinching(0.5), age_s=2.0, after_s=0.6) is None
    assert "not measured for 0.5 s" in gripper.said[-1]


def test_without_a_hand_or_its_joints_nothing_is_made_up(gripper: Gripper, pinching: Any) -> None:
    joints = pinching(0.9).keypoints
    gone = replace(
        joints,
        uv=np.full_like(joints.uv, np.nan),
        score=np.zeros_like(joints.score),
        state=np.zeros_like(joints.state),
    )
    assert gripper.see() is None
    assert gripper.see(replace(pinching(0.9), keypoints=gone)) is None


def test_the_node_publishes_what_was_decided_and_stops_when_skeletons_stop(
    graph: Any, pinching: Any
) -> None:
    """On topics, with its own clock and its own timer."""
    rclpy.init(args=["--ros-args", "-r", f"__ns:={graph.namespace}"])
    try:
        node = GRIPPER["PinchGripper"]()
        heard = graph.listen(Float64, "gripper_opening")
        skeletons = graph.observer.create_publisher(SkeletonArray, "skeletons", 1)
        stopped = threading.Event()
        said: list[str] = []

        def tell(text: str) -> None:
            said.append(text)
            if "not measured" in text:
                stopped.set()

        node._follower._tell = tell
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        graph.wait_for(
            lambda: skeletons.get_subscription_count() and node._opening.get_subscription_count(),
            "the gripper's connections",
        )

        def heard_after_sending() -> bool:
            """Sends anew each time: on a busy machine one message may be too old on arrival."""
            header = Header(stamp=graph.observer.get_clock().now().to_msg())
            skeletons.publish(skeleton_array_message(header, (640, 480), [pinching(0.9)], ["net"]))
            return bool(heard.messages)

        graph.wait_for(heard_after_sending, "an opening")
        assert heard.messages[0].data == pytest.approx(0.9, abs=1e-5)
        assert stopped.wait(20.0), f"the gripper did not stop; it said {said}"
        executor.shutdown()
        thread.join(20.0)
        node.destroy_node()
    finally:
        rclpy.shutdown()
