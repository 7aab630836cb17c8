"""Messages to and from a robot hand: pure builders and readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState

from vitpose_ros.layouts import get_layout
from vitpose_ros.msg import Skeleton
from vitpose_ros.retarget.choice import Fingers, Hand, usable_points
from vitpose_ros.retarget.robot import Robot
from vitpose_ros.retarget.safety import Command, Phase
from vitpose_ros.types import Side, TrackState

Array = npt.NDArray[np.float64]


def hand_from_message(message: Skeleton, predicted: bool) -> Hand:
    """A skeleton whose joints are read only if it is followed, and only what a robot needs of them:
    a command must not wait for an Instance of every skeleton.

    Parameters
    ----------
    message : published by the pose node.
    predicted : joints are extrapolated beyond the stamp.

    Raises
    ------
    ValueError : the layout is unknown; and, when the joints are read, the arrays do not fit it.
    """
    return Hand(
        get_layout(message.layout),
        Side(message.side),
        message.track_id,
        TrackState(message.track_state),
        message.track_age,
        partial(_fingers, message, predicted),
    )


def _fingers(message: Skeleton, predicted: bool) -> Fingers | None:
    states = message.raw_state if predicted else message.state
    metric = (message.x, message.y, message.z)
    shape = (message.shape_x, message.shape_y, message.shape_z)
    count = len(get_layout(message.layout))
    if any(len(values) != count for values in (states, *metric, *shape)):
        raise ValueError(
            f"skeleton {message.track_id}: '{message.layout}' needs {count} elements in every array"
        )
    points, shaped = (list(zip(*xyz, strict=True)) for xyz in (metric, shape))
    return usable_points(states, points, shaped)


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
