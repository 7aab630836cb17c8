"""A robot's joint names, and which human angle moves each of them, from a YAML file.

    rh_FFJ3:
      angle: right_index_mcp_flexion   # one of angles.ANGLE_NAMES
      scale: 1.0                       # optional; robot units per rad
      offset: 0.0                      # optional; robot units
      limits: [0.0, 1.57]              # robot units

position = scale * angle + offset, then held within the limits.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from vitpose_ros.models.reader import load_yaml
from vitpose_ros.retarget.angles import ANGLE_NAMES

Array = npt.NDArray[np.float64]

_KEYS = ("angle", "scale", "offset", "limits")


class JointMapError(ValueError):
    """A file that is no joint map; the text says what to correct."""


@dataclass(frozen=True)
class JointMap:
    """What moves each joint of a robot.

    Attributes
    ----------
    names : of the robot's R joints, in the file's order.
    source : (R,) the index of each one's angle in ANGLE_NAMES.
    scale, offset, low, high : (R,) in the robot's units.
    """

    names: tuple[str, ...]
    source: npt.NDArray[np.intp]
    scale: Array
    offset: Array
    low: Array
    high: Array

    def __call__(self, angles: Array) -> Array:
        """(R,) positions of the robot's joints; NaN where the angle is unknown.

        Parameters
        ----------
        angles : as ANGLE_NAMES, rad.
        """
        return np.clip(self.scale * angles[self.source] + self.offset, self.low, self.high)


def load_joint_map(path: Path) -> JointMap:
    """Read a joint map.

    Raises
    ------
    JointMapError : the file cannot be read, or an entry is not valid; the text names every mistake.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))  # refuses a key that stands twice
    except OSError as error:
        raise JointMapError(f"joint_map '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JointMapError(f"joint_map '{path}' is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise JointMapError(
            f"joint_map '{path}': expected one entry for each joint of the robot, such as "
            f"rh_FFJ3: {{angle: {ANGLE_NAMES[5]}, limits: [0.0, 1.57]}}"
        )
    problems = [
        f"{name}: {problem}"
        for name, entry in content.items()
        for problem in _problems(name, entry)
    ]
    if problems:
        raise JointMapError(f"joint_map '{path}': " + "; ".join(problems))
    entries = list(content.values())
    limits = np.array([entry["limits"] for entry in entries], np.float64)
    return JointMap(
        names=tuple(content),
        source=np.array([ANGLE_NAMES.index(entry["angle"]) for entry in entries], np.intp),
        scale=np.array([entry.get("scale", 1.0) for entry in entries], np.float64),
        offset=np.array([entry.get("offset", 0.0) for entry in entries], np.float64),
        low=limits[:, 0],
        high=limits[:, 1],
    )


def _problems(name: Any, entry: Any) -> list[str]:
    """What is wrong with an entry."""
    known = ", ".join(_KEYS)
    if not isinstance(name, str):
        return ["expected a joint's name as text"]
    if not isinstance(entry, dict):
        return [f"expected {known}, got {entry!r}"]
    found = [f"unknown key '{key}'; known are {known}" for key in entry if key not in _KEYS]
    angle = entry.get("angle")
    if angle not in ANGLE_NAMES:
        near = difflib.get_close_matches(str(angle), ANGLE_NAMES, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        found.append(f"unknown angle {angle!r}; {hint}docs/retargeting.md lists all")
    for key in ("scale", "offset"):
        if key in entry and not _is_number(entry[key]):
            found.append(f"{key}: expected a number, got {entry[key]!r}")
    limits = entry.get("limits")
    if (
        not isinstance(limits, list)
        or len(limits) != 2
        or not all(map(_is_number, limits))
        or not limits[0] < limits[1]
    ):
        found.append(f"limits: expected [low, high] in the robot's units, got {limits!r}")
    return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
