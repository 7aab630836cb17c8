from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.agreement import compare, parts, require, sample_crops
from vitpose_ros.keypoints.codec import Decoded
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
    fp16, fp32 = Answers(maps_of(moved)), Answers(maps_of(TRUE))
    with pytest.raises(EngineError, match=r"'net' on fake fp16 differs .* 2 px .*Run it in fp32"):
        require(fp16, fp32, CODEC, "net", CROPS, "Run it in fp32")


def test_scores_that_differ_are_refused_where_joints_and_outputs_still_agree():
    lower = maps_of(TRUE)
    lower[0, 5] *= np.float32(0.97)
    large = np.full_like(lower[:, :1], 2.0)  # another joint's map, which sets the outputs' scale
    truth, found = (np.concatenate([m, large], 1) for m in (maps_of(TRUE), lower))
    result = compare(Answers(found), Answers(truth), CODEC, CROPS)
    assert result.score == pytest.approx(0.03, abs=2e-3)
    assert result.output < 0.02 and result.joint_px < 0.1 and not result.good


def test_a_joint_that_only_the_engine_is_sure_of_counts_as_a_wrong_score():
    truth = maps_of(TRUE)
    truth[1, 4] *= np.float32(0.05)
    found = compare(Answers(maps_of(TRUE)), Answers(truth), CODEC, CROPS)
    assert found.joints == 33 and found.joint_px < 1e-6
    assert found.score == pytest.approx(0.92, abs=0.01) and not found.good


def test_the_refusal_tells_all_figures_with_their_limits_and_the_given_remedy():
    moved = TRUE.copy()
    moved[0, 0, 1] += 5.0
    message = (
        r"'net' on fake fp16 differs from float32: outputs by .* \(limit 0\.02\), "
        r"joints by 5 px \(limit 0\.1\), the farthest by 5 px \(limit 4\.0\), "
        r"scores by .* \(limit 0\.02\), "
        r"over 34 confident joints\. Build it in tf32"
    )
    with pytest.raises(EngineError, match=message):
        require(
            Answers(maps_of(moved)), Answers(maps_of(TRUE)), CODEC, "net", CROPS, "Build it in tf32"
        )


class Batches:
    """An engine with a largest batch that answers each crop by its own first value."""

    name = "fake"
    inputs = Answers.inputs
    outputs = (TensorSpec("b", (None, 1)), TensorSpec("a", (None, 1)))
    max_batch = 3

    def __init__(self):
        self.sizes = []

    def run(self, tensors):
        crops = tensors["image"]
        self.sizes.append(len(crops))
        return {"b": crops[:, 0, 0, :1] * 2, "a": crops[:, 0, 0, :1]}


class Numbers:
    """A codec of two plain numbers for each crop."""

    output_names = ("a", "b")

    def decode(self, outputs):
        a, b = outputs
        assert np.array_equal(b, 2 * a), "the outputs are not in the codec's order"
        return Decoded(np.zeros((len(a), 1, 2)), np.ones((len(a), 1), np.float32))


def test_an_engine_with_a_largest_batch_runs_alone_and_in_batches_in_the_crops_order():
    engine = Batches()
    crops = np.random.default_rng(0).normal(size=(8, 3, 256, 192)).astype(np.float32)
    assert compare(engine, Batches(), Numbers(), crops).output == 0
    assert engine.sizes == [1, 3, 3, 1]
    assert [len(crops[part]) for part in parts(engine, 1)] == [1]


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


class Places:
    """A codec whose outputs are the joints' places; it is sure of all of them."""

    output_names = ("places",)

    def decode(self, outputs):
        (xy,) = outputs
        return Decoded(xy, np.ones(xy.shape[:2], np.float32))


class Placed:
    """An engine that always gives the same places."""

    name = "fake"
    inputs = Answers.inputs
    outputs = (TensorSpec("places", (None, 100, 2)),)

    def __init__(self, xy):
        self.xy = xy

    def run(self, tensors):
        return {"places": self.xy}


@pytest.mark.parametrize(
    ("moved", "by_px", "good"),
    [(1, 0.7, True), (2, 3.9, True), (3, 0.7, False), (1, 4.1, False)],
)
def test_two_of_a_hundred_joints_may_move_but_none_by_a_pixel_of_the_heatmap(moved, by_px, good):
    truth = np.full((1, 100, 2), 150, np.float32)
    other = truth.copy()
    other[0, :moved, 0] += by_px
    found = compare(Placed(other), Placed(truth), Places(), CROPS[:1])
    assert found.worst_px == pytest.approx(by_px, abs=1e-4)
    assert found.output < 0.03
    assert (found.joint_px <= 0.1 and found.worst_px <= 4) is good


def test_sample_crops_are_the_same_each_time_and_spread_as_normalised_images_are():
    again = sample_crops(CODEC.input_size, count=2)
    assert np.array_equal(again, CROPS) and CROPS.dtype == np.float32
    assert CROPS.std(axis=(2, 3)) == pytest.approx(np.ones((2, 3)), abs=1e-3)
    coarse = sample_crops((64, 64), count=8)  # the grain is larger than the crop
    assert np.abs(coarse.mean(axis=(2, 3))).max() < 1e-3 and np.abs(coarse).max() < 6
