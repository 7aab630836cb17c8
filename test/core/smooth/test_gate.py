"""The gate by itself; what it does for joints is in test_smoother.py."""

from __future__ import annotations

import numpy as np

from vitpose_ros.smooth.gate import MAX_REJECTS, Gate

STEP_S = 1 / 30
ALL = np.ones((1, 8), bool)
SIZE = np.full(1, 100.0)


def judged(gate, offsets, age_s=STEP_S, start=0.0):
    """The decision for eight joints that are that far from where they were expected."""
    expected = start + np.arange(16.0).reshape(1, 8, 2) * 20
    age = np.broadcast_to(age_s, (1, 8)).astype(float)
    return gate(expected + np.asarray(offsets, float), ALL, expected, age, SIZE)


def one(joint, distance):
    offsets = np.zeros((1, 8, 2))
    offsets[0, joint, 0] = distance
    return offsets


def test_the_limit_grows_with_the_time_since_the_last_measurement():
    refused = [
        judged(Gate(0.2), one(3, 60.0), age_s=age).outlier[0, 3] for age in (0.03, 0.04, 0.06)
    ]
    assert refused == [True, True, False]


def test_what_all_joints_have_in_common_is_motion():
    assert not judged(Gate(0.1), np.full((1, 8, 2), 150.0)).outlier.any()
    assert judged(Gate(0.1), np.full((1, 8, 2), 400.0)).outlier.all()


def test_joints_seen_for_the_first_time_pass():
    decision = judged(Gate(0.1), one(3, 1e4), age_s=np.nan)
    assert decision.use.all() and not decision.outlier.any() and not decision.restart.any()


def test_two_that_agree_are_not_enough_and_three_are():
    for distance, restarts in ((90.0, False), (110.0, True)):
        gate = Gate(0.1)
        decisions = [judged(gate, one(3, distance)) for _ in range(3)]
        assert [d.outlier[0, 3] for d in decisions] == [True, True, False]
        assert [d.restart[0, 3] for d in decisions] == [False, False, restarts]


def test_a_joint_that_is_believed_stays_so_while_the_filter_is_on_its_way_to_it():
    gate = Gate(0.1)
    outliers = [bool(judged(gate, one(3, 90.0 - i)).outlier[0, 3]) for i in range(6)]
    assert outliers == [True, True, False, False, False, False]


def test_a_rejected_joint_that_comes_within_the_growing_limit_begins_anew_there():
    gate = Gate(0.2)
    decisions = [judged(gate, one(3, 110.0), age_s=STEP_S * (i + 1)) for i in (0, 4)]
    assert [d.outlier[0, 3] for d in decisions] == [True, False]
    assert [d.restart[0, 3] for d in decisions] == [False, True]


def test_an_honest_measurement_in_between_starts_the_count_anew():
    gate = Gate(0.1)
    outliers = []
    for distance in (90.0, 90.0, 0.0, 90.0, 90.0):
        outliers.append(bool(judged(gate, one(3, distance)).outlier[0, 3]))
    assert outliers == [True, True, False, True, True]


def test_what_disagrees_for_ever_is_believed_in_the_end():
    gate = Gate(10.0)
    places = [300.0 * (-1) ** i for i in range(MAX_REJECTS + 1)]
    outliers = [bool(judged(gate, one(3, place)).outlier[0, 3]) for place in places]
    assert outliers == [True] * MAX_REJECTS + [False]


def test_after_a_long_absence_a_joint_elsewhere_begins_anew_and_one_in_its_place_goes_on():
    decision = judged(Gate(0.1), one(3, 50.0), age_s=0.3)
    assert decision.restart[0].tolist() == [False] * 3 + [True] + [False] * 4
    assert decision.use.all()


def test_a_fresh_row_has_no_memory_of_the_one_before():
    gate = Gate(0.1)
    for _ in range(2):
        judged(gate, one(3, 90.0))
    gate.take(np.array([-1]))
    assert judged(gate, one(3, 90.0)).outlier[0, 3]
