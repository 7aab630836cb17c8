"""Animals: the real node with a detector of COCO's classes and a network of an animal's joints."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton

sys.path.insert(0, str(Path(__file__).parents[1]))
import added_networks as own

pytest.importorskip("onnx", reason="the tests' own networks need it: pip install onnx")

ENTRY = """
  {name}:
    task: {task}
    architecture: {architecture}
    {more}
    licence: {{name: MIT, url: https://example.org/licence}}
    origin: https://example.org/{name}
    accuracy: []
    verified_here: false
    files: [{{name: net.onnx, sha256: unknown, source: {{file: /nowhere/net.onnx}}}}]
"""
DOG, PERSON = 16, 0
IMAGE = np.full((128, 128, 3), 90, np.uint8)
CROP_PX = np.stack([60 + 18.0 * (np.arange(17) % 5), 40 + 11.0 * np.arange(17)], axis=1)
"""Where the keypoint network sees the 17 joints in a crop of 192x256 px."""


@pytest.fixture
def zoo(models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with detectors that see a dog and a person, with an animal's joints, and without a
    hand detector.
    """
    store, entries = tmp_path / "store", "format: 1\nmodels:"
    shutil.copytree(models.root / "mediapipe-hand-full", store / "mediapipe-hand-full")
    networks = {
        "sees-dog": ("person_detector", "yolox", (64, 64), own.detector("yolox", 80, found=DOG)),
        "sees-person": (
            "person_detector", "yolox", (64, 64), own.detector("yolox", 80, found=PERSON),
        ),
        "one-class": ("person_detector", "rtmdet", (64, 64), own.detector("rtmdet", 1)),
        "joints": (
            "body_keypoints", "heatmap", (192, 256),
            {"heatmaps": HeatmapCodec(kind="udp").encode(CROP_PX[None])[0]},
        ),
    }  # fmt: skip
    for name, (task, architecture, (width, height), outputs) in networks.items():
        (store / name).mkdir(parents=True)
        own.constants(store / name / "net.onnx", (1, 3, height, width), outputs)
        more = f"input: {{width: {width}, height: {height}}}"
        if task == "body_keypoints":
            more += "\n    layout: ap10k17\n    settings: {codec: udp}"
        entries += ENTRY.format(name=name, task=task, architecture=architecture, more=more)
    catalogue = tmp_path / "models.yaml"
    catalogue.write_text(entries, encoding="utf-8")
    monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", os.fspath(catalogue))
    return os.fspath(store)


def start(graph: Any, zoo: str, detector: str, **parameters: Any) -> Any:
    values = {"view": "third_person", "smoothing": "none", **parameters}
    return graph.start_pose_node(
        models_dir=zoo, body_model="joints", person_detector=detector, **values
    )


def test_the_node_publishes_and_follows_an_animal(graph: Any, camera: Any, zoo: str) -> None:
    start(graph, zoo, "sees-dog")
    wanted = (CROP_PX / (191.0, 255.0) - 0.5) * (90, 120) + 64  # 1.25 times the box at (64, 64)
    seen = []
    for _ in range(3):
        (animal,) = camera.process(camera.image(IMAGE)).skeletons  # and no hands
        assert animal.kind == Skeleton.KIND_ANIMAL
        assert (animal.side, animal.layout) == (Skeleton.SIDE_UNKNOWN, "ap10k17")
        seen.append(animal)
    # Later crops are those of the track, in which this network gives the same answer.
    np.testing.assert_allclose(np.stack([seen[0].u, seen[0].v], axis=1), wanted, atol=0.05)
    assert len({animal.track_id for animal in seen}) == 1


def test_a_person_is_no_animal(graph: Any, camera: Any, zoo: str) -> None:
    start(graph, zoo, "sees-person")
    for _ in range(2):
        assert not camera.process(camera.image(IMAGE)).skeletons


@pytest.mark.parametrize(
    ("detector", "view", "complaint"),
    [
        ("mediapipe-person", "third_person", "finds persons only, and the body model reads"),
        ("one-class", "third_person", "'one-class' .* has a single class"),
        ("sees-dog", "auto", "'joints' reads animals; choose the view 'third_person'"),
    ],
)
def test_what_cannot_find_animals_is_refused_with_the_remedy(
    graph: Any, models: ModelStore, zoo: str, detector: str, view: str, complaint: str
) -> None:
    for name in ("mediapipe-person", "mediapipe-palm-full"):
        shutil.copytree(models.root / name, Path(zoo) / name)
    start(graph, zoo, detector, view=view)
    graph.wait_for_log(f"(?s)configure refused.*{complaint}")
