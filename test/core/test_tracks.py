"""Ids from image to image, and the times at which tracking starts anew."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vitpose_ros.tracks import MAX_GAP_S, FrameClock, Tracks, Work
from vitpose_ros.types import NO_ID, Frame, Region, TrackState

STEP_NS = 33_000_000


def region(x=0.0, track_id=NO_ID):
    return Region(x, 50.0, 20.0, 20.0, track_id=track_id)


def ids(identities):
    return [identity["track_id"] for identity in identities]


# --- tracks ------------------------------------------------------------------------------------


def test_an_id_is_never_given_again():
    tracks = Tracks(itertools.count())
    given = []
    for image in range(20):  # every second image is empty: each hand is another one
        found = [region(), region(100)] if image % 2 else []
        given += ids(tracks.update(found, image * STEP_NS)[0])
    tracks.clear()
    given += ids(tracks.update([region()], 20 * STEP_NS)[0])
    assert given == list(range(21))


def test_kinds_that_share_their_ids_never_have_one_in_common():
    shared = itertools.count()
    bodies, hands = Tracks(shared), Tracks(shared)
    of_bodies = ids(bodies.update([region()], 0)[0])
    of_hands = ids(hands.update([region(), region(100)], 0)[0])
    of_bodies += ids(bodies.update([region()], STEP_NS)[0])
    of_hands += ids(hands.update([region()], STEP_NS)[0])
    assert len({*of_bodies, *of_hands}) == 5


def test_a_region_with_a_tracks_id_goes_on_with_it_and_others_are_new():
    tracks = Tracks(itertools.count(7))
    tracks.update([region(0), region(100)], 0)
    first, second = tracks.regions
    identities, ended = tracks.update([region(130), second, region(5, track_id=99)], STEP_NS)
    assert ids(identities) == [9, 8, 10]  # 99 is no track's id
    assert ended == [first]


def test_two_regions_with_one_id_are_two_objects():
    tracks = Tracks(itertools.count())
    tracks.update([region()], 0)
    again = tracks.regions[0]
    assert ids(tracks.update([again, again], STEP_NS)[0]) == [0, 1]


def test_regions_are_handed_back_with_their_ids_where_they_were_put():
    tracks = Tracks(itertools.count())
    tracks.update([region(0), region(100)], 0)
    assert [(r.cx, r.track_id) for r in tracks.regions] == [(0, 0), (100, 1)]
    tracks.update([region(108, track_id=1)], STEP_NS)
    assert [(r.cx, r.track_id) for r in tracks.regions] == [(108, 1)]


def test_what_was_seen_three_times_in_a_row_is_confirmed_and_its_age_is_that_of_the_stamps():
    tracks = Tracks(itertools.count())
    found = [region()]
    states, ages = [], []
    for image in range(5):
        (identity,), _ = tracks.update(found, 10**18 + image * STEP_NS)
        found = tracks.regions
        states.append(identity["track_state"])
        ages.append(identity["track_age_s"])
    assert states == [TrackState.TENTATIVE] * 2 + [TrackState.CONFIRMED] * 3
    assert ages == pytest.approx([0, 0.033, 0.066, 0.099, 0.132])


@pytest.mark.parametrize(("most", "stay"), [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 1, 2])])
def test_keep_lets_go_of_those_followed_shortest(most, stay):
    tracks = Tracks(itertools.count())
    found = []
    for image in range(3):  # one more in each image
        tracks.update([*found, region(100 * image)], image * STEP_NS)
        found = tracks.regions
    tracks.keep(most)
    assert [r.track_id for r in tracks.regions] == stay


# --- the clock ---------------------------------------------------------------------------------


def frame(stamp_ns, width=64, height=48):
    return Frame(np.zeros((height, width, 3), np.uint8), stamp_ns)


GAP_NS = int(MAX_GAP_S * 1e9)


@pytest.mark.parametrize(
    ("second", "reset"),
    [
        (frame(10**18 + 1), False),
        (frame(10**18 + GAP_NS), False),
        (frame(10**18 + GAP_NS + 1_000_000), True),
        (frame(10**18), True),
        (frame(10**18 - 1), True),
        (frame(10**18 + STEP_NS, width=65), True),
        (frame(10**18 + STEP_NS, height=47), True),
    ],
    ids=["1 ns", "longest gap", "longer", "same stamp", "back", "wider", "lower"],
)
def test_tracking_starts_anew_where_images_do_not_follow_each_other(second, reset):
    clock = FrameClock()
    assert not clock.start(frame(10**18))
    assert clock.start(second) is reset
    after = frame(second.stamp_ns + STEP_NS, second.width, second.height)
    assert not clock.start(after), "said once"


def test_an_asked_reset_is_said_once_and_not_before_the_first_image():
    clock = FrameClock()
    clock.ask_reset()
    assert not clock.start(frame(STEP_NS)), "nothing had been before"
    clock.ask_reset()
    clock.ask_reset()
    assert clock.start(frame(2 * STEP_NS))
    assert not clock.start(frame(3 * STEP_NS))


# --- work --------------------------------------------------------------------------------------


def test_work_names_each_model_once_in_the_order_of_first_use_and_adds_up_the_time():
    work = Work()
    for stage, model in [("detect", "a"), ("keypoints", "b"), ("keypoints", "b"), ("detect", "c")]:
        before = work.stage_s[stage]
        with work.stage(stage, model):
            sum(range(1000))
        assert work.stage_s[stage] > before
    assert work.models == ["a", "b", "c"]
