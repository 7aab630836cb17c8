from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.grey import TINTS
from vitpose_ros.detect.palms import PalmDetector, anchors
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.types import Crop


class FakeEngine:
    """An engine whose outputs a test writes."""

    name = "fake"

    def __init__(self, boxes=(2016, 18), scores=(2016, 1), size=192):
        self.inputs = (TensorSpec("in", (None, size, size, 3)),)
        self.outputs = (TensorSpec("boxes", (None, *boxes)), TensorSpec("scores", (None, *scores)))
        self.boxes = np.zeros((1, *boxes), np.float32)
        self.scores = np.full((1, *scores), -50.0, np.float32)

    def run(self, tensors):
        count = len(tensors["in"])
        self.seen = tensors["in"].copy()
        return {
            "boxes": np.repeat(self.boxes, count, axis=0),
            "scores": np.repeat(self.scores, count, axis=0),
        }


def put(engine, anchor, box, logit):
    """Write a raw detection: box is (x, y, w, h) relative to the anchor, in input px."""
    engine.boxes[0, anchor, :4] = box
    engine.scores[0, anchor, 0] = logit


def look(engine, width=640, height=480, threshold=0.5):
    image = np.zeros((height, width, 3), np.uint8)
    window = letterbox_region(width, height)
    return PalmDetector(engine, "palms")([Crop(image, window)], threshold)[0]


def test_anchors_are_those_of_mediapipes_graph():
    grid = anchors()
    assert grid.shape == (2016, 2)
    assert grid[0] == pytest.approx((4 / 192, 4 / 192))  # stride 8, first cell's middle
    assert grid[1] == pytest.approx(grid[0])  # two anchors a cell
    assert grid[2] == pytest.approx((12 / 192, 4 / 192))  # x first
    assert grid[1152] == pytest.approx((8 / 192, 8 / 192))  # stride 16 begins, six a cell
    assert grid[1157] == pytest.approx(grid[1152])
    assert grid[1158] == pytest.approx((24 / 192, 8 / 192))


def test_a_palm_is_decoded_and_freed_of_the_letterbox():
    engine = FakeEngine()
    put(engine, 0, (92.0, 92.0, 19.2, 38.4), 3.0)  # centre 96, 96 of 192: the image's middle
    engine.boxes[0, 0, 4:6] = (92.0, 92.0)  # its first point too
    (palm,) = look(engine)
    assert palm.box == pytest.approx((320 - 32, 240 - 64, 64, 128), abs=1e-4)
    assert palm.points[0] == pytest.approx((320, 240), abs=1e-4)
    assert palm.points[1] == pytest.approx((4 * 640 / 192, 4 * 640 / 192 - 80), abs=1e-4)
    assert palm.score == pytest.approx(1 / (1 + np.exp(-3.0)))


@pytest.mark.parametrize(
    ("threshold", "found"),
    [(0.5, 1), (0.731, 1), (0.732, 0)],  # a logit of 1 is 0.7311
)
def test_the_threshold_is_on_the_probability(threshold, found):
    engine = FakeEngine()
    put(engine, 100, (0, 0, 20, 20), 1.0)
    assert len(look(engine, threshold=threshold)) == found


@pytest.mark.parametrize(
    ("box", "logit"),
    [
        ((0, 0, 20, 20), np.nan),
        ((np.nan, 0, 20, 20), 5.0),
        ((0, 0, np.inf, 20), 5.0),
        ((0, 0, -20, 20), 5.0),  # turned inside out
        ((0, 0, 0, 20), 5.0),
    ],
)
def test_a_broken_detection_is_no_palm(box, logit):
    engine = FakeEngine()
    put(engine, 100, box, logit)
    assert look(engine) == []


def coloured(side=200):
    return np.random.default_rng(2).integers(0, 255, (side, side, 3), np.uint8)


def test_a_colour_image_is_shown_once_and_as_it_is():
    engine = FakeEngine()
    image = coloured(192)
    PalmDetector(engine, "palms")([Crop(image, letterbox_region(192, 192))], 0.5)
    assert engine.seen.shape == (1, 192, 192, 3)
    assert np.allclose(engine.seen[0] * 255, image[..., ::-1], atol=1e-3)


def test_a_grey_image_is_shown_in_every_tint_and_each_palm_is_found_once():
    engine = FakeEngine()
    put(engine, 0, (92.0, 92.0, 20, 20), 5.0)
    colour, grey = coloured(192), coloured(192)[..., :1].repeat(3, axis=2)
    crops = [Crop(image, letterbox_region(192, 192)) for image in (colour, grey, colour, grey)]
    found = PalmDetector(engine, "palms")(crops, 0.5)
    assert [len(palms) for palms in found] == [1] * 4
    assert len(engine.seen) == 4 + 2 * (len(TINTS) - 1)
    assert np.array_equal(engine.seen[0], engine.seen[2])
    for row, shades in zip((1, 3, 4, 5), (TINTS[0], TINTS[0], TINTS[1], TINTS[1]), strict=True):
        assert np.allclose(engine.seen[row], shades[grey[..., 0]], atol=1e-6)


def test_each_window_has_its_own_palms():
    engine = FakeEngine()
    put(engine, 0, (0, 0, 20, 20), 5.0)
    detector = PalmDetector(engine, "palms")
    image = np.zeros((200, 200, 3), np.uint8)
    small, large = detector([Crop(image, letterbox_region(n, n)) for n in (100, 200)], 0.5)
    assert large[0].box == pytest.approx(tuple(2 * value for value in small[0].box))


@pytest.mark.parametrize(
    "network",
    [{"boxes": (896, 18)}, {"scores": (2016, 2)}, {"size": 128}],
    ids=["other anchors", "two classes", "other input"],
)
def test_another_network_is_refused_when_loaded(network):
    with pytest.raises(
        EngineError, match=r"'palms' is not MediaPipe's palm detector.*expected.*the file has in"
    ):
        PalmDetector(FakeEngine(**network), "palms")
