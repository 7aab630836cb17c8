"""Watches the node's inputs once a second, and reports on /diagnostics.

Everything here runs on steady time: a simulation clock that is silent or stopped must not silence
the warning about it.
"""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode

from vitpose_ros.ros.diagnostics import node_status
from vitpose_ros.ros.flow import Flow
from vitpose_ros.ros.offers import describe_offers

STUCK_S = 10.0
"""An image in work for longer than this is reported: the pipeline hangs."""


class Supervisor:
    """What the node checks and reports once a second.

    Parameters
    ----------
    node : whose log, clock and view of the graph are used.
    flow : counts and times of the node's images.

    Attributes
    ----------
    failure : why no images are processed although the node is active, until it is activated again;
        "" while they are.
    """

    def __init__(self, node: LifecycleNode, flow: Flow) -> None:
        self.failure = ""
        self._node, self._flow = node, flow
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._topic, self._kind = "", ""
        self._last_image_s = 0.0
        self._silent = False
        self._stuck_s = 0.0

    def start(self, topic: str, kind: str) -> None:
        """Watch a topic from now on.

        Parameters
        ----------
        topic : fully qualified, as subscribed to.
        kind : its message type, e.g. "sensor_msgs/msg/Image".
        """
        self._topic, self._kind = topic, kind
        self.failure, self._silent, self._stuck_s = "", False, 0.0
        self._last_image_s = time.monotonic()
        self._flow.restart(time.monotonic())

    def received(self) -> None:
        """Note that an image came."""
        self._flow.count("received")
        now_s = time.monotonic()
        if self._silent:
            silence_s = now_s - self._last_image_s
            self._node.get_logger().info(f"{self._topic}: images again, after {silence_s:.1f} s")
        self._last_image_s, self._silent = now_s, False

    def check(self, silence_timeout_s: float, busy_s: float) -> None:
        """Check the active node.

        Parameters
        ----------
        silence_timeout_s : after so long without an image the topic is reported as silent.
        busy_s : how long the image in work has been in work.
        """
        if busy_s > STUCK_S >= self._stuck_s:
            self._node.get_logger().error(
                f"{self._topic}: an image has been in work for {busy_s:.0f} s; until it finishes, "
                "no other image is processed and the node cannot be deactivated"
            )
        self._stuck_s = busy_s
        silence_s = time.monotonic() - self._last_image_s
        if not self._silent and silence_s > silence_timeout_s:
            self._silent = True
            offers = describe_offers(self._node, self._topic, self._kind)
            self._node.get_logger().warning(
                f"{self._topic}: no image for {silence_timeout_s:g} s: {offers}"
            )

    def publish(self, state: str, reason: str, details: dict[str, str]) -> None:
        """Publish the status.

        Parameters
        ----------
        state : the lifecycle state's label.
        reason : why the node is not active, or ''.
        details : models, engine and other parts of the configuration.
        """
        status = node_status(
            name=self._node.get_fully_qualified_name(),
            hardware_id=self._topic or self._node.resolve_topic_name("image"),
            state=state,
            reason=reason,
            failure=self._failure(),
            flow=self._flow.report(time.monotonic()),
            details=details,
            silent=self._silent,
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _failure(self) -> str:
        if not self.failure and self._stuck_s > STUCK_S:
            return f"an image has been in work for {self._stuck_s:.0f} s: the pipeline hangs"
        return self.failure
