"""The default filter: what is motion passes at once, what is noise does not."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.smooth.carried import CarriedOneEuro
from vitpose_ros.smooth.filters import OneEuro

STEP_S = 1 / 30
SHAPE = np.array([(0, 0), (40, -30), (20, -90), (-10, -100), (-40, -80), (-60, -50)], float)
SIZE = 100.0


def carried(follow=45.0):
    return CarriedOneEuro(2.0, 0.6, follow)


def run(bank, points, weight=1.0):
    """(T, K, 2) filtered points of one row."""
    out = []
    for i, x in enumerate(points):
        every = np.ones((1, len(x)), bool)
        weights = np.broadcast_to(weight, every.shape).astype(float)
        out.append(bank.step(x[None], every, weights, i * STEP_S, np.full(1, SIZE))[0])
    return np.array(out)


def sway(count=120):
    """A shape that moves to and fro, up to 1.5 sizes/s."""
    times = np.arange(count) * STEP_S
    return np.array([SHAPE + np.array((300 + 50 * np.sin(3 * t), 200)) for t in times])


def test_a_motion_is_followed_nearer_than_by_the_same_low_pass_without_velocity():
    points = sway()
    off = [
        np.abs(run(bank, points) - points)[30:].max() for bank in (carried(), OneEuro(2, 0.6, 1))
    ]
    assert off[0] < 0.25 * off[1] and off[0] < 0.03 * SIZE


def test_what_all_joints_do_is_followed_sooner_than_what_one_does_alone():
    still, moved = np.array([SHAPE] * 30), np.array([SHAPE] * 4)
    moved[:, :, 0] += 5
    together = run(carried(), np.concatenate([still, moved]))[-1, 3, 0] - SHAPE[3, 0]
    moved[:, :3], moved[:, 4:] = SHAPE[:3], SHAPE[4:]
    alone = run(carried(), np.concatenate([still, moved]))[-1, 3, 0] - SHAPE[3, 0]
    assert alone < 0.85 * together


def test_joints_that_tremble_are_steadied_while_the_whole_moves():
    points = sway(240)
    noisy = points + np.random.default_rng(1).normal(0, 1, points.shape)
    out = run(carried(), noisy)
    jitter = [np.abs(np.diff(x[30:], 2, axis=0)).mean() for x in (out, noisy)]
    assert jitter[0] < 0.25 * jitter[1]
    assert np.abs((out - points)[30:].mean(axis=(0, 1))).max() < 0.5


def test_one_wrong_image_moves_a_joint_no_further_than_the_limit():
    points = np.array([SHAPE] * 40)
    ways = []
    for error in (20.0, 45.0):
        wrong = points.copy()
        wrong[30, 3, 0] += error
        ways.append(float(np.abs(run(carried(), wrong) - points).max()))
    # 0.03 + STEP_S sizes at most, and the half of it.
    assert ways[1] == pytest.approx(ways[0]) and ways[1] < 0.04 * SIZE


def test_a_joint_of_low_weight_says_little_of_what_all_do():
    def way(weight, moved):
        """Of the first joint, that moves by 2, while the fourth one may move by more."""
        last = SHAPE.copy()
        last[0, 0] += 2
        last[3, 0] += moved
        weights = np.array([1.0, 1.0, 1.0, weight, 1.0, 1.0])
        return run(carried(400.0), np.array([SHAPE] * 30 + [last]), weights)[-1, 0, 0]

    assert way(1.0, 6) > 1.3 * way(1.0, 0)
    assert way(0.1, 6) < 1.1 * way(0.1, 0)


def test_a_joint_that_begins_moves_as_the_others_do():
    points = np.array([SHAPE + np.array((12 * i, 0)) for i in range(40)])
    bank = carried()
    run(bank, points[:30])
    bank.forget(np.arange(6)[None] == 3)
    for i in range(30, 40):
        every = np.ones((1, 6), bool)
        out = bank.step(points[i][None], every, np.ones((1, 6)), i * STEP_S, np.full(1, SIZE))
        assert np.abs(out[0, 3] - points[i, 3]).max() < 0.03 * SIZE


def test_rows_do_not_touch_each_other():
    rng = np.random.default_rng(2)
    x, valid = rng.normal(size=(20, 3, 4, 2)), rng.random((20, 3, 4)) < 0.8
    weight, scale = rng.uniform(0.2, 1, (20, 3, 4)), np.array((1.0, 2.0, 5.0))
    together, alone = carried(), carried()
    for i in range(20):
        all_at_once = together.step(x[i], valid[i], weight[i], i / 30, scale)
        single = alone.step(x[i, 1:2], valid[i, 1:2], weight[i, 1:2], i / 30, scale[1:2])
        assert np.allclose(all_at_once[1:2], single, rtol=0, atol=1e-12, equal_nan=True)


def test_the_velocity_of_a_steady_motion_is_a_little_too_small():
    points = np.array([SHAPE + np.array((6 * i, -8 * i)) for i in range(90)], float)
    bank = carried()
    run(bank, points)
    velocity = bank.velocity()[0] * STEP_S
    assert (velocity / (6, -8) > 0.8).all() and (velocity / (6, -8) < 1.0).all()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0.0, 1.0, 1.0), "min_cutoff_hz"), ((1.0, -1.0, 1.0), "beta"), ((1.0, 1.0, -1.0), "follow")],
)
def test_numbers_that_make_no_filter_are_refused_by_name(numbers, message):
    with pytest.raises(ValueError, match=message):
        CarriedOneEuro(*numbers)
