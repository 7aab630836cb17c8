"""The standard deviation of a hand's joints: where it comes from, and where it is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.keypoints.calibrations import CALIBRATIONS
from vitpose_ros.keypoints.uncertainty import (
    SCORE_FEATURES,
    SHAPE_FEATURES,
    HandUncertainty,
    cover,
    hand_uncertainty,
    score_features,
    shape_features,
    with_uncertainty,
)
from vitpose_ros.layouts import HAND21
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.types import Crop, JointState, Region

IMAGE = np.zeros((480, 640, 3), np.uint8)
SIDE_PX = 200.0
TIP, DIP = HAND21.index("ring_tip"), HAND21.index("ring_dip")


def open_shape():
    """(21, 3) metres: an open hand in the image plane, fingers up."""
    shape = np.zeros((21, 3))
    for finger in range(5):
        x = -0.04 + 0.02 * finger
        for bone in range(4):
            shape[1 + 4 * finger + bone] = (x * (1 + 0.2 * bone), -0.05 - 0.025 * bone, 0.0)
    return shape


def measured(shape=None, *, presence=0.95, right=1.0, noise_px=0.0, score=np.nan):
    """A hand whose joints in the image are its shape's, 1000 px per metre."""
    shape = open_shape() if shape is None else shape
    noise = np.random.default_rng(0).normal(0, noise_px, (21, 2)) if noise_px else 0.0
    uv = 1000 * shape[:, :2] + (320, 300) + noise
    return HandMeasurement(
        uv=uv.astype(np.float32),
        score=np.broadcast_to(np.float32(score), 21).astype(np.float32),
        supported=np.ones(21, bool),
        shape_xyz=shape.astype(np.float32),
        presence=presence,
        right=right,
    )


def std(hand, network="mediapipe-hand-full"):
    return hand_uncertainty(network)(hand, SIDE_PX)


def fist():
    """Fingertips back at the palm, behind it as a camera sees it that looks at the back."""
    shape = open_shape()
    for finger in range(1, 5):
        mcp = shape[1 + 4 * finger]
        for bone, (y, z) in enumerate(((-0.03, 0.01), (-0.01, 0.03), (0.01, 0.03)), start=1):
            shape[1 + 4 * finger + bone] = (mcp[0], mcp[1] + y, mcp[2] + z)
    return shape


@pytest.mark.parametrize("network", CALIBRATIONS)
def test_a_calibrated_network_has_a_number_for_each_joint_and_feature(network):
    numbers = CALIBRATIONS[network]
    assert len(numbers.joints) == 21
    assert len(numbers.weights) in (len(SCORE_FEATURES), len(SHAPE_FEATURES))
    assert len(SCORE_FEATURES) != len(SHAPE_FEATURES)


def test_a_network_that_was_never_compared_with_true_joints_has_no_standard_deviation():
    assert hand_uncertainty("rtmpose-m-hand") is None
    crop = Crop(IMAGE, Region(320, 240, SIDE_PX, SIDE_PX))
    (hand,) = with_uncertainty([measured()], [crop], None)
    assert np.isnan(hand.uv_std).all()
    assert np.isnan(hand.keypoints(640, 480).uv_std).all()


def test_it_scales_with_the_crop():
    hand, twice = measured(), replace(measured(), uv=measured().uv * 2)
    assert hand_uncertainty("mediapipe-hand-full")(twice, 2 * SIDE_PX) == pytest.approx(
        2 * std(hand), rel=1e-4
    )


DOUBTS = {
    "a hand that may be none": measured(presence=0.6),
    "a fist": measured(fist()),
    "image and shape that disagree": measured(noise_px=6.0),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_it_is_larger_for(doubt):
    assert np.median(std(DOUBTS[doubt])) > 1.15 * np.median(std(measured()))


def test_a_joint_behind_another_bone_is_less_certain_than_the_same_joint_in_front():
    shape = open_shape()
    shape[TIP, :2] = (shape[10, :2] + shape[11, :2]) / 2  # over the middle finger, or under it
    front, behind = shape.copy(), shape.copy()
    front[TIP, 2], behind[TIP, 2] = -0.03, 0.03
    assert std(measured(behind))[TIP] > 1.3 * std(measured(front))[TIP]


def test_cover_sees_what_lies_behind_a_bone_and_nothing_else():
    shape = open_shape()
    assert (cover(shape) == 0).all()
    shape[TIP] = (*((shape[10, :2] + shape[11, :2]) / 2), 0.03)
    covered = cover(shape)
    assert covered[TIP] == pytest.approx(1.0, abs=0.01)
    assert (covered[[0, 4, 5, 8]] == 0).all()
    shape[TIP, 2] = -0.03
    assert cover(shape)[TIP] == 0


def test_a_right_hand_and_its_mirror_image_are_equally_uncertain():
    shape = fist()
    mirrored = shape * (-1, 1, 1)
    assert std(measured(shape, right=0.9)) == pytest.approx(
        std(measured(mirrored, right=0.1)), rel=1e-3
    )


def test_a_low_score_means_a_large_standard_deviation_and_no_joint_means_none():
    score = np.full(21, 0.8)
    score[TIP], score[DIP] = 0.3, 0.0
    hand = measured(score=score)
    values = std(hand, "vitpose-tiny-synthetic")
    sure = std(measured(score=0.8), "vitpose-tiny-synthetic")
    assert values[TIP] > 3 * sure[TIP]
    assert np.flatnonzero(np.isnan(values)).tolist() == [DIP]


def test_a_joint_outside_the_image_or_absent_has_none():
    hand = replace(measured(), uv_std=np.full(21, 2.0, np.float32))
    hand.uv[TIP], hand.uv[DIP] = (320, -20), np.nan
    joints = hand.keypoints(640, 480)
    assert joints.state[[TIP, DIP]].tolist() == [JointState.OCCLUDED, JointState.ABSENT]
    assert np.flatnonzero(np.isnan(joints.uv_std)).tolist() == [DIP, TIP]


def test_features_have_one_column_for_each_name():
    assert shape_features(measured(), SIDE_PX).shape == (21, len(SHAPE_FEATURES))
    assert score_features(measured(score=0.5), SIDE_PX).shape == (21, len(SCORE_FEATURES))


def test_each_hand_gets_that_of_its_own_crop():
    crops = [Crop(IMAGE, Region(320, 240, side, side)) for side in (100, 300)]
    uncertainty = HandUncertainty(
        lambda hand, side: np.zeros((21, 1)), np.full(21, np.log(0.01)), np.zeros(1)
    )
    first, none, second = with_uncertainty(
        [measured(), None, measured()], [crops[0], crops[0], crops[1]], uncertainty
    )
    assert none is None
    assert first.uv_std == pytest.approx(1.0) and second.uv_std == pytest.approx(3.0)
    assert first.uv_std.dtype == np.float32
