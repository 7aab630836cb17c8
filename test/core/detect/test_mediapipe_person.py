from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.detect.mediapipe_person import (
    MediaPipePersonDetector,
    aligned_region,
    box_region,
)
from vitpose_ros.engines.base import EngineError
from vitpose_ros.geometry import iou, unrotated_box
from vitpose_ros.types import Region

ANCHORS = 2254


@pytest.fixture
def network(fake_engine):
    """A network that finds nobody until a test puts somebody in."""
    return fake_engine(
        {"input_1": (None, 224, 224, 3)},
        {
            "Identity": np.zeros((1, ANCHORS, 12), np.float32),
            "Identity_1": np.full((1, ANCHORS, 1), -200, np.float32),
        },
    )


def put(engine, anchor, box, hips, circle, logit=3.0):
    """Write a raw detection: places relative to the anchor, in input px."""
    engine.arrays["Identity"][0, anchor] = (*box, *hips, *circle, 0, 0, 0, 0)
    engine.arrays["Identity_1"][0, anchor] = logit


def look(engine, method="__call__", width=224, height=224, threshold=0.5):
    image = np.zeros((height, width, 3), np.uint8)
    return getattr(MediaPipePersonDetector(engine, "persons"), method)(image, threshold)


def test_anchors_and_input_are_those_of_mediapipes_graph(network):
    # Cell (0, 0) of stride 8 has anchors 0 and 1 at 4 px; stride 16 begins at 1568, 32 at 1960.
    for anchor, place in [(0, 4), (1, 4), (1568, 8), (1960, 16), (1965, 16)]:
        network.arrays["Identity_1"][:] = -200
        put(network, anchor, (0, 0, 9, 9), (100, 100), (100, 40))
        (found,) = look(network, "detect")
        assert found.points[0] == pytest.approx((place + 100, place + 100), abs=1e-4)
    assert network.seen.min() == -1  # black: the range is -1 .. 1


def test_white_is_1_to_the_network_and_bars_are_black(network):
    image = np.full((112, 224, 3), 255, np.uint8)
    MediaPipePersonDetector(network, "persons")(image, 0.5)
    assert network.seen[0, 112].max() == pytest.approx(1)
    assert network.seen[0, :50].max() == network.seen[0, 170:].max() == -1


def test_a_body_stands_upright_in_its_turned_square(network):
    put(network, 0, (96, 26, 30, 30), (116, 116), (146, 116))  # the body points to the right
    (region,) = look(network, "body_regions")
    assert (region.cx, region.cy) == pytest.approx((120, 120), abs=1e-3)
    assert region.rotation_rad == pytest.approx(math.pi / 2)
    assert region.width == region.height == pytest.approx(2 * 30 * 1.25, abs=1e-3)


@pytest.mark.parametrize(
    ("circle", "box"),
    [
        ((116, 76), (90, 80, 60, 80)),  # 40 px up: 3:4
        ((156, 116), (80, 90, 80, 60)),  # lying
    ],
)
def test_the_upright_region_holds_a_body_of_3_to_4_in_the_circle(network, circle, box):
    put(network, 0, (96, 26, 30, 30), (116, 116), circle)
    (region,) = look(network)
    assert unrotated_box(region) == pytest.approx(box, abs=1e-3)
    assert region.rotation_rad == 0


def test_two_faces_for_one_body_are_one_person(network):
    put(network, 0, (30, 30, 20, 20), (116, 116), (116, 76), 3.0)
    put(network, 100, (-60, 40, 20, 20), (30, 112), (30, 72), 2.0)  # another face ...
    detector = MediaPipePersonDetector(network, "persons")
    image = np.zeros((224, 224, 3), np.uint8)
    first, second = detector.detect(image, 0.5)
    network.arrays["Identity"][0, 100, 4:8] += np.tile(first.points[0] - second.points[0], 2)
    assert len(detector.detect(image, 0.5)) == 2  # ... of the same body
    assert len(detector.body_regions(image, 0.5)) == len(detector(image, 0.5)) == 1


def test_the_threshold_is_on_the_probability(network):
    put(network, 0, (30, 30, 20, 20), (116, 116), (116, 76), 1.0)  # 0.7311
    assert len(look(network, threshold=0.731)) == 1
    assert look(network, threshold=0.732) == []


@pytest.mark.parametrize(
    ("hips", "circle"),
    [((116, 116), (116, 116)), ((np.nan, 116), (116, 76)), ((900, 900), (900, 860))],
    ids=["no size", "nan", "outside"],
)
def test_a_broken_detection_is_no_person(network, hips, circle):
    put(network, 0, (30, 30, 20, 20), hips, circle)
    assert look(network) == []


def test_nobody_is_an_empty_list(network):
    assert look(network) == look(network, "body_regions") == []


def test_another_network_is_refused_when_loaded(fake_engine):
    engine = fake_engine(
        {"in": (None, 192, 192, 3)},
        {"a": np.zeros((1, 2016, 18), np.float32), "b": np.zeros((1, 2016, 1), np.float32)},
    )
    said = r"'palms' is not MediaPipe's person detector.*expected.*has in"
    with pytest.raises(EngineError, match=said):
        MediaPipePersonDetector(engine, "palms")


def test_points_without_a_circle_give_no_region():
    assert aligned_region([(5, 5), (5, 5)], 1.0) is None
    assert aligned_region([(5, 5), (math.inf, 5)], 1.0) is None


def test_the_square_for_another_detectors_box_is_a_quarter_larger_than_its_long_side():
    region = box_region(Region(50, 60, 40, 80, score=0.7, track_id=3))
    assert region == Region(50, 60, 100, 100, score=0.7, track_id=3)


# --- on real images


@pytest.fixture
def detector(engine_of):
    return MediaPipePersonDetector(engine_of("mediapipe-person"), "mediapipe-person")


def test_the_skier_is_found(detector, real_image):
    (region,) = detector(real_image("000000000785.jpg"), 0.5)
    assert region.score > 0.9
    # The network gives a circle about the hips, hence a generous box.
    assert iou(unrotated_box(region), (280.79, 44.73, 218.7, 346.68)) > 0.45


def test_the_two_near_players_are_found(detector, real_image):
    left, right = sorted(detector(real_image("people_demo.jpg"), 0.5), key=lambda r: r.cx)
    assert iou(unrotated_box(left), (83, 91, 425, 538)) > 0.7  # YOLOX-nano's boxes
    assert iou(unrotated_box(right), (674, 2, 273, 606)) > 0.6


def test_there_is_nobody_in_an_empty_or_a_tiny_image(detector):
    assert detector(np.full((480, 640, 3), 90, np.uint8), 0.5) == []
    assert detector(np.full((2, 3, 3), 90, np.uint8), 0.5) == []
    rng = np.random.default_rng(0)
    for side in (4, 8, 12):
        for _ in range(40):  # a quarter of them are persons to the network
            image = rng.integers(0, 255, (side, side, 3), np.uint8)
            assert detector.body_regions(image, 0.5) == []
