"""Whose hands are exported, and what is known of them in each image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.export.features import _steady
from vitpose_ros.export.hands import hands_over_time
from vitpose_ros.offline.read_skeletons import RecordedImage
from vitpose_ros.types import JointState, Side, TrackState

from .conftest import FIRST_NS, PERIOD_NS, SIZE, Take, hand_m


def recorded(images, reset=()):
    return [
        RecordedImage(
            FIRST_NS + i * PERIOD_NS,
            "camera",
            "camera",
            SIZE,
            i in reset,
            "none",
            0.0,
            tuple(found),
        )
        for i, found in enumerate(images)
    ]


def right(number, **changes):
    return replace(Take().instance(number, Side.RIGHT), **changes)


def lost(number):
    one = right(number, track_state=TrackState.LOST)
    state = np.full(21, JointState.PREDICTED, np.uint8)
    return replace(one, keypoints=replace(one.keypoints, state=state))


def test_predicted_joints_of_a_bridged_gap_are_used_and_not_measured():
    hand = hands_over_time(recorded([[right(0)], [lost(1)], [right(2)]]))[Side.RIGHT]
    np.testing.assert_array_equal(hand.xyz, [hand_m(i, Side.RIGHT) for i in range(3)])
    assert hand.measured.all(axis=1).tolist() == [True, False, True]
    assert hand.wrist_measured.tolist() == [True, False, True]


def test_another_persons_hand_takes_over_only_after_a_pause():
    others = [right(i + 50, track_id=9) for i in range(40)]
    images = [[right(i), others[i]] for i in range(3)] + [[others[i]] for i in range(3, 40)]
    hand = hands_over_time(recorded(images))[Side.RIGHT]
    known = np.isfinite(hand.xyz[:, 0, 0])
    first_again = 3 + int(np.flatnonzero(known[3:])[0])
    assert known[:3].all() and (first_again - 2) * PERIOD_NS >= 500_000_000
    np.testing.assert_array_equal(hand.xyz[first_again], hand_m(first_again + 50, Side.RIGHT))


@pytest.mark.parametrize(
    "change",
    [{"track_state": TrackState.TENTATIVE}, {"side": Side.UNKNOWN, "side_score": float("nan")}],
    ids=["too new", "unknown side"],
)
def test_a_hand_that_may_be_wrong_is_not_exported(change):
    hands = hands_over_time(recorded([[right(i, **change)] for i in range(3)]))
    assert all(np.isnan(hand.uv).all() for hand in hands.values())


def test_a_lost_hand_of_before_a_restart_is_not_continued():
    hand = hands_over_time(recorded([[right(0)], [lost(1)]], reset=[1]))[Side.RIGHT]
    assert np.isnan(hand.uv[1]).all()


def test_quaternions_keep_their_signs():
    turns = np.array([[0, 0, 0, 1], [0, 0, 0.1, -0.99], [0, 0, 0.2, 0.98], [0, 0, -0.3, -0.95]])
    poses = np.concatenate([np.zeros((4, 3)), turns], axis=1).astype(np.float32)
    steady = _steady(poses)[:, 3:]
    assert ((steady[1:] * steady[:-1]).sum(axis=1) > 0).all()
    np.testing.assert_array_equal(np.abs(steady), np.abs(poses[:, 3:]))
