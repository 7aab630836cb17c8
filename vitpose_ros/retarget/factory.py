"""A retargeter from a robot's file."""

from __future__ import annotations

import numpy as np

from vitpose_ros.retarget.dex import DexRetargeter
from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.limiter import MotionLimiter
from vitpose_ros.retarget.retargeter import Retargeter
from vitpose_ros.retarget.robot import Robot, RobotError


def make_retargeter(robot: Robot) -> Retargeter:
    """The retargeter that the robot's file names.

    Raises
    ------
    RobotError : it cannot be used; the text says why.
    """
    return DexRetargeter(robot) if robot.kind == "dex_retargeting" else LeastSquares(robot)


def make_limiter(robot: Robot, retargeter: Retargeter) -> MotionLimiter:
    """A limiter for the commands of a robot whose retargeter knows its position limits.

    Raises
    ------
    RobotError : a safe pose lies beyond the position limits.
    """
    for name in robot.safe_poses:
        pose = robot.safe_pose(name)
        beyond = (pose < retargeter.lower - 1e-6) | (pose > retargeter.upper + 1e-6)
        if beyond.any():
            number = int(np.flatnonzero(beyond)[0])
            low, high = retargeter.lower[number], retargeter.upper[number]
            raise RobotError(
                f"{robot.path}: safe_poses.{name}: joint '{robot.joints[number].name}' is at "
                f"{pose[number]:g} rad; its limits are {low:g} to {high:g}."
            )
    return MotionLimiter(
        retargeter.lower,
        retargeter.upper,
        np.array([joint.velocity for joint in robot.joints]),
        np.array([joint.acceleration for joint in robot.joints]),
    )
