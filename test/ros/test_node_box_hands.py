"""A hand detector of the user's own: the real node with a network that gives known boxes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitpose_ros.hand_geometry import joints_box
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import Skeleton
from vitpose_ros.synthetic.scene import Rendering
from vitpose_ros.types import Side

CATALOGUE = """
format: 1
models:
  my-boxes:
    task: hand_detector
    architecture: rtmdet
    input: {width: 320, height: 320}
    settings: {SETTINGS}
    licence: {name: MIT, url: https://example.org/licence}
    origin: https://example.org/my-boxes
    accuracy: []
    verified_here: false
    files: [{name: net.onnx, sha256: unknown, source: {file: /nowhere/net.onnx}}]
"""


@pytest.fixture
def own_detector(
    models: ModelStore,
    rendering: Rendering,
    box_network: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], str]:
    """A function: the folder of a store with a detector of such settings, which finds the two
    hands of `rendering`; class 0 is a left hand, class 1 a right one.
    """

    def make(settings: str) -> str:
        scale = 320 / max(rendering.image.shape[:2])
        rows = []
        for hand in rendering.hands:
            x, y, width, height = joints_box(hand.uv)
            corners = np.array((x, y, x + width, y + height)) * scale
            rows.append((*corners.tolist(), int(hand.side is Side.RIGHT), 0.9))
        store = tmp_path / "store"
        (store / "my-boxes").mkdir(parents=True)
        box_network(store / "my-boxes" / "net.onnx", "rtmdet", rows, classes=2)
        shutil.copytree(models.root / "mediapipe-hand-full", store / "mediapipe-hand-full")
        catalogue = tmp_path / "models.yaml"
        catalogue.write_text(CATALOGUE.replace("{SETTINGS}", settings), encoding="utf-8")
        monkeypatch.setenv("VITPOSE_ROS_CATALOGUE", os.fspath(catalogue))
        return os.fspath(store)

    return make


def test_the_node_follows_the_hands_of_a_detector_that_the_user_names(
    graph: Any, camera: Any, rendering: Rendering, own_detector: Callable[[str], str]
) -> None:
    folder = own_detector("{left_class: 0, right_class: 1}")
    graph.start_pose_node(models_dir=folder, hand_detector="my-boxes", smoothing="none")
    messages = [camera.process(camera.image(rendering.image)) for _ in range(4)]
    assert list(messages[0].models) == ["my-boxes", "mediapipe-hand-full"]
    sides = {Side.LEFT: Skeleton.SIDE_LEFT, Side.RIGHT: Skeleton.SIDE_RIGHT}
    for message in messages:
        assert len(message.skeletons) == 2
        for hand in rendering.hands:
            (found,) = (one for one in message.skeletons if one.side == sides[hand.side])
            apart = np.hypot(found.u - hand.uv[:, 0], found.v - hand.uv[:, 1])
            assert np.median(apart) < 0.2 * np.linalg.norm(hand.uv[0] - hand.uv[9])
    ids = [[one.track_id for one in message.skeletons] for message in messages]
    assert ids == [ids[0]] * 4


def test_a_detector_whose_classes_are_not_said_is_refused_with_what_to_write(
    graph: Any, own_detector: Callable[[str], str]
) -> None:
    folder = own_detector("{}")
    graph.start_pose_node(models_dir=folder, hand_detector="my-boxes")
    text = graph.wait_for_log("configure refused")
    assert "'my-boxes' has 2 classes" in text
    assert "left_class" in text
    assert "Traceback" not in text
