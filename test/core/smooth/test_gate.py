"""The gate by itself; what it does for joints is in test_smoother.py."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.smooth.gate import Gate

STEP_S = 1 / 30
PALM = 100.0
TIP, NEXT = 8, 7
ALL = np.ones((1, 21), bool)


def hand(shift=(0.0, 0.0)):
    return np.random.default_rng(1).uniform(0, 100, (1, 21, 2)) + shift


def judged(moves, gate=None, step_s=STEP_S, valid=ALL, layout=HAND21):
    """For each image the joints that are outliers; `moves` says where each image's joints are."""
    gate = gate or Gate(layout)
    size = np.full(len(moves[0]), PALM)
    return [
        np.flatnonzero(gate(x, valid, i * step_s, size)[0]).tolist() for i, x in enumerate(moves)
    ]


def with_joint(joint, *distances):
    """A hand at rest, one joint of which is away by these distances."""
    moves = [hand() for _ in distances]
    for x, distance in zip(moves, distances, strict=True):
        x[0, joint, 0] += distance
    return moves


def test_a_joint_that_is_a_palm_away_for_one_image_is_held_back_in_that_image_alone():
    assert judged(with_joint(TIP, 0, 0, 100, 0, 0)) == [[], [], [TIP], [], []]


def test_a_joint_that_jumps_and_stays_is_accepted_in_the_second_image():
    assert judged(with_joint(TIP, 0, 0, 100, 100, 100)) == [[], [], [TIP], [], []]


def test_what_jumps_in_every_image_is_held_back_in_every_other_one_at_most():
    found = judged(with_joint(TIP, 0, 200, -200, 200, -200, 200))
    assert found == [[], [TIP], [], [TIP], [], [TIP]]


def test_a_finger_that_closes_in_one_image_is_motion():
    # The fastest of a real hand: the tip comes 0.9 palms near, the joint before it 0.5.
    moves = with_joint(TIP, 0, 0, 90, 90)
    for x in moves[2:]:
        x[0, NEXT, 0] += 50
    assert not any(judged(moves))


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 30, 1 / 10])
def test_what_bones_allow_is_the_same_at_any_rate(step_s):
    for distance, outlier in ((55, False), (65, True)):
        found = judged(with_joint(TIP, 0, 0, distance), step_s=step_s)
        assert (found[2] == [TIP]) is outlier


def test_a_body_may_swing_its_arms_by_a_trunk():
    for distance, outlier in ((95, False), (105, True)):
        moves = [np.zeros((1, 17, 2)) for _ in range(3)]
        moves[2][0, COCO17.index("left_wrist"), 1] = distance
        found = judged(moves, valid=np.ones((1, 17), bool), layout=COCO17)
        assert bool(found[2]) is outlier


def test_a_whole_hand_that_is_a_palm_away_for_one_image_is_held_back():
    moves = [hand(), hand(), hand(), hand((100, 0)), hand(), hand()]
    assert [len(joints) for joints in judged(moves)] == [0, 0, 0, 21, 0, 0]


def test_a_hand_that_is_elsewhere_from_now_on_is_accepted_in_the_second_image():
    moves = [hand(), hand(), hand(), hand((300, 0)), hand((300, 0)), hand((300, 0))]
    assert [len(joints) for joints in judged(moves)] == [0, 0, 0, 21, 0, 0]


@pytest.mark.parametrize("rate_hz", [15, 30, 60])
def test_the_fastest_reach_of_an_arm_is_motion(rate_hz):
    # Minimum jerk over 5 palms in 0.25 s: 3.4 m/s, accelerating with 42 m/s^2.
    s = np.clip((np.arange(rate_hz) / rate_hz - 0.3) / 0.25, 0, 1)
    way = 500 * s**3 * (10 - 15 * s + 6 * s**2)
    assert not any(judged([hand((x, 0)) for x in way], step_s=1 / rate_hz))


def test_joints_that_were_not_seen_in_the_last_image_pass():
    gate, hidden = Gate(HAND21), ALL.copy()
    hidden[0, TIP] = False
    size = np.full(1, PALM)
    seen = (ALL, ALL, hidden, ALL)
    for i, (x, valid) in enumerate(zip(with_joint(TIP, 0, 0, 0, 300), seen, strict=True)):
        found = gate(x, valid, i * STEP_S, size)
    assert not found.any()


def test_nothing_is_found_with_less_than_four_joints():
    few = np.zeros((1, 21), bool)
    few[0, [0, TIP, NEXT]] = True
    assert not any(judged(with_joint(TIP, 0, 0, 500), valid=few))


@pytest.mark.parametrize("late_s", [0.0, -0.1])
def test_a_repeated_or_older_stamp_is_not_judged_and_not_remembered(late_s):
    gate, size = Gate(HAND21), np.full(1, PALM)
    for i in range(3):
        gate(hand(), ALL, i * STEP_S, size)
    assert not gate(hand((500, 0)), ALL, 2 * STEP_S + late_s, size).any()
    assert not gate(hand(), ALL, 3 * STEP_S, size).any()


def test_rows_go_with_their_tracks_and_a_fresh_one_has_no_memory():
    gate, size = Gate(HAND21), np.full(2, PALM)
    two = np.concatenate([hand(), hand((400, 0))])
    for i in range(3):
        gate(two, np.ones((2, 21), bool), i * STEP_S, size)
    gate.take(np.array([1, -1]))
    found = gate(two[::-1], np.ones((2, 21), bool), 3 * STEP_S, size)
    assert not found.any()
    gate.take(np.array([1, 0]))
    assert gate(two[::-1], np.ones((2, 21), bool), 4 * STEP_S, size)[1].all()
