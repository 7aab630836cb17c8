"""The environment of programs that a launch file or the demo starts. Imports nothing of ROS's
client library, for launch files.
"""

from __future__ import annotations

import os

from ament_index_python.packages import get_package_share_directory

from vitpose_ros.program import LAUNCH_PID

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS looks for its profile: up to Jazzy, and from Kilted on."""


def share(*parts: str) -> str:
    """A path in this package's share folder."""
    return os.path.join(get_package_share_directory("vitpose_ros"), *parts)


def child_environment() -> dict[str, str]:
    """Variables to add: the child ends with this process in any case, and uses the shipped Fast DDS
    profile unless the user has selected one.
    """
    added = {LAUNCH_PID: str(os.getpid())}
    if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
        added.update(dict.fromkeys(PROFILE_VARIABLES, share("config", "fastdds.xml")))
    return added
