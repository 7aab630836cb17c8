from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.boxes import classes_of
from vitpose_ros.detect.rtmdet import RtmdetDetector
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.geometry import iou, unrotated_box

SIDE = 64
MAPS = {8: (8, 8), 16: (4, 4), 32: (2, 2)}


@pytest.fixture(scope="session")
def nano(test_data):
    """The real RTMDet-nano for persons of the test data."""
    path = test_data / "nets" / "rtmdet-nano.onnx"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return OpenVinoEngine(path)


@pytest.fixture
def maps(fake_engine):
    """A function: a network whose maps (64, 16 and 4 cells) say "nothing", for tests to change."""

    def make(classes=1, order=(8, 16, 32)):
        outputs = {}
        for stride in order:
            outputs[str(stride)] = np.zeros((1, *MAPS[stride], classes + 4), np.float32)
            outputs[str(stride)][..., :classes] = -20
        return fake_engine({"images": (None, 3, SIDE, SIDE)}, outputs)

    return make


def look(engine, width=SIDE, height=SIDE, threshold=0.3, **options):
    detector = RtmdetDetector(engine, "rtmdet", **options)
    return detector.boxes(np.zeros((height, width, 3), np.uint8), threshold)


# --- on real images


def test_the_skier_is_found_where_coco_has_him(nano, real_image):
    best, *others = RtmdetDetector(nano, "rtmdet-nano")(real_image("000000000785.jpg"), 0.4)
    assert iou(unrotated_box(best), (280.79, 44.73, 218.7, 346.68)) > 0.85  # the annotation
    assert best.score == pytest.approx(0.90, abs=0.01)
    assert not others


def test_the_three_near_players_and_one_behind_are_found_each_once(nano, real_image):
    players = RtmdetDetector(nano, "rtmdet-nano")(real_image("people_demo.jpg"), 0.4)
    assert [player.score for player in players] == pytest.approx([0.77, 0.76, 0.73, 0.48], abs=0.01)
    boxes = [unrotated_box(player) for player in players]
    assert all(iou(a, b) <= 0.6 for i, a in enumerate(boxes) for b in boxes[:i])


# --- the recipe


def test_pixels_are_bgr_minus_the_mean_over_the_deviation_with_grey_below(maps):
    engine = maps()
    image = np.zeros((32, 64, 3), np.uint8)
    image[:] = (10, 20, 200)
    RtmdetDetector(engine, "rtmdet").boxes(image, 0.5)
    blue = (10 - 103.53) / 57.375, (114 - 103.53) / 57.375
    red = (200 - 123.675) / 58.395, (114 - 123.675) / 58.395
    assert engine.seen[0, 0, [0, 40], 5] == pytest.approx(blue, abs=1e-5)
    assert engine.seen[0, 2, [0, 40], 5] == pytest.approx(red, abs=1e-5)


@pytest.mark.parametrize("order", [(8, 16, 32), (32, 8, 16)])
def test_a_box_lies_around_its_cells_corner_and_is_freed_of_the_letterbox(maps, order):
    engine = maps(order=order)
    # Row 1, column 2 of stride 16: the point (32, 16) of an input that is half as large.
    engine.arrays["16"][0, 1, 2] = (np.log(0.8 / 0.2), 10, 6, 4, 12)
    found = look(engine, 128, 96)
    assert found.corners == pytest.approx(np.array([[44, 20, 72, 56]]))
    assert found.scores == pytest.approx(np.array([[0.8]]), abs=1e-6)


def test_of_overlapping_boxes_the_best_is_kept_whatever_their_classes(maps):
    engine = maps(classes=3)
    engine.arrays["16"][0, 1, 1] = (-9, 1.0, -9, 8, 8, 8, 8)
    engine.arrays["8"][0, 2, 2] = (-9, -9, 2.0, 8, 8, 8, 9)
    engine.arrays["32"][0, 0, 0] = (9, -9, -9, 0, 0, 9, 9)  # of another class
    found = look(engine, classes=classes_of(1, 2))
    assert found.scores == pytest.approx(1 / (1 + np.exp([[9.0, -2.0]])), abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -50.0])
def test_a_box_that_is_none_is_dropped(maps, value):
    engine = maps()
    engine.arrays["8"][0, 1, 1] = (5.0, 4, 4, value, 4)
    assert len(look(engine).corners) == 0


def test_mmdeploys_boxes_are_taken_as_they_are(fake_engine):
    dets = np.array([[[2, 4, 30, 40, 0.9], [0, 0, 9, 9, 0.8], [1, 1, 9, 9, 0.1]]], np.float32)
    engine = fake_engine(
        {"input": (None, 3, SIDE, SIDE)}, {"dets": dets, "labels": np.array([[1.0, 0.0, 1.0]])}
    )
    found = look(engine, 128, 128, classes=classes_of(1))
    assert found.corners == pytest.approx(np.array([[4, 8, 60, 80]]))
    assert found.scores == pytest.approx(np.array([[0.9]]))


# --- files that do not fit


@pytest.mark.parametrize(
    ("shapes", "size", "complaint"),
    [
        ({"a": (1, 8, 8, 5), "b": (1, 4, 4, 5)}, 64, "expected the outputs"),
        ({"a": (1, 8, 8, 5), "b": (1, 4, 4, 5), "c": (1, 2, 2, 6)}, 64, "expected the outputs"),
        ({"a": (1, 8, 8, 4), "b": (1, 4, 4, 4), "c": (1, 2, 2, 4)}, 64, "expected the outputs"),
        ({"output": (1, 84, 85)}, 64, r"output \(N, 84, 85\)"),
        ({"a": (1, 8, 8, 5)}, 70, "not divisible by 32"),
    ],
)
def test_a_file_that_is_no_rtmdet_is_refused_with_what_is_accepted(
    fake_engine, shapes, size, complaint
):
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(EngineError, match=f"'net' cannot be used as an RTMDet.*{complaint}"):
        RtmdetDetector(fake_engine({"images": (None, 3, size, size)}, arrays), "net")


def test_a_class_that_the_network_lacks_is_refused(maps):
    with pytest.raises(EngineError, match=r"has 1 classes, 0 to 0, and .* asks for class 2"):
        RtmdetDetector(maps(), "net", classes=classes_of(2))
