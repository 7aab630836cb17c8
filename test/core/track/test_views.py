"""How the view is chosen: by evidence over time, and never to and fro."""

from __future__ import annotations

import itertools

import pytest

from vitpose_ros.track.views import MODES, PROBE_S, TO_HANDS_S, TO_PERSONS, View, ViewChooser

SECOND = 1_000_000_000
STEP_NS = 33_333_333
START_NS = 1_700_000_000 * SECOND


def looks(chooser, seen, start_ns=START_NS, step_ns=STEP_NS):
    """Let it see these persons, one look after the other; the view after each."""
    views = []
    for i, person in enumerate(seen):
        chooser.observe(start_ns + i * step_ns, person)
        views.append(chooser.now)
    return views


def turned_to_persons():
    chooser = ViewChooser("auto")
    assert looks(chooser, [True] * TO_PERSONS)[-1] is View.THIRD_PERSON
    return chooser, START_NS + (TO_PERSONS - 1) * STEP_NS


# mode, the view before anything was seen, whether persons are looked for beside the hands
@pytest.mark.parametrize(
    ("mode", "view", "probes"),
    [
        ("egocentric", View.EGOCENTRIC, False),
        ("third_person", View.THIRD_PERSON, False),
        ("auto", View.EGOCENTRIC, True),
    ],
)
def test_a_mode_says_how_the_first_image_is_looked_at(mode, view, probes):
    chooser = ViewChooser(mode)
    assert chooser.now is view
    assert chooser.probe_is_due(START_NS) is probes


@pytest.mark.parametrize("mode", ["egocentric", "third_person"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_chosen_view_stays_whatever_is_seen(mode, seen):
    chooser = ViewChooser(mode)
    before = chooser.now
    assert looks(chooser, [seen] * 200) == [before] * 200
    assert not chooser.probe_is_due(START_NS + 100 * SECOND)


@pytest.mark.parametrize("mode", ["first_person", "", "AUTO", None])
def test_an_unknown_mode_is_refused_with_those_that_are_known(mode):
    with pytest.raises(ValueError, match=f"view: expected one of {', '.join(MODES)}, got"):
        ViewChooser(mode)


# --- to persons --------------------------------------------------------------------------------

NO, YES = False, True


@pytest.mark.parametrize(
    ("seen", "turns_at"),
    [
        ([YES, YES, YES], 2),
        ([YES, YES, NO, YES, YES, NO], None),
        ([YES, YES, NO, YES, YES, YES], 5),
        ([NO, YES, NO, NO, YES, NO], None),
        ([NO] * 50, None),
        ([YES], None),
    ],
)
def test_persons_must_be_seen_in_three_looks_in_a_row(seen, turns_at):
    assert TO_PERSONS == 3
    views = looks(ViewChooser("auto"), seen, step_ns=int(PROBE_S * SECOND))
    assert [view is View.THIRD_PERSON for view in views] == [
        turns_at is not None and i >= turns_at for i in range(len(seen))
    ]


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_looks_for_persons_are_paced_by_stamps_at_any_rate(rate_hz):
    chooser = ViewChooser("auto")
    stamps = [START_NS + i * SECOND // rate_hz for i in range(20 * rate_hz)]
    probes = []
    for stamp in stamps:
        if chooser.probe_is_due(stamp):
            chooser.observe(stamp, False)
            probes.append(stamp)
    assert probes[0] == START_NS
    # Each of these rates has an image exactly PROBE_S after another.
    assert {b - a for a, b in itertools.pairwise(probes)} == {int(PROBE_S * SECOND)}
    assert len(probes) == 20 / PROBE_S


def test_a_slow_camera_is_probed_in_each_image():
    chooser = ViewChooser("auto")
    for i in range(5):
        assert chooser.probe_is_due(START_NS + i * SECOND)
        chooser.observe(START_NS + i * SECOND, False)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_a_person_in_view_is_turned_to_within_a_second_and_a_half(rate_hz):
    chooser = ViewChooser("auto")
    for i in range(rate_hz * 3 // 2):
        stamp = START_NS + i * SECOND // rate_hz
        if chooser.probe_is_due(stamp):
            chooser.observe(stamp, True)
    assert chooser.now is View.THIRD_PERSON


# --- back to hands -----------------------------------------------------------------------------


def test_a_person_hidden_for_less_than_two_seconds_changes_nothing():
    chooser, last_ns = turned_to_persons()
    hidden = int(TO_HANDS_S * SECOND) // STEP_NS
    for _ in range(5):  # again and again, and seen only once in between
        views = looks(chooser, [False] * hidden + [True], last_ns + STEP_NS)
        assert set(views) == {View.THIRD_PERSON}
        last_ns += (hidden + 1) * STEP_NS


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_two_seconds_without_a_person_turn_back_to_hands(rate_hz):
    chooser, last_ns = turned_to_persons()
    step_ns = SECOND // rate_hz
    turned = None
    for i in range(1, 4 * rate_hz):
        chooser.observe(last_ns + i * step_ns, False)
        if chooser.now is View.EGOCENTRIC:
            turned = i * step_ns / SECOND
            break
    assert turned is not None
    assert TO_HANDS_S < turned <= TO_HANDS_S + 2.5 / rate_hz


def test_after_turning_back_three_looks_are_needed_again():
    chooser, last_ns = turned_to_persons()
    start_ns = last_ns + 3 * SECOND
    chooser.observe(start_ns, False)
    assert looks(chooser, [True] * 3, start_ns + SECOND) == [
        View.EGOCENTRIC,
        View.EGOCENTRIC,
        View.THIRD_PERSON,
    ]


# --- reset -------------------------------------------------------------------------------------


def test_a_reset_keeps_the_view_and_forgets_the_evidence():
    chooser = ViewChooser("auto")
    looks(chooser, [True] * 2)
    chooser.reset()
    assert chooser.now is View.EGOCENTRIC
    # A bag that starts again: stamps of an hour ago are as good as any.
    earlier = START_NS - 3600 * SECOND
    assert chooser.probe_is_due(earlier)
    assert looks(chooser, [True] * 3, earlier) == [
        View.EGOCENTRIC,
        View.EGOCENTRIC,
        View.THIRD_PERSON,
    ]
    chooser.reset()
    assert chooser.now is View.THIRD_PERSON


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_after_a_reset_a_person_may_be_hidden_for_two_seconds_from_then_on(jump_s):
    chooser, last_ns = turned_to_persons()
    chooser.reset()
    start_ns = last_ns + jump_s * SECOND
    assert looks(chooser, [False], start_ns) == [View.THIRD_PERSON]
    assert looks(chooser, [False], start_ns + int(1.9 * SECOND)) == [View.THIRD_PERSON]
    assert looks(chooser, [False], start_ns + int(2.1 * SECOND)) == [View.EGOCENTRIC]
