"""A gripper that follows the pinch of a right hand, and stops when it should.

ros2 launch vitpose_ros pose.launch.py image:=/camera/image_raw
python3 examples/pinch_gripper.py

Publishes std_msgs/Float64 on `gripper_opening`: 0 closed, 1 open. Nothing is published while the
gripper has to stay where it is. The safety rules:

- Only confirmed hands count, and only joints that were measured in this image.
- The gripper follows one hand, by its track_id. If that track ends, changes sides, or is not
  measured for HOLD_S, the gripper stops.
- A hand takes over, also after a stop, only at the gripper's current opening, so that the gripper
  never jumps.
- After `reset`, earlier ids are void: stop.
- An image that is older than MAX_AGE_S or from the future is ignored. Without images, stop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Float64

from vitpose_ros.msg import Skeleton, SkeletonArray

LAYOUT = "hand21"
WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP = 0, 4, 8, 9  # joints of hand21, see skeleton_layouts
CLOSED_PALMS, OPEN_PALMS = 0.25, 0.9  # pinch distance over palm length
TAKE_OVER = 0.15  # largest difference from the gripper's opening at which a hand takes over
HOLD_S = 0.5
MAX_AGE_S = 0.3
CLOCK_TOLERANCE_S = 0.05


def pinch_opening(hand: Skeleton, predicted: bool) -> float | None:
    """The opening that a pinch commands, 0 .. 1; None unless all of its joints are measured.

    With a prediction horizon every joint is PREDICTED; raw_state shows which were measured.
    """
    joints = (WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP)
    states = hand.raw_state if predicted else hand.state
    if any(states[joint] < Skeleton.STATE_MEASURED for joint in joints):
        return None

    def distance(a: int, b: int) -> float:
        return math.hypot(hand.u[a] - hand.u[b], hand.v[a] - hand.v[b])

    palm_px = distance(WRIST, MIDDLE_MCP)
    if palm_px < 5.0:
        return None
    share = distance(THUMB_TIP, INDEX_TIP) / palm_px - CLOSED_PALMS
    return min(max(share / (OPEN_PALMS - CLOSED_PALMS), 0.0), 1.0)


class PinchFollower:
    """Decides which hand moves the gripper, and how far.

    Parameters
    ----------
    opening : the gripper's current opening; read it from your gripper.
    tell : receives a sentence when a hand takes over, and the reason when the gripper stops.
    """

    def __init__(self, opening: float, tell: Callable[[str], object]) -> None:
        self._opening, self._tell = opening, tell
        self._track_id: int | None = None
        self._visible_s = -math.inf
        self._stamp = (0, 0)

    def follow(self, message: SkeletonArray, age_s: float, now_s: float) -> float | None:
        """The new opening; None to stay.

        Parameters
        ----------
        message : the skeletons of an image.
        age_s : age of the image.
        now_s : time of a steady clock.
        """
        if message.reset:
            self._stop("tracking restarted")
            self._stamp = (0, 0)
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        if not -CLOCK_TOLERANCE_S <= age_s <= MAX_AGE_S or stamp <= self._stamp:
            self.check(now_s)
            return None
        self._stamp = stamp
        if self._track_id is None:
            self._choose(message)
        opening = None
        if self._track_id is not None:
            opening = self._opening_of(self._track_id, message)
        if opening is None:
            self.check(now_s)
            return None
        self._visible_s, self._opening = now_s, opening
        return opening

    def check(self, now_s: float) -> None:
        """Stop if the hand was not measured for HOLD_S. Call this also while no message arrives."""
        if now_s - self._visible_s > HOLD_S:
            self._stop(f"not measured for {HOLD_S:g} s")

    def _choose(self, message: SkeletonArray) -> None:
        """Latch the hand that has been tracked longest, of those at the gripper's opening."""
        fitting = []
        for hand in message.skeletons:
            opening = self._usable(hand, message)
            if opening is not None and abs(opening - self._opening) <= TAKE_OVER:
                fitting.append(hand)
        if fitting:
            self._track_id = max(fitting, key=lambda hand: hand.track_age).track_id
            self._tell(f"the gripper follows hand {self._track_id}")

    def _opening_of(self, track_id: int, message: SkeletonArray) -> float | None:
        hands = [hand for hand in message.skeletons if hand.track_id == track_id]
        if not hands:
            self._stop("its track ended")
            return None
        if hands[0].side != Skeleton.SIDE_RIGHT:
            self._stop("it is no longer reported as a right hand")
            return None
        return self._usable(hands[0], message)

    def _usable(self, hand: Skeleton, message: SkeletonArray) -> float | None:
        if (
            hand.layout != LAYOUT
            or hand.side != Skeleton.SIDE_RIGHT
            or hand.track_state != Skeleton.TRACK_CONFIRMED
        ):
            return None
        return pinch_opening(hand, predicted=message.prediction_horizon > 0)

    def _stop(self, reason: str) -> None:
        if self._track_id is not None:
            self._tell(f"the gripper stays as it is: hand {self._track_id}: {reason}")
        self._track_id = None


class PinchGripper(Node):
    """Publishes what PinchFollower decides."""

    def __init__(self) -> None:
        super().__init__("pinch_gripper")
        self._opening = self.create_publisher(Float64, "gripper_opening", 1)
        self._follower = PinchFollower(1.0, self.get_logger().warning)
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 1)
        # On steady time: with use_sim_time and no /clock, a ROS timer would never fire.
        self.create_timer(0.1, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_skeletons(self, message: SkeletonArray) -> None:
        stamp = message.header.stamp
        now_ns = self.get_clock().now().nanoseconds
        age_s = 1e-9 * (now_ns - (stamp.sec * 1_000_000_000 + stamp.nanosec))
        opening = self._follower.follow(message, age_s, time.monotonic())
        if opening is not None:
            self._opening.publish(Float64(data=opening))

    def _watch(self) -> None:
        self._follower.check(time.monotonic())


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(PinchGripper())
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
