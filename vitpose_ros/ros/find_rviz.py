"""Whether RViz is installed. Imports nothing of ROS, for launch files."""

import os
import shutil


def find_rviz() -> tuple[str, str]:
    """The path of rviz2 and "", or "" and a sentence that names its package."""
    path = shutil.which("rviz2")
    if path:
        return path, ""
    distro = os.environ.get("ROS_DISTRO", "<distribution>")
    return "", (
        f"RViz is not installed, so none opens; nothing else needs it. To install it: sudo apt "
        f"install ros-{distro}-rviz2"
    )
