"""A gripper that follows the pinch of a right hand, and what it does when the hand is lost.

ros2 launch vitpose_ros pose.launch.py image:=/camera/image_raw
python3 examples/pinch_gripper.py

Publishes std_msgs/Float64 on `gripper_opening`: 0 closed, 1 open. The rules that keep a robot safe:
only a confirmed hand counts, and a joint only when its state says that it was seen. A joint that is
carried on or held (PREDICTED), a spike that was not believed (PREDICTED, too) and a lost hand move
nothing; after HOLD_S without a usable hand the user is told so once; no value is ever made from a
missing joint. With prediction_horizon every joint is PREDICTED: there, look at raw_state.
"""

import math

import rclpy
from rclpy.node import Node
from std_msgs.msg import Float64

from vitpose_ros.msg import Skeleton, SkeletonArray

WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP = (
    0,
    4,
    8,
    9,
)  # of hand21, see skeleton_layouts
CLOSED_PALMS, OPEN_PALMS = 0.25, 0.9  # pinch distance over palm length
HOLD_S = 0.5


def pinch_palms(hand: Skeleton) -> float | None:
    """Thumb tip to index tip over the palm's length; None when one of the joints was not seen."""
    joints = (WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP)
    if any(hand.state[joint] != Skeleton.STATE_VISIBLE for joint in joints):
        return None

    def distance(a: int, b: int) -> float:
        return math.hypot(hand.u[a] - hand.u[b], hand.v[a] - hand.v[b])

    palm_px = distance(WRIST, MIDDLE_MCP)
    return distance(THUMB_TIP, INDEX_TIP) / palm_px if palm_px > 5.0 else None


class PinchGripper(Node):
    """Follows the oldest confirmed right hand."""

    def __init__(self) -> None:
        super().__init__("pinch_gripper")
        self._opening = self.create_publisher(Float64, "gripper_opening", 1)
        self._seen_at = self.get_clock().now()
        self._lost = True
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 1)
        self.create_timer(0.1, self._watch)

    def _on_skeletons(self, message: SkeletonArray) -> None:
        hands = [
            skeleton
            for skeleton in message.skeletons
            if skeleton.kind == Skeleton.KIND_HAND
            and skeleton.side == Skeleton.SIDE_RIGHT
            and skeleton.track_state == Skeleton.TRACK_CONFIRMED
        ]
        if not hands:
            return
        pinch = pinch_palms(max(hands, key=lambda hand: hand.track_age))
        if pinch is None:
            return
        self._seen_at, self._lost = self.get_clock().now(), False
        share = (pinch - CLOSED_PALMS) / (OPEN_PALMS - CLOSED_PALMS)
        self._opening.publish(Float64(data=min(max(share, 0.0), 1.0)))

    def _watch(self) -> None:
        lost_s = 1e-9 * (self.get_clock().now() - self._seen_at).nanoseconds
        if not self._lost and lost_s > HOLD_S:
            self._lost = True
            self.get_logger().warning("the hand is lost: the gripper stays as it is")


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
