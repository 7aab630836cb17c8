"""The default retargeter."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import FINGERS, HAND21
from vitpose_ros.retarget.least_squares import LeastSquares

ALL = np.ones(21, bool)
DT_S = 1 / 30


def test_the_shadow_hands_tips_follow_the_rendered_grasp_within_10_mm(shadow, grasp):
    retarget = LeastSquares(shadow)
    errors = []
    for points in grasp:
        result = retarget(points, ALL, DT_S)
        assert result.valid.all() and np.isfinite(result.joints).all()
        assert (result.joints >= retarget.lower).all() and (result.joints <= retarget.upper).all()
        errors.append(list(retarget.tip_errors(points, ALL, result.joints).values()))
    assert np.shape(errors) == (len(grasp), 5)
    assert np.mean(errors) < 0.003
    assert np.percentile(errors, 95) < 0.010


def test_a_hand_with_the_robots_own_pose_gives_the_robots_own_joints(make_robot):
    retarget = LeastSquares(make_robot())
    true = np.array([0.4, 0.7, 0.9, 1.2])
    hand = retarget.kinematics
    hand.set(true)
    points = np.full((21, 3), np.nan)
    points[list(hand.points)] = hand.positions()
    for _ in range(4):
        result = retarget(points, ~np.isnan(points[:, 0]), DT_S)
    # The pull to the rest pose costs little: below 1 mm at the tips.
    np.testing.assert_allclose(result.joints, true, atol=0.01)
    errors = retarget.tip_errors(points, ~np.isnan(points[:, 0]), result.joints)
    assert sorted(errors) == [4, 8] and max(errors.values()) < 1e-3


def test_the_size_of_the_operators_hand_changes_nothing(shadow, grasp):
    joints = []
    for scale in (0.7, 1.0, 1.6):
        retarget = LeastSquares(shadow)
        for _ in range(5):
            result = retarget(np.asarray(grasp[0]) * scale, ALL, DT_S)
        joints.append(result.joints)
    np.testing.assert_allclose(joints[0], joints[1], atol=1e-3)
    np.testing.assert_allclose(joints[2], joints[1], atol=1e-3)


def test_on_a_still_hand_the_joints_rest_to_1e_6_rad(shadow, grasp):
    for points in grasp[::20]:
        retarget = LeastSquares(shadow)
        settled = [retarget(points, ALL, DT_S).joints for _ in range(20)][5:]
        assert np.abs(np.diff(settled, axis=0)).max() < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_left_out(shadow, grasp, bad):
    retarget, other = LeastSquares(shadow), LeastSquares(shadow)
    points, valid = grasp[60].copy(), ALL.copy()
    points[[7, 12]] = bad
    valid[[7, 12]] = False
    for _ in range(3):
        result = retarget(points, ALL, DT_S)
        expected = other(np.nan_to_num(points, posinf=0, neginf=0), valid, DT_S)
    assert result.valid.all()
    np.testing.assert_array_equal(result.joints, expected.joints)


def test_a_finger_without_valid_points_holds_and_the_others_follow(shadow, grasp):
    retarget = LeastSquares(shadow)
    before = retarget(grasp[10], ALL, DT_S).joints
    valid = ALL.copy()
    valid[9:13] = False  # the middle finger
    result = retarget(grasp[60], valid, DT_S)
    middle = np.array(["MFJ" in name for name in retarget.joint_names])
    np.testing.assert_array_equal(result.valid, ~middle)
    np.testing.assert_array_equal(result.joints[middle], before[middle])
    assert np.abs(result.joints[~middle] - before[~middle]).max() > 0.1


def test_without_any_valid_point_every_joint_holds_and_the_result_says_so(shadow, grasp):
    retarget = LeastSquares(shadow)
    before = retarget(grasp[10], ALL, DT_S).joints
    for points, valid in ((grasp[60], ~ALL), (np.full((21, 3), np.nan), ALL)):
        result = retarget(points, valid, DT_S)
        assert not result.valid.any() and result.remark == "no finger is known"
        np.testing.assert_array_equal(result.joints, before)


@pytest.mark.parametrize("missing", ["index_pip", "index_dip", "index_tip", "index_mcp"])
def test_a_finger_with_one_missing_joint_still_follows(shadow, grasp, missing):
    whole, part = LeastSquares(shadow), LeastSquares(shadow)
    valid = ALL.copy()
    valid[HAND21.index(missing)] = False
    for points in grasp:
        expected, result = whole(points, ALL, DT_S), part(points, valid, DT_S)
        assert result.valid.all()
        assert np.abs(result.joints - expected.joints).max() < 0.9
    assert np.abs(result.joints - expected.joints).max() < 0.5


def test_when_the_operators_tips_meet_the_robots_tips_come_together(shadow, grasp):
    points = grasp[60].copy()
    thumb, index = FINGERS.index("thumb"), FINGERS.index("index")
    free = LeastSquares(shadow)
    for _ in range(10):
        free(points, ALL, DT_S)

    def gap_m(retarget: LeastSquares) -> float:
        place = retarget.kinematics.positions()
        tips = [retarget.kinematics.points.index(4 + 4 * finger) for finger in (thumb, index)]
        return float(np.linalg.norm(place[tips[0]] - place[tips[1]]))

    points[4] = points[8] + (0.0, 0.01, 0.0)
    pinched = LeastSquares(shadow)
    for _ in range(10):
        pinched(points, ALL, DT_S)
    assert gap_m(free) > 0.04
    assert gap_m(pinched) < 0.015


def test_it_continues_from_the_joints_that_reset_gives(shadow, grasp):
    retarget = LeastSquares(shadow)
    start = (retarget.lower + retarget.upper) / 2
    retarget.reset(start)
    result = retarget(grasp[0], ~ALL, DT_S)
    np.testing.assert_array_equal(result.joints, start)
