"""A robot's state and its commands, from topics of a bag.

Every element of a message (a joint, a coordinate) is a series of its own, because one topic can
have several publishers, each with its own joints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.export.frames import NS, DroppedError
from vitpose_ros.export.signals import held, latest
from vitpose_ros.ingest.stamps import stamp_ns
from vitpose_ros.offline.bag import Bag
from vitpose_ros.offline.bag_types import typestore
from vitpose_ros.offline.errors import OfflineError

STALE_S = 0.5
"""An older state is held, and not valid."""

IntArray = npt.NDArray[np.int64]

_XYZ, _QUATERNION = ("x", "y", "z"), ("qx", "qy", "qz", "qw")
_TWIST = ("vx", "vy", "vz", "wx", "wy", "wz")


def _joint_state(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    return message.name, message.position


def _trajectory(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    if len(message.points) != 1:
        raise OfflineError(
            f"a JointTrajectory of {len(message.points)} points: only streams of single points can "
            "be used, since a trajectory has no one value at a time"
        )
    return message.joint_names, message.points[0].positions


def _array(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    return [str(i) for i in range(len(message.data))], message.data


def _number(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    return ["data"], [message.data]


def _pose(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    pose = getattr(message, "pose", message)
    position, turn = pose.position, pose.orientation
    values = [position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w]
    return (*_XYZ, *_QUATERNION), values


def _twist(message: Any) -> tuple[Sequence[str], Sequence[float]]:
    twist = getattr(message, "twist", message)
    linear, angular = twist.linear, twist.angular
    return _TWIST, [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]


READERS: dict[str, Callable[[Any], tuple[Sequence[str], Sequence[float]]]] = {
    "sensor_msgs/msg/JointState": _joint_state,
    "trajectory_msgs/msg/JointTrajectory": _trajectory,
    "std_msgs/msg/Float64MultiArray": _array,
    "std_msgs/msg/Float32MultiArray": _array,
    "std_msgs/msg/Float64": _number,
    "std_msgs/msg/Float32": _number,
    "std_msgs/msg/Bool": _number,
    "geometry_msgs/msg/PoseStamped": _pose,
    "geometry_msgs/msg/Pose": _pose,
    "geometry_msgs/msg/TwistStamped": _twist,
    "geometry_msgs/msg/Twist": _twist,
}
"""What can be read, by message type: names and values of a message's elements."""


@dataclass(frozen=True)
class Series:
    """One element over time.

    Attributes
    ----------
    times_ns : (M,) rising.
    values : (M,).
    """

    times_ns: IntArray
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """What topics of a bag told.

    Attributes
    ----------
    series : by element: the topic without its first '/', with dots, then the element:
        joint_states.elbow.
    names : by topic, its elements' names in the order in which they came.
    by_arrival : topics without stamps of their own: times are those of the recording.
    """

    series: dict[str, Series]
    names: dict[str, tuple[str, ...]]
    by_arrival: tuple[str, ...]


def read_topics(bag: Bag, topics: Sequence[str]) -> Recorded:
    """Read topics of a bag.

    Raises
    ------
    OfflineError : a topic does not exist, or its type cannot be read.
    """
    gathered: dict[str, tuple[list[int], list[float]]] = {}
    by_arrival: list[str] = []
    elements: dict[str, dict[str, None]] = {topic: {} for topic in topics}
    for topic in topics:
        connections = [c for c in bag.topics if c.topic == topic]
        read = _reader(bag, topic, connections)
        for connection, log_ns, data in bag.messages(connections):
            message = typestore().deserialize_cdr(data, connection.msgtype)
            time_ns = stamp_ns(message) if hasattr(message, "header") else 0
            if not time_ns:
                time_ns = log_ns
                if topic not in by_arrival:
                    by_arrival.append(topic)
            try:
                names, values = read(message)
            except OfflineError as error:
                raise OfflineError(f"{bag.path}, {topic}: {error}") from error
            for name, value in zip(names, values, strict=False):
                if np.isfinite(value):
                    full = f"{topic.strip('/').replace('/', '.')}.{name}"
                    elements[topic][full] = None
                    times, numbers = gathered.setdefault(full, ([], []))
                    times.append(time_ns)
                    numbers.append(float(value))
    series = {}
    for name, (times, numbers) in gathered.items():
        order = np.argsort(times, kind="stable")
        series[name] = Series(np.asarray(times, np.int64)[order], np.asarray(numbers)[order])
    names_of = {topic: tuple(found) for topic, found in elements.items()}
    return Recorded(series, names_of, tuple(by_arrival))


def _reader(
    bag: Bag, topic: str, connections: Sequence[Any]
) -> Callable[[Any], tuple[Sequence[str], Sequence[float]]]:
    if not connections:
        usable = sorted({f"{c.topic} ({c.msgtype})" for c in bag.topics if c.msgtype in READERS})
        raise OfflineError(
            f"{bag.path} has no topic '{topic}'; those that can be used are "
            f"{', '.join(usable) or 'none'}"
        )
    kinds = {c.msgtype for c in connections}
    if len(kinds) > 1 or not kinds <= READERS.keys():
        raise OfflineError(
            f"{bag.path}: '{topic}' is of type {', '.join(sorted(kinds))}; accepted are "
            f"{', '.join(sorted(READERS))}"
        )
    return READERS[connections[0].msgtype]


def resample(
    recorded: Recorded, names: Sequence[str], at_ns: IntArray, stale_s: float | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Elements at given moments: for each the newest value that is not newer, so nothing is
    interpolated.

    Parameters
    ----------
    recorded : what the bag told.
    names : of the elements, in the order of the result.
    at_ns : (N,) the moments.
    stale_s : older values are not valid; None for commands, which hold until the next one.

    Returns
    -------
    (N, D) values without gaps, see `signals.held`; (N, D) whether each is valid.

    Raises
    ------
    DroppedError : an element has no value at any of these moments.
    """
    values, valid = [], []
    for name in names:
        series = recorded.series[name]
        value, age_ns = latest(series.times_ns, series.values, at_ns)
        if (age_ns < 0).all():
            raise DroppedError(f"{name} has no value before its end")
        fresh = age_ns >= 0
        if stale_s is not None:
            fresh &= age_ns <= stale_s * NS
        values.append(value)
        valid.append(fresh)
    return held(np.stack(values, axis=1)), np.stack(valid, axis=1)
