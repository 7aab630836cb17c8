"""Networks that `models add` added: the real node publishes what they find, format by format."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.paf.fields import FIELDS
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.models.add.run import Request, add_model
from vitpose_ros.models.catalogue import own_catalogue
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton

sys.path.insert(0, str(Path(__file__).parents[1]))
import added_networks as own

pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

IMAGE = np.full((128, 128, 3), 90, np.uint8)
CROP_PX = np.stack([60 + 18.0 * (np.arange(17) % 5), 40 + 11.0 * np.arange(17)], axis=1)
"""Where the keypoint networks see the 17 joints in a crop of 192x256 px."""

TOP_DOWN = [
    ("classic", "rtmdet", 1, 0.6),
    ("dark", "yolox", 80, 0.05),
    ("udp", "detr", 80, 0.05),
    ("udp, channels last", "rtmdet", 1, 0.05),
    ("integral", "rtmdet", 1, 0.1),
    ("simcc", "detr", 80, 0.3),
]
"""Codec, detector, its classes, and the largest error, px of the image."""


class Adder:
    """Adds networks to a store of its own, as the command does."""

    def __init__(self, folder: Path, models: ModelStore) -> None:
        self.folder, self.root = folder, folder / "store"
        for name in ("mediapipe-hand-full", "mediapipe-palm-full"):
            shutil.copytree(models.root / name, self.root / name)

    def add(self, name: str, shape: Any, outputs: dict[str, np.ndarray], **options: Any) -> None:
        path = own.constants(self.folder / f"{name}.onnx", shape, outputs)
        request = Request(path, name, self.folder / f"{name}.png", **options)
        add_model(ModelStore(self.root), own_catalogue(self.root), request)


@pytest.fixture
def adder(models: ModelStore, tmp_path: Path) -> Adder:
    return Adder(tmp_path, models)


def body_of(message: Any) -> Any:
    (body,) = (one for one in message.skeletons if one.kind == Skeleton.KIND_BODY)
    return body


@pytest.mark.parametrize(("kind", "detector", "classes", "limit"), TOP_DOWN)
def test_the_node_publishes_the_joints_of_an_added_top_down_network(
    graph: Any, camera: Any, adder: Adder, kind: str, detector: str, classes: int, limit: float
) -> None:
    settings: dict[str, Any] = {"normalise": "none"} if detector == "detr" else {}
    adder.add(
        "persons", (1, 3, 64, 64), own.detector(detector, classes),
        task="person_detector", settings=settings,
    )  # fmt: skip
    codec, _, last = kind.partition(", ")
    if codec == "simcc":
        x, y = SimCCCodec().encode(CROP_PX[None])
        outputs, settings = {"simcc_x": x, "simcc_y": y}, {}
    else:
        (maps,) = HeatmapCodec(kind=codec).encode(CROP_PX[None])
        outputs = {"heatmaps": maps.transpose(0, 2, 3, 1) if last else maps}
        settings = {"codec": codec, "pixels": "imagenet"}
    shape = (1, 256, 192, 3) if last else (1, 3, 256, 192)
    adder.add("joints", shape, outputs, layout="coco17", settings=settings)
    graph.start_pose_node(
        models_dir=os.fspath(adder.root), body_model="joints", person_detector="persons",
        view="third_person", smoothing="none",
    )  # fmt: skip
    body = body_of(camera.process(camera.image(IMAGE)))
    # The detector's box is 64 x 96 px around (64, 64); the crop has 1.25 times its height.
    sides = np.array([191.0, 255.0] if codec == "udp" else [192.0, 256.0])
    wanted = (CROP_PX / sides - 0.5) * (90, 120) + 64
    np.testing.assert_allclose(np.stack([body.u, body.v], axis=1), wanted, atol=limit)
    assert body.model == "joints"


def drawn_fields(uv: np.ndarray, size: int = 32) -> np.ndarray:
    """(1, maps, size, size): one person's heatmaps and fields, joints at (18, 2) px of the maps."""
    fields = FIELDS["openpose18"]
    rows, columns = np.mgrid[0:size, 0:size]
    maps = np.zeros((1, fields.maps, size, size))
    for joint, (u, v) in enumerate(uv):
        maps[0, joint] = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 1.2**2))
    for (a, b), channel in zip(fields.limbs, fields.channels, strict=True):
        along = uv[b] - uv[a]
        length = float(np.linalg.norm(along))
        unit = along / length
        away = np.stack([columns - uv[a, 0], rows - uv[a, 1]], axis=-1)
        near = (away @ unit > -1.5) & (away @ unit < length + 1.5)
        near &= np.abs(away @ np.array([-unit[1], unit[0]])) < 1.5
        maps[0, fields.heatmaps + channel][near] = unit[0]
        maps[0, fields.heatmaps + channel + 1][near] = unit[1]
    return maps


def test_the_node_publishes_the_person_of_an_added_bottom_up_network(
    graph: Any, camera: Any, adder: Adder
) -> None:
    uv = np.array(
        [
            (16, 4), (16, 8), (12, 8), (10, 13), (9, 18), (20, 8), (22, 13), (23, 18), (13, 18),
            (12, 23), (11, 28), (19, 18), (20, 23), (21, 28), (15, 2), (17, 2), (13, 3), (19, 3),
        ],
        float,
    )  # fmt: skip
    adder.add(
        "openpose", (1, 3, 256, 256), {"maps": drawn_fields(uv)}, settings={"pixels": "rgb"}
    )
    graph.start_pose_node(
        models_dir=os.fspath(adder.root), body_model="openpose", view="third_person",
        smoothing="none", person_threshold=0.3,
    )  # fmt: skip
    body = body_of(camera.process(camera.image(IMAGE)))
    wanted = (uv + 0.5) * 4 - 0.5  # maps of 32 px for an image of 128
    np.testing.assert_allclose(np.stack([body.u, body.v], axis=1), wanted, atol=1.0)
    assert body.model == "openpose"
