"""Motion taken apart: the whole follows fast while the shape is steadied."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.smooth.filters import NoFilter, OneEuro
from vitpose_ros.smooth.whole import WholeAndShape

STEP_S = 1 / 30
SHAPE = np.array([(0, 0), (40, -30), (20, -90), (-10, -100), (-40, -80), (-60, -50)], float)
SIZE = np.full(1, 100.0)


def slow():
    return OneEuro(0.2, 0.0, 1.0)


def run(bank, points, valid=None, weight=1.0):
    out = []
    for i, x in enumerate(points):
        there = np.ones((1, len(x)), bool) if valid is None else valid[i][None]
        weights = np.full(there.shape, weight)
        out.append(bank.step(x[None], there, weights, i * STEP_S, SIZE)[0])
    return np.array(out)


def turned(angle, points=SHAPE):
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def test_a_motion_of_the_whole_passes_however_slow_the_filter_of_the_shape_is():
    angles = np.linspace(0, 9, 120)  # more than a full turn
    points = [turned(a) + np.array((300 + 40 * a, 200)) for a in angles]
    out = run(WholeAndShape(NoFilter, slow), points)
    assert np.abs(out - points).max() < 1e-6


def test_a_joint_that_trembles_is_steadied_while_the_whole_moves():
    rng = np.random.default_rng(1)
    points = np.array([SHAPE + np.array((20 * i, 0)) for i in range(120)])
    noise = rng.normal(0, 1, points.shape)
    out = run(WholeAndShape(NoFilter, slow), points + noise)
    jitter = [np.abs(np.diff(x[30:], 2, axis=0)).mean() for x in (out, points + noise)]
    assert jitter[0] < 0.7 * jitter[1]  # what is left is the noise of the place, and of the turn
    assert np.abs((out - points)[30:].mean(axis=(0, 1))).max() < 0.3


def test_without_filters_the_points_are_those_that_were_measured():
    rng = np.random.default_rng(2)
    points = rng.normal(300, 50, (30, 6, 2))
    assert np.abs(run(WholeAndShape(NoFilter, NoFilter), points) - points).max() < 1e-9


def test_the_velocity_is_that_of_the_points():
    points = np.array([turned(0.05 * i) + np.array((3 * i, -2 * i)) for i in range(60)])
    bank = WholeAndShape(NoFilter, NoFilter)
    out = run(bank, points)
    # Half an image back from the backward difference.
    measured = (out[-1] - out[-2]) / STEP_S
    assert np.abs(bank.velocity()[0] - measured).max() < 0.03 * np.abs(measured).max()


def test_a_shape_that_turns_over_in_space_does_not_break_the_turn():
    # From the palm to the back of the hand: mirrored in the image, narrow in between.
    shapes = [SHAPE * (np.cos(a), 1.0) for a in np.linspace(0, np.pi, 60)]
    points = [shape + np.array((300, 200)) for shape in shapes + [shapes[-1]] * 60]
    out = run(WholeAndShape(lambda: OneEuro(1, 3, 2), lambda: OneEuro(0.5, 2, 2)), points)
    assert np.isfinite(out).all()
    assert np.abs(out[-1] - points[-1]).max() < 3
    assert np.abs(out - points).max() < 40


def test_a_joint_that_comes_later_is_taken_where_it_is_measured():
    points = np.array([SHAPE + np.array((5 * i, 0)) for i in range(30)])
    valid = np.ones((30, 6), bool)
    valid[:20, 3] = False
    out = run(WholeAndShape(NoFilter, slow), points, valid)
    assert np.isnan(out[:20, 3]).all() and np.abs(out[20:, 3] - points[20:, 3]).max() < 1e-6


def test_joints_without_any_confidence_leave_it_where_it_was():
    bank = WholeAndShape(slow, slow)
    before = run(bank, [SHAPE] * 5)[-1]
    moved = bank.step(
        SHAPE[None] + 10, np.ones((1, 6), bool), np.zeros((1, 6)), 6 * STEP_S, SIZE
    )[0]
    assert np.abs(moved - before).max() < 1e-6


def test_other_rows_without_take_are_refused():
    bank = WholeAndShape(slow, slow)
    run(bank, [SHAPE])
    with pytest.raises(ValueError, match=r"\(1, 6, 2\), got \(2, 6, 2\)"):
        bank.step(np.zeros((2, 6, 2)), np.ones((2, 6), bool), np.ones((2, 6)), 1.0, np.ones(2))
