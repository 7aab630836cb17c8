"""The measure of uncertainties: what is counted, and that a fit finds what was put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.bench.uncertainty import HELD, SHOWN, Joints, coverage, fit, held, joined
from vitpose_ros.layouts import HAND21
from vitpose_ros.synthetic.truth import TrueHand
from vitpose_ros.types import JointState, Keypoints, Side

HANDS, SIDE_PX = 4000, 200.0


def made(*, hidden_share=0.3, factor=1.0):
    """Hands whose errors are normal, with std = side exp(-4 + feature), times `factor` for hidden
    joints.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.5, (HANDS, 21, 1))
    hidden = rng.random((HANDS, 21)) < hidden_share
    std = SIDE_PX * np.exp(-4.0 + features[..., 0]) * np.where(hidden, factor, 1.0)
    error = rng.normal(size=(HANDS, 21, 2)) * std[..., None]
    return Joints(error, error, std, np.full(HANDS, SIDE_PX), ~hidden, hidden, features)


def test_normal_errors_lie_within_one_and_two_standard_deviations_as_often_as_they_should():
    j = made()
    found = coverage(j.error, j.std, j.seen)
    assert found.within_1 == pytest.approx(0.683, abs=0.01)
    assert found.within_2 == pytest.approx(0.954, abs=0.01)
    assert found.joints == j.seen.sum() and found.unknown == 0


def test_joints_without_truth_do_not_count_and_those_without_a_standard_deviation_are_counted():
    j = made()
    j.error[:1000] = np.nan
    j.std[1000:2500] = np.nan
    every = np.ones_like(j.seen)
    found = coverage(j.error, j.std, every)
    assert found.joints == 1500 * 21
    assert found.unknown == pytest.approx(0.5)
    nothing = coverage(j.error[:1000], j.std[:1000], every[:1000])
    assert nothing.joints == 0 and np.isnan(nothing.within_1)


def test_a_fit_finds_the_numbers_that_errors_were_made_with():
    numbers = fit([(1.0, made())])
    assert numbers.weights[0] == pytest.approx(1.0, abs=0.03)
    assert numbers.joints == pytest.approx([-4.0] * 21, abs=0.06)


def test_a_fit_serves_seen_and_hidden_joints_though_the_feature_only_hints_at_them():
    j = made(hidden_share=0.2, factor=2.5)
    hint = j.hidden + np.random.default_rng(1).normal(0, 0.4, j.hidden.shape)
    j = replace(j, features=np.stack([j.features[..., 0], hint], axis=2))
    numbers = fit([(1.0, j)])
    std = SIDE_PX * np.exp(numbers.joints + j.features @ np.array(numbers.weights))
    for which in (j.seen, j.hidden):
        found = coverage(j.error, std, which)
        assert 0.64 < found.within_1 < 0.74 and 0.91 < found.within_2 < 0.97


def test_held_joints_are_counted_by_the_time_since_they_were_measured():
    rng, clips = np.random.default_rng(0), []
    for _ in range(60):
        true = rng.uniform(200, 240, (21, 2)).astype(np.float32)
        uv = (true + rng.normal(0, 3.0, (21, 2))).astype(np.float32)
        joints = Keypoints(
            HAND21,
            uv,
            np.ones(21, np.float32),
            np.full(21, JointState.MEASURED, np.uint8),
            uv_std=np.full(21, 3, np.float32),
        )
        hand = TrueHand(Side.LEFT, true, np.ones((21, 3), np.float32), np.ones(21, bool), 640, 480)
        clips.append([(joints, hand)] * (SHOWN + HELD + 1))
    found = held(clips, rate_hz=12.0)
    assert list(found) == pytest.approx([n / 12 for n in range(1, HELD + 1)], abs=1e-3)
    assert found[0.083].joints == 60 * 21 and found[0.083].unknown == 0
    assert 0.68 < found[0.083].within_1 < found[0.5].within_1


def test_no_hand_is_an_error():
    with pytest.raises(ValueError, match="no hand was found"):
        joined([])
