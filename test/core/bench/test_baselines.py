"""The array filters against the published formulae, written out for one number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.bench.baselines import MmposeOneEuro, MovingAverage, PublishedOneEuro

RATE_HZ = 30.0


def values(seed=0):
    """(T, 4, 2) px and (T,) s, irregular: the last is dropped where a filter has one rate."""
    rng = np.random.default_rng(seed)
    return 200.0 + np.cumsum(rng.normal(0, 6.0, (60, 4, 2)), axis=0), rng.uniform(0.01, 0.09, 60)


def run(make, x, steps, size):
    own = make()
    return np.stack([own.step(row, dt, size) for row, dt in zip(x, steps, strict=True)])


def each_number(formula, x, steps):
    return np.apply_along_axis(lambda line: formula(line.tolist(), steps.tolist()), 0, x)


def alpha(cutoff, dt):
    tau = 1.0 / (2.0 * math.pi * cutoff)
    return 1.0 / (1.0 + tau / dt)


@pytest.mark.parametrize("numbers", [(0.05, 80.0, 1.0), (0.1, 40.0, 1.0)])
def test_mediapipes_one_euro_is_its_formula(numbers):
    minimum, beta, d_cutoff = numbers
    scale = 170.0

    def formula(line, steps):
        last_raw = filtered = line[0]
        slope, out = 0.0, [line[0]]
        for value, dt in zip(line[1:], steps[1:], strict=True):
            change = (value - last_raw) * (1.0 / scale) * (1.0 / dt)
            slope = alpha(d_cutoff, dt) * change + (1.0 - alpha(d_cutoff, dt)) * slope
            share = alpha(minimum + beta * abs(slope), dt)
            filtered = share * value + (1.0 - share) * filtered
            last_raw = value
            out.append(filtered)
        return out

    x, steps = values()
    found = run(lambda: PublishedOneEuro(*numbers), x, steps, scale)
    np.testing.assert_allclose(found, each_number(formula, x, steps), rtol=1e-12)


def test_one_euro_by_joint_takes_the_speed_of_the_whole_joint():
    way = np.cumsum(np.abs(np.random.default_rng(5).normal(size=30)))
    steps = np.full(30, 1 / RATE_HZ)
    straight, diagonal = (
        run(lambda: PublishedOneEuro(0.5, 2.0, 3.0, by_joint=True), x, steps, 1.0)[:, 0]
        for x in (np.multiply.outer(way, [[1.0, 0.0]]), np.multiply.outer(way, [[0.6, 0.8]]))
    )
    np.testing.assert_allclose(diagonal @ (0.6, 0.8), straight[:, 0], rtol=1e-12)


def test_mmposes_one_euro_is_its_formula():
    def formula(line, steps):
        filtered, slope, out = line[0], 0.0, [line[0]]
        for value in line[1:]:
            images = 1.0  # the time step, in images
            r = 2 * math.pi * RATE_HZ * images / RATE_HZ
            slope = r / (r + 1) * (value - filtered) / images + (1 - r / (r + 1)) * slope
            r = 2 * math.pi * (1.7 + 0.3 * abs(slope)) * images / RATE_HZ
            filtered = r / (r + 1) * value + (1 - r / (r + 1)) * filtered
            out.append(filtered)
        return out

    x, _ = values()
    steps = np.full(len(x), 1 / RATE_HZ)
    found = run(lambda: MmposeOneEuro(RATE_HZ), x, steps, 1.0)
    np.testing.assert_allclose(found, each_number(formula, x, steps), rtol=1e-12)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_moving_average_takes_its_share_of_each_new_value(share):
    def formula(line, steps):
        out = [line[0]]
        for value in line[1:]:
            out.append(share * value + (1 - share) * out[-1])
        return out

    x, _ = values()
    steps = np.full(len(x), 1 / RATE_HZ)
    found = run(lambda: MovingAverage(share, RATE_HZ), x, steps, 1.0)
    np.testing.assert_allclose(found, each_number(formula, x, steps), rtol=1e-9)
