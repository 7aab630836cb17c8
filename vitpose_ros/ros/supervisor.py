"""Checks the node's inputs once a second, and reports on /diagnostics.

Everything here runs on steady time: a simulation clock that is silent or stopped must not silence
the warning about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode

from vitpose_ros.ros.advice import Middleware, age_warning, loss_warning, restart_warning
from vitpose_ros.ros.clock import SimClock
from vitpose_ros.ros.diagnostics import node_status
from vitpose_ros.ros.flow import Flow, FlowReport
from vitpose_ros.ros.offers import Wanted, explain_silence, publisher_names
from vitpose_ros.ros.worker import Worker

STUCK_S = 10.0
"""If an image takes longer than this, the pipeline is reported to hang."""
GRAPH_EVERY = 5
"""Interval of the check for nodes with the same name, s."""


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
        self._clock = SimClock()
        self._seconds = 0
        self._namesakes = 0
        self._said_of_node: set[str] = set()
        self._begin("", "", reliable=False)

    def start(self, topic: str, kind: str, reliable: bool) -> None:
        """Watch a topic from now on.

        Parameters
        ----------
        topic : fully qualified, as subscribed to.
        kind : its message type, e.g. "sensor_msgs/msg/Image".
        reliable : whether the subscription asks for reliable delivery.
        """
        self._begin(topic, kind, reliable)
        self._flow.restart(time.monotonic())

    def _begin(self, topic: str, kind: str, reliable: bool) -> None:
        self.failure = ""
        self._topic, self._kind, self._reliable = topic, kind, reliable
        self._last_image_s = time.monotonic()
        self._silent = self._came = self._unnamed = False
        self._stuck_s = 0.0
        self._reported_lost = 0
        self._publishers: list[str] = []
        self._said_of_topic: set[str] = set()

    def received(self, message: Any) -> None:
        """Note that an image came."""
        self._flow.count("received")
        now_s = time.monotonic()
        if self._silent:
            silence_s = now_s - self._last_image_s
            self._node.get_logger().info(f"{self._topic}: images again, after {silence_s:.1f} s")
        self._last_image_s, self._silent, self._came = now_s, False, True
        self._unnamed = not message.header.frame_id

    def reported_lost(self, number: int) -> None:
        """Note images that the middleware reports as lost."""
        self._flow.count("reported lost", number)
        self._reported_lost += number

    def check(self, silence_timeout_s: float, busy_s: float) -> None:
        """Check the active node.

        Parameters
        ----------
        silence_timeout_s : after this time without an image, the topic is reported as silent.
        busy_s : how long the current image has been processed.
        """
        if busy_s > STUCK_S >= self._stuck_s:
            self._node.get_logger().error(
                f"{self._topic}: an image has been processed for {busy_s:.0f} s; until it "
                "finishes, no other image is processed and the node cannot be deactivated"
            )
        self._stuck_s = busy_s
        self._publishers = publisher_names(self._node, self._topic)
        silence_s = time.monotonic() - self._last_image_s
        if not self._silent and silence_s > silence_timeout_s:
            self._silent = True
            wanted = Wanted(
                self._topic, self._kind, self._reliable, self._came, self._reported_lost
            )
            self._node.get_logger().warning(
                f"{self._topic}: no image for {silence_timeout_s:g} s: "
                f"{explain_silence(self._node, wanted)}"
            )

    def check_worker(self, worker: Worker[Any], reset: Callable[[], None]) -> None:
        """Restart a worker's thread that has failed for the first time; later, report it.

        Parameters
        ----------
        worker : of the active node.
        reset : makes tracking restart.
        """
        if worker.running or self.failure:
            return
        self._flow.count("worker failures")
        reason = f"the worker thread ended with {worker.last_failure!r}"
        if worker.failures == 1:
            self._node.get_logger().error(f"{reason}; it was restarted, and tracking restarts")
            reset()
            worker.start()
            return
        self.failure = f"{reason}, for the second time: no images are processed"
        command = f"ros2 lifecycle set {self._node.get_fully_qualified_name()}"
        self._node.get_logger().error(
            f"{self.failure}. To start it again: {command} deactivate, then: {command} activate"
        )

    def publish(self, state: str, reason: str, details: dict[str, str]) -> None:
        """Publish the status.

        Parameters
        ----------
        state : the lifecycle state's label.
        reason : why the node is not active, or ''.
        details : models, engine and other parts of the configuration.
        """
        flow = self._flow.report(time.monotonic())
        status = node_status(
            name=self._node.get_fully_qualified_name(),
            hardware_id=self._topic or self._node.resolve_topic_name("image"),
            state=state,
            reason=reason,
            failure=self._failure(),
            warnings=self._warnings(flow, state == "active"),
            flow=flow,
            details=details,
            silent=self._silent,
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _failure(self) -> str:
        if not self.failure and self._stuck_s > STUCK_S:
            return f"an image has been processed for {self._stuck_s:.0f} s: the pipeline hangs"
        return self.failure

    def _warnings(self, flow: FlowReport, active: bool) -> list[str]:
        """What impairs the node, the most important first; each is logged once."""
        sim_time = bool(self._node.get_parameter("use_sim_time").value)
        now_ns = self._node.get_clock().now().nanoseconds
        clock = self._clock.problem(sim_time, now_ns, time.monotonic())
        of_node = [clock, self._same_name()]
        warnings: list[str] = []
        if active:
            loss = loss_warning(flow.recent, Middleware.here(), self._topic)
            warnings += [self._several_publishers(), loss]
            warnings.append(restart_warning(flow.recent, len(self._publishers), bool(loss)))
            if flow.age_s is not None and not clock:
                warnings.append(age_warning(flow.age_s[0], sim_time))
            if self._unnamed:
                warnings.append(
                    f"{self._topic}: the images' frame_id is empty, so markers and 3D positions "
                    "have no frame: set the driver's frame id to the camera's optical frame"
                )
        self._log_once(of_node, self._said_of_node)
        self._log_once(warnings, self._said_of_topic)
        return [text for text in (*of_node, *warnings) if text]

    def _log_once(self, warnings: list[str], said: set[str]) -> None:
        """Log those that were not logged before, whatever their numbers."""
        for text in filter(None, warnings):
            key = "".join(letter for letter in text if not letter.isdecimal())
            if key not in said:
                said.add(key)
                self._node.get_logger().warning(text)

    def _same_name(self) -> str:
        if self._seconds % GRAPH_EVERY == 0:
            own = (self._node.get_name(), self._node.get_namespace())
            self._namesakes = self._node.get_node_names_and_namespaces().count(own)
        self._seconds += 1
        if self._namesakes < 2:
            return ""
        return (
            f"{self._namesakes} nodes are named {self._node.get_fully_qualified_name()}: their "
            "topics, parameters and services are mixed up. End one of them, or give one another "
            "name or namespace (-r __node:=NAME, namespace:=NAME in the launch file). One that was "
            "killed disappears within half a minute"
        )

    def _several_publishers(self) -> str:
        if len(self._publishers) < 2:
            return ""
        found = f"{self._topic}: {len(self._publishers)} publishers: {', '.join(self._publishers)}"
        if len(set(self._publishers)) == 1:
            return (
                f"{found}. Either two drivers run, or one was killed and started again: then the "
                "old one disappears within half a minute"
            )
        return f"{found}. Their images are mixed: give each camera a topic and a node of its own"
