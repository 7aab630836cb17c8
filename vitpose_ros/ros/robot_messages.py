"""Messages to and from a robot hand: pure builders and readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState

from vitpose_ros.retarget.robot import Robot
from vitpose_ros.retarget.safety import Command, Phase

Array = npt.NDArray[np.float64]


def command_message(command: Command, robot: Robot, stamp: Any) -> JointState:
    """The command in the names and units of the robot: positions, and the velocities of this step.

    Parameters
    ----------
    command : with a position.
    robot : names, scales and offsets of its joints.
    stamp : time of sending.
    """
    assert command.position is not None and command.speed is not None
    scale = np.array([joint.scale for joint in robot.joints])
    offset = np.array([joint.offset for joint in robot.joints])
    message = JointState(name=[joint.command for joint in robot.joints])
    message.position = (scale * command.position + offset).tolist()
    message.velocity = (scale * command.speed).tolist()
    message.header.stamp = stamp
    return message


def measured_joints(message: JointState, robot: Robot) -> Array | None:
    """The angles (N,) of the robot's joints, rad; NaN for those that the message does not have.

    None if it has none of them: it belongs to another part of the robot.
    """
    place = {name: number for number, name in enumerate(message.name)}
    joints = np.full(len(robot.joints), np.nan)
    for number, joint in enumerate(robot.joints):
        at = place.get(joint.state)
        if at is None or at >= len(message.position):
            continue
        value = message.position[at]
        own_unit = joint.state == joint.command
        joints[number] = (value - joint.offset) / joint.scale if own_unit else value
    return None if np.isnan(joints).all() else joints


def retarget_status(
    name: str, phase: Phase | None, words: str, refused: bool, details: Mapping[str, str]
) -> DiagnosticStatus:
    """What /diagnostics says about retarget_node.

    Parameters
    ----------
    name : the node's fully qualified name.
    phase : what the robot does; None while the node is not active.
    words : the state in words.
    refused : the node cannot be configured as it is.
    details : further values.
    """
    level = DiagnosticStatus.OK
    if refused:
        level = DiagnosticStatus.ERROR
    elif phase not in (Phase.FOLLOWING, Phase.RELEASED):
        level = DiagnosticStatus.WARN
    return DiagnosticStatus(
        level=level,
        name=f"{name}: hand to robot",
        hardware_id=details.get("robot", ""),
        message=words,
        values=[KeyValue(key=key, value=value) for key, value in details.items()],
    )


def times(name: str, seconds: Sequence[float]) -> dict[str, str]:
    """Median and 95th percentile of these times, as values of a status, ms."""
    if not seconds:
        return {f"{name} median": "none yet", f"{name} p95": "none yet"}
    values = 1e3 * np.asarray(seconds)
    return {
        f"{name} median": f"{np.median(values):.2f}",
        f"{name} p95": f"{np.percentile(values, 95):.2f}",
    }
