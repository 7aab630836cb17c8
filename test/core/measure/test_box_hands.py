"""Hands that a detector by boxes finds: from constant networks through the whole pipeline."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest

from vitpose_ros.detect.boxes import BoxDetector, Boxes
from vitpose_ros.detect.factory import hand_detector
from vitpose_ros.detect.hand_boxes import HandBoxes
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.hand_geometry import joints_box
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.topdown_hand import TopDownHands
from vitpose_ros.layouts import HAND21
from vitpose_ros.measure import Networks
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.smooth.settings import preset
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import Frame, JointState, Keypoints, Side

STEP_NS = 33_333_333
SIDES = {0: Side.LEFT, 1: Side.RIGHT}


class Answers(BoxDetector):
    """Finds the boxes that a test gives it: (x, y, width, height, class)."""

    name = "answers"

    def __init__(self, classes=(0, 1)):
        self.classes, self.hands, self.looks = classes, [], 0

    def boxes(self, image, threshold):
        self.looks += 1
        corners = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in self.hands], float)
        scores = np.zeros((len(self.hands), len(self.classes)))
        for n, hand in enumerate(self.hands):
            scores[n, self.classes.index(hand[4])] = 0.9
        return Boxes(corners.reshape(-1, 4), scores)


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture(scope="module")
def landmarks(engine_of):
    return HandLandmarks(engine_of("mediapipe-hand-full"), "mediapipe-hand-full")


def pipeline(reader, detector, **settings):
    hands = HandSettings(search=False, **settings)
    return Pipeline(Networks(reader, detector), Settings(hands, smoothing=preset("none")))


def palm(uv):
    return float(np.linalg.norm(uv[0] - uv[9]))


@pytest.fixture(scope="module")
def two_hands():
    """A rendered image of a left and a right hand, and its true hands."""
    rendering = Scene("still", seed=1).render(0.0)
    assert {hand.side for hand in rendering.hands} == {Side.LEFT, Side.RIGHT}
    return rendering


# --- with MediaPipe's hand model, which needs to know how a hand is rotated


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_a_boxed_hand_is_read_however_it_is_rotated(answers, landmarks, two_hands, degrees):
    uv = next(hand.uv for hand in two_hands.hands if hand.side is Side.RIGHT)
    middle = uv.mean(axis=0)
    turn = cv2.getRotationMatrix2D(tuple(map(float, middle)), degrees, 1.0)
    image = cv2.warpAffine(two_hands.image, turn, two_hands.image.shape[1::-1])
    turned = uv @ turn[:, :2].T + turn[:, 2]
    answers.hands = [(*joints_box(turned), 1)]
    found = pipeline(landmarks, HandBoxes(answers), max_hands=1)(Frame(image, 1)).instances
    (hand,) = found
    assert hand.side is Side.RIGHT
    apart = np.linalg.norm(hand.keypoints.uv - turned, axis=1)
    assert np.median(apart) < 0.2 * palm(turned)


def test_a_real_hand_in_a_box_is_read_as_well_as_by_its_palm(
    answers, landmarks, engine_of, real_image
):
    image = real_image("onehand10k_784.jpg")
    palms = hand_detector(
        engine_of("mediapipe-palm-full"), load_catalogue().get("mediapipe-palm-full")
    )
    (by_palm,) = pipeline(landmarks, palms, max_hands=1)(Frame(image, 1)).instances
    answers.hands = [(*joints_box(by_palm.keypoints.uv), 1)]
    (by_box,) = pipeline(landmarks, HandBoxes(answers), max_hands=1)(Frame(image, 1)).instances
    apart = np.linalg.norm(by_palm.keypoints.uv - by_box.keypoints.uv, axis=1)
    assert np.median(apart) < 0.1 * palm(by_palm.keypoints.uv)
    assert by_box.score > 0.9


FORMS = [("yolox", "yolox"), ("rtmdet", "rtmdet"), ("detr", "detr"), ("rtmdet", "mmdeploy")]


@pytest.mark.parametrize(("architecture", "form"), FORMS)
def test_hands_of_a_network_of_any_format_are_followed_with_their_sides(
    tmp_path, box_network, landmarks, two_hands, architecture, form
):
    height, width = two_hands.image.shape[:2]
    scale = np.array((320 / width, 320 / height if architecture == "detr" else 320 / width))
    rows = []
    for hand in two_hands.hands:
        x, y, w, h = joints_box(hand.uv)
        corners = (*(scale * (x, y)).tolist(), *(scale * (x + w, y + h)).tolist())
        rows.append((*corners, int(hand.side is Side.RIGHT), 0.9))
    path = box_network(tmp_path / "net.onnx", form, rows, classes=2)
    entry = dataclasses.replace(
        load_catalogue().get("mediapipe-palm-full"),
        name="my-hands",
        architecture=architecture,
        input_width=320,
        input_height=320,
        settings={"left_class": 0, "right_class": 1},
    )
    run = pipeline(landmarks, hand_detector(OpenVinoEngine(path), entry))
    for i in range(4):
        result = run(Frame(two_hands.image, 1 + i * STEP_NS))
        assert len(result.instances) == 2
        for hand in two_hands.hands:
            (found,) = (one for one in result.instances if one.side is hand.side)
            apart = np.linalg.norm(found.keypoints.uv - hand.uv, axis=1)
            assert np.median(apart) < 0.2 * palm(hand.uv)
        assert ("my-hands" in result.models) is (i == 0), "both are tracked"


# --- with a model that tells no side


class UprightModel:
    """A top-down model that finds an open hand in the middle of each region."""

    name, engine, layout = "played-hand", "a played engine", HAND21

    def __init__(self):
        self.regions = []

    def __call__(self, crops):
        self.regions += [crop.region for crop in crops]
        return [self.joints(crop.region.cx, crop.region.cy) for crop in crops]

    @staticmethod
    def joints(x, y):
        fingers, steps = np.divmod(np.arange(20), 4)
        across = np.concatenate([[0.0], (fingers - 2) * 0.12])
        along = np.concatenate([[0.3], -0.1 * steps])
        uv = (np.stack([across, along], axis=1) * 150 + (x, y)).astype(np.float32)
        state = np.full(21, JointState.MEASURED, np.uint8)
        return Keypoints(HAND21, uv, np.full(21, 0.8, np.float32), state)


IMAGE = np.zeros((480, 640, 3), np.uint8)


def box_at(x, y, side):
    return *joints_box(UprightModel.joints(x, y).uv), side


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_detectors_classes_give_the_sides(answers, mirrored):
    model = UprightModel()
    hands = pipeline(TopDownHands(model, False), HandBoxes(answers), input_mirrored=mirrored)
    answers.hands = [box_at(160, 240, 1), box_at(480, 240, 0)]
    found = hands(Frame(IMAGE, 1)).instances
    first = model.regions[0]
    assert first.width == pytest.approx(1.25 * max(answers.hands[0][2:4]))
    assert first.rotation_rad == 0
    left_in_image = min(found, key=lambda hand: hand.keypoints.uv[:, 0].mean())
    assert left_in_image.side is (Side.LEFT if mirrored else Side.RIGHT)
    assert {hand.side for hand in found} == {Side.LEFT, Side.RIGHT}
    assert all(hand.side_score > 0.8 for hand in found)


def test_in_static_mode_too(answers):
    hands = pipeline(TopDownHands(UprightModel(), False), HandBoxes(answers), static=True)
    answers.hands = [box_at(160, 240, 1)]
    (hand,) = hands(Frame(IMAGE)).instances
    assert (hand.side, hand.side_score) == (Side.RIGHT, pytest.approx(0.95))


def test_a_wrong_first_answer_is_corrected_within_half_a_second(answers):
    hands = pipeline(TopDownHands(UprightModel(), False), HandBoxes(answers), max_hands=1)
    answers.hands = [box_at(160, 240, 0)]
    assert hands(Frame(IMAGE, 1)).instances[0].side is Side.LEFT
    answers.hands = [box_at(160, 240, 1)]
    sides = [hands(Frame(IMAGE, 1 + i * STEP_NS)).instances[0].side for i in range(1, 16)]
    assert sides[-1] is Side.RIGHT


def test_the_detector_looks_at_tracked_hands_ten_times_per_second_if_only_it_tells_sides(
    answers, landmarks, two_hands
):
    hands = pipeline(TopDownHands(UprightModel(), False), HandBoxes(answers), max_hands=1)
    answers.hands = [box_at(160, 240, 1)]
    for i in range(31):
        hands(Frame(IMAGE, 1 + i * STEP_NS))
    assert 8 <= answers.looks <= 11
    answers.looks = 0
    right = next(hand.uv for hand in two_hands.hands if hand.side is Side.RIGHT)
    answers.hands = [(*joints_box(right), 1)]
    told = pipeline(landmarks, HandBoxes(answers), max_hands=1)
    for i in range(31):
        told(Frame(two_hands.image, 1 + i * STEP_NS))
    assert answers.looks == 1


def test_without_classes_for_sides_they_stay_unknown():
    detector = Answers(classes=(0,))
    hands = pipeline(TopDownHands(UprightModel(), False), HandBoxes(detector), max_hands=1)
    detector.hands = [box_at(160, 240, 0)]
    for i in range(10):
        (hand,) = hands(Frame(IMAGE, 1 + i * STEP_NS)).instances
    assert hand.side is Side.UNKNOWN
    assert math.isnan(hand.side_score)
    assert detector.looks == 1
