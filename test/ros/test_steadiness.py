from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.ros.steadiness import Steadiness
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

FRAME_NS = 33_333_333
HAND = np.random.default_rng(0).uniform((200, 150), (300, 250), (21, 2))
HAND[0], HAND[9] = (250, 250), (250, 150)  # a palm of 100 px


def joints(uv) -> Keypoints:
    states = np.full(21, JointState.VISIBLE, np.uint8)
    return Keypoints(HAND21, uv.astype(np.float32), np.ones(21, np.float32), states)


def hand(published, raw=None) -> Instance:
    return Instance(
        joints(published),
        0.9,
        "net",
        raw=joints(published if raw is None else raw),
        side=Side.RIGHT,
        track_id=3,
        track_state=TrackState.CONFIRMED,
    )


def place(time_s: float):
    """Where the hand is: it sways by 60 px."""
    return HAND + 60 * np.sin(2 * np.pi * 0.7 * time_s)


def run(delay_s: float, raw_noise: float, noise: float, frames: int = 90, truth: bool = True):
    random = np.random.default_rng(1)
    found = Steadiness()
    for i in range(frames):
        time_s = i * FRAME_NS * 1e-9
        base = random.normal(0, 1, (21, 2))
        late = place(time_s - delay_s)
        seen = hand(late + noise * base, raw=place(time_s) + raw_noise * base)
        found.add_found(i * FRAME_NS, [seen])
        if truth:
            found.add_truth(i * FRAME_NS, [hand(place(time_s))], [seen])
    return found


def test_joints_that_are_late_by_a_known_time_have_that_lag():
    assert run(0.040, 0.0, 0.0).lag_ms == pytest.approx(40.0, abs=1.0)


def test_joints_with_less_noise_have_that_share_of_the_jitter():
    assert run(0.0, 8.0, 2.0).jitter_ratio == pytest.approx(0.25, abs=0.05)


def test_without_a_truth_the_jitter_is_known_and_the_lag_is_not():
    found = run(0.0, 8.0, 2.0, truth=False)
    assert found.jitter_ratio == pytest.approx(0.25, abs=0.05)
    assert found.lag_ms is None


def test_before_anything_was_seen_nothing_is_known():
    assert Steadiness().jitter_ratio is None
    assert Steadiness().lag_ms is None


def test_a_run_too_short_for_a_lag_has_none():
    assert run(0.0, 1.0, 1.0, frames=5).lag_ms is None


def test_hands_that_are_carried_on_do_not_count():
    found = Steadiness()
    for i in range(9):
        lost = replace(hand(place(0.1 * i)), track_state=TrackState.LOST)
        found.add_found(i * FRAME_NS, [lost])
    assert found.jitter_ratio is None
