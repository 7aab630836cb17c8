"""Where calibrated cameras are: a YAML file.

    cameras:
      left_camera_optical_frame:  {translation_m: [0.0, 0.0, 0.0], rotation_xyzw: [0, 0, 0, 1]}
      right_camera_optical_frame: {translation_m: [0.3, 0.0, 0.0], rotation_xyzw: [0, 0, 0, 1]}

The keys are the frame_id of each camera's images. Each pose maps points of that optical frame to a
frame which all cameras of the file have in common, as tf2's transforms do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vitpose_ros.transform import Transform

_NUMBERS = {"translation_m": 3, "rotation_xyzw": 4}


def read_extrinsics(path: Path) -> Mapping[str, Transform]:
    """The pose of each camera, by the frame_id of its images.

    Raises
    ------
    ValueError : the file cannot be read or has an error; the text names it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"the extrinsics file {path} cannot be read: {error}") from error
    cameras = content.get("cameras") if isinstance(content, dict) else None
    if not isinstance(cameras, dict) or len(cameras) < 2 or len(content) != 1:
        raise ValueError(
            f"the extrinsics file {path}: expected one key, 'cameras', with the poses of two or "
            "more cameras by the frame_id of their images; docs/3d.md has an example"
        )
    return {str(frame): _pose(f"{path}: camera '{frame}'", pose) for frame, pose in cameras.items()}


def _pose(owner: str, given: Any) -> Transform:
    if not isinstance(given, dict) or set(given) != set(_NUMBERS):
        raise ValueError(
            f"the extrinsics file {owner}: expected translation_m: [x, y, z] and rotation_xyzw: "
            f"[x, y, z, w], got {given!r}"
        )
    values = {}
    for name, count in _NUMBERS.items():
        numbers = given[name]
        fits = isinstance(numbers, list) and len(numbers) == count
        if not fits or not all(
            isinstance(n, (int, float)) and not isinstance(n, bool) and np.isfinite(n)
            for n in numbers
        ):
            raise ValueError(
                f"the extrinsics file {owner}: {name}: expected {count} numbers, got {numbers!r}"
            )
        values[name] = [float(n) for n in numbers]
    length = float(np.linalg.norm(values["rotation_xyzw"]))
    if abs(length - 1.0) > 0.01:
        raise ValueError(
            f"the extrinsics file {owner}: rotation_xyzw: expected a quaternion of length 1, got "
            f"one of length {length:.3g}"
        )
    x, y, z, w = values["rotation_xyzw"]
    return Transform.from_quaternion((x, y, z, w), values["translation_m"])
