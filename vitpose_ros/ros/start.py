"""The start of ROS in a program of this package: what rclpy cannot accept becomes a sentence."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node

LEVELS = ("debug", "info", "warn", "error", "fatal")


class StartError(RuntimeError):
    """ROS cannot start; the text says why and what to do."""


def start_ros(arguments: Sequence[str] | None, **options: Any) -> None:
    """Initialise rclpy's default context.

    Raises
    ------
    StartError : an argument, a parameter file or the log folder is unusable.
    """
    try:
        rclpy.init(args=None if arguments is None else list(arguments), **options)
    except RuntimeError as error:  # RCLError, and UnknownROSArgsError for unknown options
        rclpy.try_shutdown()
        raise StartError(explain(error)) from error


def end_ros(node: Node | None = None) -> None:
    """Destroy a node and shut rclpy down. Another Ctrl-C changes nothing any more: at a terminal,
    `ros2 launch` sends its own after the user's.
    """
    signal.signal(signal.SIGINT, lambda number, frame: None)
    if node is not None:
        node.destroy_node()
    with contextlib.suppress(RuntimeError):  # rclpy's signal handler has just done it
        rclpy.try_shutdown()
    signal.signal(signal.SIGINT, lambda number, frame: None)  # rclpy has restored the old one


def explain(error: Exception) -> str:
    """What is wrong, in one sentence, instead of rcl's chain of messages and source lines."""
    text = re.sub(r", at \S+:\d+", "", str(error)).removeprefix("failed to initialize rcl: ")
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown options after --ros-args: {text}"
    if found := re.search(r"params file: '--params-file (.*?)'\. Error: (.*)", text, re.DOTALL):
        path, reason = found.groups()
        if not Path(path).is_file():
            return f"there is no parameter file '{path}'"
        return (
            f"the parameter file '{path}' cannot be read: {reason.strip()}. It must be YAML of the "
            "form of this package's config/pose.yaml"
        )
    if found := re.search(r"(remap|override) rule: '(.*)'\. Error", text, re.DOTALL):
        form = "-r FROM:=TO with valid names" if found[1] == "remap" else "-p NAME:=VALUE"
        return f"'{found[2]}' cannot be read: write {form}"
    if found := re.search(r"log level: '--log-level (.*?)'", text):
        return f"unknown log level '{found[1]}': accepted is one of {', '.join(LEVELS)}"
    if found := re.search(r"log(?:ging)? directory(?: '(.*?)')?", text):
        where = f"to '{found[1]}'" if found[1] else "anywhere, because this user has no home folder"
        return (
            f"ROS cannot write its log {where}; set ROS_LOG_DIR to a folder that this user may "
            "write, such as ROS_LOG_DIR=/tmp/ros_log, or give the user a home: HOME=/tmp"
        )
    return text.strip() or type(error).__name__
