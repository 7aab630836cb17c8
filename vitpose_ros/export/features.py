"""The features of a LeRobot dataset: their names, shapes and meaning, and their values.

Validity, sources and stamps have names that begin with neither `observation` nor `action`: training
code makes inputs and outputs of a policy of everything that does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.export.episodes import Episode
from vitpose_ros.export.frames import NS, DroppedError
from vitpose_ros.export.hands import SIDES, HandOverTime
from vitpose_ros.export.signals import held
from vitpose_ros.export.topics import STALE_S, resample
from vitpose_ros.export.video import CODEC, PIXELS, even
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import Side, ZSource

METRES, PIXELS_UNIT = "m", "px"
UNITS = (METRES, PIXELS_UNIT)

STATE, ACTION, STAMP = "observation.state", "action", "stamp_ns"

OPTICAL = "the camera's optical frame: x right, y down, z forward (REP 103)"
IMAGE = "the image: u right, v down, (0, 0) at the centre of the top left pixel"

_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
_NO_TURN = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

_COUNTERS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""LeRobot's own columns."""


@dataclass(frozen=True)
class Column:
    """A feature's values over an episode.

    Attributes
    ----------
    values : (N, D).
    valid : (N, D) which of them statistics use; None: all.
    """

    values: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Schema:
    """What a dataset has in each frame.

    Attributes
    ----------
    fps : frames per second.
    units : METRES or PIXELS_UNIT, of hands.
    camera : the video is observation.images.CAMERA.
    size : (width, height) of the images, px.
    state, action : names of the robot's elements, in order; empty for none.
    """

    fps: int
    units: str
    camera: str
    size: tuple[int, int]
    state: tuple[str, ...]
    action: tuple[str, ...]

    @property
    def video(self) -> str:
        """The video's key."""
        return f"observation.images.{self.camera}"

    @property
    def metric(self) -> bool:
        """Whether hands are in metres."""
        return self.units == METRES

    def features(self) -> dict[str, dict[str, Any]]:
        """As in info.json, in the order of the dataset."""
        return dict(self._features())

    def _features(self) -> Iterator[tuple[str, dict[str, Any]]]:
        width, height = even(self.size)
        yield (
            self.video,
            {
                "dtype": "video",
                "shape": [height, width, 3],
                "names": ["height", "width", "channels"],
                "info": {
                    "video.height": height,
                    "video.width": width,
                    "video.codec": CODEC,
                    "video.pix_fmt": PIXELS,
                    "video.fps": self.fps,
                    "video.channels": 3,
                    "has_audio": False,
                    "is_depth_map": False,
                },
            },
        )
        axes, frame = ("xyz", OPTICAL) if self.metric else ("uv", IMAGE)
        points = [f"{joint}_{axis}" for joint in HAND21.joints for axis in axes]
        for name in _hands():
            about = {"unit": self.units, "frame": frame, "layout": HAND21.name}
            yield f"observation.{name}", _feature("float32", points, **about)
        if self.metric:
            for name in _wrists():
                about = {"unit": "m; quaternion x, y, z, w", "frame": OPTICAL}
                axes_text = "origin at the wrist, z to the middle knuckle, x out of the palm"
                yield f"observation.{name}", _feature("float32", _POSE, **about, axes=axes_text)
        robot = {STATE: self.state, ACTION: self.action}
        for key, elements in robot.items():
            if elements:
                yield key, _feature("float32", elements, unit="as in the topic")
        for name in _hands():
            yield f"valid.{name}", _feature("bool", HAND21.joints)
        if self.metric:
            for name in _wrists():
                yield f"valid.{name}", _feature("bool", ["pose"])
        for key, elements in robot.items():
            if elements:
                yield f"valid.{_short(key)}", _feature("bool", elements)
        if self.metric:
            values = {source.name.lower(): int(source) for source in ZSource}
            for name in _hands():
                yield f"z_source.{name}", _feature("int64", HAND21.joints, values=values)
        yield STAMP, _feature("int64", ["stamp"], unit="ns", of="the image, when it was taken")
        for key, dtype in _COUNTERS.items():
            yield key, {"dtype": dtype, "shape": [1], "names": None}

    def columns(self, episode: Episode) -> dict[str, Column]:
        """The values of every feature but the video and LeRobot's own.

        Raises
        ------
        DroppedError : nothing is known about the hands, or the robot.
        """
        columns: dict[str, Column] = {}
        late: dict[str, Column] = {}
        self._hands(episode, columns, late)
        for key, names, stale_s in ((STATE, self.state, STALE_S), (ACTION, self.action, None)):
            if names and episode.topics is not None:
                values, valid = resample(episode.topics, names, episode.frames.stamp_ns, stale_s)
                columns[key] = Column(values.astype(np.float32), valid)
                late[f"valid.{_short(key)}"] = Column(valid)
        return {**columns, **late, STAMP: Column(episode.frames.stamp_ns[:, None])}

    def _hands(self, episode: Episode, columns: dict[str, Column], late: dict[str, Column]) -> None:
        count = len(episode.frames)
        seen = False
        for side in SIDES:
            hand, name = episode.hands[side], _hand(side)
            points, valid = joints_of(hand, self.metric)
            seen |= bool(valid.any())
            flat = held(points.reshape(count, -1))
            columns[f"observation.{name}"] = Column(flat, np.repeat(valid, points.shape[2], axis=1))
            late[f"valid.{name}"] = Column(valid)
            if self.metric:
                late[f"z_source.{name}"] = Column(hand.z_source.astype(np.int64))
                wrist = _steady(held(hand.wrist, _NO_TURN))
                sure = hand.wrist_measured[:, None]
                columns[f"observation.{_wrist(side)}"] = Column(wrist, np.repeat(sure, 7, axis=1))
                late[f"valid.{_wrist(side)}"] = Column(sure)
        if not seen:
            if self.metric and any(h.measured.any() for h in episode.hands.values()):
                raise DroppedError(
                    "its hands have no positions in metres: annotate it with depth, several "
                    "cameras or a hand size (docs/3d.md), or export pixels with --units px"
                )
            raise DroppedError("no hand was measured in it")

    def modality(self) -> dict[str, Any]:
        """meta/modality.json, which GR00T reads: slices of columns."""
        width = (3 if self.metric else 2) * len(HAND21)
        state: dict[str, Any] = {}
        if self.state:
            state["robot"] = {"start": 0, "end": len(self.state), "original_key": STATE}
        for name in _hands():
            state[name] = {"start": 0, "end": width, "original_key": f"observation.{name}"}
        if self.metric:
            for name in _wrists():
                key = f"observation.{name}"
                turn = {"start": 3, "end": 7, "rotation_type": "quaternion", "original_key": key}
                state[f"{name}_position"] = {"start": 0, "end": 3, "original_key": key}
                state[f"{name}_rotation"] = turn
        action = {}
        if self.action:
            action["robot"] = {"start": 0, "end": len(self.action), "original_key": ACTION}
        return {
            "state": state,
            "action": action,
            "video": {self.camera: {"original_key": self.video}},
            "annotation": {"human.task_description": {"original_key": "task_index"}},
        }


