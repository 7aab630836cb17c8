from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.agreement import compare, require, sample_crops
from vitpose_ros.keypoints.heatmap import HeatmapCodec

CODEC = HeatmapCodec()
CROPS = sample_crops(CODEC.input_size, count=2)
TRUE = np.random.default_rng(0).uniform([20, 20], [170, 230], (2, 17, 2))


class Answers:
    """An engine that always gives the same maps."""

    name = "fake fp16"
    inputs = (TensorSpec("image", (None, 3, 256, 192)),)
    outputs = (TensorSpec("heatmaps", (None, 17, 64, 48)),)

    def __init__(self, maps):
        self.maps = maps

    def run(self, tensors):
        assert tensors["image"].shape == (2, 3, 256, 192)
        return {"heatmaps": self.maps.copy()}


def maps_of(xy):
    return CODEC.encode(xy)[0]


def test_an_engine_agrees_with_itself():
    found = compare(Answers(maps_of(TRUE)), Answers(maps_of(TRUE)), CODEC, CROPS)
    assert (found.output, found.joint_px, found.joints) == (0, 0, 34)
    assert found.good


def test_a_moved_joint_is_measured_and_refused():
    moved = TRUE.copy()
    moved[1, 3, 0] += 2.0
    found = compare(Answers(maps_of(moved)), Answers(maps_of(TRUE)), CODEC, CROPS)
    assert found.joint_px == pytest.approx(2.0, abs=1e-2)
    assert not found.good
    with pytest.raises(EngineError, match=r"'net' on fake fp16 differs .* 2 px .*Run it in fp32"):
        require(Answers(maps_of(moved)), Answers(maps_of(TRUE)), CODEC, "net", CROPS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_broken_value_is_refused(value):
    broken = maps_of(TRUE)
    broken[0, 0, 0, 0] = value
    found = compare(Answers(broken), Answers(maps_of(TRUE)), CODEC, CROPS)
    assert found.output == np.inf and found.joint_px == np.inf
    assert not found.good


def test_a_shifted_map_is_refused_where_no_joint_is_sure():
    faint = maps_of(TRUE) * np.float32(0.1)
    found = compare(Answers(faint + np.float32(0.03)), Answers(faint), CODEC, CROPS)
    assert found.joints == 0 and found.joint_px == 0
    assert found.output == pytest.approx(0.03) and not found.good


def test_rounding_to_half_precision_is_accepted():
    rounded = maps_of(TRUE).astype(np.float16).astype(np.float32)
    assert require(Answers(rounded), Answers(maps_of(TRUE)), CODEC, "net", CROPS).joint_px < 0.1


def test_sample_crops_are_the_same_each_time_and_spread_as_normalised_images_are():
    again = sample_crops(CODEC.input_size, count=2)
    assert np.array_equal(again, CROPS) and CROPS.dtype == np.float32
    assert CROPS.std(axis=(2, 3)) == pytest.approx(np.ones((2, 3)), abs=1e-3)
