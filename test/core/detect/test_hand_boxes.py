"""Hands from detectors by boxes: formats, classes, sides, windows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from vitpose_ros.detect.boxes import BoxDetector, Boxes
from vitpose_ros.detect.factory import hand_detector
from vitpose_ros.detect.hand_boxes import HandBox, HandBoxes, box_region, same_box
from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.types import Crop, Region

IMAGE = np.zeros((240, 320, 3), np.uint8)
WHOLE = Crop(IMAGE, letterbox_region(320, 240))
LEFT, RIGHT = (20, 30, 80, 110), (200, 100, 280, 160)


@pytest.fixture(scope="session")
def entry():
    """A function: the catalogue entry of a hand detector."""

    def make(architecture, **settings):
        palms = load_catalogue().get("mediapipe-palm-full")
        size = {"input_width": 320, "input_height": 320}
        return dataclasses.replace(
            palms, name="my-hands", architecture=architecture, settings=settings, **size
        )

    return make


FORMS = [("yolox", "yolox"), ("rtmdet", "rtmdet"), ("detr", "detr"), ("rtmdet", "mmdeploy")]


@pytest.mark.parametrize(("architecture", "form"), FORMS)
def test_left_and_right_hands_are_found_by_any_format(
    tmp_path, box_network, entry, architecture, form
):
    rows = [(*LEFT, 1, 0.9), (*RIGHT, 2, 0.7), (0, 0, 50, 50, 0, 0.95), (*LEFT, 1, 0.3)]
    if architecture == "detr":  # it stretches the image: 240 rows to 320
        rows = [(x, y * 4 / 3, r, b * 4 / 3, *rest) for x, y, r, b, *rest in rows]
    if form in ("yolox", "rtmdet"):
        rows.pop()  # one answer per cell
    path = box_network(tmp_path / "net.onnx", form, rows, classes=3)
    detector = hand_detector(OpenVinoEngine(path), entry(architecture, left_class=1, right_class=2))
    ((left, right),) = detector([WHOLE], 0.5)
    for hand, corners in ((left, LEFT), (right, RIGHT)):
        x0, y0, x1, y1 = corners
        assert hand.box == pytest.approx((x0, y0, x1 - x0, y1 - y0), abs=1.0)
    assert (left.score, right.score) == pytest.approx((0.9, 0.7), abs=1e-3)
    assert left.right < 0.06
    assert 0.84 < right.right < 0.9


@pytest.mark.parametrize(("architecture", "form"), FORMS)
def test_one_class_tells_no_side(tmp_path, box_network, entry, architecture, form):
    path = box_network(tmp_path / "net.onnx", form, [(*LEFT, 0, 0.9)], classes=1)
    settings = {"hand_class": 0} if form == "mmdeploy" else {}
    detector = hand_detector(OpenVinoEngine(path), entry(architecture, **settings))
    ((hand,),) = detector([WHOLE], 0.5)
    assert math.isnan(hand.right)
    assert not detector.tells_sides


@pytest.mark.parametrize(
    ("form", "classes", "settings", "complaint"),
    [
        ("rtmdet", 80, {}, "has 80 classes; give the class of hands.*hand_class"),
        ("yolox", 2, {}, "has 2 classes; give the class of hands.*left_class"),
        ("mmdeploy", 1, {}, "does not tell its number of classes; give the class of hands"),
        ("rtmdet", 2, {"left_class": 0}, "got left_class: 0; give the class of hands"),
        ("rtmdet", 2, {"left_class": 1, "right_class": 1}, "got left_class: 1, right_class: 1"),
        ("rtmdet", 2, {"hand_class": 0, "left_class": 1, "right_class": 0}, "got hand_class: 0"),
        ("rtmdet", 2, {"hand_class": 2}, "has 2 classes, 0 to 1, and .* asks for class 2"),
        ("detr", 2, {"left_class": 0, "right_class": 5}, "asks for class 5"),
        ("rtmdet", 2, {"hand_class": "all"}, "hand_class: expected a whole number, got 'all'"),
        ("yolox", 1, {"person_class": 0}, "unknown settings person_class.*accept hand_class"),
    ],
)
def test_classes_that_leave_it_open_what_a_hand_is_are_refused(
    tmp_path, box_network, entry, form, classes, settings, complaint
):
    path = box_network(tmp_path / "net.onnx", form, [(*LEFT, 0, 0.9)], classes)
    architecture = "rtmdet" if form == "mmdeploy" else form
    with pytest.raises(EngineError, match=f"'my-hands'.*{complaint}"):
        hand_detector(OpenVinoEngine(path), entry(architecture, **settings))


def test_an_unknown_architecture_is_refused_with_those_that_are_known(fake_engine, entry):
    engine = fake_engine({"in": (None, 3, 320, 320)}, {"out": np.zeros((1, 1), np.float32)})
    with pytest.raises(EngineError, match="hand detectors can be mediapipe, yolox, rtmdet, detr"):
        hand_detector(engine, entry("ssd"))


def test_every_hand_detector_of_the_catalogue_has_its_recipe(engine_of, tmp_path, box_network):
    kinds = {"mediapipe": PalmDetector, "rtmdet": HandBoxes}
    for name in load_catalogue().names("hand_detector"):
        model = load_catalogue().get(name)
        if model.architecture == "mediapipe":
            engine = engine_of(name)
        else:
            path = tmp_path / f"{name}.onnx"
            engine = OpenVinoEngine(box_network(path, "mmdeploy", [(*LEFT, 0, 0.9)], 1))
        assert isinstance(hand_detector(engine, model), kinds[model.architecture])


# --- windows and boxes -------------------------------------------------------------------------


class Played(BoxDetector):
    """Finds one hand in the middle of whatever it is shown."""

    name, classes = "played", (0,)

    def __init__(self):
        self.shapes = []

    def boxes(self, image, threshold):
        height, width = image.shape[:2]
        self.shapes.append((width, height))
        corners = np.array([[width / 4, height / 4, 3 * width / 4, 3 * height / 4]])
        return Boxes(corners, np.array([[0.9]]))


def test_each_window_is_searched_inside_the_image_and_once():
    detector = Played()
    tile = Region(220, 160, 100, 100)
    windows = [WHOLE, Crop(IMAGE, tile), Crop(IMAGE, Region(160, 120, 640, 640))]
    whole, in_tile, wide = HandBoxes(detector)(windows, 0.5)
    assert detector.shapes == [(320, 240), (100, 100)]
    assert whole[0].box == (80, 60, 160, 120)
    assert in_tile[0].box == (195, 135, 50, 50)
    assert wide == []


def test_a_window_outside_the_image_has_no_hands():
    assert HandBoxes(Played())([Crop(IMAGE, Region(-200, 50, 100, 100))], 0.5) == [[]]


def test_a_left_and_a_right_box_of_one_hand_are_one_hand():
    class Both(Played):
        classes = (0, 1)

        def boxes(self, image, threshold):
            corners = np.array([[10, 10, 60, 60], [12, 10, 62, 60], [90, 10, 140, 60]])
            return Boxes(corners, np.array([[0.6, 0.0], [0.0, 0.8], [0.5, 0.5]]))

    ((best, other),) = HandBoxes(Both())([WHOLE], 0.5)
    assert best.right == pytest.approx(0.9)
    assert best.box == (12, 10, 50, 50)
    assert other.right == pytest.approx(0.5)


@pytest.mark.parametrize(("turned", "scale"), [(False, 1.25), (True, 1.75)])
def test_a_box_leads_to_an_upright_square_around_it(turned, scale):
    region = box_region(HandBox((100, 50, 40, 80), np.empty((0, 2)), 0.7), turned)
    assert (region.cx, region.cy, region.rotation_rad, region.score) == (120, 90, 0, 0.7)
    assert region.width == region.height == scale * 80


def test_a_box_too_small_to_read_leads_nowhere():
    assert box_region(HandBox((100, 50, 5, 5), np.empty((0, 2)), 0.7), False) is None


def test_a_box_shows_the_hand_whose_joints_fill_it():
    uv = np.random.default_rng(0).uniform((100, 50), (140, 130), (21, 2)).astype(np.float32)
    box = HandBox((95, 45, 50, 90), np.empty((0, 2)), 0.7)
    assert same_box(box, uv)
    assert not same_box(box, uv + 60)
