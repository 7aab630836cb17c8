"""Watches a pose node, a retarget_node and a robot hand, and records what a film of them needs. It
closes the clutch, as the operator would.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from vitpose_ros.msg import SkeletonArray
from vitpose_ros.retarget.robot import Robot
from vitpose_ros.ros.film import Film
from vitpose_ros.ros.messages import instance_from_message
from vitpose_ros.ros.monitor import Monitor
from vitpose_ros.ros.robot_messages import measured_joints
from vitpose_ros.types import ByteArray, Instance

Array = npt.NDArray[np.float64]

FOLLOWING = "following"


@dataclass(frozen=True)
class Shot:
    """An image, and what was known when its skeletons arrived.

    Attributes
    ----------
    stamp_ns, seen_ns : of the image, and of the arrival.
    jpeg : the image.
    instances : found in it.
    state : words of retarget_node.
    """

    stamp_ns: int
    seen_ns: int
    jpeg: ByteArray
    instances: list[Instance]
    state: str

    @property
    def image(self) -> ByteArray:
        """(H, W, 3) BGR."""
        decoded = cv2.imdecode(self.jpeg, cv2.IMREAD_COLOR)
        assert decoded is not None
        return decoded.astype(np.uint8)


class RobotMonitor(Monitor):
    """A monitor with a robot.

    Parameters
    ----------
    camera : namespace of the camera's topics.
    folder : of the film.
    robot : whose joints are recorded.

    Attributes
    ----------
    shots : in the order of their stamps.
    true_hands : the true hands by the image's stamp, where the camera publishes them.
    command_ms : "image to command" and "skeletons to command", median and p95 as retarget_node
        reports them.
    """

    def __init__(self, camera: str, folder: Path, robot: Robot) -> None:
        super().__init__(camera, Film(folder))
        self._robot = robot
        self.shots: list[Shot] = []
        self.true_hands: dict[int, list[Instance]] = {}
        self.command_ms: dict[str, str] = {}
        self.state = ""
        self._joints: list[Array] = []
        self._joints_ns: list[int] = []
        self._asked: Any = None
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(String, "retarget_node/state", self._on_state, latched)
        self.create_subscription(JointState, "joint_states", self._on_joints, newest)
        self._clutch = self.create_client(SetBool, "retarget_node/clutch")
        self.create_timer(0.3, self._operate)

    def joints_at(self, time_ns: int) -> Array | None:
        """The robot's joints (N,) at a time, rad; None before the first."""
        number = bisect_right(self._joints_ns, time_ns) - 1
        return self._joints[number] if number >= 0 else None

    def _on_state(self, message: String) -> None:
        self.state = message.data

    def _on_joints(self, message: JointState) -> None:
        joints = measured_joints(message, self._robot)
        if joints is not None:
            stamp = message.header.stamp
            self._joints_ns.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
            self._joints.append(joints)

    def _operate(self) -> None:
        """Close the clutch while it is open and a hand is in view, and for another hand."""
        if self._asked is not None and not self._asked.done():
            return
        wants = self.state == "released: the clutch is open" or "close the clutch" in self.state
        if wants and self.hands_now and self._clutch.service_is_ready():
            self._asked = self._clutch.call_async(SetBool.Request(data=True))

    def _show(self, image: Image, instances: list[Instance]) -> None:
        plain = self._reader.decode(image)
        _, jpeg = cv2.imencode(".jpg", plain, [cv2.IMWRITE_JPEG_QUALITY, 95])
        stamp = image.header.stamp
        now_ns = self.get_clock().now().nanoseconds
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        self.shots.append(Shot(stamp_ns, now_ns, jpeg.astype(np.uint8), instances, self.state))

    def _compare(self, found: SkeletonArray, truth: SkeletonArray) -> None:
        super()._compare(found, truth)
        stamp = truth.header.stamp
        self.true_hands[stamp.sec * 1_000_000_000 + stamp.nanosec] = [
            instance_from_message(skeleton) for skeleton in truth.skeletons
        ]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        super()._on_diagnostics(message)
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if "commands sent" in values and values["image to command (ms) median"] != "none yet":
                self.command_ms = {k: v for k, v in values.items() if "(ms)" in k}
