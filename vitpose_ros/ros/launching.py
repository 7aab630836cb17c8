"""Actions that this package's launch files share."""

from __future__ import annotations

from typing import Any

from launch.actions import LogInfo
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vitpose_ros.ros.children import child_environment
from vitpose_ros.ros.find_rviz import find_rviz


def program(executable: str, **options: Any) -> Node:
    """A program of this package. Its environment is its own: other nodes are not affected."""
    return Node(
        package="vitpose_ros",
        executable=executable,
        name=executable,
        output="screen",
        emulate_tty=True,
        additional_env=child_environment(),
        **options,
    )


def rviz(**options: Any) -> Any:
    """RViz with rviz:=true; a message instead if it is not installed."""
    condition = IfCondition(LaunchConfiguration("rviz"))
    _, missing = find_rviz()
    if missing:
        return LogInfo(msg=missing, condition=condition)
    return program("rviz", condition=condition, **options)
