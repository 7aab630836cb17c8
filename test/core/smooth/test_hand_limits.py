"""Tests of vitpose_ros.smooth.hand_limits, against hands whose angles are known exactly."""

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.limits import TOLERANCE_DEG, rigid_bones
from vitpose_ros.smooth.hand_limits import limit_hands
from vitpose_ros.synthetic.motion import FIST, OPEN

RIGHT, LEFT, UNKNOWN = (np.array([value]) for value in (1, -1, 0))
THUMB, INDEX, MIDDLE, RING, LITTLE = range(5)
MCP, ABDUCTION, PIP, DIP = range(4)
FIRST, SECOND = np.array(rigid_bones(HAND21)).T


def limited(hand, side=RIGHT):
    return limit_hands(hand[None], side)[0]


def moved_m(before, after):
    return np.linalg.norm(after - before, axis=-1)


def bone_lengths(hand):
    return np.linalg.norm(hand[..., SECOND, :] - hand[..., FIRST, :], axis=-1)


def hinge_deg(hand, digit, joint):
    """How far the digit is bent in a joint, 2 and 3 of each digit's four; without a sign."""
    a, b, c = (hand[1 + 4 * digit + joint - 1 + i] for i in (-1, 0, 1))
    u, v = (b - a) / np.linalg.norm(b - a), (c - b) / np.linalg.norm(c - b)
    return np.degrees(np.arccos(np.clip(u @ v, -1, 1)))


@pytest.mark.parametrize("side", [1, -1, 0])
def test_hands_of_any_legal_angles_are_not_touched(true_hands, side):
    hands = true_hands.legal(500)
    if side < 0:
        hands = hands * true_hands.MIRROR
    assert np.array_equal(limit_hands(hands, np.full(500, side)), hands)


def test_no_hand_of_the_scripts_is_touched(true_hands):
    hands = true_hands.scripted()
    assert len(hands) > 1000
    assert np.array_equal(limit_hands(hands, np.ones(len(hands), int)), hands)


# digit, angle, degrees, then the limit with its tolerance
BEYOND = [
    (INDEX, PIP, -60, -15),  # bent backwards
    (RING, DIP, -70, -15),
    (MIDDLE, PIP, 150, 125),  # folded through itself
    (LITTLE, DIP, 130, 105),
    (THUMB, PIP, -50, -25),  # the thumb's MCP joint
    (THUMB, DIP, -60, -30),  # its IP joint
]


@pytest.mark.parametrize(("digit", "angle", "degrees", "limit"), BEYOND)
def test_a_hinge_beyond_its_limit_is_turned_back_to_the_limit_and_its_tolerance(
    true_hands, digit, angle, degrees, limit
):
    hand = true_hands.bent(digit, angle, degrees)
    result = limited(hand)
    # The hinge's axis is only estimated: about it, a finger that leans is bent a little less.
    assert hinge_deg(result, digit, angle) == pytest.approx(abs(limit), abs=6)
    behind = 1 + 4 * digit + angle
    reached = np.zeros(21, bool)
    reached[behind : 5 + 4 * digit] = True
    moved = moved_m(hand, result)
    assert (moved[reached] > 0.004).all(), "what hangs on the joint moves with it"
    assert (moved[~reached] == 0).all(), "nothing else does"
    assert bone_lengths(result) == pytest.approx(bone_lengths(hand), abs=1e-9)
    assert limited(result) == pytest.approx(result, abs=1e-9), "it is within the limits now"


def test_joints_that_are_all_beyond_their_limits_all_come_back(true_hands):
    digits = np.array(OPEN, float)
    digits[[THUMB, INDEX, LITTLE]] = (70, 80, -60, 130), (-90, 60, 140, 130), (130, -50, -40, -40)
    hand = true_hands(digits)
    result = limited(hand)
    assert moved_m(hand, result)[[4, 8, 20]].min() > 0.01
    assert limited(result) == pytest.approx(result, abs=1e-9), "nothing is beyond a limit any more"
    assert bone_lengths(result) == pytest.approx(bone_lengths(hand), abs=1e-9)


