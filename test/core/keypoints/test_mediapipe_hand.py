from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.geometry import apply_affine, region_to_image
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.types import Crop, Region

IMAGE = np.zeros((480, 640, 3), np.uint8)


class FakeEngine:
    """An engine whose outputs a test writes."""

    name = "fake"

    def __init__(self, size=224, outputs=(63, 1, 1, 63)):
        self.inputs = (TensorSpec("in", (None, size, size, 3)),)
        self.outputs = tuple(TensorSpec(f"o{i}", (None, n)) for i, n in enumerate(outputs))
        rng = np.random.default_rng(0)
        self.values = [rng.uniform(0, 1, (8, n)).astype(np.float32) for n in outputs]
        self.values[0] *= 224

    def run(self, tensors):
        count = len(tensors["in"])
        return {f"o{i}": value[:count] for i, value in enumerate(self.values)}


def test_joints_go_from_the_crop_to_the_image_by_the_crops_own_map():
    engine, region = FakeEngine(), Region(300, 200, 180, 180, 0.7)
    (hand,) = HandLandmarks(engine, "hands")([Crop(IMAGE, region)])
    in_crop = engine.values[0][0].reshape(21, 3)[:, :2]
    expected = apply_affine(region_to_image(region, (224, 224)), in_crop)
    assert hand.uv == pytest.approx(expected, abs=1e-3)
    assert hand.uv.dtype == np.float32


def test_the_shape_turns_with_the_region_and_keeps_its_depth():
    engine, quarter = FakeEngine(), np.pi / 2
    (upright,) = HandLandmarks(engine, "hands")([Crop(IMAGE, Region(300, 200, 180, 180))])
    (turned,) = HandLandmarks(engine, "hands")([Crop(IMAGE, Region(300, 200, 180, 180, quarter))])
    x, y, z = upright.shape_xyz.T
    assert turned.shape_xyz == pytest.approx(np.stack([-y, x, z], axis=1), abs=1e-6)


def test_each_region_has_its_own_estimate_in_order():
    engine = FakeEngine()
    regions = [Region(300, 200, 180, 180), Region(100, 100, 90, 90)]
    hands = HandLandmarks(engine, "hands")([Crop(IMAGE, region) for region in regions])
    assert [hand.presence for hand in hands] == pytest.approx(engine.values[1][:2, 0])
    assert [hand.right for hand in hands] == pytest.approx(engine.values[2][:2, 0])


def test_the_hands_presence_is_no_score_of_its_joints():
    (hand,) = HandLandmarks(FakeEngine(), "hands")([Crop(IMAGE, Region(300, 200, 180, 180))])
    assert np.isnan(hand.score).all() and np.isnan(hand.keypoints(640, 480).score).all()


def test_no_region_needs_no_network():
    engine = FakeEngine()
    engine.run = None
    assert HandLandmarks(engine, "hands")([]) == []


@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_value_that_is_not_finite_drops_that_hand_only(output, broken):
    engine = FakeEngine()
    engine.values[output][0, -1] = broken
    first, second = HandLandmarks(engine, "hands")([Crop(IMAGE, Region(300, 200, 180, 180))] * 2)
    assert first is None
    assert second is not None


@pytest.mark.parametrize(
    "network",
    [{"size": 256}, {"outputs": (63, 1, 1)}, {"outputs": (1, 63, 1, 63)}],
    ids=["other input", "no shape", "other order"],
)
def test_another_network_is_refused_when_loaded(network):
    said = r"'hands' is not MediaPipe's hand landmark network.*the file has in"
    with pytest.raises(EngineError, match=said):
        HandLandmarks(FakeEngine(**network), "hands")
