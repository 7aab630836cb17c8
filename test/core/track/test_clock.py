"""The times at which tracking starts anew."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.track.clock import MAX_GAP_S, FrameClock
from vitpose_ros.types import Frame

STEP_NS = 33_000_000


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
    assert clock.start(frame(10**18)), "nothing goes on from before the first one"
    assert clock.start(second) is reset
    after = frame(second.stamp_ns + STEP_NS, second.width, second.height)
    assert not clock.start(after), "said once"


def test_an_asked_reset_is_reported_once():
    clock = FrameClock()
    assert clock.start(frame(STEP_NS))
    clock.ask_reset()
    clock.ask_reset()
    assert clock.start(frame(2 * STEP_NS))
    assert not clock.start(frame(3 * STEP_NS))
