"""Joint angles against hands posed with known angles, and against arms placed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import COCO17
from vitpose_ros.limits import SPLAY_DEG
from vitpose_ros.retarget.angles import (
    ANGLE_NAMES,
    ARM_ANGLES,
    HAND_ANGLES,
    Palm,
    arm_angles,
    hand_angles,
    side_axes,
)
from vitpose_ros.synthetic.motion import OPEN
from vitpose_ros.types import Side

BOTH = pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT], ids=["left", "right"])
TURNS = Rotation.random(4, random_state=1).as_matrix()


def angles_of(points, side):
    """The angles of a hand by name, degrees."""
    values = hand_angles(side_axes(points, side), side).values
    return dict(zip(HAND_ANGLES, np.degrees(values), strict=True))


def flat_hand(side):
    """(21, 3) m: fingers straight in the palm's plane (x ahead, y to the left, z the back)."""
    points = np.zeros((21, 3))
    for finger, (knuckle, splay) in enumerate(
        zip([(91, 25), (93, 3), (89, -17), (83, -35)], np.radians(SPLAY_DEG), strict=True)
    ):
        base = np.array((*knuckle, 0.0)) / 1000
        along = np.array((np.cos(splay), np.sin(splay), 0.0))
        for bone in range(4):
            points[5 + 4 * finger + bone] = base + 0.03 * bone * along
    # The middle knuckle is not on the x axis: neither is the neutral direction.
    about = Rotation.from_rotvec([0, 0, np.arctan2(3, 93)]).as_matrix()
    for finger in range(4):
        base = points[5 + 4 * finger].copy()
        joints = slice(5 + 4 * finger, 9 + 4 * finger)
        points[joints] = (points[joints] - base) @ about.T + base
    points[1:5] = [(25, 29, -11), (55, 55, -20), (75, 70, -25), (95, 85, -30)]
    points[1:5] /= 1000
    return points * (1, 1 if side is Side.RIGHT else -1, 1)


@BOTH
def test_a_flat_hand_has_angles_of_zero(side):
    angles = angles_of(flat_hand(side), side)
    for name, value in angles.items():
        if not name.startswith("thumb"):
            assert value == pytest.approx(0, abs=1e-6), name


@BOTH
@pytest.mark.parametrize("turn", TURNS)
def test_angles_do_not_depend_on_where_the_hand_is_and_how_it_is_turned(posed_hand, side, turn):
    points = posed_hand(side=side)
    moved = points @ turn.T + (0.3, -0.2, 0.9)
    before, after = angles_of(points, side), angles_of(moved, side)
    assert list(after.values()) == pytest.approx(list(before.values()), abs=1e-6)


BENDS = [
    (finger, joint, name, degrees)
    for finger, of in enumerate(("index", "middle", "ring", "pinky"), 1)
    for joint, name, degrees in (
        (0, f"{of}_mcp_flexion", 60),
        (0, f"{of}_mcp_flexion", -20),
        (1, f"{of}_mcp_abduction", 12),
        (1, f"{of}_mcp_abduction", -12),
        (2, f"{of}_pip_flexion", 80),
        (3, f"{of}_dip_flexion", 40),
    )
]
BENDS += [(0, 2, "thumb_mcp_flexion", 45), (0, 3, "thumb_ip_flexion", 60)]


@BOTH
@pytest.mark.parametrize(("digit", "joint", "name", "degrees"), BENDS)
def test_a_joint_that_is_bent_changes_its_own_angle_by_as_much(
    posed_hand, side, digit, joint, name, degrees
):
    digits = np.zeros((5, 4))
    rest = angles_of(posed_hand(digits, side), side)
    digits[digit, joint] = degrees
    bent = angles_of(posed_hand(digits, side), side)
    # The fingers of this hand lean, as real ones do: their own hinges are not exactly those that
    # joints reveal, so a flexion shows as some abduction, too.
    assert bent[name] - rest[name] == pytest.approx(degrees, abs=4)
    for other in HAND_ANGLES:
        if other != name:
            allowed = 10 if name.endswith("mcp_flexion") and other.endswith("abduction") else 3
            assert bent[other] - rest[other] == pytest.approx(0, abs=allowed), other


