from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints import gate_crops as module
from vitpose_ros.keypoints.agreement import SURE
from vitpose_ros.keypoints.gate_crops import LARGEST_SET, gate_crops
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.models.store import ModelStore

CODEC = HeatmapCodec()


def test_rendered_hands_are_hands_to_a_trained_network(model_path):
    """Else the gate would compare no joints."""
    path = model_path("vitpose-tiny-synthetic")
    codec = codec_of(ModelStore().catalogue.get("vitpose-tiny-synthetic"))
    crops = gate_crops(codec, HAND21)[:-6]
    (maps,) = OpenVinoEngine(path, threads=1).run({"image": crops}).values()
    assert (codec.decode([maps]).score >= SURE).mean() >= 0.6


def test_the_crops_are_the_same_each_time_and_reach_the_ends_of_the_range(monkeypatch):
    monkeypatch.setattr(module, "_SCENES", module._SCENES[:1])
    for layout, rendered in ((HAND21, 2), (COCO17, 1)):
        crops = gate_crops(CODEC, layout)
        assert crops.shape == (rendered + 6, 3, 256, 192) and crops.dtype == np.float32
        assert np.array_equal(crops, gate_crops(CODEC, layout))
        assert crops[-2:].min() == pytest.approx(-2.118, abs=1e-3)
        assert crops[-2:].max() == pytest.approx(2.64, abs=1e-3)
        assert np.unique(crops[0]).size > 300, "an image, not a plane"


def test_a_users_images_fill_their_crops(tmp_path):
    for i in range(LARGEST_SET + 8):
        image = np.full((256, 192, 3), (10, 20, i), np.uint8)
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), image)
    (tmp_path / "notes.txt").write_text("not an image")
    crops = gate_crops(CODEC, COCO17, tmp_path)
    assert len(crops) == LARGEST_SET + 6
    red = crops[:LARGEST_SET, 0, 5:-5, 5:-5] * 58.395 + 123.675
    assert red[0] == pytest.approx(0, abs=1e-3)
    assert red[-1] == pytest.approx(LARGEST_SET + 7, abs=1e-3)  # spread over the folder


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(EngineError, match=r"has no readable image; expected files of \.jpg"):
        gate_crops(CODEC, COCO17, tmp_path)
