"""Which reading is of which track: what a hand and a body can do in the time."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.assignment import assign
from vitpose_ros.layouts import COCO17
from vitpose_ros.track.assign import (
    HAND_FARTHEST,
    body_costs,
    hand_costs,
)
from vitpose_ros.track.tracks import Reading, Track
from vitpose_ros.types import Region, TrackState

STEP_NS = 33_000_000
PALM_PX = 50.0


def thing(x, y, size, joints):
    uv = (np.asarray(joints) * size + (x, y)).astype(np.float32)
    return Reading(uv, np.isfinite(uv[:, 0]), size, Region(x, y, 2 * size, 2 * size))


def hand(x, y=200.0, size=PALM_PX):
    fingers, steps = np.divmod(np.arange(20), 4)
    joints = np.stack([(fingers - 2) * 0.3, -0.6 - 0.2 * steps], axis=1)
    return thing(x, y, size, np.concatenate([[(0, 0)], joints]))


def body(x, y=200.0, size=200.0, missing=()):
    rng = np.random.default_rng(1)
    joints = rng.uniform(-0.5, 0.5, (17, 2))
    joints[list(missing)] = np.nan
    return thing(x, y, size, joints)


def track(reading, velocity=(0, 0), seen_ns=0, lost=False):
    state = TrackState.LOST if lost else TrackState.CONFIRMED
    velocity = np.array(velocity, float)
    return Track(0, reading, reading.region, velocity, 0, seen_ns, 5, state)


def costs_of_hands(tracks, readings, stamp_ns=STEP_NS, tracks_odds=None, readings_odds=None):
    return hand_costs(
        tracks,
        readings,
        stamp_ns,
        tracks_odds or [0.0] * len(tracks),
        readings_odds or [0.0] * len(readings),
    )


def costs_of_bodies(tracks, readings, stamp_ns=STEP_NS):
    return body_costs(tracks, readings, stamp_ns, COCO17.sigmas)


# --- the assignment ----------------------------------------------------------------------------


def test_the_sum_of_costs_decides_and_not_who_comes_first():
    assert assign(np.array([[1.0, 0.9], [5.0, 1.0]])) == [(0, 0), (1, 1)]


def test_what_is_impossible_is_not_paired_and_keeps_nobody_else_from_it():
    costs = np.array([[np.inf, np.inf], [np.inf, 0.3], [0.5, 0.1]])
    assert assign(costs) == [(1, 1), (2, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nothing_gives_no_pairs(shape):
    assert assign(np.zeros(shape)) == []
    assert costs_of_hands([track(hand(0))] * shape[0], [hand(0)] * shape[1]).shape == shape
    assert costs_of_bodies([track(body(0))] * shape[0], [body(0)] * shape[1]).shape == shape


# --- hands -------------------------------------------------------------------------------------


def test_hands_that_pass_each_other_go_on_as_they_moved():
    # Each lies where the other was; their motion says which is which.
    left, right = track(hand(290), velocity=(900, 0)), track(hand(310), velocity=(-900, 0))
    costs = costs_of_hands([left, right], [hand(290), hand(310)])
    assert assign(costs) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("palms", "after_ms", "possible"),
    [(1.5, 33, True), (2.5, 33, False), (2.5, 100, True), (HAND_FARTHEST + 0.2, 900, False)],
)
def test_a_hand_gets_so_far_in_the_time(palms, after_ms, possible):
    costs = costs_of_hands([track(hand(200))], [hand(200 + palms * PALM_PX)], after_ms * 1_000_000)
    assert np.isfinite(costs[0, 0]) == possible


def test_the_side_decides_where_places_do_not():
    tracks, readings = [track(hand(300))] * 2, [hand(300), hand(302)]
    odds = {"tracks_odds": [6.0, -6.0], "readings_odds": [-2.0, 2.0]}
    assert assign(costs_of_hands(tracks, readings, **odds)) == [(0, 1), (1, 0)]


def test_a_place_says_more_than_a_side_of_one_image():
    tracks, readings = [track(hand(200)), track(hand(400))], [hand(205), hand(395)]
    odds = {"tracks_odds": [6.0, -6.0], "readings_odds": [-3.0, 3.0]}
    assert assign(costs_of_hands(tracks, readings, **odds)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(("looks", "found"), [(3.0, True), (0.0, True), (-3.0, False)])
def test_a_lost_hand_is_not_found_in_one_of_the_other_side(looks, found):
    lost = track(hand(200), lost=True)
    costs = costs_of_hands([lost], [hand(210)], 5 * STEP_NS, [6.0], [looks])
    assert np.isfinite(costs[0, 0]) == found


def test_a_hand_that_is_seen_all_the_time_comes_before_a_lost_one():
    seen, lost = track(hand(215), seen_ns=4 * STEP_NS), track(hand(200), lost=True)
    assert assign(costs_of_hands([lost, seen], [hand(205)], 5 * STEP_NS)) == [(1, 0)]


def test_a_hand_without_known_palm_is_nobody():
    unknown = hand(200)
    unknown.uv[[0, 5, 9, 13, 17]] = np.nan
    assert not np.isfinite(costs_of_hands([track(hand(200))], [unknown])).any()


# --- bodies ------------------------------------------------------------------------------------


def test_persons_who_pass_each_other_go_on_as_they_moved():
    a, b = track(body(290), velocity=(600, 0)), track(body(310), velocity=(-600, 0))
    assert assign(costs_of_bodies([a, b], [body(290), body(310)])) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("sizes", "after_ms", "possible"), [(0.05, 33, True), (1.0, 33, False), (0.3, 500, True)]
)
def test_a_person_gets_so_far_in_the_time(sizes, after_ms, possible):
    costs = costs_of_bodies([track(body(200))], [body(200 + sizes * 200)], after_ms * 1_000_000)
    assert np.isfinite(costs[0, 0]) == possible


def test_the_same_place_costs_nothing_and_a_lost_body_a_little():
    costs = costs_of_bodies([track(body(200)), track(body(200), lost=True)], [body(200)])
    assert costs[0, 0] == pytest.approx(0.0)
    assert 0 < costs[1, 0] < 0.5


def test_only_joints_that_both_know_are_compared():
    without = body(200, missing=range(8))
    assert costs_of_bodies([track(body(200))], [without])[0, 0] == pytest.approx(0.0)


def test_with_few_joints_in_common_the_boxes_have_a_say():
    upper, lower = body(200, missing=range(8)), body(200, missing=range(9, 17))  # one in common
    far = body(900, missing=range(9, 17))
    costs = costs_of_bodies([track(upper)], [lower, far])
    assert costs[0, 0] < 0.2
    assert not np.isfinite(costs[0, 1])
    none = body(205, missing=range(17))
    none.uv[:] = np.nan
    assert costs_of_bodies([track(upper)], [none])[0, 0] < 0.2, "the boxes alone"
