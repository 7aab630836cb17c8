"""Images of several cameras by their stamps: exact, near, late, silent."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.ingest.pairing import Pairing

STEP = 33_333_333
T0 = 1_700_000_000_000_000_000


def play(events, others=1):
    """The pairs of a sequence of (camera, stamp), camera 0 being the reference, and after which
    event each was ready.
    """
    pairing, out = Pairing(others), []
    for n, (camera, stamp) in enumerate(events):
        ready = (
            pairing.reference(stamp, stamp)
            if camera == 0
            else pairing.other(camera - 1, stamp, stamp)
        )
        out += [(n, one) for one in ready]
    return out


@pytest.mark.parametrize("first", [0, 1])
def test_equal_stamps_are_paired_whichever_comes_first(first):
    events = [(c, T0 + i * STEP) for i in range(5) for c in (first, 1 - first)]
    out = play(events)
    known = 1 - first  # a camera that has not sent anything yet is not waited for
    assert [(one.reference, one.others[0]) for _, one in out[known:]] == [
        (T0 + i * STEP, T0 + i * STEP) for i in range(known, 5)
    ]


def test_an_image_leaves_with_the_last_camera_and_not_later():
    out = play([(c, T0 + i * STEP) for i in range(4) for c in (1, 0, 2)], others=2)
    assert [n for n, _ in out] == [1, 5, 8, 11]  # camera 2 is known from its first image on
    assert [one.others for _, one in out[1:]] == [
        (T0 + i * STEP, T0 + i * STEP) for i in range(1, 4)
    ]


@pytest.mark.parametrize("offset_ns", [0, 4_000_000, -4_000_000, 16_000_000, -16_000_000])
def test_the_nearest_image_within_half_a_period_is_taken(offset_ns):
    events = sorted(
        [(T0 + i * STEP, 0) for i in range(10)]
        + [(T0 + i * STEP + offset_ns, 1) for i in range(10)]
    )
    out = play([(camera, stamp) for stamp, camera in events])
    inner = [one for _, one in out][2:-2]
    assert all(one.apart_ns == (offset_ns,) for one in inner)


def test_an_image_farther_than_half_a_period_is_not_taken():
    events = [(0, T0), (1, T0), (0, T0 + STEP), (1, T0 + STEP + STEP * 6 // 10)]
    out = play([*events, (0, T0 + 2 * STEP)])
    assert out[1][1].others == (None,)


def test_a_late_camera_delays_an_image_no_longer_than_the_next_one():
    events = [(0, T0), (1, T0), (0, T0 + STEP), (0, T0 + 2 * STEP), (1, T0 + 2 * STEP)]
    out = play(events)
    assert [(n, one.reference, one.others) for n, one in out[1:]] == [
        (3, T0 + STEP, (None,)),
        (4, T0 + 2 * STEP, (T0 + 2 * STEP,)),
    ]


def test_a_silent_camera_is_waited_for_twice_at_most_and_comes_back():
    events = [(1, T0), (0, T0)]
    events += [(0, T0 + i * STEP) for i in range(1, 10)]
    events += [(1, T0 + 9 * STEP), (0, T0 + 10 * STEP), (1, T0 + 10 * STEP)]
    out = play(events)
    at = {one.reference: (n, one.others) for n, one in out}
    for i in range(3, 10):
        assert at[T0 + i * STEP] == (i + 1, (None,))  # at once
    assert at[T0 + 10 * STEP][1] == (T0 + 10 * STEP,)


def test_every_reference_image_leaves_once_and_in_order_whatever_comes():
    rng = np.random.default_rng(0)
    events = []
    for camera in range(3):
        stamps = T0 + np.arange(200) * STEP + rng.integers(-8_000_000, 8_000_000, 200)
        kept = rng.random(200) < (1.0 if camera == 0 else 0.7)
        late = rng.integers(0, 60_000_000, 200)
        arrival = np.maximum.accumulate(stamps + late)
        events += [(a, camera, int(s)) for a, s, k in zip(arrival, stamps, kept, strict=True) if k]
    out = play([(camera, stamp) for _, camera, stamp in sorted(events)], others=2)
    references = [one.reference for _, one in out]
    assert references == sorted(references) and len(set(references)) >= 199
    for number in range(2):
        used = [one.others[number] for _, one in out if one.others[number] is not None]
        assert len(set(used)) == len(used)
    for _, one in out:
        for stamp, apart in zip(one.others, one.apart_ns, strict=True):
            assert (stamp is None) == (apart is None)
            assert stamp is None or stamp - one.reference == apart


def test_time_that_goes_back_starts_again():
    events = [(c, T0 + i * STEP) for i in range(5) for c in (0, 1)]
    out = play(events + events)
    assert [one.others[0] == one.reference for _, one in out].count(True) >= 8


def test_a_reference_image_that_is_lost_does_not_change_the_period():
    """Else a silent camera would count as alive for longer, and every image would wait for it."""
    events = [(c, T0 + i * STEP) for i in range(6) for c in (0, 1)]
    out = play([*events, (0, T0 + 10 * STEP), (0, T0 + 11 * STEP)])
    assert [n for n, _ in out[-2:]] == [12, 13]
