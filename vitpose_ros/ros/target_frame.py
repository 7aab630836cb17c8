"""The frame of metric coordinates, by TF at the image's stamp."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from rclpy.time import Time

from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.transitions import RefusalError
from vitpose_ros.transform import Transform

WAIT_S = 0.05
"""How long an image waits for a transform of its stamp: TF is often published a little later."""


class TargetFrame:
    """Transforms from cameras to the frame that the user asks for.

    Parameters
    ----------
    node : subscribes to /tf and /tf_static.
    name : the parameter target_frame; '' leaves everything in the camera's own frame.

    Attributes
    ----------
    name : as given.
    state : of the last look-up, for diagnostics.

    Raises
    ------
    RefusalError : tf2_ros is not installed.
    """

    def __init__(self, node: LifecycleNode, name: str) -> None:
        self._node, self.name, self.state = node, name, "not looked up yet"
        self._throttle = Throttle(period_s=5.0)
        self._tf2: Any = None
        self._buffer: Any = None
        if not name:
            return
        try:
            self._tf2 = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise RefusalError(
                f"parameter 'target_frame' is '{name}', which needs the Python package tf2_ros "
                f"({error}): install it (sudo apt install ros-$ROS_DISTRO-tf2-ros-py), or leave "
                "target_frame empty for coordinates in the camera's own frame"
            ) from error

    def subscribe(self) -> list[Subscription]:
        """Listen to TF; returns the subscriptions, for the node to end."""
        if self._tf2 is None:
            return []
        self._buffer = self._tf2.Buffer()
        listener = self._tf2.TransformListener(self._buffer, self._node)
        return [listener.tf_sub, listener.tf_static_sub]

    def at(self, frame_id: str, stamp_ns: int) -> Transform | None:
        """From a camera's frame to the target frame; unknown while TF does not tell it, with the
        reason in the log. None if no target frame is asked for.

        Parameters
        ----------
        frame_id : of the image.
        stamp_ns : of the image.
        """
        if not self.name:
            return None
        if frame_id == self.name:
            self.state = "the images' own frame"
            return Transform.identity()
        try:
            if not frame_id:
                raise ValueError("the images' frame_id is empty: set it in the camera's driver")
            found = self._buffer.lookup_transform(
                self.name,
                frame_id,
                Time(nanoseconds=stamp_ns, clock_type=self._node.get_clock().clock_type),
                Duration(seconds=WAIT_S),
            ).transform
            q, t = found.rotation, found.translation
            transform = Transform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
        except (self._tf2.TransformException, ValueError) as error:
            self.state = f"no transform from '{frame_id}' to '{self.name}': {error}"
            self._throttle.say(
                self._node.get_logger().warning,
                "missing",
                f"{self.state}. Metric coordinates are unknown (NaN) for such images. See what TF "
                f"has: ros2 run tf2_ros tf2_echo {self.name} {frame_id or 'FRAME_ID'}",
            )
            return Transform.unknown()
        self.state = f"from '{frame_id}' to '{self.name}'"
        return transform
