"""A robot hand for demos and tests. It takes `joint_commands`, simulates them with MuJoCo in real
time, and publishes `joint_states`, as the driver of a real hand does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from vitpose_ros.models.store import ModelStore
from vitpose_ros.retarget.robot import load_robot
from vitpose_ros.retarget.simulation import SimulatedHand
from vitpose_ros.ros.robots import robot_file
from vitpose_ros.ros.start import run_node

RATE_HZ = 100.0
MAX_BEHIND_S = 0.1
"""Time that the simulation does not make up for, when the machine is too busy."""


class SimulatedHandNode(Node):
    """The hand that the parameter `robot` names."""

    def __init__(self) -> None:
        super().__init__("simulated_hand")
        name = self.declare_parameter("robot", "shadow").value
        models = self.declare_parameter("models_dir", "").value
        store = ModelStore(Path(models).expanduser() if models else None)
        self._robot = load_robot(robot_file(str(name)), store)
        self._hand = SimulatedHand(self._robot)
        self._place = {joint.command: n for n, joint in enumerate(self._robot.joints)}
        self._wanted = self._hand.joints
        self._states = self.create_publisher(JointState, "joint_states", 1)
        self.create_subscription(
            JointState, "joint_commands", self._on_command, QoSProfile(depth=1)
        )
        self._now_s = time.monotonic()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0 / RATE_HZ, self._on_timer, clock=steady)
        self.get_logger().info(f"simulating {self._robot.name}")

    def _on_command(self, message: JointState) -> None:
        for name, value in zip(message.name, message.position, strict=False):
            number = self._place.get(name)
            if number is not None and np.isfinite(value):
                joint = self._robot.joints[number]
                self._wanted[number] = (value - joint.offset) / joint.scale

    def _on_timer(self) -> None:
        passed_s = min(time.monotonic() - self._now_s, MAX_BEHIND_S)
        self._now_s = time.monotonic()
        self._hand.command(self._wanted)
        self._hand.advance(passed_s)
        message = JointState(name=[joint.state for joint in self._robot.joints])
        message.header.stamp = self.get_clock().now().to_msg()
        message.position = [
            angle if joint.state != joint.command else joint.scale * angle + joint.offset
            for joint, angle in zip(self._robot.joints, self._hand.joints.tolist(), strict=True)
        ]
        self._states.publish(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate until the process is asked to end."""
    return run_node(SimulatedHandNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
