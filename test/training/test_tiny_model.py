"""The shipped tiny ViTPose, converted, on OpenVINO: how good it is on hands that it never saw."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from backgrounds import make_backgrounds
from held_out import measure

from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import HAND21
from vitpose_ros.train.crops import make_codec
from vitpose_ros.types import Crop, Region

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "vitpose-tiny-synthetic"
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def network() -> Path:
    path = FOLDER / "model.onnx"
    if not path.exists():
        pytest.skip(f"no {path}: training/README.md says how to make it")
    return path


@pytest.fixture(scope="module")
def measured(network):
    return measure(network, 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "median", "p95"),
    [
        ("detector_like", 0.05, 0.15),
        ("upright_box", 0.05, 0.15),
    ],
)
def test_joints_of_unseen_hands_are_found(measured, kind, median, p95):
    errors, visible = measured
    assert np.median(errors[kind]) <= median
    assert np.median(errors[kind][visible]) <= median
    assert np.percentile(errors[kind][visible], 95) <= p95


def test_pictures_without_a_hand_get_low_scores(network):
    top_down = TopDown(OpenVinoEngine(network), make_codec((128, 128)), HAND21, "tiny", padding=1.0)
    region = Region(144.0, 144.0, 200.0, 200.0)
    pictures = make_backgrounds(777, 40)
    middle = [np.median(top_down([Crop(picture, region)])[0].score) for picture in pictures]
    assert np.median(middle) < 0.1 and np.percentile(middle, 90) < 0.3


def test_every_file_is_small_and_is_the_one_that_the_log_measured(network):
    log = json.loads((FOLDER / "training_log.json").read_text())
    assert log["held_out_in_package"]["detector_like"]["visible_median_percent"] <= 5.0
    for name, sha256 in log["sha256"].items():
        content = (FOLDER / name).read_bytes()
        assert len(content) <= MAX_BYTES
        assert hashlib.sha256(content).hexdigest() == sha256
        assert b"site-packages" not in content  # no traces of the machine that made it
