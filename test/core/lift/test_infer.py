"""Which depths belong to an object, and where its other joints are."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.lift.anatomy import HAND_TREE, radii_m, reach_m
from vitpose_ros.lift.infer import aligned, inferred, overlapping, plausible, turn_onto
from vitpose_ros.synthetic.scene import Scene

REACH = reach_m(HAND21)
BONES = tuple((a, b) for a, b, _ in HAND_TREE)
PALM = np.isin(np.arange(21), (0, 1, 5, 9, 13, 17))


@pytest.fixture(scope="module")
def hand():
    """(21, 3) an open hand at half a metre, m."""
    return Scene("still", seed=1).truth(0.0)[0].xyz.astype(np.float64)


def rays(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_reach_is_the_way_along_the_bones():
    assert REACH[0, 9] == pytest.approx(0.47 * 0.185)
    assert REACH[8, 12] == REACH[12, 8] < REACH[8, 5] + 0.125 * 0.185 + REACH[9, 12] + 1e-9
    assert np.isfinite(REACH).all() and (np.diag(REACH) == 0).all()


def test_every_depth_of_a_hand_is_plausible(hand):
    assert plausible(hand, REACH).all()


@pytest.mark.parametrize("joints", [[8], [4, 8, 12], [17, 18, 19, 20]])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_what_bones_do_not_reach_is_dropped_in_front_and_behind(hand, joints, scale):
    hand = hand.copy()
    hand[joints] *= scale
    assert np.flatnonzero(~plausible(hand, REACH)).tolist() == joints


def test_nothing_measured_is_nothing_plausible():
    assert not plausible(np.full((21, 3), np.nan), REACH).any()


def test_persons_are_not_torn_apart():
    reach = reach_m(COCO17)
    stand = np.c_[np.zeros(17), np.linspace(-0.8, 0.9, 17), np.full(17, 3.0)]
    assert plausible(stand, reach).all()
    stand[9, 2] = 8.0  # a wrist on the wall
    assert np.flatnonzero(~plausible(stand, reach)).tolist() == [9]


def test_a_fingertip_behind_another_finger_reads_that_fingers_flesh(hand):
    assert not overlapping(hand, radii_m(HAND21), BONES, PALM).any()
    hidden = hand.copy()
    hidden[12] = (hand[6] + hand[7]) / 2  # the middle finger's tip, read on the index finger
    found = overlapping(hidden, radii_m(HAND21), BONES, PALM)
    assert found[12] and not found[PALM].any()


@pytest.mark.parametrize(("scale", "scaled"), [(1.0, False), (2.5, True)])
def test_a_shape_is_laid_onto_what_was_measured(hand, scale, scaled):
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    measured = np.where(np.arange(21)[:, None] % 3 == 0, hand, np.nan)
    found = aligned(hand @ turn.T / scale + (1, 2, 3), measured, scaled)
    np.testing.assert_allclose(found, hand, atol=1e-9)


def test_a_turn_onto_turned_points_is_that_turn(hand):
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    np.testing.assert_allclose(turn_onto(hand, hand @ turn.T + (1, 2, 3)), turn, atol=1e-9)


def test_points_on_a_line_or_too_few_fix_no_shape(hand):
    few = np.where(np.arange(21)[:, None] < 3, hand, np.nan)
    assert aligned(hand, few, scaled=False) is None
    line = np.linspace(0, 1, 21)[:, None] * [0.01, 0.02, 0.1] + [0, 0, 0.4]
    assert aligned(line, line, scaled=False) is None


def test_with_the_shape_hidden_joints_are_where_the_shape_says(hand):
    measured = hand.copy()
    measured[[8, 12, 20]] = np.nan
    points, std = inferred(measured, np.full(21, 0.003), rays(hand), REACH, hand)
    np.testing.assert_allclose(points, hand, atol=1e-9)
    assert (std[[8, 12, 20]] > 0.008).all()


def test_without_a_shape_a_joint_lies_near_the_one_before_it_as_sure_as_the_bone_allows(hand):
    measured = hand.copy()
    measured[8] = np.nan
    points, std = inferred(measured, np.full(21, 0.003), rays(hand), REACH, None)
    assert np.linalg.norm(points[8] - hand[8]) < std[8] * 2 < 0.06
    assert np.linalg.norm(points[8] - hand[7]) <= REACH[7, 8] + 0.01


def test_a_joint_without_a_pixel_gets_no_position(hand):
    measured, looks = hand.copy(), rays(hand)
    measured[8], looks[8] = np.nan, np.nan
    std_m = np.where(np.isnan(measured[:, 0]), np.nan, 0.003)
    points, std_m = inferred(measured, std_m, looks, REACH, hand)
    assert np.isnan(points[8]).all() and np.isnan(std_m[8])


def test_a_joint_that_no_bone_connects_stays_unknown_without_a_shape(hand):
    reach = REACH.copy()
    reach[20, :] = reach[:, 20] = np.inf
    measured = hand.copy()
    measured[20] = np.nan
    points, _ = inferred(measured, np.full(21, 0.003), rays(hand), reach, None)
    assert np.isnan(points[20]).all()