@BOTH
def test_the_thumb_s_metacarpal_has_the_direction_that_its_two_angles_say(posed_hand, side):
    points = posed_hand(side=side)
    hand = hand_angles(side_axes(points, side), side)
    radial, palmar = hand.values[:2]
    palm = hand.palm
    along = np.cos(radial) * palm.ahead + np.sin(radial) * palm.thumbward
    expected = np.cos(palmar) * along - np.sin(palmar) * palm.back
    metacarpal = points[2] - points[1]
    np.testing.assert_allclose(expected, metacarpal / np.linalg.norm(metacarpal), atol=1e-9)
    assert radial > 0.3 and palmar > 0.1, "away from the fingers, and out of the palm"


@BOTH
def test_an_unknown_joint_makes_only_the_angles_that_need_it_unknown(posed_hand, side):
    points = posed_hand(side=side)
    points[12] = np.nan  # the middle finger's tip
    angles = angles_of(points, side)
    assert [name for name, value in angles.items() if np.isnan(value)] == ["middle_dip_flexion"]
    points[17] = np.nan  # the little finger's knuckle: no palm, so no back
    assert np.isnan(list(angles_of(points, side).values())).all()


def test_a_hand_of_unknown_side_has_no_angles(posed_hand):
    with pytest.raises(ValueError, match="LEFT or RIGHT"):
        side_axes(posed_hand(), Side.UNKNOWN)


def test_the_closure_of_a_finger_is_the_sum_of_its_flexions(posed_hand):
    digits = np.array(OPEN, float)
    digits[2] = (50, 0, 60, 40)
    hand = hand_angles(side_axes(posed_hand(digits), Side.RIGHT), Side.RIGHT)
    index = HAND_ANGLES.index("middle_mcp_flexion")
    assert hand.finger_closure[1] == pytest.approx(hand.values[[index, index + 2, index + 3]].sum())
    assert np.degrees(hand.finger_closure[1]) == pytest.approx(150, abs=8)


# --- arms: the trunk stands, x forward, y to its left, z up --------------------------------------

TRUNK = {
    "left_shoulder": (0, 0.18, 1.4),
    "right_shoulder": (0, -0.18, 1.4),
    "left_hip": (0, 0.1, 0.9),
    "right_hip": (0, -0.1, 0.9),
}
DOWN, FORWARD, UP = (0, 0, -1), (1, 0, 0), (0, 0, 1)
OUT, IN = "out", "in"
"""Away from the trunk, and across it: to the right and to the left for a right arm."""


def vector(direction, side):
    sign = -1 if side is Side.RIGHT else 1
    named = {OUT: (0, sign, 0), IN: (0, -sign, 0)}
    return np.array(named.get(direction, direction) if isinstance(direction, str) else direction)


def arm(side, upper, fore, back=None, turn=None, **without):
    """The angles of an arm by name, degrees; `back` is where the back of the hand faces."""
    name = side.name.lower()
    points = {k: np.array(v, float) for k, v in TRUNK.items()}
    elbow = points[f"{name}_shoulder"] + 0.3 * vector(upper, side)
    points[f"{name}_elbow"] = elbow
    points[f"{name}_wrist"] = elbow + 0.25 * vector(fore, side)
    for joint in without:
        del points[joint]
    palm = None
    if back is not None:
        ahead, behind = vector(fore, side), vector(back, side)
        across = np.cross(behind, ahead)  # of a right hand: y = z x x
        palm = Palm(ahead, across if side is Side.RIGHT else -across, behind)
    joints = np.array([points.get(joint, (np.nan,) * 3) for joint in COCO17.joints])
    if turn is not None:
        joints = joints @ turn.T + (0.5, 1.0, 2.0)
        palm = palm and Palm(*(turn @ axis for axis in (palm.ahead, palm.thumbward, palm.back)))
    return dict(zip(ARM_ANGLES, np.degrees(arm_angles(COCO17, joints, side, palm)), strict=True))


NAN = float("nan")
ARMS = {
    # upper arm, forearm, back of the hand:
    # pronation, elbow, shoulder's flexion, abduction, rotation
    "hanging": ((DOWN, DOWN, OUT), (NAN, 0, 0, 0, NAN)),
    "bent, thumb up": ((DOWN, FORWARD, OUT), (0, 90, 0, 0, 0)),
    "bent, palm down": ((DOWN, FORWARD, UP), (90, 90, 0, 0, 0)),
    "bent, palm up": ((DOWN, FORWARD, DOWN), (-90, 90, 0, 0, 0)),
    "forearm on the belly": ((DOWN, IN, FORWARD), (0, 90, 0, 0, 90)),
    "forearm outwards": ((DOWN, OUT, UP), (90, 90, 0, 0, -90)),
    "stretched forwards": ((FORWARD, FORWARD, UP), (NAN, 0, 90, 0, NAN)),
    "raised forwards, forearm up": ((FORWARD, UP, OUT), (0, 90, 90, 0, 0)),
    "overhead": ((UP, UP, OUT), (NAN, 0, 180, 0, NAN)),
    "backwards, forearm down": (((-1, 0, 0), DOWN, OUT), (0, 90, -90, 0, 0)),
}


