"""Annotated recordings whose every number is known, and a video whose every image is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vitpose_ros.cli.main import main
from vitpose_ros.layouts import HAND21
from vitpose_ros.offline.items import BAG, Item
from vitpose_ros.offline.recording import Annotated, Annotation
from vitpose_ros.parameters.file import load_parameters
from vitpose_ros.synthetic.anatomy import HandPose, bone_maps, hand21_m
from vitpose_ros.synthetic.motion import OPEN
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, View, ZSource

pytest.importorskip("rosbags")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

FIRST_NS = 1_700_000_000_123_456_789
PERIOD_NS = 33_333_333
SIZE = (96, 64)
FOCAL_PX, CENTRE_PX = 100.0, (47.5, 31.5)


def hand_m(number: int, side: Side) -> np.ndarray:
    """(21, 3) m, in the camera's frame: an open hand that moves and turns from image to image."""
    points = hand21_m(bone_maps(HandPose(np.array(OPEN, float)), 1.0, np.array((-0.26, 0, 0)))[0])
    turn = Rotation.from_rotvec(0.01 * number * np.array((0.6, 0.5, 0.4)))
    points = turn.apply(points)
    place = np.array((0.001 * number, 0.0007 * number, 0.5 - 0.0008 * number))
    if side is Side.LEFT:
        points, place = points * (-1, 1, 1), place - np.array((0.2, 0.0, 0.0))
    return (points + place).astype(np.float32)


def pixels(points: np.ndarray) -> np.ndarray:
    """(21, 2) px."""
    return (points[:, :2] / points[:, 2:] * FOCAL_PX + CENTRE_PX).astype(np.float32)


def picture(number: int) -> np.ndarray:
    """An image that tells its number in 12 blocks, dark or bright."""
    image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    for bit in range(12):
        if number >> bit & 1:
            row, column = divmod(bit, 4)
            image[row * 20 : row * 20 + 20, column * 24 : column * 24 + 24] = (220, 180, 200)
    return image


def number_of(image: np.ndarray) -> int:
    """The inverse of `picture`, for an image of any range of values."""
    scale = 255.0 if image.max() > 1.5 else 1.0
    bits = [
        image[row * 20 + 4 : row * 20 + 16, column * 24 + 4 : column * 24 + 20].mean() / scale > 0.5
        for row in range(3)
        for column in range(4)
    ]
    return sum(1 << bit for bit, on in enumerate(bits) if on)


@dataclass
class Take:
    """A recording.

    Attributes
    ----------
    stamps_ns : of its images.
    seen : by side, the numbers of the images in which the hand is found.
    occluded : joints that are inferred only.
    metric : whether hands are in metres.
    marks : of episodes, as (start_ns, end_ns).
    topics : by name: (type, [(stamp_ns, names or None, values), ...]).
    source : of the metres.
    """

    stamps_ns: Sequence[int] = tuple(FIRST_NS + i * PERIOD_NS for i in range(12))
    seen: dict[Side, Sequence[int]] = field(default_factory=lambda: {Side.RIGHT: range(12)})
    occluded: Sequence[int] = ()
    metric: bool = True
    marks: Sequence[tuple[int, int | None]] = ()
    topics: dict[str, tuple[str, Sequence[Any]]] = field(default_factory=dict)
    source: ZSource = ZSource.MEASURED
    size: tuple[int, int] = SIZE

    def instance(self, number: int, side: Side) -> Instance:
        """A hand in an image."""
        xyz = hand_m(number, side)
        state = np.full(21, JointState.MEASURED, np.uint8)
        state[list(self.occluded)] = JointState.OCCLUDED
        unknown = np.full((21, 3), np.nan, np.float32)
        keypoints = Keypoints(
            HAND21,
            pixels(xyz),
            np.full(21, 0.75, np.float32),
            state,
            xyz if self.metric else unknown,
            np.full(21, self.source if self.metric else ZSource.NONE, np.uint8),
        )
        return Instance(
            keypoints,
            0.9,
            "played",
            side=side,
            side_score=0.9,
            track_id=int(side),
            track_state=TrackState.CONFIRMED,
        )

    def log_ns(self, number: int) -> int:
        """When the recording received an image: in order, even if stamps go back."""
        return max(self.stamps_ns[: number + 1]) + 5_000_000 + 10 * number

    def annotation(self) -> Annotation:
        """What annotate would have found."""
        images = [
            Annotated(
                stamp_ns=stamp_ns,
                frame_id="camera_optical_frame",
                size=self.size,
                log_ns=self.log_ns(number),
                name=str(stamp_ns),
                instances=tuple(
                    self.instance(number, side)
                    for side, seen in self.seen.items()
                    if number in seen
                ),
                models=("played",),
                reset=number == 0,
                view=View.EGOCENTRIC,
            )
            for number, stamp_ns in enumerate(self.stamps_ns)
        ]
        return Annotation(images, (HAND21,), "none", 0.0)