@pytest.mark.parametrize("digit", [INDEX, MIDDLE, RING, LITTLE])
def test_a_finger_bent_back_in_its_knuckle_is_brought_back_as_a_whole(true_hands, digit):
    hand = true_hands.bent(digit, MCP, -90)
    at_limit = true_hands.bent(digit, MCP, -45 - TOLERANCE_DEG)
    result = limited(hand)
    tip = 4 + 4 * digit
    finger = np.linalg.norm(hand[tip] - hand[tip - 3])
    assert moved_m(hand, result)[tip] > 0.3 * finger
    assert moved_m(at_limit - at_limit[0], result - result[0])[tip] < 0.12 * finger
    shape = [np.linalg.norm(h[tip - 2] - h[tip]) for h in (hand, result)]
    assert shape[0] == pytest.approx(shape[1]), "within itself it is as it was"


def test_a_finger_spread_too_far_comes_back(true_hands):
    hand = true_hands.bent(INDEX, ABDUCTION, 70)
    result = limited(hand)
    now, before = (h[6] - h[5] for h in (result, hand))
    turned = np.degrees(np.arccos(now @ before / np.linalg.norm(now) / np.linalg.norm(before)))
    # The index finger leans by 6 degrees, and the palm's plane as much: it is spread less in that.
    assert turned == pytest.approx(70 - 25 - TOLERANCE_DEG, abs=5)


def test_a_finger_too_far_back_and_too_far_aside_comes_to_both_limits(true_hands):
    hand = true_hands()
    back = np.cross(hand[17] - hand[0], hand[5] - hand[0])
    back /= np.linalg.norm(back)
    ahead = hand[9] - hand[0]
    ahead -= (ahead @ back) * back
    ahead /= np.linalg.norm(ahead)
    axes = np.stack([ahead, np.cross(back, ahead), back])
    extension, aside = np.radians((80.0, 60.0))
    inward = np.array((np.cos(extension), 0.0, np.sin(extension)))
    direction = (np.cos(aside) * inward + np.sin(aside) * np.array((0.0, 1.0, 0.0))) @ axes
    hand[10:13] = hand[9] + direction * np.array((0.047, 0.076, 0.098))[:, None]
    result = limited(hand)
    x, y, z = axes @ (result[12] - result[9]) / 0.098
    assert np.degrees(np.arcsin(y)) == pytest.approx(25 + TOLERANCE_DEG, abs=0.1)
    assert np.degrees(np.arctan2(z, x)) == pytest.approx(45 + TOLERANCE_DEG, abs=0.1)


def test_a_thumb_through_the_back_of_the_hand_comes_back_to_its_cone(true_hands):
    hand = true_hands()
    palm = hand[[0, 5, 17]]
    back = np.cross(palm[2] - palm[0], palm[1] - palm[0])
    hand[2:5] = hand[1] + np.arange(1, 4)[:, None] * 0.03 * back / np.linalg.norm(back)
    result = limited(hand)
    assert (moved_m(hand, result)[[2, 3, 4]] > 0.01).all()
    assert (result[2] - result[1]) @ back < 0.5 * (hand[2] - hand[1]) @ back
    assert limited(result) == pytest.approx(result, abs=1e-9)


def test_left_hands_are_limited_as_the_mirror_images_of_right_ones(true_hands):
    hands = np.stack([true_hands.bent(digit, angle, deg) for digit, angle, deg, _ in BEYOND])
    right = limit_hands(hands, np.ones(len(hands), int))
    left = limit_hands(hands * true_hands.MIRROR, -np.ones(len(hands), int))
    assert left * true_hands.MIRROR == pytest.approx(right, abs=1e-12)


def test_where_the_hand_is_and_how_it_is_turned_makes_no_difference(true_hands, rotation):
    hands = np.stack([true_hands.bent(digit, angle, deg) for digit, angle, deg, _ in BEYOND])
    turn, shift = rotation(3), np.array((0.3, -0.2, 0.8))
    side = np.ones(len(hands), int)
    there = limit_hands(hands @ turn.T + shift, side)
    assert there == pytest.approx(limit_hands(hands, side) @ turn.T + shift, abs=1e-9)


