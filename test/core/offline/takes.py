"""Takes of two hands with exact truth, for the tests of the quality report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.layouts import HAND21
from vitpose_ros.offline.items import MANIFEST, Item, kind_of
from vitpose_ros.offline.job import Job
from vitpose_ros.offline.read_skeletons import BAG_NAME, RecordedImage
from vitpose_ros.offline.recording import Annotated, Annotation
from vitpose_ros.offline.write_bag import write_bag
from vitpose_ros.parameters.file import load_parameters
from vitpose_ros.types import (
    Instance,
    JointState,
    Keypoints,
    Side,
    TrackState,
    View,
    ZSource,
)

RATE_HZ, COUNT = 30, 300
FIRST_NS = 1_700_000_000_000_000_000
SIZE = (640, 480)
PALM_PX = 60.0
LEFT_ID, RIGHT_ID = 1, 2

Images = list[RecordedImage]
Change = Callable[[Instance], "Instance | None"]


def stamp(number: float) -> int:
    """Of the image with this number, ns."""
    return FIRST_NS + round(number * 1e9 / RATE_HZ)


def hand_shape() -> np.ndarray:
    """(21, 2) joints of a flat hand in palms; the wrist is the origin."""
    points = [np.zeros(2)]
    for finger in range(5):
        angle = np.radians(-90 + 22 * (finger - 2))
        for joint in range(4):
            reach = (0.5 if finger == 0 else 0.95) + 0.28 * joint
            points.append(reach * np.array([np.cos(angle), np.sin(angle)]))
    shape = np.array(points)
    sides = [shape[[0, 5, 17]][a] - shape[[0, 5, 17]][b] for a, b in ((0, 1), (1, 2), (2, 0))]
    return shape / max(np.linalg.norm(side) for side in sides)


def keypoints(uv: np.ndarray, shape: np.ndarray | None = None) -> Keypoints:
    """Measured joints, their shape in metres 1.5 mm per px unless it is given."""
    if shape is None:
        shape = np.c_[uv - uv.mean(axis=0), np.zeros(21)] * 0.0015
    return Keypoints(
        HAND21,
        uv.astype(np.float32),
        np.full(21, 0.9, np.float32),
        np.full(21, JointState.MEASURED, np.uint8),
        shape_xyz=shape.astype(np.float32),
    )


def with_metres(one: Keypoints, xyz: np.ndarray) -> Keypoints:
    """The same joints, known in metres."""
    source = np.full(21, ZSource.MEASURED, np.uint8)
    return replace(one, xyz=xyz.astype(np.float32), z_source=source)


def hand(side: Side, number: int) -> Instance:
    """One of the two hands in an image: both circle slowly, far from the edge."""
    centre = np.array([220.0 if side is Side.LEFT else 430.0, 300.0])
    angle = 2 * np.pi * number / 90
    uv = centre + 20 * np.array([np.cos(angle), np.sin(angle)]) + PALM_PX * hand_shape()
    return Instance(
        keypoints(uv),
        0.9,
        "test",
        side=side,
        side_score=0.95,
        track_id=LEFT_ID if side is Side.LEFT else RIGHT_ID,
        track_state=TrackState.CONFIRMED,
    )


def take(count: int = COUNT) -> Images:
    """Two hands that are always there."""
    return [
        RecordedImage(
            stamp(number),
            "camera",
            "camera",
            SIZE,
            number == 0,
            "none",
            0.0,
            (hand(Side.LEFT, number), hand(Side.RIGHT, number)),
        )
        for number in range(count)
    ]


def changed(images: Images, side: Side, numbers: Sequence[int], change: Change) -> Images:
    """The take with one hand changed in some images; None takes it away."""
    result = list(images)
    for number in numbers:
        hands = [
            change(one) if one.side is side else one for one in result[number].instances
        ]
        kept = tuple(one for one in hands if one is not None)
        result[number] = replace(result[number], instances=kept)
    return result


def moved(one: Instance, by_px: Sequence[float], joints: Sequence[int] = range(21)) -> Instance:
    """The hand, or some of its joints, elsewhere."""
    uv = one.keypoints.uv.copy()
    uv[list(joints)] += np.asarray(by_px, np.float32)
    new = replace(one.keypoints, uv=uv)
    return replace(one, keypoints=new, raw=new)


def predicted(one: Instance) -> Instance:
    """The hand, lost in this image."""
    state = np.full(21, JointState.PREDICTED, np.uint8)
    return replace(
        one,
        keypoints=replace(one.keypoints, state=state),
        raw=Keypoints.absent(HAND21),
        track_state=TrackState.LOST,
    )


def picture(image: RecordedImage) -> np.ndarray:
    """What a camera sees: noise, and flesh along the bones."""
    rng = np.random.default_rng(image.stamp_ns % 1000)
    seen = rng.integers(60, 90, (SIZE[1], SIZE[0], 3), np.uint8)
    for one in image.instances:
        uv = one.keypoints.uv
        for a, b in HAND21.edges:
            ends = [tuple(int(x) for x in np.rint(uv[joint])) for joint in (a, b)]
            cv2.line(seen, *ends, (120, 160, 220), 12)
    return seen


def write_images(folder: Path, images: Images) -> Path:
    """A folder of images with their stamps as names."""
    folder.mkdir(parents=True)
    for image in images:
        cv2.imwrite(str(folder / f"{image.stamp_ns}.jpg"), picture(image))
    return folder


def as_annotation(images: Images) -> Annotation:
    """What annotate's writers take."""
    found = [
        Annotated(
            one.stamp_ns,
            one.frame_id,
            one.size,
            one.stamp_ns,
            str(one.stamp_ns),
            one.instances,
            ("test",),
            one.reset,
            View.EGOCENTRIC,
        )
        for one in images
    ]
    return Annotation(found, (HAND21,), "none", 0.0)


def write_annotated(
    folder: Path, images: Images, recording: Path | None = None, **about: object
) -> Path:
    """What annotate writes, without the networks.

    Parameters
    ----------
    folder : of the item.
    images : what was found.
    recording : what was annotated; None if it is not there.
    about : further entries of annotation.json; `settings` changes some.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bag(folder / BAG_NAME, as_annotation(images))
    settings = Job(folder, load_parameters(None, {}, print)).settings()
    path = recording or folder / "gone.mp4"
    files = Item(path, "", kind_of(path)).look() if recording else [["gone.mp4", 1, 1]]
    manifest = {
        "input": {"name": path.name, "path": str(path), "files": files, "sha256": "0"},
        "settings": {**settings, **about.pop("settings", {})},  # type: ignore[dict-item]
        "notes": [],
        **about,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder
