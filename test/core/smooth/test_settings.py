"""Settings of smoothing: what is refused, and the presets."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings, preset


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_cutoff_hz": 0}, "min_cutoff_hz: expected a positive number, got 0"),
        ({"min_cutoff_hz": math.nan}, "min_cutoff_hz"),
        ({"min_cutoff_hz": "1"}, "min_cutoff_hz: expected a positive number, got '1'"),
        ({"beta": -1.0}, "beta: expected a number of at least 0, got -1.0"),
        ({"beta": math.inf}, "beta"),
        ({"beta": True}, "beta"),
        ({"hold_s": math.nan}, "hold_s: expected a number of at least 0"),
        ({"gate": 1}, "gate: expected true or false, got 1"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        SmoothingSettings(**wrong)


def test_the_default_is_the_preset_balanced():
    assert SmoothingSettings() == PRESETS["balanced"] == preset("balanced")


def test_only_the_preset_none_does_nothing():
    assert [name for name, settings in PRESETS.items() if settings.does_nothing] == ["none"]
    none = PRESETS["none"]
    for more in ({"gate": True}, {"hold_s": 0.1}, {"min_cutoff_hz": 100.0}):
        assert not replace(none, **more).does_nothing


def test_presets_go_from_the_least_smooth_to_the_smoothest_and_differ_in_the_filter_alone():
    names = ("responsive", "balanced", "steady")
    assert tuple(PRESETS) == ("none", *names)
    for number in ("min_cutoff_hz", "beta"):
        values = [getattr(PRESETS[name], number) for name in names]
        assert values == sorted(values, reverse=True)
    same = {"min_cutoff_hz": 1.0, "beta": 1.0}
    for name in names:
        assert replace(PRESETS[name], **same) == replace(PRESETS["balanced"], **same)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'soft'; known are none, responsive, balanced, steady"):
        preset("soft")
