"""The real networks on real and rendered images."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.measure import Networks
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.track.search import search_windows
from vitpose_ros.types import Frame, JointState, Side, TrackState


@pytest.fixture(scope="module")
def pipeline(engine_of):
    """A function: a fresh pipeline with the full networks; each is loaded once."""
    engines = engine_of("mediapipe-palm-full"), engine_of("mediapipe-hand-full")

    def make(**settings):
        networks = Networks(
            HandLandmarks(engines[1], "mediapipe-hand-full"),
            PalmDetector(engines[0], "mediapipe-palm-full"),
        )
        return Pipeline(networks, Settings(HandSettings(**settings)))

    return make


@pytest.fixture(scope="module")
def close_hand(real_image, test_data):
    """An image that a hand fills, and its joints as annotators put them: index -> (u, v)."""
    truth = json.loads((test_data / "onehand10k.json").read_text())
    (annotation,) = (a for a in truth["annotations"] if a["image_id"] == 784)
    joints = np.reshape(annotation["keypoints"], (21, 3))
    return real_image("onehand10k_784.jpg"), {
        i: (u, v) for i, (u, v, seen) in enumerate(joints) if seen
    }


@pytest.fixture(scope="module")
def scene():
    return Scene(script="reach", seed=0)


def palm(uv):
    return float(np.linalg.norm(uv[0] - uv[9]))


def pasted(image, scale, at, width=1920, height=1080):
    """An image shrunk and pasted into a grey one."""
    patch = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 110, np.uint8)
    canvas[at[1] : at[1] + patch.shape[0], at[0] : at[0] + patch.shape[1]] = patch
    return canvas


def test_a_real_hand_is_found_where_annotators_put_it(pipeline, close_hand):
    image, joints = close_hand
    (hand,) = pipeline(static=True)(Frame(image)).instances
    errors = np.linalg.norm(hand.keypoints.uv[list(joints)] - list(joints.values()), axis=1)
    assert np.median(errors) < 0.2 * palm(hand.keypoints.uv)
    assert hand.side == Side.LEFT
    assert hand.score > 0.9


def test_a_mirrored_image_gives_the_same_hand_when_it_is_said_to_be_mirrored(pipeline, real_image):
    image = real_image("onehand10k_784.jpg")
    mirrored = Frame(np.ascontiguousarray(image[:, ::-1]))
    (hand,) = pipeline(static=True)(Frame(image)).instances
    (said,) = pipeline(static=True, input_mirrored=True)(mirrored).instances
    (unsaid,) = pipeline(static=True)(mirrored).instances
    assert said.side == hand.side
    assert unsaid.side != hand.side
    flipped = said.keypoints.uv * (-1, 1) + (image.shape[1] - 1, 0)
    errors = np.linalg.norm(flipped - hand.keypoints.uv, axis=1)
    assert np.median(errors) < 0.1 * palm(hand.keypoints.uv)
    along = said.keypoints.shape_xyz[:, 0], hand.keypoints.shape_xyz[:, 0]
    assert np.corrcoef(*along)[0, 1] > 0.8, "in metres it is the same hand, too"


def test_rendered_hands_are_found_with_their_sides_and_shapes(pipeline, scene):
    rendering = scene.render(0.5)
    result = pipeline(static=True)(Frame(rendering.image))
    assert len(result.instances) == len(rendering.hands) == 2
    for true in rendering.hands:
        (hand,) = (i for i in result.instances if i.side == true.side)
        errors = np.linalg.norm(hand.keypoints.uv - true.uv, axis=1)
        assert np.median(errors) < 0.15 * true.palm_px
        # The shape's axes are those of the optical frame, its unit the metre.
        shape = hand.keypoints.shape_xyz - hand.keypoints.shape_xyz.mean(axis=0)
        truth = true.xyz - true.xyz.mean(axis=0)
        along = [np.corrcoef(shape[:, axis], truth[:, axis])[0, 1] for axis in range(3)]
        assert along[0] > 0.8
        assert along[1] > 0.8
        assert along[2] > 0.2
        assert 0.6 < np.linalg.norm(shape) / np.linalg.norm(truth) < 1.5


def test_two_hands_keep_their_ids_through_a_moving_clip(pipeline, scene):
    follow = pipeline()
    results = [
        follow(Frame(scene.render(i / 15).image, 1 + round(i * 1e9 / 15))) for i in range(15)
    ]
    assert [[i.track_id for i in result.instances] for result in results] == [[0, 1]] * 15
    assert all(result.models == ("mediapipe-hand-full",) for result in results[1:])


@pytest.mark.parametrize("at", [(100, 100), (900, 400), (1500, 700)])
def test_a_hand_of_100_px_in_1920x1080_is_found_with_the_search_and_not_without(
    pipeline, close_hand, at
):
    image, joints = close_hand
    scale = 100 / 376  # the hand's box is 376 px wide
    frame = Frame(pasted(image, scale, at))
    assert pipeline(static=True, search=False)(frame).instances == ()
    (hand,) = pipeline(static=True)(frame).instances
    truth = np.add(list(joints.values()), 0.5) * scale - 0.5 + at
    errors = np.linalg.norm(hand.keypoints.uv[list(joints)] - truth, axis=1)
    assert np.median(errors) < 0.25 * palm(hand.keypoints.uv)


def test_a_small_hand_is_found_within_some_images_and_then_followed(pipeline, real_image):
    image = pasted(real_image("onehand10k_784.jpg"), 100 / 376, (1500, 700))
    follow = pipeline()
    found = [bool(follow(Frame(image, 1 + i * 33_000_000)).instances) for i in range(20)]
    assert any(found[:12])
    assert all(found[found.index(True) :])


def test_a_real_hand_that_fills_the_image_is_found_with_the_search_and_not_without(
    pipeline, close_hand
):
    image, joints = close_hand
    part = np.ascontiguousarray(image[300:560, 75:335])  # the palm and the fingers' first bones
    assert pipeline(static=True, search=False)(Frame(part)).instances == ()
    (hand,) = pipeline(static=True)(Frame(part)).instances
    truth = np.array(list(joints.values())) - (75, 300)
    errors = np.linalg.norm(hand.keypoints.uv[list(joints)] - truth, axis=1)
    assert np.median(errors) < 0.25 * palm(hand.keypoints.uv)


def test_a_rendered_hand_that_fills_the_image_is_found_with_the_search_and_not_without(pipeline):
    rendering = Scene("still", seed=1).render(0.0)
    uv = rendering.hands[0].uv
    (left, top), (right, bottom) = np.rint([uv.min(axis=0) + 15, uv.max(axis=0) - 15]).astype(int)
    part = np.ascontiguousarray(rendering.image[top:bottom, left:right])
    assert pipeline(static=True, search=False)(Frame(part)).instances == ()
    (hand,) = pipeline(static=True)(Frame(part)).instances
    errors = np.linalg.norm(hand.keypoints.uv - (uv - (left, top)), axis=1)
    assert np.median(errors) < 0.25 * palm(uv)


def test_a_hand_that_fills_the_image_is_found_within_a_turn_of_the_search(pipeline, close_hand):
    part = np.ascontiguousarray(close_hand[0][300:560, 75:335])
    follow = pipeline()
    turn = len(search_windows(260, 260))
    found = [bool(follow(Frame(part, 1 + i * 33_000_000)).instances) for i in range(turn)]
    assert any(found)


def test_a_real_hand_in_grey_is_found_where_annotators_put_it(pipeline, close_hand):
    image, joints = close_hand
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    (hand,) = pipeline(static=True)(Frame(grey)).instances
    errors = np.linalg.norm(hand.keypoints.uv[list(joints)] - list(joints.values()), axis=1)
    assert np.median(errors) < 0.2 * palm(hand.keypoints.uv)
    assert hand.side == Side.LEFT


@pytest.mark.parametrize("name", ["people", "people in grey", "noise", "grey"])
def test_the_search_invents_no_hands(pipeline, real_image, name):
    if name.startswith("people"):
        image = cv2.resize(real_image("000000000785.jpg"), (1280, 850))  # a skier, hands in gloves
        if name == "people in grey":
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    elif name == "noise":
        image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
    else:
        image = np.full((720, 1280, 3), 128, np.uint8)
    assert pipeline(static=True)(Frame(image)).instances == ()


def test_a_hand_that_leaves_the_image_ends(pipeline, real_image):
    image = real_image("onehand10k_784.jpg")
    follow, seen = pipeline(search=False), []
    for step in range(16):
        shifted = np.full_like(image, 110)
        shift = 60 * step
        if shift < image.shape[0]:
            shifted[shift:] = image[: image.shape[0] - shift]
        hands = follow(Frame(shifted, 1 + step * 33_000_000)).instances
        seen.append([hand for hand in hands if hand.track_state != TrackState.LOST])
    assert len(seen[0]) == 1
    assert seen[-1] == []
    states = [hand.keypoints.state for hands in seen for hand in hands]
    assert any((state == JointState.OCCLUDED).any() for state in states)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (40, 30), (3000, 5)])
def test_odd_image_sizes_are_harmless(pipeline, size):
    image = np.full((size[1], size[0], 3), 127, np.uint8)
    follow = pipeline()
    for step in range(3):
        assert follow(Frame(image, 1 + step * 33_000_000)).instances == ()


def test_networks_that_are_mixed_up_are_refused_when_loaded(engine_of):
    with pytest.raises(EngineError, match="not MediaPipe's palm detector"):
        PalmDetector(engine_of("mediapipe-hand-full"), "mediapipe-hand-full")
    with pytest.raises(EngineError, match="not MediaPipe's hand landmark network"):
        HandLandmarks(engine_of("mediapipe-palm-full"), "mediapipe-palm-full")


def test_the_pipeline_loads_from_the_store(model_path, real_image):
    model_path("mediapipe-palm-full")
    model_path("mediapipe-hand-lite")
    lite = load_pipeline(
        ModelStore(),
        Models(hand_model="mediapipe-hand-lite"),
        Settings(HandSettings(static=True)),
        threads=1,
    )
    result = lite(Frame(real_image("onehand10k_784.jpg")))
    assert result.models == ("mediapipe-palm-full", "mediapipe-hand-lite")
    assert result.instances[0].model == "mediapipe-hand-lite"
