"""Stamps: which are refused, and when time counts as set back."""

from __future__ import annotations

import pytest

from vitpose_ros.ingest.images import ImageError
from vitpose_ros.ingest.losses import NS, Losses
from vitpose_ros.ingest.stamps import Arrival, StampGate

PERIOD = NS // 30
START = 1_700_000_000 * NS


def refused(gate: StampGate, stamp_ns: int) -> str:
    with pytest.raises(ImageError) as caught:
        gate.check(stamp_ns)
    assert caught.value.kind == "stamp"
    return str(caught.value)


def test_a_stamp_of_zero_is_refused_and_does_not_disturb_the_others() -> None:
    gate = StampGate()
    assert "zero" in refused(gate, 0)
    assert gate.check(START) == Arrival()
    assert "zero" in refused(gate, 0)
    assert gate.check(START + PERIOD) == Arrival()


def test_a_stamp_that_repeats_is_refused_and_named() -> None:
    gate = StampGate()
    gate.check(START)
    assert "repeats" in refused(gate, START)
    assert f"{START / NS:.9f}" in refused(gate, START)
    assert not gate.check(START + 1).went_back


def test_one_late_image_is_refused_and_the_next_newer_one_accepted() -> None:
    gate = StampGate()
    gate.check(START)
    gate.check(START + 2 * PERIOD)
    assert "goes back by 0.033 s" in refused(gate, START + PERIOD)
    assert gate.check(START + 3 * PERIOD) == Arrival()


def test_late_images_that_alternate_with_new_ones_never_count_as_time_going_back() -> None:
    gate = StampGate()
    gate.check(START)
    for i in range(1, 20):
        assert not gate.check(START + 2 * i * PERIOD).went_back
        refused(gate, START + (2 * i - 1) * PERIOD)


@pytest.mark.parametrize("jump_ns", [NS, 20 * NS, START - PERIOD])
def test_a_jump_back_of_a_second_or_more_is_a_clock_set_back_at_once(jump_ns: int) -> None:
    gate = StampGate()
    gate.check(START)
    assert gate.check(START - jump_ns) == Arrival(went_back=True)
    assert not gate.check(START - jump_ns + PERIOD).went_back


def test_a_short_loop_is_accepted_with_its_second_image() -> None:
    gate = StampGate()
    for i in range(15):
        gate.check(START + i * PERIOD)
    refused(gate, START)
    assert gate.check(START + PERIOD).went_back
    assert not gate.check(START + 2 * PERIOD).went_back


def test_images_that_go_ever_further_back_stay_refused() -> None:
    gate = StampGate()
    gate.check(START + 10 * PERIOD)
    for i in range(9, 5, -1):
        refused(gate, START + i * PERIOD)


@pytest.mark.parametrize(
    ("stamp_ns", "said"),
    [(-1, "-0.000000001 s"), (-5 * NS, "-5.000000000 s")],
)
def test_a_negative_stamp_is_called_negative(stamp_ns: int, said: str) -> None:
    gate = StampGate()
    text = refused(gate, stamp_ns)
    assert f"the stamp is negative ({said})" in text
    assert "zero" not in text
    assert gate.check(START) == Arrival()


def arrivals(refuse: set[int], sequences: bool) -> Losses:
    """The losses of 200 images of which some came, but were refused, in one of three ways."""
    gate, total = StampGate(), Losses()
    for i in range(200):
        stamp_ns, sequence = START + i * PERIOD, i if sequences else None
        if i in refuse and i % 3 == 0:
            gate.skip(sequence)
        elif i in refuse:
            refused(gate, 0 if i % 3 == 1 else stamp_ns - 2 * PERIOD)
            gate.skip(sequence)
        else:
            total += gate.check(stamp_ns, sequence).losses
    return total


@pytest.mark.parametrize("sequences", [True, False])
def test_an_image_that_came_and_was_refused_is_not_missing(sequences: bool) -> None:
    assert arrivals({20, 40, 60, 61, 80, 100, 102, 120, 121}, sequences) == Losses()


@pytest.mark.parametrize("skipped", [51, 52])
def test_an_image_that_is_missing_beside_a_refused_one_is_counted(skipped: int) -> None:
    gate, total = StampGate(), Losses()
    for i in range(100):
        if i == 50:
            continue
        if i == skipped:
            gate.skip(i)
        else:
            total += gate.check(START + i * PERIOD, i).losses
    assert total == Losses(undelivered=1)


def test_a_clock_set_back_forgets_the_rate() -> None:
    gate, total = StampGate(), Losses()
    for i in range(60):
        gate.check(START + i * PERIOD)
    assert gate.check(START - 5 * NS).went_back
    # Now at a third of the rate: against the old rate, two of three would be missing.
    for i in range(1, 60):
        total += gate.check(START - 5 * NS + 3 * i * PERIOD).losses
    assert total == Losses()
