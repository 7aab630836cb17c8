"""A gripper that follows the pinch of a right hand, and stops when it should.

ros2 launch vitpose_ros pose.launch.py image:=/camera/image_raw outputs:=pinch
python3 examples/pinch_gripper.py

Publishes std_msgs/Float64 on `gripper_opening`: 0 closed, 1 open. Nothing is published while the
gripper has to stay where it is. The safety rules:

- pose_node sends a pinch only of a confirmed right hand whose joints were measured in the image,
  and pauses for 0.5 s before another hand takes over.
- If no pinch comes for HOLD_S, the gripper stops, and a hand has to engage anew.
- A hand engages only at the gripper's current opening, so that the gripper never jumps.
- An image that is older than MAX_AGE_S, from the future, or not newer than the last one is ignored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64

ENGAGE = 0.15  # largest difference from the gripper's opening at which a hand engages
HOLD_S = 0.4  # shorter than pose_node's pause before another hand
MAX_AGE_S = 0.3
CLOCK_TOLERANCE_S = 0.05


class PinchFollower:
    """Decides whether the gripper moves, and how far.

    Parameters
    ----------
    opening : the gripper's current opening; read it from your gripper.
    tell : receives a sentence when a hand engages, and the reason when the gripper stops.
    """

    def __init__(self, opening: float, tell: Callable[[str], object]) -> None:
        self._opening, self._tell = opening, tell
        self._engaged = False
        self._seen_s = -math.inf
        self._stamp_s = -math.inf

    def follow(self, closure: float, stamp_s: float, age_s: float, now_s: float) -> float | None:
        """The new opening; None to stay.

        Parameters
        ----------
        closure : of the pinch, 0 open to 1 closed.
        stamp_s : of the image.
        age_s : age of the image.
        now_s : time of a steady clock.
        """
        self.check(now_s)
        if not -CLOCK_TOLERANCE_S <= age_s <= MAX_AGE_S:
            return None
        if stamp_s == self._stamp_s:
            return None
        if stamp_s < self._stamp_s:
            self._stop("time went back")
        if stamp_s - self._stamp_s > HOLD_S:
            self._stop(f"no pinch for {HOLD_S:g} s")
        self._stamp_s = stamp_s
        opening = 1.0 - closure
        if not self._engaged:
            if abs(opening - self._opening) > ENGAGE:
                return None
            self._engaged = True
            self._tell("the gripper follows the right hand")
        self._seen_s, self._opening = now_s, opening
        return opening

    def check(self, now_s: float) -> None:
        """Stop if no pinch came for HOLD_S. Call this also while no message arrives."""
        if now_s - self._seen_s > HOLD_S:
            self._stop(f"no pinch for {HOLD_S:g} s")

    def _stop(self, reason: str) -> None:
        if self._engaged:
            self._tell(f"the gripper stays as it is: {reason}")
        self._engaged = False


class PinchGripper(Node):
    """Publishes what PinchFollower decides."""

    def __init__(self) -> None:
        super().__init__("pinch_gripper")
        self._opening = self.create_publisher(Float64, "gripper_opening", 1)
        self._follower = PinchFollower(1.0, self.get_logger().warning)
        self.create_subscription(Joy, "right_hand/pinch", self._on_pinch, 1)
        # On steady time: with use_sim_time and no /clock, a ROS timer would never fire.
        self.create_timer(0.1, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_pinch(self, message: Joy) -> None:
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        age_s = 1e-9 * (self.get_clock().now().nanoseconds - stamp_ns)
        closure = float(message.axes[0])
        opening = self._follower.follow(closure, 1e-9 * stamp_ns, age_s, time.monotonic())
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
