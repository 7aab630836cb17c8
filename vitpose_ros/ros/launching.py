"""What this package's launch files share. Nothing here is needed without launch."""

from __future__ import annotations

import os
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import LogInfo
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vitpose_ros.program import LAUNCH_PID
from vitpose_ros.ros.find_rviz import find_rviz

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS looks for its profile: up to Jazzy, and from Kilted on."""


def share(*parts: str) -> str:
    """A path in this package's share folder."""
    return os.path.join(get_package_share_directory("vitpose_ros"), *parts)


def program(executable: str, **options: Any) -> Node:
    """The launch action for a program of this package.

    It ends with the launch in any case, and uses the shipped Fast DDS profile unless the user has
    selected one. Other nodes of the launch are not affected.
    """
    env = {LAUNCH_PID: str(os.getpid())}
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        env.update(dict.fromkeys(PROFILE_VARIABLES, share("config", "fastdds.xml")))
    return Node(
        package="vitpose_ros",
        executable=executable,
        name=options.pop("name", executable),
        output="screen",
        emulate_tty=True,
        additional_env=env,
        **options,
    )


def rviz(**options: Any) -> Any:
    """The launch action for RViz with rviz:=true; a message instead if it is not installed."""
    condition = IfCondition(LaunchConfiguration("rviz"))
    _, missing = find_rviz()
    if missing:
        return LogInfo(msg=missing, condition=condition)
    return program("rviz", condition=condition, **options)
