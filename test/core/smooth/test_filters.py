"""Filters: what they do to motion and noise at any rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.smooth.carried import CarriedOneEuro
from vitpose_ros.smooth.filters import Ema, Kalman, NoFilter, OneEuro

FILTERS = {
    "none": NoFilter,
    "ema": lambda: Ema(0.05),
    "one_euro": lambda: OneEuro(0.5, 2.0, 3.0),
    "carried": lambda: CarriedOneEuro(2.0, 0.6, 45.0),
    "kalman": lambda: Kalman(10.0, 0.05),
}
SMOOTHING = [name for name in FILTERS if name != "none"]
ONE = np.ones(1)


@pytest.fixture(params=FILTERS)
def make(request):
    return FILTERS[request.param]


def run(bank, times, points, weight=1.0, scale=1.0):
    """(T, D) filtered points of one joint of one row."""
    out = []
    for time_s, point in zip(times, points, strict=True):
        x = np.asarray(point, float).reshape(1, 1, -1)
        there = np.isfinite(x).all(axis=2)
        out.append(bank.step(x, there, np.full((1, 1), weight), time_s, np.full(1, scale))[0, 0])
    return np.array(out)


def grid(seconds, rate_hz=30.0):
    return np.arange(round(seconds * rate_hz)) / rate_hz


# --- what all do -------------------------------------------------------------------------------


def test_a_still_point_stays_exactly_where_it_is(make):
    out = run(make(), grid(1), np.full((30, 2), 3.25))
    assert np.abs(out - 3.25).max() < 1e-12


def test_nothing_is_known_before_the_first_measurement(make):
    bank = make()
    x = np.zeros((2, 3, 2))
    valid = np.array([[True, False, False], [False, False, True]])
    out = bank.step(x, valid, np.ones((2, 3)), 0.0, np.ones(2))
    assert np.array_equal(np.isfinite(out).all(axis=2), valid)
    assert np.array_equal(np.isfinite(bank.velocity()).all(axis=2), valid)


def test_where_nothing_is_measured_the_state_stays_and_nan_does_no_harm(make):
    times, points = grid(1), np.random.default_rng(1).normal(size=(30, 2))
    without = run(make(), np.delete(times, 7), np.delete(points, 7, axis=0))
    points[7] = np.nan
    out = run(make(), times, points)
    assert np.array_equal(out[7], out[6])
    assert np.array_equal(np.delete(out, 7, axis=0), without)


@pytest.mark.parametrize("late", [0.0, -0.4])
def test_a_repeated_or_older_time_changes_nothing(make, late):
    bank = make()
    before = run(bank, grid(1), np.random.default_rng(1).normal(size=(30, 2)))[-1]
    again = run(bank, [29 / 30 + late], [[1e6, 1e6]])[0]
    assert np.array_equal(again, before)


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "carried"])
def test_rows_and_joints_do_not_touch_each_other(name):
    make, rng = FILTERS[name], np.random.default_rng(2)
    x, valid = rng.normal(size=(20, 3, 4, 2)), rng.random((20, 3, 4)) < 0.8
    weight, scale = rng.uniform(0.2, 1, (20, 3, 4)), np.array((1.0, 2.0, 5.0))
    together, alone = make(), make()
    for i in range(20):
        all_at_once = together.step(x[i], valid[i], weight[i], i / 30, scale)
        part = np.s_[i, 1:2, 2:3]
        single = alone.step(x[part], valid[part], weight[part], i / 30, scale[1:2])
        assert np.array_equal(all_at_once[1:2, 2:3], single, equal_nan=True)


def test_rows_are_taken_along_and_fresh_ones_begin_anew(make):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(10, 3, 2, 2))
    bank, other = make(), make()
    every, ones = np.ones((3, 2), bool), np.ones((3, 2))
    for i in range(9):
        bank.step(x[i], every, ones, i / 30, np.ones(3))
        other.step(x[i], every, ones, i / 30, np.ones(3))
    bank.take(np.array([2, -1, 0, -1]))
    measured = np.stack([x[9, 2], x[9, 1], x[9, 0], x[9, 1]])
    out = bank.step(measured, np.ones((4, 2), bool), np.ones((4, 2)), 0.3, np.ones(4))
    kept = other.step(x[9], every, ones, 0.3, np.ones(3))
    assert np.array_equal(out[[0, 2]], kept[[2, 0]])
    assert np.array_equal(out[[1, 3]], measured[[1, 3]])


def test_a_forgotten_joint_begins_anew_where_it_is_measured(make):
    bank = make()
    run(bank, grid(1), np.zeros((30, 2)))
    bank.forget(np.ones((1, 1), bool))
    assert run(bank, [1.0], [[50.0, 40.0]])[0].tolist() == [50.0, 40.0]
    assert bank.velocity()[0, 0].tolist() == [0.0, 0.0]


def test_other_rows_without_take_are_refused(make):
    bank = make()
    run(bank, [0.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"\(1, 1, 2\), got \(2, 1, 2\)"):
        bank.step(np.zeros((2, 1, 2)), np.ones((2, 1), bool), np.ones((2, 1)), 1.0, np.ones(2))


def test_near_and_far_metres_and_pixels_are_filtered_alike(make):
    points = np.random.default_rng(4).normal(size=(30, 2))
    one = run(make(), grid(1), points)
    large = run(make(), grid(1), points * 400, scale=400.0)
    assert np.abs(large / 400 - one).max() < 1e-9


@pytest.mark.parametrize("name", SMOOTHING)
def test_a_measurement_of_low_weight_moves_the_point_less(name):
    moves = []
    for weight in (0.0, 0.3, 0.6, 1.0):
        bank = FILTERS[name]()
        run(bank, grid(1), np.zeros((30, 2)))
        moves.append(run(bank, [1.0], [[0.05, 0.0]], weight)[0, 0])
    assert moves[0] == pytest.approx(0.0, abs=1e-5)
    assert moves == sorted(moves) and moves[1] < 0.7 * moves[3]


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "carried"])
def test_a_steady_motion_has_its_velocity(name):
    times = grid(2)
    bank = FILTERS[name]()
    run(bank, times, np.outer(times, (3.0, -4.0)))
    assert bank.velocity()[0, 0] == pytest.approx([3.0, -4.0], rel=1e-3)


@pytest.mark.parametrize(
    ("make_wrong", "message"),
    [
        (lambda: Ema(0.0), "time_constant_s"),
        (lambda: OneEuro(0.0, 1.0, 1.0), "min_cutoff_hz"),
        (lambda: OneEuro(1.0, -1.0, 1.0), "beta"),
        (lambda: OneEuro(1.0, 1.0, math.nan), "d_cutoff_hz"),
        (lambda: Kalman(math.inf, 1.0), "acceleration"),
        (lambda: Kalman(1.0, 0.0), "noise"),
    ],
)
def test_numbers_that_make_no_filter_are_refused_by_name(make_wrong, message):
    with pytest.raises(ValueError, match=message):
        make_wrong()


# --- one by one --------------------------------------------------------------------------------


def test_ema_with_two_steps_is_ema_with_one_of_twice_the_time():
    halves = run(Ema(0.1), [0.0, 0.1, 0.2], [[0.0], [1.0], [1.0]])
    whole = run(Ema(0.1), [0.0, 0.2], [[0.0], [1.0]])
    assert halves[-1] == pytest.approx(whole[-1])
    assert whole[-1, 0] == pytest.approx(1 - math.exp(-2))


@pytest.mark.parametrize("rate_hz", [15.0, 30.0, 60.0, 120.0])
def test_the_lag_of_one_euro_behind_a_steady_motion_is_that_of_its_cutoff_at_any_rate(rate_hz):
    speed, times = 2.0, grid(8, rate_hz)
    out = run(OneEuro(0.5, 1.0, 1.0), times, np.outer(times, (speed,)))
    lag_s = times[-1] - out[-1, 0] / speed
    assert lag_s == pytest.approx(1 / (2 * math.pi * (0.5 + 1.0 * speed)), rel=1e-3)


def test_one_euro_filters_a_diagonal_motion_as_a_straight_one():
    times = grid(1)
    way = np.cumsum(np.abs(np.random.default_rng(5).normal(size=30)))
    straight = run(OneEuro(0.5, 2.0, 3.0), times, np.outer(way, (1.0, 0.0)))
    diagonal = run(OneEuro(0.5, 2.0, 3.0), times, np.outer(way, (0.6, 0.8)))
    assert diagonal @ (0.6, 0.8) == pytest.approx(straight[:, 0])
    assert np.abs(diagonal @ (-0.8, 0.6)).max() < 1e-9


def test_one_euro_is_calmer_at_rest_than_in_motion():
    times, noise = grid(60), np.random.default_rng(6).normal(0, 0.01, 1800)
    rest = run(OneEuro(0.5, 2.0, 1.0), times, noise[:, None])
    moving = run(OneEuro(0.5, 2.0, 1.0), times, (3 * times + noise)[:, None])
    jitter = [np.abs(np.diff(out[60:, 0], 2)).mean() for out in (rest, moving)]
    raw = np.abs(np.diff(noise, 2)).mean()
    assert jitter[0] < 0.2 * raw and jitter[0] < 0.5 * jitter[1] < 0.5 * raw


def test_a_bad_first_measurement_is_soon_forgotten_by_one_euro():
    points = np.zeros((16, 1))
    points[0] = 1.0
    out = run(OneEuro(0.1, 0.0, 1.0), grid(16 / 30), points)
    # With a memory of 1 / (2 pi 0.1 Hz) = 1.6 s, 0.73 of the error would be left.
    assert abs(out[-1, 0]) < 0.1


def test_kalman_has_no_lag_behind_a_steady_motion():
    times = grid(3)
    out = run(Kalman(2.0, 0.05), times, np.outer(times, (2.0,)))
    assert out[-1, 0] == pytest.approx(2 * times[-1], abs=1e-3)


def test_kalman_weighs_by_the_inverse_variance_when_all_it_knows_is_a_place():
    # Two measurements of a point at nearly one time: their mean with weights 1 / sigma^2.
    bank = Kalman(1e-3, 0.1)
    run(bank, [0.0], [[0.0]], weight=1.0)
    out = run(bank, [1e-6], [[1.0]], weight=0.5)
    assert out[0, 0] == pytest.approx(0.25 / 1.25, rel=1e-3)


# --- rate --------------------------------------------------------------------------------------


def wave(times):
    """A hand's gesture in object sizes: reaches, returns, with fingers that move faster."""
    return np.stack(
        [
            1.5 * np.sin(2 * np.pi * 0.5 * times) + 0.1 * np.sin(2 * np.pi * 1.7 * times),
            0.8 * np.cos(2 * np.pi * 0.7 * times),
        ],
        axis=1,
    )


def stamps(kind):
    rng = np.random.default_rng(7)
    if kind == "60 Hz":
        return grid(10, 60)
    times = grid(10)
    if kind == "dropped":
        return times[np.r_[True, rng.random(len(times) - 1) > 0.2]]
    if kind == "irregular":
        return times + np.r_[0.0, rng.uniform(-0.012, 0.012, len(times) - 1)]
    return times


RATE_BOUND = {"30 Hz": 0.02, "60 Hz": 0.006, "dropped": 0.02, "irregular": 0.02}
"""Largest difference of the curves in object sizes, for One-Euro at the defaults' strength."""


@pytest.mark.parametrize("kind", RATE_BOUND)
def test_the_same_motion_gives_one_euro_the_same_curve_at_any_rate(kind):
    dense = grid(10, 480)
    reference = run(OneEuro(0.5, 2.0, 3.0), dense, wave(dense))
    times = stamps(kind)
    out = run(OneEuro(0.5, 2.0, 3.0), times, wave(times))
    there = np.stack([np.interp(times, dense, axis) for axis in reference.T], axis=1)
    assert np.abs(out - there)[times > 1].max() < RATE_BOUND[kind]
