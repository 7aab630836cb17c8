"""A robot hand as one YAML file: its description, its joints, and which part of it follows which
joint of the operator's hand. docs/robot_hands.md explains each field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from vitpose_ros.layouts import HAND21
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.reader import Reader, load_yaml
from vitpose_ros.models.store import ModelStore
from vitpose_ros.types import Side

Array = npt.NDArray[np.float64]

FORMAT = 1
SIDES = {"left": Side.LEFT, "right": Side.RIGHT}
KINDS = ("least_squares", "dex_retargeting")


class RobotError(ModelError):
    """A robot cannot be used as described; the text says why and what to do."""


@dataclass(frozen=True)
class RobotJoint:
    """A joint that the retargeter moves.

    Attributes
    ----------
    name : in the robot's description.
    command, state : its names in commands and in joint_states.
    scale, offset : the commanded value is scale * angle + offset.
    velocity, acceleration : limits, rad/s and rad/s^2.
    """

    name: str
    command: str
    state: str
    scale: float
    offset: float
    velocity: float
    acceleration: float


@dataclass(frozen=True)
class Coupling:
    """A joint that the robot's mechanics move with another one: angle = ratio * other angle."""

    name: str
    driver: str
    ratio: float


@dataclass(frozen=True)
class Robot:
    """A robot hand.

    Attributes
    ----------
    path : the YAML file.
    name : for people.
    side : of the operator's hand that it follows.
    kind : the retargeter, one of KINDS.
    joints : those that it moves, in the order of the commands.
    couplings : joints that follow others by themselves.
    safe_poses : joint angles by joint name, rad, by the pose's name.
    description : the URDF or MJCF file; for dex_retargeting, its own YAML file.
    palm : the body that the operator frame is fixed to.
    operator_axes : (3, 3) the axes x, y, z of the operator frame, as columns, in the palm's frame.
    points : the body or site that stands for each joint of hand21, by that joint's index.
    python : the interpreter that has dex_retargeting; "" for this one.
    """

    path: Path
    name: str
    side: Side
    kind: str
    joints: tuple[RobotJoint, ...]
    couplings: tuple[Coupling, ...]
    safe_poses: Mapping[str, Mapping[str, float]]
    description: Path
    palm: str = ""
    operator_axes: Array = field(default_factory=lambda: np.eye(3))
    points: Mapping[int, str] = field(default_factory=dict)
    python: str = ""

    def safe_pose(self, name: str) -> Array:
        """The joint angles (N,) of a named pose, rad; RobotError if there is none of that name."""
        if name not in self.safe_poses:
            known = ", ".join(self.safe_poses) or "none"
            raise RobotError(
                f"safe pose '{name}': {self.path} has no pose of that name; it has: {known}."
            )
        return np.array([self.safe_poses[name][joint.name] for joint in self.joints])


