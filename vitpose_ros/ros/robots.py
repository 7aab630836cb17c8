"""Where a robot's file is."""

from __future__ import annotations

from pathlib import Path

from vitpose_ros.retarget.robot import RobotError
from vitpose_ros.ros.children import share


def robot_file(given: str) -> Path:
    """The YAML file that the parameter `robot` means: a path, or the name of a shipped one.

    Raises
    ------
    RobotError : nothing is given, or there is no robot of that name.
    """
    if not given:
        raise RobotError(
            "no robot is named: set the parameter 'robot' to the robot's YAML file, or to "
            "'shadow' for the Shadow Hand (docs/robot_hands.md)"
        )
    if "/" not in given and not given.endswith((".yaml", ".yml")):
        shipped = Path(share("config", "robots", f"{given}.yaml"))
        if not shipped.is_file():
            names = ", ".join(sorted(path.stem for path in shipped.parent.glob("*.yaml")))
            raise RobotError(
                f"robot '{given}': this package has no robot of that name; it has: {names}. For "
                "one of your own, give the path of its YAML file"
            )
        return shipped
    return Path(given).expanduser()
