"""What `demo --robot` adds: a robot hand that follows, its film and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.retarget.kinematics import import_mujoco
from vitpose_ros.retarget.robot import Robot, load_robot
from vitpose_ros.ros.demo_process import DemoError
from vitpose_ros.ros.robot_film import RobotFilm
from vitpose_ros.ros.robot_monitor import RobotMonitor
from vitpose_ros.ros.robots import robot_file

ROBOTS = {"": "", "shadow": "shadow-hand"}
"""Robots by name, and their descriptions in the model catalogue."""
ROBOT_FILES = {"robot.mp4": "the operator and the robot hand", "robot.png": "one picture of it"}


def demo_robot(name: str) -> Robot:
    """The robot of the demo.

    Raises
    ------
    DemoError : its description or MuJoCo is missing.
    """
    try:
        import_mujoco()
        return load_robot(robot_file(name))
    except ModelError as error:
        raise DemoError(str(error)) from error


def robot_programs(name: str) -> list[tuple[str, list[str]]]:
    """The programs that run beside the node, with their arguments."""
    robot = ["--ros-args", "-p", f"robot:={name}"]
    # A simulated robot harms nobody: it may follow later and sooner, also on a busy machine.
    values = {"deadman": "false", "approach_velocity": "1.5", "max_age": "1.0"}
    values["input_timeout"] = "0.5"
    return [
        ("simulated_hand", robot),
        ("retarget_node", [*robot, *(part for pair in values.items() for part in _option(*pair))]),
    ]


def _option(name: str, value: str) -> tuple[str, str]:
    return "-p", f"{name}:={value}"


def finish_robot(
    robot: Robot, monitor: RobotMonitor, output: Path, console: Console
) -> dict[str, Any]:
    """Write the film and the picture; returns the figures."""
    film = RobotFilm(robot, monitor)
    shots = track(
        monitor.shots, "drawing robot.mp4", console=console, transient=True, show_speed=False
    )
    film.write(output / "robot.mp4", output / "robot.png", shots)
    return film.summary()


def robot_rows(figures: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Rows of the result's table."""
    if figures is None:
        return []
    shown, true = figures["tip_error_mm"], figures["tip_error_to_truth_mm"]
    latency = figures["image_to_command_ms"]
    entry = load_catalogue().get(ROBOTS["shadow"])
    rows = [
        ("robot", f"{figures['robot']}; description: {entry.licence.name}"),
        (
            "fingertips, robot against the skeleton",
            "the robot did not follow: see retarget_node.log"
            if shown["mean"] is None
            else f"{shown['mean']:.1f} mm mean, {shown['p95']:.1f} mm 95th percentile",
        ),
    ]
    if true["mean"] is not None:
        rows.append(
            (
                "fingertips, robot against the true hand",
                f"{true['mean']:.1f} mm mean, {true['p95']:.1f} mm 95th percentile",
            )
        )
    if latency["p50"] is not None:
        rows.append(
            (
                "latency, image to joint command",
                f"{latency['p50']:.1f} ms median, {latency['p95']:.1f} ms 95th percentile",
            )
        )
    return rows
