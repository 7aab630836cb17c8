"""Marks where episodes start and end in a recording, and watches the disk that it goes to."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence

from rcl_interfaces.msg import Log
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool

from vitpose_ros.episodes import END, START, TOPIC
from vitpose_ros.parameters.spec import START as AT_START
from vitpose_ros.parameters.spec import ParameterSpec
from vitpose_ros.ros.declare import DeclaredParameters
from vitpose_ros.ros.start import StartError, run_node

TABLE: Mapping[str, ParameterSpec] = {
    "folder": ParameterSpec(
        "", "Folder of the recording, whose disk is watched. Empty: none.", changes=AT_START
    ),
    "min_free_gb": ParameterSpec(
        5.0,
        "Warn while less than this is free on the recording's disk, GB.",
        low=0.0,
        high=100000.0,
        changes=AT_START,
    ),
}
_CHECK_S = 10.0


class EpisodeMarker(Node):
    """The service `~/mark` (std_srvs/SetBool): true starts an episode, false ends it.

    Publishes the marks on `episode_marks` (rcl_interfaces/Log), stamped by the node's clock.
    """

    def __init__(self) -> None:
        super().__init__("episode_marker")
        declared = DeclaredParameters(self, TABLE)
        if declared.problems:
            raise StartError("; ".join(declared.problems.values()))
        values = declared.values()
        self._folder, self._least_gb = values["folder"], values["min_free_gb"]
        self._number, self._running, self._warned = 0, False, False
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self._marks = self.create_publisher(Log, TOPIC, reliable)
        self.create_service(SetBool, "~/mark", self._on_mark)
        if self._folder:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self.create_timer(_CHECK_S, self.check_disk, clock=steady)

    def _on_mark(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        now = self.get_clock().now()
        if now.nanoseconds == 0:
            response.success = False
            response.message = "use_sim_time is true, and nothing is published on /clock: no mark"
            return response
        if not request.data and not self._running:
            response.success = False
            response.message = "no episode is running: start one with data: true"
            return response
        given_up = request.data and self._running
        self._number += request.data
        self._running = request.data
        text = f"episode {self._number} {'starts' if request.data else 'ends'}"
        if given_up:
            text += f"; episode {self._number - 1} is given up"
        name = START if request.data else END
        self._marks.publish(Log(stamp=now.to_msg(), level=20, name=name, msg=text))
        self.get_logger().info(text)
        response.success, response.message = True, text
        return response

    def check_disk(self) -> None:
        """Log once when the disk is nearly full, and once when there is room again."""
        try:
            free_gb = shutil.disk_usage(self._folder).free / 1e9
        except OSError as error:
            if not self._warned:
                self.get_logger().warning(f"{self._folder} cannot be looked at: {error}")
            self._warned = True
            return
        short = free_gb < self._least_gb
        if short and not self._warned:
            self.get_logger().error(
                f"only {free_gb:.1f} GB are free for the recording in {self._folder}: end it, or "
                "free some space"
            )
        elif self._warned and not short:
            self.get_logger().info(f"{free_gb:.1f} GB are free again in {self._folder}")
        self._warned = short


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until the process is asked to end."""
    return run_node(EpisodeMarker, arguments)


if __name__ == "__main__":
    sys.exit(main())