def _message(store: Any, kind: str, stamp_ns: int, names: Any, values: Any) -> Any:
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    header = types["std_msgs/msg/Header"](stamp, "")
    nothing = np.zeros(0)
    if kind == "sensor_msgs/msg/JointState":
        return types[kind](header, list(names), np.array(values, float), nothing, nothing)
    if kind == "std_msgs/msg/Float64MultiArray":
        layout = types["std_msgs/msg/MultiArrayLayout"]([], 0)
        return types[kind](layout, np.array(values, float))
    if kind == "std_msgs/msg/Float64":
        return types[kind](float(values))
    if kind == "trajectory_msgs/msg/JointTrajectory":
        duration = types["builtin_interfaces/msg/Duration"](0, 0)
        point = types["trajectory_msgs/msg/JointTrajectoryPoint"]
        points = [point(np.array(v, float), nothing, nothing, nothing, duration) for v in values]
        return types[kind](header, list(names), points)
    assert kind == "std_msgs/msg/String"
    return types[kind](str(values))


def write_take(folder: Path, take: Take, name: str = "take") -> tuple[Path, Path]:
    """Write a recording and its annotation; the two folders."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    from vitpose_ros.offline.write_bag import write_bag

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    bag, annotated = folder / "recordings" / name, folder / "annotated" / name
    bag.parent.mkdir(exist_ok=True)
    annotated.mkdir(parents=True)
    messages: list[tuple[int, str, str, Any]] = []
    for number, stamp_ns in enumerate(take.stamps_ns):
        stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
        header = types["std_msgs/msg/Header"](stamp, "camera_optical_frame")
        image = np.zeros((take.size[1], take.size[0], 3), np.uint8)
        image[: SIZE[1], : SIZE[0]] = picture(number)
        width, height = take.size
        data = types["sensor_msgs/msg/Image"](
            header, height, width, "bgr8", 0, 3 * width, image.ravel()
        )
        info = types["sensor_msgs/msg/CameraInfo"](
            header,
            height,
            width,
            "plumb_bob",
            np.zeros(5),
            np.array([FOCAL_PX, 0, CENTRE_PX[0], 0, FOCAL_PX, CENTRE_PX[1], 0, 0, 1]),
            np.eye(3).ravel(),
            np.zeros(12),
            0,
            0,
            types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )
        log_ns = take.log_ns(number)
        messages.append((log_ns - 1, "/camera/camera_info", "sensor_msgs/msg/CameraInfo", info))
        messages.append((log_ns, "/camera/image_raw", "sensor_msgs/msg/Image", data))
    for topic, (kind, sent) in take.topics.items():
        for stamp_ns, names, values in sent:
            messages.append((stamp_ns, topic, kind, _message(store, kind, stamp_ns, names, values)))
    connections: dict[str, Any] = {}
    with Writer(bag, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for log_ns, topic, kind, message in sorted(messages, key=lambda m: m[0]):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], log_ns, store.serialize_cdr(message, kind))
    write_bag(annotated / "skeletons", take.annotation())
    item = Item(bag, name, BAG)
    parameters = load_parameters(None)
    about: dict[str, Any] = {
        "input": {
            "name": bag.name,
            "path": str(bag),
            "files": item.look(),
            "sha256": item.digest(),
        },
        "settings": {
            "parameters": {
                "max_megapixels": parameters.max_megapixels,
                "image_rectified": parameters.image_rectified,
                "input_mirrored": parameters.input_mirrored,
            },
            "topic": "",
            "with_input": False,
            "rate_hz": None,
            "static": False,
        },
        "notes": [],
    }
    if take.marks:
        about["episodes"] = [list(pair) for pair in take.marks]
    (annotated / "annotation.json").write_text(json.dumps(about))
    return bag, annotated


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """``write(take, name="take")``: the folders of a recording and of its annotation."""
    return lambda take, name="take": write_take(tmp_path, take, name)


@pytest.fixture
def export(tmp_path: Path, capsys: Any) -> Callable[..., tuple[int, str, Path]]:
    """``export(*words, form="lerobot", out="dataset")``: the exit code, all output, and the
    dataset's folder, of all that `write` wrote.
    """

    def run(*words: str, form: str = "lerobot", out: str = "dataset") -> tuple[int, str, Path]:
        given = ["export", form, str(tmp_path / "annotated"), "-o", str(tmp_path / out)]
        given += ["--task", "wave"] if "--task" not in words else []
        code = main([*given, *words])
        said = capsys.readouterr()
        return code, said.out + said.err, tmp_path / out

    return run
