from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.draw import draw_caption, draw_instances
from vitpose_ros.layouts import COCO_WHOLEBODY133, HAND21
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState


def hand(side=Side.RIGHT, state=JointState.VISIBLE, centre=(320.0, 240.0), layout=HAND21):
    rng = np.random.default_rng(0)
    count = len(layout)
    uv = (rng.uniform(-80, 80, (count, 2)) + centre).astype(np.float32)
    if state == JointState.ABSENT:
        uv[:] = np.nan
    keypoints = Keypoints(layout, uv, np.ones(count, np.float32), np.full(count, state, np.uint8))
    return Instance(keypoints, 0.9, "net", side=side, side_score=0.9, track_id=7)


def drawn(*instances):
    return draw_instances(np.full((480, 640, 3), 60, np.uint8), instances).astype(int)


def around(image, point, radius=3):
    x, y = np.round(point).astype(int)
    return image[y - radius : y + radius + 1, x - radius : x + radius + 1]


def test_left_is_blue_and_right_is_orange():
    left, right = drawn(hand(Side.LEFT)), drawn(hand(Side.RIGHT))
    assert (left[..., 0] - left[..., 2]).sum() > 50_000  # BGR
    assert (right[..., 2] - right[..., 0]).sum() > 50_000


def test_absent_joints_and_their_bones_are_not_drawn():
    assert (drawn(hand(state=JointState.ABSENT)) == 60).all()
    whole = hand()
    tip = 8
    uv, state = whole.keypoints.uv.copy(), whole.keypoints.state.copy()
    place = uv[tip] = (30.0, 440.0)
    seen = replace(whole, keypoints=replace(whole.keypoints, uv=uv))
    uv, state = uv.copy(), state.copy()
    uv[tip], state[tip] = np.nan, JointState.ABSENT
    gone = replace(whole, keypoints=replace(whole.keypoints, uv=uv, state=state))
    assert not (around(drawn(seen), place) == 60).all()
    assert (around(drawn(gone), place) == 60).all()


@pytest.mark.parametrize("state", [JointState.OCCLUDED, JointState.PREDICTED])
def test_joints_that_are_not_seen_are_hollow_and_paler(state):
    keypoints = hand().keypoints
    uv = keypoints.uv.copy()
    uv[4] = 40.0, 440.0  # the thumb's tip, far from the rest
    seen = replace(hand(), keypoints=replace(keypoints, uv=uv))
    states = keypoints.state.copy()
    states[4] = state
    unseen = replace(hand(), keypoints=replace(keypoints, uv=uv, state=states))

    def colourfulness(image):
        patch = around(image, (40, 440), 6)
        return (patch.max(axis=2) - patch.min(axis=2)).max()

    assert colourfulness(drawn(unseen)) < 0.7 * colourfulness(drawn(seen))
    white = (around(drawn(seen), (40, 440), 1) > 230).all(axis=2).any()
    assert white
    assert not (around(drawn(unseen), (40, 440), 1) > 230).all(axis=2).any()


def test_the_label_is_paler_while_the_identity_is_not_confirmed():
    def label_area(state):
        image = drawn(replace(hand(), track_state=state))
        return int((np.ptp(image, axis=2) > 200).sum())

    assert label_area(TrackState.TENTATIVE) < 0.7 * label_area(TrackState.CONFIRMED)
    assert label_area(TrackState.LOST) < 0.7 * label_area(TrackState.CONFIRMED)


def test_the_label_of_a_lost_hand_says_so():
    tentative, lost = (
        (drawn(replace(hand(), track_state=state)) != 60).any(axis=2)
        for state in (TrackState.TENTATIVE, TrackState.LOST)
    )
    assert lost.sum() > tentative.sum()
    assert (lost | ~tentative).all(), "its label is longer, and all else alike"


@pytest.mark.parametrize(
    "centre", [(0, 0), (-500, 900), (1e7, -1e7)], ids=["corner", "outside", "far outside"]
)
def test_what_lies_outside_the_image_does_no_harm(centre):
    assert drawn(hand(centre=centre)).shape == (480, 640, 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 400, 3)])
def test_tiny_images_can_be_drawn_on(shape):
    image = np.zeros(shape, np.uint8)
    assert draw_instances(image, [hand(centre=(0, 0))]) is image
    assert draw_caption(image, ["30 fps", "2 hands"]) is image


def test_whole_bodies_can_be_drawn_too():
    image = drawn(hand(layout=COCO_WHOLEBODY133, side=Side.UNKNOWN))
    assert (image != 60).any()


def test_a_generator_of_instances_is_drawn_with_labels():
    image = np.full((480, 640, 3), 60, np.uint8)
    draw_instances(image, (h for h in [hand()]))
    assert np.array_equal(image, drawn(hand()))


def test_no_caption_leaves_the_image_alone():
    image = np.full((50, 50, 3), 9, np.uint8)
    assert (draw_caption(image, []) == 9).all()
    assert not (draw_caption(image.copy(), ["x"]) == 9).all()
