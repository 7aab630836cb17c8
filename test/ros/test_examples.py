"""examples/pinch_gripper.py obeys the rules that it illustrates."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64, Header

from vitpose_ros.retarget.operator import TAKE_OVER_S

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GRIPPER = runpy.run_path(str(EXAMPLES / "pinch_gripper.py"))
PERIOD_S = 0.033
NOW_S = 1000.0


class Gripper:
    """The example's follower, fed by hand, with what it commanded and said."""

    def __init__(self, opening: float = 1.0) -> None:
        self.said: list[str] = []
        self.now_s = NOW_S
        self.follower = GRIPPER["PinchFollower"](opening, self.said.append)

    def see(self, opening: float, age_s: float = 0.03, after_s: float = PERIOD_S) -> float | None:
        """What is commanded for a pinch that asks for this opening, or None."""
        self.now_s += after_s
        command: float | None = self.follower.follow(
            1.0 - opening, self.now_s - age_s, age_s, self.now_s
        )
        return command


@pytest.fixture
def gripper() -> Gripper:
    return Gripper()


def test_a_pinch_moves_it(gripper: Gripper) -> None:
    for opening in (0.95, 0.5, 0.0, 0.3):
        assert gripper.see(opening) == pytest.approx(opening)
    assert gripper.said == ["the gripper follows the right hand"]


def test_a_hand_engages_only_at_the_grippers_own_opening() -> None:
    gripper = Gripper(opening=0.2)  # it may hold something
    assert gripper.see(0.9) is None
    assert gripper.see(0.4) is None
    assert gripper.see(0.3) == pytest.approx(0.3)
    assert gripper.see(0.9) == pytest.approx(0.9)


def test_another_hand_which_comes_after_a_pause_has_to_engage_anew(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    assert gripper.see(0.1, after_s=TAKE_OVER_S) is None
    assert gripper.said[-1] == "the gripper stays as it is: no pinch for 0.4 s"
    assert gripper.see(0.85) == pytest.approx(0.85)
    assert gripper.said[-1] == "the gripper follows the right hand"


def test_a_pause_between_stamps_counts_though_the_messages_arrive_together(
    gripper: Gripper,
) -> None:
    assert gripper.see(0.9, age_s=0.29) is not None
    gripper.now_s += 0.2
    assert gripper.see(0.1, age_s=0.0) is None


def test_a_short_dropout_is_bridged_by_staying(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    assert gripper.see(0.2, after_s=0.3) == pytest.approx(0.2)
    assert len(gripper.said) == 1


def test_silence_stops_it_and_that_is_said_once(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    gripper.follower.check(gripper.now_s + 0.3)
    assert len(gripper.said) == 1
    for later_s in (0.5, 0.6, 5.0):
        gripper.follower.check(gripper.now_s + later_s)
    assert gripper.said[1:] == ["the gripper stays as it is: no pinch for 0.4 s"]


@pytest.mark.parametrize("age_s", [0.31, 5.0, -0.06, -3600.0])
def test_an_old_image_or_one_from_the_future_moves_nothing(gripper: Gripper, age_s: float) -> None:
    assert gripper.see(0.9, age_s=age_s) is None
    assert gripper.see(0.9) is not None
    assert gripper.see(0.5, age_s=age_s) is None


def test_a_frozen_stream_stops_it(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    assert gripper.see(0.5, age_s=2.0, after_s=0.6) is None
    assert "no pinch for 0.4 s" in gripper.said[-1]


def test_the_same_image_again_moves_nothing(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    assert gripper.see(0.5, age_s=0.03, after_s=0.0) is None


def test_time_that_goes_back_stops_it(gripper: Gripper) -> None:
    assert gripper.see(0.9) is not None
    gripper.now_s -= 60  # a bag that starts again
    assert gripper.see(0.2) is None
    assert gripper.said[-1] == "the gripper stays as it is: time went back"
    assert gripper.see(0.9) is not None


def test_the_node_publishes_what_was_decided_and_stops_when_pinches_stop(graph: Any) -> None:
    """On topics, with its own clock and its own timer."""
    rclpy.init(args=["--ros-args", "-r", f"__ns:={graph.namespace}"])
    try:
        node = GRIPPER["PinchGripper"]()
        heard = graph.listen(Float64, "gripper_opening")
        pinches = graph.observer.create_publisher(Joy, "right_hand/pinch", 1)
        stopped = threading.Event()
        said: list[str] = []

        def tell(text: str) -> None:
            said.append(text)
            if "no pinch" in text:
                stopped.set()

        node._follower._tell = tell
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        graph.wait_for(
            lambda: pinches.get_subscription_count() and node._opening.get_subscription_count(),
            "the gripper's connections",
        )

        def heard_after_sending() -> bool:
            """Sends anew each time: on a busy machine one message may be too old on arrival."""
            header = Header(stamp=graph.observer.get_clock().now().to_msg())
            pinches.publish(Joy(header=header, axes=[0.1, 0.0], buttons=[0, 0]))
            return bool(heard.messages)

        graph.wait_for(heard_after_sending, "an opening")
        assert heard.messages[0].data == pytest.approx(0.9, abs=1e-5)
        assert stopped.wait(20.0), f"the gripper did not stop; it said {said}"
        executor.shutdown()
        thread.join(20.0)
        node.destroy_node()
    finally:
        rclpy.shutdown()
