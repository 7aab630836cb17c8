"""Hand joints of whole bodies, from the hands that were measured on their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21, MEDIAPIPE33, WRIST
from vitpose_ros.track.whole_body import refine_hands
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource

BODY_ID = 7
ABSENT, OCCLUDED, VISIBLE = JointState.ABSENT, JointState.OCCLUDED, JointState.VISIBLE
FAN = np.stack([np.arange(21) * 2.0 - 20, np.arange(21) * -3.0], axis=1)
FAN -= FAN[WRIST]


def points_of(side):
    return [COCO_WHOLEBODY133.index(f"{side}_hand_{joint}") for joint in HAND21.joints]


@pytest.fixture
def whole_body(person):
    return person(200, 200, score=0.5).keypoints(COCO_WHOLEBODY133)


def instance(keypoints, **identity):
    return Instance(keypoints, 0.9, "network", **identity)


def refined(body, *hands):
    return refine_hands(instance(body, track_id=BODY_ID), hands).keypoints


@pytest.fixture
def hand(whole_body):
    """A function: a hand at a body's wrist, moved by (dx, dy) px."""

    def make(side=Side.LEFT, state=VISIBLE, score=0.3, move=(0, 0), owner=BODY_ID, **changes):
        wrist = whole_body.uv[COCO_WHOLEBODY133.index(f"{side.name.lower()}_wrist")]
        uv = (FAN + wrist + move).astype(np.float32)
        states = np.broadcast_to(np.uint8(state), 21).copy()
        scores = np.where(states == ABSENT, 0, score).astype(np.float32)
        uv[states == ABSENT] = np.nan
        joints = Keypoints(HAND21, uv, scores, states)
        return instance(replace(joints, **changes), side=side, parent_id=owner)

    return make


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_a_visible_hand_joint_is_taken_whatever_the_scores_of_both_networks(whole_body, hand, side):
    before = whole_body.uv.copy()
    given = hand(side, VISIBLE, score=0.01)
    found = refined(whole_body, given)
    points = points_of(side.name.lower())
    np.testing.assert_array_equal(found.uv[points], given.keypoints.uv)
    assert found.score[points] == pytest.approx(0.01)
    wrist = COCO_WHOLEBODY133.index(f"{side.name.lower()}_wrist")
    kept = sorted({*range(133)} - {*points, wrist})
    np.testing.assert_array_equal(found.uv[kept], before[kept])
    np.testing.assert_array_equal(whole_body.uv, before, "the given body is untouched")


def test_an_occluded_hand_joint_never_replaces_a_visible_one(whole_body, hand):
    given = hand(state=np.where(np.arange(21) % 2, OCCLUDED, VISIBLE), score=0.9)
    found, points = refined(whole_body, given), np.array(points_of("left"))
    np.testing.assert_array_equal(found.uv[points[1::2]], whole_body.uv[points[1::2]])
    np.testing.assert_array_equal(found.uv[points[::2]], given.keypoints.uv[::2])


def test_an_absent_hand_joint_replaces_nothing_and_an_absent_one_is_filled(
    whole_body, person, hand
):
    found = refined(whole_body, hand(state=np.where(np.arange(21) == 8, ABSENT, VISIBLE)))
    tip = points_of("left")[8]
    np.testing.assert_array_equal(found.uv[tip], whole_body.uv[tip])
    name = COCO_WHOLEBODY133.joints[tip]
    without = person(200, 200, score=0.5, unseen=(name,)).keypoints(COCO_WHOLEBODY133)
    assert refined(without, hand(state=OCCLUDED)).state[tip] == OCCLUDED


def test_the_wrist_of_the_arm_moves_along(whole_body, hand):
    given = hand(move=(6, -4))
    wrist = COCO_WHOLEBODY133.index("left_wrist")
    found = refined(whole_body, given)
    np.testing.assert_array_equal(found.uv[wrist], given.keypoints.uv[WRIST])
    assert found.state[wrist] == VISIBLE


def test_a_hand_far_from_the_visible_wrist_is_refused(whole_body, hand):
    found = refined(whole_body, hand(move=(200, 0)))
    np.testing.assert_array_equal(found.uv, whole_body.uv)


def test_metres_of_the_hand_come_along(whole_body, hand):
    xyz = np.arange(63, dtype=np.float32).reshape(21, 3)
    std = np.arange(21, dtype=np.float32)
    sources = np.full(21, ZSource.MEASURED, np.uint8)
    given = hand(xyz=xyz, z_source=sources, xyz_std=std, shape_xyz=xyz + 1)
    shape = np.zeros((133, 3), np.float32)
    shape[COCO_WHOLEBODY133.index("left_wrist")] = 0.5, 0.25, 0
    found, points = refined(replace(whole_body, shape_xyz=shape), given), points_of("left")
    np.testing.assert_array_equal(found.xyz[points], xyz)
    assert (found.z_source[points] == ZSource.MEASURED).all()
    np.testing.assert_array_equal(found.xyz_std[points], std)
    np.testing.assert_allclose(found.shape_xyz[points], xyz - xyz[WRIST] + (0.5, 0.25, 0))
    assert np.isnan(found.xyz[points_of("right")]).all()


def test_both_hands_of_a_body_are_refined_in_raw_and_published_joints(whole_body, hand):
    body = instance(whole_body, track_id=BODY_ID)
    hands = [hand(Side.LEFT, score=0.11), hand(Side.RIGHT, score=0.12)]
    found = refine_hands(body, hands)
    for side, score in (("left", 0.11), ("right", 0.12)):
        assert found.keypoints.score[points_of(side)] == pytest.approx(score)
    assert found.raw is found.keypoints


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33], ids=lambda layout: layout.name)
def test_a_layout_without_hand_joints_stays_as_it_is(person, hand, layout):
    body = instance(person(200, 200, score=0.2).keypoints(layout), track_id=BODY_ID)
    assert refine_hands(body, [hand(), hand(Side.RIGHT)]) is body


def test_only_hands_of_this_body_and_of_a_known_side_that_are_seen_refine_it(whole_body, hand):
    body = instance(whole_body, track_id=BODY_ID)
    lost = replace(hand(), track_state=TrackState.LOST)
    unknown = replace(hand(), side=Side.UNKNOWN)
    assert refine_hands(body, [hand(owner=BODY_ID + 1), lost, unknown]) is body
    gone = replace(body, track_state=TrackState.LOST)
    assert refine_hands(gone, [hand()]) is gone
