"""Opens RViz in the camera's own frame, which it takes from the first skeletons."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import rclpy
from rclpy.node import Node

from vitpose_ros.msg import SkeletonArray
from vitpose_ros.ros.children import share
from vitpose_ros.ros.find_rviz import find_rviz
from vitpose_ros.ros.start import StartError, end_ros, start_ros

PATIENCE_S = 5.0


class FrameFinder(Node):
    """Waits for `skeletons` and keeps the frame of their images; None until then."""

    def __init__(self) -> None:
        super().__init__("rviz")
        self.frame: str | None = None
        self.create_subscription(SkeletonArray, "skeletons", self._take, 1)

    def _take(self, message: SkeletonArray) -> None:
        self.frame = message.header.frame_id


def main(arguments: Sequence[str] | None = None) -> int:
    """Become RViz; 1 if it is not installed, 0 if asked to end before there are skeletons."""
    arguments = sys.argv[1:] if arguments is None else arguments
    program, missing = find_rviz()
    if missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    try:
        start_ros(arguments)
    except StartError as error:
        sys.stderr.write(f"rviz: {error}\n")
        return 2
    try:
        frame = _find_frame()
    except KeyboardInterrupt:
        return 0
    finally:
        end_ros()
    command = [
        program,
        "-d",
        share("config", "pose.rviz"),
        *(["-f", frame] if frame else []),
        *arguments,
    ]
    sys.stderr.flush()
    return os.execv(program, command)


def _find_frame() -> str:
    finder = FrameFinder()
    remind_s = time.monotonic() + PATIENCE_S
    while finder.frame is None:
        rclpy.spin_once(finder, timeout_sec=0.1)
        if time.monotonic() > remind_s:
            remind_s = float("inf")
            finder.get_logger().info(
                "RViz opens with the first skeletons, because it takes the camera's frame from them"
            )
    if not finder.frame:
        finder.get_logger().warning(
            "the camera's images have no frame_id, so that RViz cannot place their skeletons: set "
            "it in the camera's driver"
        )
    finder.destroy_node()
    return finder.frame


if __name__ == "__main__":
    sys.exit(main())
