"""OpenXR joints against the conventions of XR_EXT_hand_tracking."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vitpose_ros.retarget.angles import side_axes
from vitpose_ros.retarget.openxr import JOINTS, openxr_hand
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.types import Side

BOTH = pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT], ids=["left", "right"])
WITHOUT_SOURCE = {"PALM", *(f"{f}_METACARPAL" for f in ("INDEX", "MIDDLE", "RING", "LITTLE"))}
CURLED = [(10, 20, 15, 25), (40, 5, 50, 30), (45, 0, 60, 35), (50, -5, 55, 40), (55, -10, 50, 30)]


def openxr(points, side):
    return openxr_hand(points, side_axes(points, side), side, operator_axes(points, side))


def axes(hand, name):
    """The axes x, y, z of a joint, as rows."""
    return Rotation.from_quat(hand.orientation[JOINTS.index(name)]).as_matrix().T


def test_joints_are_those_of_openxr_in_its_order():
    assert len(JOINTS) == 26
    numbers = {"PALM": 0, "WRIST": 1, "THUMB_TIP": 5, "INDEX_METACARPAL": 6, "INDEX_PROXIMAL": 7}
    numbers |= {"MIDDLE_TIP": 15, "RING_INTERMEDIATE": 18, "LITTLE_TIP": 25}
    assert {name: JOINTS.index(name) for name in numbers} == numbers


@BOTH
def test_joints_without_a_source_are_not_valid_and_all_others_are(posed_hand, side):
    hand = openxr(posed_hand(CURLED, side), side)
    for index, name in enumerate(JOINTS):
        unknown = name in WITHOUT_SOURCE
        assert hand.valid[index] != unknown, name
        for values in (hand.position, hand.orientation, hand.radius):
            assert np.isnan(values[index]).all() == unknown, name


@BOTH
def test_positions_are_those_of_the_joints_at_the_near_end_of_each_bone(posed_hand, side):
    points = posed_hand(CURLED, side)
    hand = openxr(points, side)
    source = {"WRIST": 0, "THUMB_METACARPAL": 1, "THUMB_TIP": 4, "INDEX_PROXIMAL": 5}
    source |= {"MIDDLE_INTERMEDIATE": 10, "RING_DISTAL": 15, "LITTLE_TIP": 20}
    for name, joint in source.items():
        np.testing.assert_array_equal(hand.position[JOINTS.index(name)], points[joint])


@BOTH
def test_minus_z_points_along_the_bone_and_at_a_tip_along_the_last_one(posed_hand, side):
    points = posed_hand(CURLED, side)
    hand = openxr(points, side)
    bones = {"THUMB_METACARPAL": (1, 2), "THUMB_DISTAL": (3, 4), "THUMB_TIP": (3, 4)}
    bones |= {"INDEX_PROXIMAL": (5, 6), "LITTLE_INTERMEDIATE": (18, 19), "RING_TIP": (15, 16)}
    for name, (near, far) in bones.items():
        bone = points[far] - points[near]
        np.testing.assert_allclose(-axes(hand, name)[2], bone / np.linalg.norm(bone), atol=1e-9)


@BOTH
def test_of_a_flat_hand_plus_y_is_the_back_and_plus_x_the_right_on_both_sides(posed_hand, side):
    # The hand lies along x with its back to z: with the palm down, y is to its left.
    hand = openxr(posed_hand(np.zeros((5, 4)), side), side)
    for name in ("WRIST", "INDEX_PROXIMAL", "MIDDLE_INTERMEDIATE", "RING_DISTAL", "MIDDLE_TIP"):
        x, y, z = axes(hand, name)
        assert y @ (0, 0, 1) > 0.95, name
        assert x @ (0, -1, 0) > 0.95, name
        assert z @ (-1, 0, 0) > 0.95, name


@BOTH
def test_a_bent_finger_turns_about_its_own_x(posed_hand, side):
    digits = np.zeros((5, 4))
    rest = openxr(posed_hand(digits, side), side)
    digits[2] = (0, 0, 70, 40)
    bent = openxr(posed_hand(digits, side), side)
    for name, degrees in (("MIDDLE_PROXIMAL", 0), ("MIDDLE_INTERMEDIATE", 70), ("MIDDLE_TIP", 110)):
        turn = Rotation.from_matrix(axes(rest, name) @ axes(bent, name).T)
        # Flexion takes -z to -y: a negative turn about x.
        np.testing.assert_allclose(turn.as_rotvec(degrees=True), (-degrees, 0, 0), atol=7)


@BOTH
def test_orientations_turn_with_the_hand(posed_hand, side):
    points = posed_hand(CURLED, side)
    turn = Rotation.from_rotvec([0.3, -1.2, 0.8])
    before, after = openxr(points, side), openxr(points @ turn.as_matrix().T + 0.4, side)
    valid = before.valid
    turned = turn * Rotation.from_quat(before.orientation[valid])
    apart = turned.inv() * Rotation.from_quat(after.orientation[valid])
    assert apart.magnitude().max() < 1e-6


def test_a_joint_without_position_is_not_valid_and_neither_is_one_without_orientation(posed_hand):
    points = posed_hand(CURLED)
    points[8] = np.nan  # the index finger's tip: its last bone is unknown, too
    hand = openxr(points, Side.RIGHT)
    invalid = {name for name, valid in zip(JOINTS, hand.valid, strict=True) if not valid}
    assert invalid == WITHOUT_SOURCE | {"INDEX_TIP", "INDEX_DISTAL"}


def test_radii_scale_with_the_hand(posed_hand):
    points = posed_hand(CURLED)
    small, large = openxr(points, Side.RIGHT), openxr(1.2 * points, Side.RIGHT)
    np.testing.assert_allclose(large.radius, 1.2 * small.radius)
    known = small.radius[small.valid]
    assert known.min() > 0.004 and known.max() < 0.025
