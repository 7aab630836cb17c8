"""Tracks from image to image: ids, states, motion, and what is lost and found again."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vitpose_ros.track.tracks import LOOK_S, LOST_S, Reading, Tracks
from vitpose_ros.types import Region, TrackState

STEP_NS = 33_000_000


def reading(x=0.0, y=50.0):
    """Something with three joints, 20 px large."""
    uv = np.array([(x, y), (x + 10, y), (x, y + 10)], np.float32)
    return Reading(uv, np.ones(3, bool), 20.0, Region(x, y, 40.0, 40.0))


class Line:
    """Tracks of things that a test puts at places x, each image 33 ms after the one before."""

    def __init__(self, ids=None):
        self.tracks = Tracks(itertools.count() if ids is None else ids)
        self.stamp_ns = 10**18

    def see(self, places, after_ns=STEP_NS):
        """Take over {id of the track that goes on, or anything else for a new one: x}."""
        self.stamp_ns += after_ns
        rows = {track.track_id: row for row, track in enumerate(self.tracks.all)}
        pairs = [(rows[i], n) for n, i in enumerate(places) if i in rows]
        readings = [reading(x) for x in places.values()]
        return self.tracks.update(readings, pairs, self.stamp_ns)

    def ids(self, places):
        return [track.track_id for track in self.see(places)[0]]

    def regions(self, after_ns=STEP_NS, most=10):
        return self.tracks.regions(self.stamp_ns + after_ns, most)


# --- ids ---------------------------------------------------------------------------------------


def test_an_id_is_never_given_again():
    line = Line()
    given = []
    for image in range(20):  # every second image is empty: each thing is another one
        given += line.ids({"a": 0, "b": 100} if image % 2 else {})
    line.tracks.clear()
    given += line.ids({"a": 0})
    assert given == list(range(21))


def test_kinds_that_share_their_ids_never_have_one_in_common():
    shared = itertools.count()
    bodies, hands = Line(shared), Line(shared)
    given = bodies.ids({"a": 0}) + hands.ids({"a": 0, "b": 100})
    assert bodies.ids({0: 0}) + hands.ids({1: 0, 2: 100}) == given
    assert hands.ids({1: 0, "c": 50}) == [1, 3]


def test_what_is_paired_with_a_track_goes_on_with_it_and_the_others_are_new():
    line = Line(itertools.count(7))
    line.see({"a": 0, "b": 100})
    now, missed = line.see({"c": 130, 8: 100})
    assert [track.track_id for track in now] == [9, 8]
    assert [(track.track_id, track.region.cx) for track in missed] == [(7, 0.0)]
    assert [region.track_id for region in line.regions()] == [8, 9], "the oldest first"


# --- states ------------------------------------------------------------------------------------


def test_what_was_seen_three_times_is_confirmed_and_its_age_is_that_of_the_stamps():
    line = Line()
    identities = [line.see({"a": 0})[0][0].identity(line.stamp_ns)]
    identities += [line.see({0: 0})[0][0].identity(line.stamp_ns) for _ in range(4)]
    states = [identity["track_state"] for identity in identities]
    assert states == [TrackState.TENTATIVE] * 2 + [TrackState.CONFIRMED] * 3
    ages = [identity["track_age_s"] for identity in identities]
    assert ages == pytest.approx([0, 0.033, 0.066, 0.099, 0.132], abs=1e-6)


def test_a_tentative_track_that_is_missed_ends_and_a_confirmed_one_is_lost():
    line = Line()
    line.see({"a": 0})
    line.see({0: 0})
    line.see({0: 0, "b": 100})
    _, missed = line.see({})
    assert [track.track_id for track in missed] == [0, 1]
    assert [(track.track_id, track.state) for track in line.tracks.all] == [(0, TrackState.LOST)]
    assert line.tracks.live == []
    assert line.see({})[1] == [], "missed once"


def confirmed(x=0.0, speed=0.0):
    """A line with track 0, seen in four images, with so many px between them."""
    line = Line()
    for image in range(4):
        line.see({0 if image else "a": x + speed * image})
    return line


@pytest.mark.parametrize(("gone_s", "found"), [(0.1, True), (LOST_S, True), (LOST_S + 0.1, False)])
def test_a_lost_track_is_found_again_with_its_id_until_its_time_is_over(gone_s, found):
    line = confirmed()
    line.see({})
    line.see({}, round(gone_s * 1e9) - STEP_NS)
    assert line.ids({0: 5}) == [0 if found else 1]
    assert line.tracks.all[0].state is (TrackState.CONFIRMED if found else TrackState.TENTATIVE)


def test_the_first_image_of_a_new_thing_after_a_loss_is_not_the_lost_one():
    line = confirmed()
    line.see({})
    assert line.ids({"b": 5}) == [1]
    assert [track.track_id for track in line.tracks.latest_lost] == [0]


# --- where it is next --------------------------------------------------------------------------


def test_a_region_moves_on_with_its_track():
    line = confirmed(speed=5.0)
    (region,) = line.regions()
    assert region.cx == pytest.approx(15 + 5, abs=2)
    (still,) = confirmed().regions()
    assert still.cx == pytest.approx(0.0)


def test_the_motion_of_a_lost_track_dies_away():
    line = confirmed(speed=5.0)
    line.see({})
    track = line.tracks.latest_lost[0]
    moved = [track.moved_px(track.seen_ns + round(dt * 1e9))[0] for dt in (0.05, 0.2, 0.4, 5.0)]
    assert all(a < b for a, b in itertools.pairwise(moved))
    assert moved[-1] < 5 * 5, "less than five images' way, however long it is gone"
    assert moved[0] == pytest.approx(track.velocity[0] * 0.15 * (1 - math.exp(-0.05 / 0.15)))


def test_a_track_that_was_just_lost_is_looked_for_after_those_that_are_seen():
    line = confirmed()
    line.see({"b": 100})
    assert [region.track_id for region in line.regions()] == [1, 0]
    assert [region.track_id for region in line.regions(most=1)] == [1]
    assert [region.track_id for region in line.regions(round(LOOK_S * 1e9))] == [1]


def test_steps_of_time_may_differ():
    line = Line()
    line.see({"a": 0.0})
    x = 0.0
    for ms in (33, 66, 20, 33, 100, 33):
        x += 0.15 * ms
        line.see({0: x}, ms * 1_000_000)
    assert line.tracks.all[0].velocity == pytest.approx([150, 0], rel=0.05)


def test_joints_that_are_unknown_tell_no_motion():
    tracks = Tracks(itertools.count())
    for image in range(4):
        known = reading(10.0 * image)
        uv = known.uv.copy()
        uv[0] = np.nan if image % 2 else (1e5 * image, 0)
        sure = np.array([False, True, True])
        one = Reading(uv, sure, known.size, known.region)
        tracks.update([one], [(0, 0)] if image else [], image * STEP_NS)
    assert tracks.all[0].velocity == pytest.approx([10 / 0.033, 0], rel=0.3)
