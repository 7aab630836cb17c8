"""What ROS writes: its log folder, and the shared memory that killed nodes leave behind."""

from __future__ import annotations

from collections.abc import Iterator

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.doctor.host import Host

SECTION = "ROS"

LARGE_SHARE = 0.1
"""Leftover segments that take more than this share of /dev/shm are a warning."""


def check_log_folder(host: Host) -> Iterator[Finding]:
    """The folder that rclpy needs to start: ROS_LOG_DIR, else log in ROS_HOME, else in ~/.ros."""
    environ = host.environ
    home = environ.get("HOME", "")
    base = environ.get("ROS_HOME", "") or (f"{home.rstrip('/')}/.ros" if home else "")
    folder = environ.get("ROS_LOG_DIR", "") or (f"{base}/log" if base else "")
    remedy = (
        "set ROS_LOG_DIR to a folder that this user may write, such as ROS_LOG_DIR=/tmp/ros_log"
    )
    if not folder:
        yield Finding(
            SECTION,
            "log folder",
            Level.PROBLEM,
            "this user has no home folder (HOME is not set), so that ROS cannot start",
            f"set HOME to a folder that this user may write, such as HOME=/tmp; or only {remedy}",
        )
    elif not host.writable(folder):
        yield Finding(
            SECTION,
            "log folder",
            Level.PROBLEM,
            f"{folder} cannot be written, so that ROS cannot start",
            remedy,
        )
    else:
        yield Finding(SECTION, "log folder", Level.OK, folder)


def check_leftovers(host: Host) -> Iterator[Finding]:
    """Fast DDS segments of processes that were killed."""
    left = host.leftover_segments()
    if not left:
        return
    size, space = sum(left.values()), host.space("/dev/shm")
    large = space is not None and size > LARGE_SHARE * space[0]
    yield Finding(
        SECTION,
        "leftover segments",
        Level.WARNING if large else Level.NOTE,
        f"{len(left)} shared-memory segments ({size / 2**20:.0f} MB of /dev/shm) belong to "
        "processes that were killed",
        "fastdds shm clean; it removes only segments without a living owner",
    )
