from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.bench.forecast import HORIZONS_S, forecasts


@pytest.fixture
def table(make_recording):
    return {f.name: np.array(f.error_palm) for f in forecasts(make_recording(noise_px=0.0))}


def test_without_noise_holding_is_wrong_by_the_way_that_is_gone(table):
    # 60 px swings at 0.6 and 0.35 Hz: a palm is about 84 px.
    hold = table["hold the raw pose"]
    assert hold[0] == pytest.approx(0.084, rel=0.1)
    np.testing.assert_allclose(hold / hold[0], np.array(HORIZONS_S) / HORIZONS_S[0], rtol=0.03)


def test_without_noise_a_constant_velocity_is_nearly_right(table):
    straight = table["raw, constant velocity of the last two"]
    assert (straight < 0.25 * table["hold the raw pose"]).all()


def test_noise_turns_it_round(make_recording):
    found = {f.name: f.error_palm[0] for f in forecasts(make_recording(noise_px=10.0))}
    assert found["raw, constant velocity of the last two"] > found["hold the raw pose"]


def test_what_is_offered_is_in_the_table(table):
    (offered,) = [name for name in table if "offered" in name]
    assert np.isfinite(table[offered]).all()
    assert (table[offered] < table["hold the pose of 'balanced'"]).all()
