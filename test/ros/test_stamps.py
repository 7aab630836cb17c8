"""Stamps: which are refused, when time counts as set back, and how many images are missing."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.ros.images import ImageError
from vitpose_ros.ros.stamps import NS, Arrival, StampGate

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
    assert gate.check(START) == Arrival(lost=0, went_back=False)
    assert "zero" in refused(gate, 0)
    assert gate.check(START + PERIOD) == Arrival(lost=0, went_back=False)


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
    assert gate.check(START + 3 * PERIOD) == Arrival(lost=0, went_back=False)


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
    assert gate.check(START - jump_ns) == Arrival(lost=0, went_back=True)
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


def lost(arrivals: list[int]) -> int:
    gate = StampGate()
    return sum(gate.check(stamp).lost for stamp in arrivals)


def jittered(count: int, sigma_ns: float, seed: int) -> list[int]:
    noise = np.random.default_rng(seed).normal(0, sigma_ns, count)
    return [START + i * PERIOD + int(noise[i]) for i in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_jitter_of_a_camera_is_not_taken_for_lost_images(seed: int) -> None:
    assert lost(jittered(600, 2e6, seed)) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_lost_images_are_counted_to_a_tenth_even_when_most_are_lost(
    share: float, seed: int
) -> None:
    stamps = jittered(1500, 1e6, seed)
    arrived = np.random.default_rng(seed + 100).random(len(stamps)) >= share
    missing = int((~arrived).sum())
    found = lost([stamp for stamp, here in zip(stamps, arrived, strict=True) if here])
    assert found == pytest.approx(missing, rel=0.1)


def test_a_pause_of_the_camera_counts_as_lost_once() -> None:
    stamps = [START + i * PERIOD for i in range(30)]
    pause = [stamp + NS for stamp in stamps]
    assert lost(stamps + [p + 30 * PERIOD for p in pause]) == 30


def test_nothing_is_said_to_be_lost_before_the_rate_is_known() -> None:
    assert lost([START, START + 10 * PERIOD, START + 11 * PERIOD]) == 0


def test_a_clock_set_back_forgets_the_rate() -> None:
    gate = StampGate()
    for i in range(30):
        gate.check(START + i * PERIOD)
    assert gate.check(START - 5 * NS).went_back
    # Now at a third of the rate: against the old rate, two of three would be missing.
    assert sum(gate.check(START - 5 * NS + 3 * i * PERIOD).lost for i in range(1, 30)) == 0