def valid_key(key: str) -> str:
    """The feature that says which values of `key` are valid; it may not exist."""
    return f"valid.{_short(key)}"


def blank_of(key: str, width: int) -> npt.NDArray[np.float64] | None:
    """What is written of a hand or a wrist that an episode never shows; None for other features."""
    if key in WRISTS:
        return np.array(_NO_TURN)
    return np.zeros(width) if key in HANDS else None


def joints_of(
    hand: HandOverTime, metric: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(N, 21, 3 or 2) joints in metres or px, NaN where unknown; (N, 21) which are measured."""
    points = hand.xyz if metric else hand.uv
    return points, hand.measured & np.isfinite(points).all(axis=2)


def counters(episode_index: int, first: int, count: int, fps: int, task_index: int) -> Any:
    """The values of LeRobot's own columns, by name."""
    frame = np.arange(count, dtype=np.int64)
    return {
        "timestamp": Column((frame / fps).astype(np.float32)[:, None]),
        "frame_index": Column(frame[:, None]),
        "episode_index": Column(np.full((count, 1), episode_index, np.int64)),
        "index": Column((first + frame)[:, None]),
        "task_index": Column(np.full((count, 1), task_index, np.int64)),
    }


def offsets_ms(episode: Episode) -> npt.NDArray[np.float64]:
    """By how much each frame's image is off, ms."""
    return np.abs(episode.frames.offset_ns) / NS * 1e3


def _feature(dtype: str, names: Any, **about: Any) -> dict[str, Any]:
    feature = {"dtype": dtype, "shape": [len(names)], "names": list(names)}
    return {**feature, "info": about} if about else feature


def _short(key: str) -> str:
    return key.removeprefix("observation.")


def _hand(side: Side) -> str:
    return f"hand_{side.name.lower()}"


def _wrist(side: Side) -> str:
    return f"wrist_{side.name.lower()}"


def _hands() -> list[str]:
    return [_hand(side) for side in SIDES]


def _wrists() -> list[str]:
    return [_wrist(side) for side in SIDES]


def _steady(poses: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The poses with quaternions whose signs do not jump: q and -q are the same rotation."""
    turns = poses[:, 3:]
    same = (turns[1:] * turns[:-1]).sum(axis=1) >= 0
    signs = np.cumprod(np.concatenate([[1], np.where(same, 1, -1)])).astype(np.float32)
    return np.concatenate([poses[:, :3], turns * signs[:, None]], axis=1)


HANDS = tuple(f"observation.{name}" for name in _hands())
WRISTS = tuple(f"observation.{name}" for name in _wrists())
"""The keys of these features, right before left."""
