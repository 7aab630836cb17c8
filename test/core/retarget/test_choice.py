"""Which hand a robot follows."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.retarget.choice import Hand, HandChoice, finger_points
from vitpose_ros.types import NO_ID, Instance, JointState, Keypoints, Side, TrackState, ZSource


def hand(track_id=3, side=Side.RIGHT, track=TrackState.CONFIRMED, age_s=2.0, layout=HAND21):
    return Hand(layout, side, track_id, track, age_s, read=pytest.fail)


def instance(state=None, **joints):
    if state is None:
        state = np.full(21, JointState.MEASURED, np.uint8)
    uv, score = np.zeros((21, 2), np.float32), np.ones(21, np.float32)
    return Instance(Keypoints(HAND21, uv, score, state, **joints), 0.9, "fake")


def test_the_usable_hand_that_was_tracked_longest_is_latched_and_no_other_followed():
    choice = HandChoice(Side.RIGHT)
    in_view = [hand(1, age_s=1), hand(2, age_s=5), hand(4, Side.LEFT, age_s=9)]
    choice.latch(choice.candidate(in_view)[0])
    assert choice.track_id == 2
    picked, reason = choice.pick([hand(1, age_s=60), hand(2)])
    assert picked is not None and picked.track_id == 2 and reason == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (hand(3, Side.LEFT), "reported as left, and the robot follows a right one"),
        (hand(3, Side.UNKNOWN), "neither left nor right"),
        (hand(3, track=TrackState.LOST), "hand 3 is lost"),
        (hand(3, track=TrackState.TENTATIVE), "has only just been found"),
        (hand(3, layout=COCO17), "no right hand is in view"),
    ],
)
def test_a_hand_that_cannot_be_used_is_not_latched_and_the_reason_is_given(given, words):
    choice = HandChoice(Side.RIGHT)
    assert choice.candidate([given])[0] is None
    assert words in choice.candidate([given])[1]
    assert choice.track_id == NO_ID
    assert words in choice.pick([given])[1]


def test_another_id_at_the_same_place_is_not_followed_until_the_clutch_closes_again():
    choice = HandChoice(Side.RIGHT)
    choice.latch(hand(3))
    picked, reason = choice.pick([hand(7)])
    assert picked is None
    assert reason == "hand 3 is not in view; hand 7 is in view: close the clutch again to follow it"
    assert choice.pick([hand(3)])[0] is not None
    choice.latch(hand(7))
    assert choice.pick([hand(7)])[0] is not None


def test_after_tracking_restarted_the_same_id_means_another_hand():
    choice = HandChoice(Side.RIGHT)
    choice.latch(hand(3))
    choice.restart()
    assert "tracking restarted" in choice.pick([hand(3)])[1]
    picked, reason = choice.pick([hand(3)])
    assert picked is None and "close the clutch again" in reason
    choice.latch(hand(3))
    assert choice.pick([hand(3)])[0] is not None


def test_a_latched_hand_whose_side_changes_is_not_followed():
    choice = HandChoice(Side.RIGHT)
    choice.latch(hand(3))
    assert choice.pick([hand(3, Side.LEFT)])[0] is None


@pytest.mark.parametrize("source", [ZSource.MEASURED, ZSource.TRIANGULATED, ZSource.ASSUMED])
def test_metric_joints_win_over_the_models_shape(source):
    shape = np.random.default_rng(0).normal(size=(21, 3)).astype(np.float32)
    given = {"xyz": shape + 1, "z_source": np.full(21, source, np.uint8)}
    for hand in (instance(shape_xyz=shape, **given), instance(**given)):
        np.testing.assert_array_equal(finger_points(hand)[0], shape + 1)
    np.testing.assert_array_equal(finger_points(instance(shape_xyz=shape))[0], shape)
    assert finger_points(instance()) is None


def test_only_joints_that_were_measured_in_this_image_may_be_used():
    shape = np.ones((21, 3), np.float32)
    state = np.full(21, JointState.MEASURED, np.uint8)
    state[4], state[8] = JointState.PREDICTED, JointState.OCCLUDED
    _, known = finger_points(instance(shape_xyz=shape, state=state))
    assert not known[[4, 8]].any() and known.sum() == 19
