"""Regions that do not tremble, and do not lag."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.geometry import wrap_angle
from vitpose_ros.track.regions import SteadyRegions
from vitpose_ros.types import Region

STEP_NS = 33_000_000


def follow(regions, size=100.0):
    """The steadied regions of one track, an image every 33 ms."""
    steady = SteadyRegions()
    return [steady(10**18 + i * STEP_NS, [4], [r], [size])[0] for i, r in enumerate(regions)]


def test_the_first_region_and_one_that_stays_are_left_as_they_are():
    given = Region(300, 200, 150, 100, 0.7, score=0.6)
    for region in follow([given] * 5):
        assert region.track_id == 4
        assert region.score == 0.6
        assert (region.cx, region.cy, region.width, region.height, region.rotation_rad) == (
            pytest.approx((300, 200, 150, 100, 0.7))
        )


def test_a_trembling_region_is_steadied_in_place_size_and_turn():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (200, 4)) * (1, 1, 2, 0.02)
    given = [Region(300 + x, 200 + y, 150 + w, 150 + w, 0.5 + t) for x, y, w, t in noise]
    steady = follow(given)
    for name in ("cx", "cy", "width", "rotation_rad"):
        before, after = ([getattr(r, name) for r in rs] for rs in (given, steady))
        assert np.std(np.diff(after)) < 0.6 * np.std(np.diff(before)), name


def test_a_fast_region_is_hardly_late():
    given = [Region(100 + 20 * i, 200, 150, 150, 0.0) for i in range(30)]  # 6 sizes a second
    assert given[-1].cx - follow(given)[-1].cx < 10


def test_a_turn_through_half_a_circle_goes_the_short_way():
    given = [Region(300, 200, 150, 150, wrap_angle(3.0 + 0.02 * i)) for i in range(30)]
    for before, after in zip(given, follow(given), strict=True):
        assert abs(wrap_angle(before.rotation_rad - after.rotation_rad)) < 0.1
        assert after.width == pytest.approx(150, rel=0.01)


def test_a_region_turned_round_at_once_is_a_region():
    given = [Region(300, 200, 150, 150, angle) for angle in (0.0, math.pi) * 3]
    assert all(region.width > 0 for region in follow(given))


def test_each_track_has_its_own_past_though_others_come_and_go():
    steady = SteadyRegions()
    alone = follow([Region(100 + 5 * i, 100, 80, 80) for i in range(10)])
    for i in range(10):
        ids, regions = [1], [Region(100 + 5 * i, 100, 80, 80)]
        if i % 3:
            ids.insert(0, 20 + i)
            regions.insert(0, Region(500, 300, 90, 90))
        found = steady(10**18 + i * STEP_NS, ids, regions, [100.0] * len(regions))
        assert [region.track_id for region in found] == ids
        assert found[-1].cx == pytest.approx(alone[i].cx)
    assert steady(2 * 10**18, [], [], []) == []
