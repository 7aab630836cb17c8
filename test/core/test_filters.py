"""One-Euro: what it does to motion and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.filters import COMMON_BETA, COMMON_SPEED, OneEuro

NUMBERS = 0.5, 2.0, 3.0


def make(*numbers):
    return OneEuro(*(numbers or NUMBERS))


def run(bank, times, points, scale=1.0):
    """(T, D) filtered points of one joint of one row."""
    out = []
    for time_s, point in zip(times, points, strict=True):
        x = np.asarray(point, float).reshape(1, 1, -1)
        there = np.isfinite(x).all(axis=2)
        out.append(bank.step(x, there, time_s, np.full(1, scale))[0, 0])
    return np.array(out)


def grid(seconds, rate_hz=30.0):
    return np.arange(round(seconds * rate_hz)) / rate_hz


def walk(count=30, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 2)).cumsum(axis=0)


# --- its formula ---------------------------------------------------------------------------------


def test_it_is_its_formula_written_out_at_irregular_times():
    minimum, beta, d_cutoff, scale = 0.3, 1.5, 2.0, 40.0
    rng = np.random.default_rng(3)
    times, points = np.cumsum(rng.uniform(0.01, 0.09, 40)), 20 * walk(40)
    expected, speed = [points[0]], np.zeros(2)
    for i in range(1, len(times)):
        dt = times[i] - times[i - 1]
        slope = (points[i] - points[i - 1]) / dt / scale
        speed = speed + (1 - math.exp(-2 * math.pi * d_cutoff * dt)) * (slope - speed)
        cutoff = minimum + beta * math.hypot(*speed)
        share = 1 - math.exp(-2 * math.pi * cutoff * dt)
        expected.append(expected[-1] + share * (points[i] - expected[-1]))
    found = run(make(minimum, beta, d_cutoff), times, points, scale)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def spread(bank, times, points):
    """(T, K, 2) filtered points (T, K, 2) of an object of size 1."""
    there = np.ones((1, points.shape[1]), bool)
    return np.array(
        [bank.step(x[None], there, t, np.ones(1))[0] for t, x in zip(times, points, strict=True)]
    )


def still_hand():
    """Times, and five points at rest."""
    times = grid(2.0)
    return times, np.tile(np.arange(10.0).reshape(5, 2), (len(times), 1, 1))


def test_common_motion_of_the_root_opens_the_filter_of_every_joint():
    times, points = still_hand()
    points = points + 3.0 * times[:, None, None] * (1.0, 0.0)  # 3 sizes/s
    late = [
        np.abs(points - spread(OneEuro(0.5, 0.1, 3.0, root), times, points))[-1, :, 0]
        for root in ((), (0, 1, 2))
    ]
    cutoffs = [0.5 + 0.1 * 3.0 + COMMON_BETA * excess for excess in (0.0, 3.0 - COMMON_SPEED)]
    for found, cutoff in zip(late, cutoffs, strict=True):
        share = 1 - math.exp(-2 * math.pi * cutoff / 30)
        assert found == pytest.approx(np.full(5, 3.0 / 30 * (1 - share) / share), rel=0.02)


@pytest.mark.parametrize("moving", [[3, 4], [0], [2, 4]], ids=["fingers", "one root", "both"])
def test_joints_that_move_alone_open_no_other_ones_filter(moving):
    times, points = still_hand()
    points[:, moving, 0] += 3.0 * times[:, None]
    rng = np.random.default_rng(0)
    points += rng.normal(0, 0.01, points.shape)
    plain, rooted = (
        spread(OneEuro(0.5, 0.1, 3.0, root), times, points) for root in ((), (0, 1, 2))
    )
    np.testing.assert_allclose(rooted, plain, rtol=1e-12)


def test_a_root_that_is_not_known_opens_nothing():
    times, points = still_hand()
    points = points + 3.0 * times[:, None, None]
    there = np.array([[False, False, False, True, True]])
    banks = OneEuro(0.5, 0.1, 3.0), OneEuro(0.5, 0.1, 3.0, (0, 1, 2))
    for t, x in zip(times, points, strict=True):
        plain, rooted = (bank.step(x[None], there, t, np.ones(1)) for bank in banks)
        np.testing.assert_array_equal(plain, rooted)


def test_it_begins_with_no_speed_so_that_one_step_does_not_open_it():
    # Of a first step of 1 size in 1 s the low-pass of the speed has taken a share of 0.46.
    out = run(make(1e-6, 1.0, 0.1), [0.0, 1.0], [[0.0], [1.0]])
    speed = 1 - math.exp(-2 * math.pi * 0.1)
    assert out[1, 0] == pytest.approx(1 - math.exp(-2 * math.pi * speed), rel=1e-4)


def test_two_steps_weigh_as_much_as_one_of_twice_the_time():
    halves = run(make(0.5, 0.0, 1.0), [0.0, 0.1, 0.2], [[0.0], [1.0], [1.0]])
    whole = run(make(0.5, 0.0, 1.0), [0.0, 0.2], [[0.0], [1.0]])
    assert halves[-1] == pytest.approx(whole[-1])


def test_an_infinite_cutoff_passes_every_point_unchanged():
    points = walk().astype(np.float32)
    out = run(make(math.inf, 0.0, 1.0), grid(1), points)
    assert np.array_equal(out.astype(np.float32), points)


def test_a_diagonal_motion_is_filtered_as_a_straight_one():
    way = np.cumsum(np.abs(np.random.default_rng(5).normal(size=30)))
    straight = run(make(), grid(1), np.outer(way, (1.0, 0.0)))
    diagonal = run(make(), grid(1), np.outer(way, (0.6, 0.8)))
    assert diagonal @ (0.6, 0.8) == pytest.approx(straight[:, 0])
    assert np.abs(diagonal @ (-0.8, 0.6)).max() < 1e-9


def test_it_is_calmer_at_rest_than_in_motion():
    times, noise = grid(60), np.random.default_rng(6).normal(0, 0.01, 1800)
    rest = run(make(0.5, 2.0, 1.0), times, noise[:, None])
    moving = run(make(0.5, 2.0, 1.0), times, (3 * times + noise)[:, None])
    jitter = [np.abs(np.diff(out[60:, 0], 2)).mean() for out in (rest, moving)]
    raw = np.abs(np.diff(noise, 2)).mean()
    assert jitter[0] < 0.2 * raw and jitter[0] < 0.5 * jitter[1] < 0.5 * raw


def test_near_and_far_metres_and_pixels_are_filtered_alike():
    one = run(make(), grid(1), walk())
    large = run(make(), grid(1), walk() * 400, scale=400.0)
    assert np.abs(large / 400 - one).max() < 1e-9


def test_other_numbers_go_on_with_what_is_known():
    bank = make(0.5, 0.0, 3.0)
    before = run(bank, grid(1), walk())[-1]
    bank.tune(1.0, 0.0)
    share = 1 - math.exp(-2 * math.pi / 30)
    (out,) = run(bank, [1.0], [[9.0, 9.0]])
    assert out == pytest.approx(before + share * (9.0 - before))


# --- rows, joints, gaps --------------------------------------------------------------------------


def test_a_still_point_stays_exactly_where_it_is():
    out = run(make(), grid(1), np.full((30, 2), 3.25))
    assert (out == 3.25).all()


def test_nothing_is_known_before_the_first_measurement():
    bank = make()
    valid = np.array([[True, False, False], [False, False, True]])
    out = bank.step(np.zeros((2, 3, 2)), valid, 0.0, np.ones(2))
    assert np.array_equal(np.isfinite(out).all(axis=2), valid)
    assert np.array_equal(np.isfinite(bank.velocity()).all(axis=2), valid)


def test_where_nothing_is_measured_the_state_stays_and_nan_does_no_harm():
    times, points = grid(1), walk()
    without = run(make(), np.delete(times, 7), np.delete(points, 7, axis=0))
    points[7] = np.nan
    out = run(make(), times, points)
    assert np.array_equal(out[7], out[6])
    assert np.array_equal(np.delete(out, 7, axis=0), without)


@pytest.mark.parametrize("late", [0.0, -0.4])
def test_a_repeated_or_older_time_changes_nothing(late):
    bank = make()
    before = run(bank, grid(1), walk())[-1]
    again = run(bank, [29 / 30 + late], [[1e6, 1e6]])[0]
    assert np.array_equal(again, before)


def test_rows_and_joints_do_not_touch_each_other():
    rng = np.random.default_rng(2)
    x, valid = rng.normal(size=(20, 3, 4, 2)), rng.random((20, 3, 4)) < 0.8
    scale = np.array((1.0, 2.0, 5.0))
    together, alone = make(), make()
    for i in range(20):
        all_at_once = together.step(x[i], valid[i], i / 30, scale)
        part = np.s_[i, 1:2, 2:3]
        single = alone.step(x[part], valid[part], i / 30, scale[1:2])
        assert np.array_equal(all_at_once[1:2, 2:3], single, equal_nan=True)


def test_rows_are_taken_along_and_fresh_ones_begin_anew():
    x = np.random.default_rng(3).normal(size=(10, 3, 2, 2))
    bank, other, every = make(), make(), np.ones((3, 2), bool)
    for i in range(9):
        bank.step(x[i], every, i / 30, np.ones(3))
        other.step(x[i], every, i / 30, np.ones(3))
    bank.take(np.array([2, -1, 0, -1]))
    measured = np.stack([x[9, 2], x[9, 1], x[9, 0], x[9, 1]])
    out = bank.step(measured, np.ones((4, 2), bool), 0.3, np.ones(4))
    kept = other.step(x[9], every, 0.3, np.ones(3))
    assert np.array_equal(out[[0, 2]], kept[[2, 0]])
    assert np.array_equal(out[[1, 3]], measured[[1, 3]])


def test_rows_may_end_and_begin_again():
    bank = make()
    run(bank, grid(1), walk())
    bank.take(np.empty(0, np.intp))
    bank.take(np.array([-1]))
    assert run(bank, [1.0], [[5.0, 6.0]])[0].tolist() == [5.0, 6.0]


def test_a_forgotten_joint_begins_anew_where_it_is_measured():
    bank = make()
    run(bank, grid(1), np.zeros((30, 2)))
    bank.forget(np.ones((1, 1), bool))
    assert run(bank, [1.0], [[50.0, 40.0]])[0].tolist() == [50.0, 40.0]
    assert bank.velocity()[0, 0].tolist() == [0.0, 0.0]


def test_other_rows_without_take_are_refused():
    bank = make()
    run(bank, [0.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"\(1, 1, 2\), got \(2, 1, 2\)"):
        bank.step(np.zeros((2, 1, 2)), np.ones((2, 1), bool), 1.0, np.ones(2))


def test_the_velocity_is_that_of_the_filtered_point():
    bank = make()
    out = run(bank, grid(1), walk())
    assert bank.velocity()[0, 0] == pytest.approx((out[-1] - out[-2]) * 30)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0.0, 1.0, 1.0), "min_cutoff_hz: expected a positive number, got 0.0"),
        ((math.nan, 1.0, 1.0), "min_cutoff_hz"),
        ((1.0, -1.0, 1.0), "beta: expected a number of at least 0"),
        ((1.0, math.inf, 1.0), "beta"),
        ((1.0, 1.0, math.nan), "d_cutoff_hz"),
        ((1.0, 1.0, math.inf), "d_cutoff_hz"),
    ],
)
def test_numbers_that_make_no_filter_are_refused_by_name(numbers, message):
    with pytest.raises(ValueError, match=message):
        OneEuro(*numbers)


# --- rate ----------------------------------------------------------------------------------------


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
    times = grid(10, 60 if kind == "60 Hz" else 30)
    if kind == "dropped":
        return times[np.r_[True, rng.random(len(times) - 1) > 0.2]]
    if kind == "irregular":
        return times + np.r_[0.0, rng.uniform(-0.012, 0.012, len(times) - 1)]
    return times


RATE_BOUND = {"30 Hz": 0.08, "60 Hz": 0.04, "dropped": 0.15, "irregular": 0.1}
"""Largest difference of the curves in object sizes; a step of motion is 0.17 at 30 Hz."""


@pytest.mark.parametrize("kind", RATE_BOUND)
def test_the_same_motion_gives_nearly_the_same_curve_at_any_rate(kind):
    dense = grid(10, 480)
    reference = run(make(), dense, wave(dense))
    times = stamps(kind)
    out = run(make(), times, wave(times))
    there = np.stack([np.interp(times, dense, axis) for axis in reference.T], axis=1)
    off = np.abs(out - there)[times > 1].max()
    assert off < RATE_BOUND[kind], off
