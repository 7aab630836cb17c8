from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.bench.forecast import HORIZONS_S, forecasts, rendered_scenes


def of(recording):
    return forecasts(rendered_scenes(recording))


@pytest.fixture
def table(make_recording):
    return {f.name: np.array(f.error_palm) for f in of(make_recording(noise_px=0.0))}


def test_without_noise_holding_is_wrong_by_the_distance_covered(table):
    # 60 px swings at 0.6 and 0.35 Hz: a palm is about 84 px.
    hold = table["hold the raw pose"]
    assert hold[0] == pytest.approx(0.084, rel=0.1)
    np.testing.assert_allclose(hold / hold[0], np.array(HORIZONS_S) / HORIZONS_S[0], rtol=0.03)


def test_without_noise_a_constant_velocity_is_nearly_right(table):
    straight = table["raw, constant velocity of the last two"]
    assert (straight < 0.25 * table["hold the raw pose"]).all()


def test_with_noise_a_constant_velocity_is_worse_than_holding(make_recording):
    found = {f.name: f.error_palm[0] for f in of(make_recording(noise_px=10.0))}
    assert found["raw, constant velocity of the last two"] > found["hold the raw pose"]


def test_the_packages_prediction_is_better_than_holding_the_smoothed_pose(table):
    (offered,) = [name for name in table if "prediction_horizon" in name]
    assert np.isfinite(table[offered]).all()
    assert (table[offered] < table["hold the pose of 'balanced'"]).all()
