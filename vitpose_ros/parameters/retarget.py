"""The parameters of retarget_node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vitpose_ros.parameters.spec import NODE_TABLE, RUN, ParameterSpec
from vitpose_ros.retarget.safety import SafetySettings


@dataclass(frozen=True)
class RetargetParameters:
    """A snapshot of all parameters. Fields are named as in RETARGET_TABLE."""

    autostart: bool
    models_dir: str
    robot: str
    rate: float
    deadman: bool
    deadman_timeout: float
    input_timeout: float
    measured_timeout: float
    approach_velocity: float
    max_age: float
    safe_pose: str
    safe_pose_after: float

    def safety(self) -> SafetySettings:
        """When the robot may move."""
        return SafetySettings(
            deadman=self.deadman,
            deadman_timeout_s=self.deadman_timeout,
            input_timeout_s=self.input_timeout,
            measured_timeout_s=self.measured_timeout,
            approach_velocity=self.approach_velocity,
            safe_after_s=self.safe_pose_after if self.safe_pose else math.inf,
        )


RETARGET_TABLE: Mapping[str, ParameterSpec] = {
    **NODE_TABLE,
    "robot": ParameterSpec(
        "",
        "The robot's YAML file, as docs/robot_hands.md describes it; or the name of one in this "
        "package's share/config/robots, such as 'shadow'.",
    ),
    "rate": ParameterSpec(
        100.0,
        "Commands per second while the clutch is closed. One more is sent when skeletons arrive.",
        low=20.0,
        high=1000.0,
    ),
    "deadman": ParameterSpec(
        True,
        "Move only while true arrives on the topic `deadman` (std_msgs/Bool): the operator's dead "
        "man's switch. Without a switch, set it to false.",
    ),
    "deadman_timeout": ParameterSpec(
        0.25,
        "After this time without a message, the switch counts as let go, s.",
        low=0.02,
        high=5.0,
    ),
    "input_timeout": ParameterSpec(
        0.2,
        "After this time without a usable hand, the robot brakes and holds, s.",
        low=0.02,
        high=5.0,
    ),
    "measured_timeout": ParameterSpec(
        0.5,
        "The robot's own joints, from the topic `joint_states`, must not be older, s.",
        low=0.02,
        high=5.0,
    ),
    "approach_velocity": ParameterSpec(
        0.5,
        "Speed of each joint on the way to the hand's pose after the clutch closes or the hand "
        "returns, and on the way to the safe pose, rad/s.",
        low=0.01,
        high=10.0,
    ),
    "max_age": ParameterSpec(
        0.3,
        "Skeletons of older images are not used, s.",
        low=0.02,
        high=10.0,
        changes=RUN,
    ),
    "safe_pose": ParameterSpec(
        "",
        "Where the robot goes after holding for `safe_pose_after`: one of the poses that its YAML "
        "file names. Empty: it goes on holding.",
    ),
    "safe_pose_after": ParameterSpec(
        5.0, "Time of holding before the robot goes to `safe_pose`, s.", low=0.1, high=3600.0
    ),
}
"""All parameters of retarget_node."""