def load_robot(path: Path, store: ModelStore | None = None) -> Robot:
    """Read a robot's YAML file.

    Parameters
    ----------
    path : the file.
    store : where descriptions of the model catalogue are; None for the default one.

    Raises
    ------
    RobotError : the file or its description is missing, or a field has an error.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RobotError(
            f"the robot's file {path} cannot be read: {error}. Name a YAML file as described in "
            "docs/robot_hands.md."
        ) from error
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise RobotError(f"the robot's file {path} is not valid YAML: {error}.") from error
    try:
        return _read(path, Reader(str(path), "", content), store)
    except RobotError:
        raise
    except ModelError as error:
        raise RobotError(str(error)) from error


def _read(path: Path, reader: Reader, store: ModelStore | None) -> Robot:
    if reader.integer("format") != FORMAT:
        raise reader.error("format", f"this version reads format {FORMAT}")
    name = reader.text("name")
    side = SIDES[reader.choice("side", SIDES)]
    kind = reader.choice("retargeter", KINDS)
    prefix = reader.optional_text("prefix") or ""
    limits = reader.child("limits")
    speed, acceleration = _positive(limits, "velocity"), _positive(limits, "acceleration")
    limits.finish()
    rows = reader.mapping("joints")
    if not rows:
        raise reader.error("joints", "expected at least one joint")
    joints = tuple(
        _read_joint(
            reader.nested(f"joints.{key}", value or {}), str(key), prefix, speed, acceleration
        )
        for key, value in rows.items()
    )
    names = [joint.name for joint in joints]
    couplings: tuple[Coupling, ...] = ()
    points: dict[int, str] = {}
    palm, axes, python = "", np.eye(3), ""
    if kind == "least_squares":
        description = _find(reader.child("description"), path, store)
        palm = prefix + reader.text("palm")
        axes = _read_axes(reader.child("operator_axes"))
        points = _read_points(reader, prefix)
        couplings = _read_couplings(reader, prefix, names)
    else:
        description = _beside(path, reader.text("dex_config"))
        python = reader.optional_text("dex_python") or ""
    poses = {
        str(pose): _read_pose(reader.nested(f"safe_poses.{pose}", value or {}), prefix, names)
        for pose, value in (reader.take("safe_poses") or {}).items()
    }
    reader.finish()
    if not description.is_file():
        raise RobotError(
            f"{path}: the robot description {description} does not exist: correct the path, or "
            "copy the file there."
        )
    return Robot(
        path, name, side, kind, joints, couplings, poses, description, palm, axes, points, python
    )


def _positive(reader: Reader, name: str) -> float:
    value = reader.number(name)
    if not value > 0:
        raise reader.error(name, f"expected a number above 0, got {value:g}")
    return value


def _number(reader: Reader, name: str, default: float) -> float:
    value = reader.take(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise reader.error(name, f"expected a number, got {value!r}")
    return float(value)


def _read_joint(
    reader: Reader, key: str, prefix: str, speed: float, acceleration: float
) -> RobotJoint:
    command = reader.optional_text("command") or key
    scale = _number(reader, "scale", 1.0)
    joint = RobotJoint(
        name=prefix + key,
        command=command,
        state=reader.optional_text("state") or command,
        scale=scale,
        offset=_number(reader, "offset", 0.0),
        velocity=_number(reader, "velocity", speed),
        acceleration=_number(reader, "acceleration", acceleration),
    )
    if scale == 0 or joint.velocity <= 0 or joint.acceleration <= 0:
        raise reader.error(
            "scale", "scale must not be 0; velocity and acceleration must be above 0"
        )
    reader.finish()
    return joint


def _find(reader: Reader, path: Path, store: ModelStore | None) -> Path:
    """The description: a file beside the YAML file, or one of the model catalogue."""
    model = reader.optional_text("model")
    if model is None:
        description = _beside(path, reader.text("path"))
    else:
        local = (store or ModelStore()).get(model, "robot_hand")
        description = local.file(reader.text("file"))
    reader.finish()
    return description


def _beside(path: Path, name: str) -> Path:
    return path.parent / Path(name).expanduser()


def _read_axes(reader: Reader) -> Array:
    columns = []
    for axis in "xyz":
        value: Any = reader.take(axis)
        if not isinstance(value, list) or len(value) != 3:
            raise reader.error(axis, f"expected three numbers [x, y, z], got {value!r}")
        columns.append([float(part) for part in value])
    reader.finish()
    axes = np.array(columns).T
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3) or np.linalg.det(axes) < 0:
        raise reader.error(
            "x", "x, y and z must be unit vectors, at right angles and right-handed (z = x cross y)"
        )
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right)


def _read_points(reader: Reader, prefix: str) -> dict[int, str]:
    points = {}
    for joint, body in reader.mapping("points").items():
        if joint not in HAND21.joints:
            raise reader.error(
                f"points.{joint}", f"unknown joint; known are {', '.join(HAND21.joints)}"
            )
        points[HAND21.index(joint)] = prefix + str(body)
    return points


def _read_couplings(reader: Reader, prefix: str, names: list[str]) -> tuple[Coupling, ...]:
    couplings = []
    for key, value in (reader.take("coupled") or {}).items():
        child = reader.nested(f"coupled.{key}", value)
        driver = prefix + child.text("joint")
        if driver not in names or prefix + str(key) in names:
            raise child.error(
                "joint", "a coupled joint follows one of `joints` and is none of them"
            )
        couplings.append(Coupling(prefix + str(key), driver, _number(child, "ratio", 1.0)))
        child.finish()
    return tuple(couplings)


def _read_pose(reader: Reader, prefix: str, names: list[str]) -> dict[str, float]:
    pose = {name: _number(reader, name.removeprefix(prefix), 0.0) for name in names}
    reader.finish()
    return pose
