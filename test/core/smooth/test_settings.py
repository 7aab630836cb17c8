"""Settings of smoothing: what is refused, and the presets."""

from __future__ import annotations

import math

import pytest

from vitpose_ros.smooth.carried import CarriedOneEuro
from vitpose_ros.smooth.filters import Ema, Kalman, NoFilter
from vitpose_ros.smooth.settings import FILTERS, PRESETS, SmoothingSettings, preset


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"filter": "median"}, "one_euro, ema, kalman, none, got 'median'"),
        ({"min_cutoff_hz": 0}, "min_cutoff_hz: expected a positive number, got 0"),
        ({"follow": -1.0}, "follow: expected a number of at least 0"),
        ({"time_constant_s": math.inf}, "time_constant_s"),
        ({"noise": True}, "noise"),
        ({"hold_s": math.nan}, "hold_s"),
        ({"gate": 1}, "gate: expected true or false"),
        ({"predict_s": 0.3, "hold_s": 0.2}, "hold_s: .* at least predict_s"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        SmoothingSettings(**wrong)


def test_each_filter_is_made_by_its_name():
    for axes in (2, 3):
        kinds = [type(SmoothingSettings(filter=name).make_filter(axes)) for name in FILTERS]
        assert kinds == [CarriedOneEuro, Ema, Kalman, NoFilter]


def test_the_default_is_the_preset_balanced():
    assert SmoothingSettings() == PRESETS["balanced"] == preset("balanced")


def test_only_the_preset_none_does_nothing():
    assert [name for name, settings in PRESETS.items() if settings.does_nothing] == ["none"]


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'soft'; known are none, responsive, balanced, steady"):
        preset("soft")
