"""The views of a pipeline with the real networks on real images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.factory import load_pipeline
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.store import ModelStore
from vitpose_ros.types import NO_ID, Frame, Side, TrackState, View

STEP_NS = 33_000_000


@pytest.fixture(scope="module")
def real_pipeline(model_path):
    """A function: a pipeline of a view with MediaPipe's networks."""
    for name in ("palm-full", "hand-full", "person", "body-full"):
        model_path(f"mediapipe-{name}")
    return lambda view: load_pipeline(ModelStore(), view=view)


def follow(pipeline, image, count):
    return [pipeline(Frame(image, 10**18 + i * STEP_NS)) for i in range(count)]


def test_the_two_near_players_are_found_with_their_hands_and_keep_their_ids(
    split, real_pipeline, real_image
):
    results = follow(real_pipeline("third_person"), real_image("people_demo.jpg"), 5)
    for result in results:
        bodies, hands = split(result)
        assert len(bodies) == 2
        middles = sorted(body.keypoints.box()[0] + body.keypoints.box()[2] / 2 for body in bodies)
        assert middles == pytest.approx([280, 805], abs=40)
        by_id = {body.track_id: body for body in bodies}
        owned = [hand for hand in hands if hand.parent_id != NO_ID]
        assert len(owned) >= 3
        assert len({(hand.parent_id, hand.side) for hand in owned}) == len(owned)
        for hand in owned:
            body = by_id[hand.parent_id]
            uv = {
                side: body.keypoints.uv[body.layout.index(f"{side.name.lower()}_wrist")]
                for side in (Side.LEFT, Side.RIGHT)
            }
            middle = hand.keypoints.uv.mean(axis=0)
            assert min(uv, key=lambda side: np.hypot(*(uv[side] - middle))) == hand.side
    ids = [[instance.track_id for instance in result.instances] for result in results]
    assert ids == [ids[0]] * 5
    looked = ["mediapipe-palm-full" in result.models for result in results]
    assert looked == [True, False, False, False, True], "ten times per second"


def test_the_skier_is_found(split, real_pipeline, real_image):
    results = follow(real_pipeline("third_person"), real_image("000000000785.jpg"), 3)
    for result in results:
        ((body,), _) = split(result)
        x, y, width, height = body.keypoints.box()
        assert (x, y) == pytest.approx((291, 76), abs=25)
        assert (width, height) == pytest.approx((198, 307), abs=40)
        assert body.track_id == results[0].instances[0].track_id


def test_auto_turns_to_the_players_within_two_seconds_and_stays(
    split, views, real_pipeline, real_image
):
    results = follow(real_pipeline("auto"), real_image("people_demo.jpg"), 45)
    assert views(results) == [View.EGOCENTRIC, View.THIRD_PERSON]
    turned = next(i for i, result in enumerate(results) if result.view is View.THIRD_PERSON)
    assert turned * STEP_NS <= 2 * 10**9
    assert len(split(results[-1])[0]) == 2


@pytest.fixture
def wearers_arms(test_data):
    """A function: images of a name in the folder of real material."""

    def images(name):
        if name.endswith(".jpg"):
            image = cv2.imread(str(test_data / "real" / name))
            if image is None:
                pytest.skip(f"no image {test_data / 'real' / name}")
            return [image]
        path = test_data / "real" / name
        if not path.is_file():
            pytest.skip(f"no video {path}")
        video = cv2.VideoCapture(str(path))
        return [video.read()[1] for _ in range(90)][::10]

    return images


@pytest.mark.parametrize("name", ["forearm.mp4", "ego_adt_1.jpg", "ego_adt_2.jpg"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_auto_is_not_turned_by_the_wearers_own_arms(
    views, real_pipeline, wearers_arms, name, mirrored
):
    images = [np.ascontiguousarray(i[:, ::-1]) if mirrored else i for i in wearers_arms(name)]
    pipeline = real_pipeline("auto")
    results = [
        pipeline(Frame(images[i % len(images)], 10**18 + i * 4 * STEP_NS)) for i in range(24)
    ]
    assert views(results) == [View.EGOCENTRIC]


def test_auto_stays_with_hands_where_only_a_hand_is_seen(split, views, real_pipeline, real_image):
    results = follow(real_pipeline("auto"), real_image("onehand10k_784.jpg"), 45)
    assert views(results) == [View.EGOCENTRIC]
    assert split(results[-1])[1]


# --- people of whom only hands and arms are in view --------------------------------------------


def hands_of(result):
    return [i for i in result.instances if i.layout is HAND21 and not i.is_lost]


def test_a_hand_alone_is_found_in_third_person_and_nobodys(real_pipeline, real_image):
    results = follow(real_pipeline("third_person"), real_image("onehand10k_784.jpg"), 5)
    for result in results:
        (hand,) = hands_of(result)
        assert (hand.parent_id, hand.side) == (NO_ID, Side.LEFT)
    assert hand.track_state is TrackState.CONFIRMED


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_filmed_forearm_is_no_body_that_gives_its_hand_a_side(
    real_pipeline, wearers_arms, mirrored
):
    images = wearers_arms("forearm.mp4")
    images = [np.ascontiguousarray(i[:, ::-1]) if mirrored else i for i in images]
    pipeline, found = real_pipeline("third_person"), []
    for i in range(36):
        hands = hands_of(pipeline(Frame(images[i // 4], 10**18 + i * STEP_NS)))
        found += [(hand.parent_id, hand.side) for hand in hands]
    assert len(found) > 24
    true = Side.LEFT if mirrored else Side.RIGHT
    assert set(found) <= {(NO_ID, true), (NO_ID, Side.UNKNOWN)}
    assert found.count((NO_ID, true)) > 12


def test_both_hands_of_a_player_who_is_cut_off_are_found(real_pipeline, real_image):
    part = np.ascontiguousarray(real_image("people_demo.jpg")[240:400, 715:865])
    results = follow(real_pipeline("third_person"), cv2.resize(part, None, fx=3, fy=3), 8)
    places = [hand.keypoints.uv.mean(axis=0) / 3 + (715, 240) for hand in hands_of(results[-1])]
    for true in ((768, 297), (828, 360)):
        assert min(np.hypot(*(place - true)) for place in places) < 40
