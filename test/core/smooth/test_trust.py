"""What scores say of measurements."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.smooth.trust import FULL_SCORE, Trust

EVERY = np.ones((1, 4), bool)


def weights(trust, scores):
    """The weight of the first joint over images in which all joints have one score."""
    return [float(trust(np.full((1, 4), s), EVERY, i / 30)[0, 0]) for i, s in enumerate(scores)]


def test_a_score_of_each_joint_is_a_weight_up_to_the_full_one():
    score = np.array([[0.1, 0.35, FULL_SCORE, 0.95]])
    assert Trust()(score, EVERY, 0.0)[0] == pytest.approx([1 / 7, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("level", [0.3, 0.96])
def test_the_level_of_one_score_for_all_joints_says_nothing(level):
    assert weights(Trust(), [level] * 5) == pytest.approx([1.0] * 5)


def test_one_score_below_the_usual_one_is_trusted_less_until_it_is_usual():
    dropped = weights(Trust(), [0.9] * 90 + [0.6] * 300)
    assert dropped[89] == pytest.approx(1.0) and dropped[90] < 0.35
    assert (np.diff(dropped[90:]) > 0).all() and dropped[-1] > 0.95


def test_a_score_above_the_usual_one_is_trusted_no_more_than_fully():
    assert max(weights(Trust(), [0.5] * 30 + [0.95] * 30)) == 1.0


def test_what_is_usual_follows_the_rows():
    trust = Trust()
    for i in range(60):
        trust(np.array([[0.9] * 4, [0.5] * 4]), np.ones((2, 4), bool), i / 30)
    trust.take(np.array([1, -1, 0]))
    weight = trust(np.full((3, 4), 0.5), np.ones((3, 4), bool), 2.0)[:, 0]
    assert weight[0] == pytest.approx(1.0) and weight[1] == 1.0 and weight[2] < 0.25
