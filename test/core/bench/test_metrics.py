from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.bench.metrics import (
    Curve,
    acceleration,
    acceleration_ratio,
    error_percentile,
    error_ratio,
    jitter,
    lag_s,
    mean_error,
)

TIME_S = np.arange(240) / 30.0
SIZE = 80.0


def motion(time_s):
    """(T, 3, 2) px: three joints that swing, none like the other."""
    rates = np.array(((0.4, 0.9), (0.7, 0.3), (0.5, 0.6)))
    return 300.0 + 60.0 * np.sin(2 * np.pi * rates * np.asarray(time_s)[:, None, None] + rates)


def curve(raw=None, true=None):
    true = motion(TIME_S) if true is None else true
    return Curve(TIME_S, true, true if raw is None else raw, np.full(len(TIME_S), SIZE))


@pytest.mark.parametrize("delay_ms", [-40.0, 0.0, 7.3, 20.0, 33.3, 133.0])
def test_a_known_delay_is_that_lag_to_a_millisecond(delay_ms):
    late = motion(TIME_S - 1e-3 * delay_ms)
    assert 1e3 * lag_s([curve()], [late]) == pytest.approx(delay_ms, abs=1.0)


def test_the_lag_of_an_exponential_average_is_its_time_constant():
    # tau (1 - alpha) / alpha with alpha per image: what a motion slow against it is late by.
    share, true = 0.5, motion(TIME_S / 3)
    filtered = true.copy()
    for t in range(1, len(true)):
        filtered[t] = filtered[t - 1] + share * (true[t] - filtered[t - 1])
    assert 1e3 * lag_s([curve(true=true)], [filtered]) == pytest.approx(1e3 / 30, abs=1.0)


def test_a_joint_beside_its_place_is_not_late():
    beside = motion(TIME_S - 0.02) + np.array((5.0, -30.0))
    assert lag_s([curve()], [beside]) == pytest.approx(0.02, abs=1e-3)


def test_noise_and_missing_joints_do_not_move_the_lag():
    rng = np.random.default_rng(0)
    late = motion(TIME_S - 0.05) + rng.normal(0, 1.0, (len(TIME_S), 3, 2))
    late[rng.random((len(TIME_S), 3)) < 0.3] = np.nan
    assert lag_s([curve()], [late]) == pytest.approx(0.05, abs=2e-3)


def test_the_lag_is_that_of_all_curves_together():
    lags = lag_s([curve(), curve()], [motion(TIME_S - 0.02), motion(TIME_S - 0.04)])
    assert lags == pytest.approx(0.03, abs=1e-3)


def test_a_curve_too_short_for_a_lag_is_refused():
    short = Curve(TIME_S[:5], motion(TIME_S[:5]), motion(TIME_S[:5]), np.full(5, SIZE))
    with pytest.raises(ValueError, match=r"longer than 0\.4 s"):
        lag_s([short], [short.raw])


def test_acceleration_is_the_second_difference():
    line = np.zeros((5, 1, 2))
    line[:, 0, 0] = (0, 1, 2, 5, 6)
    np.testing.assert_allclose(acceleration(line)[:, 0], (0, 2, 2))


def test_a_missing_value_voids_the_three_entries_that_it_is_in():
    line = motion(TIME_S[:9])
    line[4, 1] = np.nan
    void = np.isnan(acceleration(line))
    assert void[:, 1].tolist() == [False, False, True, True, True, False, False]
    assert not void[:, [0, 2]].any()


@pytest.mark.parametrize("share", [0.1, 0.35, 1.0])
def test_a_known_share_of_the_noise_is_that_ratio(share):
    noise = np.random.default_rng(0).normal(0, 2.0, (len(TIME_S), 3, 2))
    still = np.full_like(noise, 300.0)
    noisy = curve(raw=still + noise, true=still)
    assert acceleration_ratio([noisy], [still + share * noise]) == pytest.approx(share)
    assert error_ratio([noisy], [still + share * noise]) == pytest.approx(share)
    own = jitter([noisy], [noisy.raw])
    assert jitter([noisy], [still + share * noise]) == pytest.approx(share * own)


def test_ratios_count_only_what_both_curves_have():
    rng = np.random.default_rng(0)
    still = np.full((len(TIME_S), 3, 2), 300.0)
    noise = rng.normal(0, 2.0, still.shape)
    noise[:, 0] *= 10  # a joint that the filtered curve lacks half of the time
    filtered = still + 0.5 * noise
    filtered[::2, 0] = np.nan
    noisy = curve(raw=still + noise, true=still)
    assert acceleration_ratio([noisy], [filtered]) == pytest.approx(0.5)
    assert error_ratio([noisy], [filtered]) == pytest.approx(0.5)


def test_sizes_are_measured_in_the_objects_own():
    true = motion(TIME_S)
    far = Curve(TIME_S, true, true + np.array((3.0, 4.0)), np.full(len(TIME_S), 50.0))
    assert mean_error([far], [far.raw]) == pytest.approx(0.1)
    assert error_percentile([far], [far.raw], 95) == pytest.approx(0.1)


def test_near_and_far_objects_count_alike():
    near = Curve(TIME_S, 10 * motion(TIME_S), 10 * motion(TIME_S), 10 * curve().scale)
    late = [10 * motion(TIME_S - 0.04), motion(TIME_S - 0.02)]
    assert lag_s([near, curve()], late) == pytest.approx(0.03, abs=1e-3)

    noise = np.random.default_rng(0).normal(0, 1.0, (len(TIME_S), 3, 2))
    still = np.full_like(noise, 300.0)
    far = curve(raw=still + noise, true=still)
    near = Curve(TIME_S, still, still + 10 * noise, 10 * far.scale)
    steady = [still + noise, far.raw]  # a tenth of the near one's noise, all of the far one's
    assert error_ratio([near, far], steady) == pytest.approx(0.55)
    assert acceleration_ratio([near, far], steady) == pytest.approx(0.55)
    assert jitter([near], [near.raw]) == pytest.approx(jitter([far], [far.raw]))


def test_jitter_is_the_noise_of_what_stands_still():
    still = np.full((2000, 3, 2), 300.0)
    noise = np.random.default_rng(0).normal(0, 1.0, still.shape)
    times = np.arange(2000) / 30.0
    trembling = Curve(times, still, still + noise, np.full(2000, SIZE))
    # Less the mean of 11, white noise keeps 10/11 of its variance, in each of two axes.
    expected = np.sqrt(2 * 10 / 11) / SIZE
    assert jitter([trembling], [trembling.raw]) == pytest.approx(expected, rel=0.02)


def test_without_any_known_joint_there_is_no_figure():
    empty = curve(raw=np.full((len(TIME_S), 3, 2), np.nan))
    assert np.isnan(acceleration_ratio([empty], [empty.raw]))
    assert np.isnan(error_ratio([empty], [empty.raw]))
    assert np.isnan(jitter([], []))
