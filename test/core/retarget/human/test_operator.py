"""Who commands: one hand per side, followed by its id, and never a jump to another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.retarget.angles import ANGLE_NAMES
from vitpose_ros.retarget.operator import TAKE_OVER_S, Operator
from vitpose_ros.types import NO_ID, Side, TrackState

LEFT, RIGHT = Side.LEFT, Side.RIGHT
STEP_NS = 33_000_000
AWAY_M = np.array((0.0, 0.0, 0.5))
PAUSE = int(TAKE_OVER_S * 1e9 / STEP_NS) + 1
"""Images after which another hand may take over."""


class Follower:
    """An operator that sees one image after the other."""

    def __init__(self):
        self.operator, self.stamp_ns = Operator(), 10**18

    def see(self, *instances, reset=False, after=1):
        """The pose in the next image, or some images later."""
        self.stamp_ns += after * STEP_NS
        return self.operator(self.stamp_ns, instances, reset)

    def ids(self, *instances, **how):
        """{side: id} of the hands that command."""
        pose = self.see(*instances, **how)
        return {side: hand.instance.track_id for side, hand in pose.hands.items()}


@pytest.fixture
def follower():
    return Follower()


@pytest.fixture
def seen(hand_of, posed_hand):
    """``seen(side, track_id, ...)``: a confirmed metric hand."""

    def make(side, track_id=1, **fields):
        xyz = posed_hand(side=side if side is LEFT else RIGHT) + AWAY_M
        return hand_of(side, xyz=xyz, track_id=track_id, **fields)

    return make


def test_both_hands_of_one_operator_command(follower, seen):
    assert follower.ids(seen(LEFT, 1), seen(RIGHT, 2)) == {LEFT: 1, RIGHT: 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"side": Side.UNKNOWN},
        {"track_state": TrackState.LOST},
        {"track_state": TrackState.TENTATIVE},
        {"track_state": TrackState.NONE},
        {"track_id": NO_ID},
    ],
    ids=str,
)
def test_a_hand_that_is_lost_new_or_of_unknown_side_does_not_command(follower, seen, fields):
    assert follower.ids(replace(seen(RIGHT, 2), **fields)) == {}


def test_a_hand_without_points_does_not_command(follower, hand_of):
    assert follower.ids(hand_of(RIGHT)) == {}


def test_the_hand_that_commands_is_followed_beside_older_ones(follower, seen):
    first = seen(RIGHT, 1, track_age_s=1.0)
    assert follower.ids(first) == {RIGHT: 1}
    assert follower.ids(seen(RIGHT, 2, track_age_s=9.0), first) == {RIGHT: 1}


def test_of_new_hands_the_one_tracked_longest_commands(follower, seen):
    old, young = seen(RIGHT, 1, track_age_s=3.0), seen(RIGHT, 2, track_age_s=1.0)
    assert follower.ids(young, old) == {RIGHT: 1}


def test_a_hand_of_the_same_person_is_preferred_to_an_older_one(follower, seen):
    left = seen(LEFT, 1, parent_id=50)
    follower.see(left)
    stranger = seen(RIGHT, 2, parent_id=51, track_age_s=9.0)
    own = seen(RIGHT, 3, parent_id=50, track_age_s=1.0)
    assert follower.ids(left, stranger, own) == {LEFT: 1, RIGHT: 3}


def test_another_hand_takes_over_only_after_a_pause(follower, seen):
    other = seen(RIGHT, 2)
    assert follower.ids(seen(RIGHT, 1)) == {RIGHT: 1}
    for _ in range(PAUSE - 1):
        assert follower.ids(other) == {}
    assert follower.ids(other) == {RIGHT: 2}


def test_the_same_hand_commands_again_without_a_pause(follower, seen):
    hand = seen(RIGHT, 1)
    follower.see(hand)
    lost = replace(hand, track_state=TrackState.LOST)
    assert follower.ids(lost, seen(RIGHT, 2, track_age_s=9.0)) == {}
    assert follower.ids(hand, seen(RIGHT, 2, track_age_s=9.0)) == {RIGHT: 1}


def test_a_hand_whose_side_flips_leaves_its_side_and_does_not_jump_to_the_other(follower, seen):
    follower.see(seen(LEFT, 1), seen(RIGHT, 2))
    assert follower.ids(seen(LEFT, 2)) == {}, "hand 2 on the side on which hand 1 commanded"
    assert follower.ids(seen(LEFT, 2), after=PAUSE) == {LEFT: 2}


def test_after_a_restart_of_tracking_ids_are_void_and_the_pause_holds(follower, seen):
    follower.see(seen(RIGHT, 1))
    assert follower.ids(seen(RIGHT, 1), reset=True) == {}, "another hand with this number"
    assert follower.ids(seen(RIGHT, 1), after=PAUSE) == {RIGHT: 1}


def test_after_time_went_back_nobody_waits(follower, seen):
    follower.see(seen(RIGHT, 1))
    follower.stamp_ns -= 60 * 10**9
    assert follower.ids(seen(RIGHT, 2), reset=True) == {RIGHT: 2}


def test_metric_and_shape_are_told_apart(follower, hand_of, posed_hand):
    metric = follower.see(hand_of(RIGHT, xyz=posed_hand() + AWAY_M, shape=posed_hand()))
    assert metric.hands[RIGHT].metric
    shape = follower.see(hand_of(RIGHT, shape=posed_hand()))
    assert not shape.hands[RIGHT].metric


# --- bodies ---------------------------------------------------------------------------------------

BODY = {
    "left_shoulder": (0, 0.18, 1.4),
    "right_shoulder": (0, -0.18, 1.4),
    "left_hip": (0, 0.1, 0.9),
    "right_hip": (0, -0.1, 0.9),
    "right_elbow": (0, -0.18, 1.1),
    "right_wrist": (0.25, -0.18, 1.1),
}


def known(pose):
    """{name: degrees} of the angles that are known."""
    angles = np.degrees(pose.angles())
    return {n: a for n, a in zip(ANGLE_NAMES, angles, strict=True) if not np.isnan(a)}


def test_the_body_of_the_hands_commands(follower, seen, body_of):
    own, stranger = body_of(BODY, 50, track_age_s=1.0), body_of(BODY, 51, track_age_s=9.0)
    assert follower.see(stranger, own, seen(RIGHT, 1, parent_id=50)).body is own


def test_without_hands_the_body_tracked_longest_is_followed_and_replaced_after_a_pause(
    follower, body_of
):
    own, other = body_of(BODY, 50, track_age_s=5.0), body_of(BODY, 51, track_age_s=1.0)
    assert follower.see(other, own).body is own
    assert follower.see(other).body is None
    assert follower.see(other, after=PAUSE).body is other


def test_a_lost_body_does_not_command(follower, body_of):
    assert follower.see(body_of(BODY, track_state=TrackState.LOST)).body is None


def test_angles_of_a_hand_alone_are_those_of_its_fingers(follower, seen):
    names = known(follower.see(seen(RIGHT, 1)))
    assert len(names) == 20
    assert all(name.startswith("right_") for name in names)


def test_angles_of_a_body_alone_are_those_of_its_arms(follower, body_of):
    angles = known(follower.see(body_of(BODY)))
    assert angles["right_elbow_flexion"] == pytest.approx(90)
    assert set(angles) == {
        *("right_elbow_flexion", "right_shoulder_flexion", "right_shoulder_abduction"),
        "right_shoulder_rotation",
    }


WRIST_ANGLES = {"right_wrist_flexion", "right_wrist_deviation"}


@pytest.mark.parametrize(
    ("hand_spaces", "metric_body", "parent_id", "expected"),
    [
        (("xyz",), True, 100, True),
        (("shape",), False, 100, True),
        (("xyz", "shape"), False, 100, True),
        (("xyz", "shape"), True, 100, True),
        (("xyz",), False, 100, False),
        (("shape",), True, 100, False),
        (("xyz",), True, 7, False),
    ],
    ids=[
        "both metric",
        "both shapes",
        "the hand's shape with the body's",
        "the hand's metric points with the body's",
        "a metric hand, a body's shape",
        "a hand's shape, a metric body",
        "somebody else's hand",
    ],
)
def test_a_wrist_has_angles_where_hand_and_arm_are_one_person_s_and_of_one_source(
    follower, hand_of, body_of, posed_hand, hand_spaces, metric_body, parent_id, expected
):
    points = dict.fromkeys(hand_spaces, posed_hand())
    pose = follower.see(
        hand_of(RIGHT, parent_id=parent_id, **points), body_of(BODY, metric=metric_body)
    )
    pose = pose if parent_id == 100 else replace(pose, body=body_of(BODY, metric=metric_body))
    assert (set(known(pose)) >= WRIST_ANGLES) == expected
