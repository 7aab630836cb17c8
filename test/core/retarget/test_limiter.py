"""Commands within limits, whatever is asked for and however irregular the steps are."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.retarget.limiter import MotionLimiter

LOWER, UPPER = np.array([-1.0, 0.0, -0.5]), np.array([1.0, 1.5, 2.0])
VELOCITY, ACCELERATION = np.array([3.0, 1.0, 2.0]), np.array([20.0, 5.0, 30.0])


def make():
    return MotionLimiter(LOWER, UPPER, VELOCITY, ACCELERATION)


def test_random_targets_and_steps_never_exceed_a_limit():
    rng = np.random.default_rng(4)
    limiter = make()
    speed = np.zeros(3)
    for _ in range(20_000):
        before = limiter.position
        dt_s = rng.choice([1e-4, 0.002, 0.01, 0.033, 0.1])
        target = rng.uniform(-4, 4, 3)
        target[rng.random(3) < 0.2] = rng.choice([np.nan, np.inf, -np.inf])
        after = limiter.step(target, dt_s, rng.choice([0.3, np.inf]))
        assert (after >= LOWER - 1e-12).all() and (after <= UPPER + 1e-12).all()
        now = (after - before) / dt_s
        assert (np.abs(now) <= VELOCITY + 1e-9).all()
        assert (np.abs(now - speed) <= ACCELERATION * dt_s + 1e-8).all()
        speed = now


@pytest.mark.parametrize("rate", [20, 50, 333])
def test_a_fixed_target_is_reached_without_overrun_and_then_kept_exactly(rate):
    limiter = make()
    limiter.start(np.array([-0.9, 1.4, 0.0]))
    target = np.array([0.7, 0.1, 1.9])
    path = np.array([limiter.step(target, 1 / rate) for _ in range(10 * rate)])
    assert (np.diff(path, axis=0) * np.sign(target - path[0]) >= -1e-12).all()
    np.testing.assert_allclose(path[-1], target, atol=1e-6)
    assert np.abs(np.diff(path[-rate:], axis=0)).max() < 1e-6


def test_a_joint_whose_target_is_not_known_brakes_and_holds():
    limiter = make()
    limiter.start(np.zeros(3))
    for _ in range(20):
        limiter.step(UPPER, 0.02)
    moving = limiter.position
    for _ in range(100):
        limiter.step(np.full(3, np.nan), 0.02)
    assert limiter.at_rest
    assert (limiter.position - moving <= VELOCITY**2 / (2 * ACCELERATION) + 1e-9).all()


def test_a_joint_that_starts_beyond_its_limit_only_moves_back():
    limiter = make()
    limiter.start(np.array([1.2, 0.5, 0.5]))
    path = np.array([limiter.step(np.array([5.0, 0.5, 0.5]), 0.02)[0] for _ in range(200)])
    assert (np.diff(path) <= 1e-12).all() and path[0] <= 1.2
    assert path[-1] == pytest.approx(1.0, abs=1e-6)


def test_no_time_moves_nothing():
    limiter = make()
    before = limiter.position
    for dt_s in (0.0, -1.0, float("nan")):
        np.testing.assert_array_equal(limiter.step(UPPER, dt_s), before)
