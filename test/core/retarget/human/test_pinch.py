"""Pinch and grasp: limits, hysteresis, hand size, and what is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.retarget.operator import Operator
from vitpose_ros.retarget.pinch import OperatorPinch, PinchDetector, PinchSettings
from vitpose_ros.types import JointState, Side

SETTINGS = PinchSettings()
OPEN_HAND = np.zeros(4)


def hand(distance_m, size=1.0):
    """(21, 3): tips of thumb and index this far apart, in a hand of this size."""
    points = np.zeros((21, 3))
    points[9] = (0, 0, 0.097)
    points[4] = (0.05, 0.02, 0.1)
    points[8] = points[4] + (0, distance_m, 0)
    return size * points + 0.3


def pinches(*distances_m, size=1.0):
    detector = PinchDetector()
    return [detector(hand(d, size), OPEN_HAND, SETTINGS).pinch for d in distances_m]


def grasps(*closures_rad):
    detector = PinchDetector()
    return [detector(hand(0.1), np.full(4, c), SETTINGS).grasp for c in closures_rad]


@pytest.mark.parametrize("size", [0.7, 1.0, 1.3])
def test_a_pinch_closes_below_one_limit_and_opens_above_the_other(size):
    distances = (0.1, 0.04, 0.0301, 0.0299, 0.04, 0.0499, 0.0501, 0.04)
    expected = [False, False, False, True, True, True, False, False]
    assert pinches(*distances, size=size) == expected


def test_a_grasp_closes_above_one_limit_and_opens_below_the_other():
    closures = (0.2, 1.4, 1.59, 1.61, 1.4, 1.21, 1.19, 1.4)
    assert grasps(*closures) == [False, False, False, True, True, True, False, False]


def test_a_pinch_that_trembles_between_the_limits_does_not_switch():
    rng = np.random.default_rng(1)
    assert not any(pinches(*rng.uniform(0.0301, 0.0499, 50)))
    assert all(pinches(0.02, *rng.uniform(0.0301, 0.0499, 50))[1:])


@pytest.mark.parametrize(
    ("distance_m", "closure"), [(0.2, 0), (0.05, 0), (0.04, 0.5), (0.03, 1), (0.0, 1)]
)
def test_closure_goes_from_0_at_the_opening_limit_to_1_at_the_closing_one(distance_m, closure):
    state = PinchDetector()(hand(distance_m), OPEN_HAND, SETTINGS)
    assert state.pinch_closure == pytest.approx(closure)


@pytest.mark.parametrize("joint", [0, 4, 8, 9])
def test_without_one_of_its_joints_nothing_is_said_and_the_state_stays(joint):
    detector = PinchDetector()
    assert detector(hand(0.02), OPEN_HAND, SETTINGS).pinch
    unknown = hand(0.1)
    unknown[joint] = np.nan
    assert detector(unknown, OPEN_HAND, SETTINGS) is None
    assert detector(hand(0.04), OPEN_HAND, SETTINGS).pinch, "it has not been opened"


@pytest.mark.parametrize(("unknown", "said"), [(0, True), (1, True), (2, False)])
def test_a_grasp_needs_three_fingers(unknown, said):
    closure = np.full(4, 2.0)
    closure[:unknown] = np.nan
    state = PinchDetector()(hand(0.1), closure, SETTINGS)
    assert (state is not None) == said
    assert not said or state.grasp


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pinch_close_m": 0.05}, r"pinch_close \(0.05 m\) must be less than pinch_open"),
        ({"grasp_open_rad": 2.0}, r"grasp_open \(2 rad\) must be less than grasp_close"),
    ],
)
def test_limits_in_the_wrong_order_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        PinchSettings(**change)


# --- of the hands that command --------------------------------------------------------------------


@pytest.fixture
def pinching(hand_of, posed_hand):
    """``pinching(distance_m, track_id=1)``: a right hand that commands, and pinches like this."""

    def make(distance_m, track_id=1, states=None, raw_states=None):
        points = posed_hand()
        size = np.linalg.norm(points[9] - points[0]) / 0.097
        away = points[4] - points[8]
        points[4] = points[8] + distance_m * size * away / np.linalg.norm(away)
        instance = hand_of(Side.RIGHT, xyz=points, track_id=track_id)
        keypoints, raw = instance.keypoints, instance.raw
        if states is not None:
            keypoints = replace(keypoints, state=states)
        if raw_states is not None:
            raw = replace(raw, state=raw_states)
        instance = replace(instance, keypoints=keypoints, raw=raw)
        return Operator()(0, [instance], False).hands[Side.RIGHT]

    return make


def test_another_hand_does_not_inherit_a_pinch(pinching):
    of = OperatorPinch()
    assert of(pinching(0.02), False, SETTINGS).pinch
    assert of(pinching(0.04), False, SETTINGS).pinch, "the same hand, between the limits"
    assert not of(pinching(0.04, track_id=2), False, SETTINGS).pinch


def states(predicted=()):
    values = np.full(21, JointState.MEASURED, np.uint8)
    values[list(predicted)] = JointState.PREDICTED
    return values


@pytest.mark.parametrize("joint", [0, 4, 8, 9])
def test_a_pinch_of_a_joint_that_was_not_measured_is_not_told(pinching, joint):
    hand = pinching(0.02, states=states([joint]))
    assert OperatorPinch()(hand, False, SETTINGS) is None


def test_one_finger_that_was_not_measured_does_not_hide_a_pinch(pinching):
    assert OperatorPinch()(pinching(0.02, states=states([16])), False, SETTINGS).pinch


def test_with_a_prediction_horizon_the_raw_joints_say_what_was_measured(pinching):
    every = states(range(21))
    assert OperatorPinch()(pinching(0.02, states=every), True, SETTINGS).pinch
    lost = states([8])
    hand = pinching(0.02, states=every, raw_states=lost)
    assert OperatorPinch()(hand, True, SETTINGS) is None