def test_each_hand_is_limited_as_if_it_were_alone(true_hands):
    hands = np.stack([true_hands.bent(digit, angle, deg) for digit, angle, deg, _ in BEYOND])
    together = limit_hands(hands, np.array([1, 1, 0, 0, 1, 1]))
    for hand, side, result in zip(hands, (1, 1, 0, 0, 1, 1), together, strict=True):
        assert limited(hand, np.array([side])) == pytest.approx(result, abs=1e-12)


def test_an_unknown_side_is_told_by_bent_fingers(true_hands):
    fist = np.array(FIST, float)
    fist[INDEX] = (10, 0, -60, 5)
    hand = true_hands(fist)
    assert limited(hand, UNKNOWN) == pytest.approx(limited(hand, RIGHT), abs=1e-9)
    mirrored = hand * true_hands.MIRROR
    assert limited(mirrored, UNKNOWN) == pytest.approx(limited(mirrored, LEFT), abs=1e-9)
    assert moved_m(hand, limited(hand, UNKNOWN))[8] > 0.02


def test_without_a_side_and_without_bent_fingers_only_overbending_is_limited(true_hands):
    straight = [(0, 0, 0, 0)] * 5
    backwards = true_hands.bent(INDEX, PIP, -60, straight)
    assert np.array_equal(limited(backwards, UNKNOWN), backwards)
    folded = true_hands.bent(INDEX, PIP, 160, straight)
    assert hinge_deg(limited(folded, UNKNOWN), INDEX, PIP) == pytest.approx(125, abs=0.1)


def test_a_hand_whose_fingers_contradict_its_side_is_left_alone(true_hands):
    fist = true_hands(FIST)
    assert np.array_equal(limited(fist, LEFT), fist)


def test_a_palm_that_is_none_limits_nothing(true_hands):
    hand = true_hands.bent(INDEX, PIP, -60)
    assert np.array_equal(limited(hand * 2.0), hand * 2.0), "a palm of 0.18 m"
    back = np.cross(hand[17] - hand[0], hand[5] - hand[0])
    arched = hand.copy()
    arched[9:13] += 0.03 * back / np.linalg.norm(back)
    assert np.array_equal(limited(arched), arched)


@pytest.mark.parametrize("missing", [0, 5, 9, 17])
def test_without_a_joint_of_the_palm_only_overbending_is_limited(true_hands, missing):
    hand = true_hands.bent(RING, PIP, 160)
    hand[missing] = np.nan
    result = limited(hand)
    assert np.array_equal(np.isnan(result), np.isnan(hand))
    assert hinge_deg(result, RING, PIP) == pytest.approx(125, abs=0.1)
    backwards = true_hands.bent(RING, PIP, -60)
    backwards[missing] = np.nan
    assert np.array_equal(limited(backwards), backwards, equal_nan=True)


@pytest.mark.parametrize("missing", range(21))
def test_a_missing_joint_stays_missing_and_frees_only_what_it_bends(true_hands, missing):
    hand = true_hands.bent(INDEX, PIP, -60, FIST)
    whole = limited(hand)
    hand[missing] = np.nan
    result = limited(hand)
    assert np.array_equal(np.isnan(result), np.isnan(hand))
    if missing not in (0, 5, 6, 7, 8, 9, 17):
        known = np.arange(21) != missing
        assert result[known] == pytest.approx(whole[known], abs=1e-9)


def test_a_hand_of_which_nothing_is_known_stays_so():
    nothing = np.full((2, 21, 3), np.nan)
    assert np.isnan(limit_hands(nothing, np.array([0, 1]))).all()
    together = np.zeros((1, 21, 3))
    assert np.array_equal(limit_hands(together, RIGHT), together), "all joints in one place"


def test_a_finger_that_moves_past_its_limit_stops_there_without_a_jump(true_hands):
    tips = []
    for degrees in np.arange(20.0, -80.0, -1.0):
        digits = np.array(OPEN, float)
        digits[INDEX, PIP] = degrees
        tips.append(limited(true_hands(digits) - true_hands(digits)[0])[8])
    steps = np.linalg.norm(np.diff(tips, axis=0), axis=1)
    assert steps.max() < 1.5 * steps[0]
    assert steps[-10:].max() < 0.2 * steps[0]