@BOTH
@pytest.mark.parametrize("turn", [None, TURNS[0]], ids=["upright", "turned"])
@pytest.mark.parametrize(("pose", "expected"), ARMS.values(), ids=ARMS.keys())
def test_an_arm_has_the_angles_of_its_posture(side, pose, expected, turn):
    angles = arm(side, *pose, turn=turn)
    names = ("forearm_pronation", "elbow_flexion", "shoulder_flexion", "shoulder_abduction")
    for name, value in zip((*names, "shoulder_rotation"), expected, strict=True):
        if np.isnan(value):
            assert np.isnan(angles[name]), name
        else:
            assert (angles[name] - value + 180) % 360 - 180 == pytest.approx(0, abs=1e-6), name


@BOTH
def test_an_arm_at_the_side_is_abducted_and_has_no_flexion(side):
    angles = arm(side, OUT, FORWARD)
    assert angles["shoulder_abduction"] == pytest.approx(90)
    assert np.isnan(angles["shoulder_flexion"]) and np.isnan(angles["shoulder_rotation"])
    assert angles["elbow_flexion"] == pytest.approx(90)


@BOTH
def test_abduction_and_flexion_combine_in_the_documented_order(side):
    flexion, abduction = np.radians((40, 25))
    outward = vector(OUT, side)
    in_plane = np.sin(flexion) * np.array(FORWARD) - np.cos(flexion) * np.array(UP)
    upper = np.cos(abduction) * in_plane + np.sin(abduction) * outward
    angles = arm(side, tuple(upper), tuple(upper))
    assert angles["shoulder_flexion"] == pytest.approx(40)
    assert angles["shoulder_abduction"] == pytest.approx(25)


@BOTH
@pytest.mark.parametrize(
    ("flexion", "deviation"), [(0, 0), (40, 0), (-50, 0), (0, 15), (0, -25), (30, 10)]
)
def test_a_wrist_has_the_angles_that_the_hand_was_posed_with(posed_hand, side, flexion, deviation):
    rest = hand_angles(side_axes(posed_hand(side=side), side), side).palm
    posed = posed_hand(side=side, wrist_flexion_deg=flexion, wrist_deviation_deg=deviation)
    palm = hand_angles(side_axes(posed, side), side).palm
    joints = np.full((17, 3), np.nan)
    name = side.name.lower()
    # The forearm of the anatomy: in line with the hand at rest.
    joints[COCO17.index(f"{name}_elbow")] = -0.25 * rest.ahead
    joints[COCO17.index(f"{name}_wrist")] = 0
    values = np.degrees(arm_angles(COCO17, joints, side, palm))
    # The axes that the knuckles define are not exactly those of the wrist.
    assert values[0] == pytest.approx(flexion, abs=4)
    assert values[1] == pytest.approx(deviation, abs=4)


@BOTH
def test_what_is_unknown_makes_unknown_only_what_depends_on_it(side):
    name = side.name.lower()
    angles = arm(side, DOWN, FORWARD, UP, left_hip=True)
    unknown = {a for a, value in angles.items() if np.isnan(value)}
    assert unknown == {"shoulder_flexion", "shoulder_abduction", "shoulder_rotation"}
    angles = arm(side, DOWN, FORWARD, UP, **{f"{name}_wrist": True})
    known = {a for a, value in angles.items() if not np.isnan(value)}
    assert known == {"shoulder_flexion", "shoulder_abduction"}
    angles = arm(side, DOWN, FORWARD)
    unknown = {a for a, value in angles.items() if np.isnan(value)}
    assert unknown == {"wrist_flexion", "wrist_deviation", "forearm_pronation"}


def test_every_angle_has_a_name_of_its_own():
    assert len(set(ANGLE_NAMES)) == len(ANGLE_NAMES) == 54
    assert ANGLE_NAMES[0] == "left_thumb_radial_abduction"
    assert ANGLE_NAMES[27 + 20] == "right_wrist_flexion"
