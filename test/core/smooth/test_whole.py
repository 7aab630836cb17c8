"""Smoothing that knows the future: no lag, no invention, the same either way in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.smooth.local_fit import SIGMA_S, bridge, local_fit
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.smooth.whole import WholeSmoother, smooth_track
from vitpose_ros.types import Correction, Instance, JointState, Keypoints, Side, TrackState

SETTINGS = SmoothingSettings()
STEP_NS = 33_333_333
RNG = np.random.default_rng(5)
SHAPE = RNG.uniform(-60, 60, (21, 2))


def track(count=40, noise=0.0, seed=0):
    """(T, 21, 2) px: a hand that accelerates evenly; times in s."""
    time_s = np.arange(count) * STEP_NS * 1e-9
    centre = 300 + 200 * time_s[:, None] - 150 * time_s[:, None] ** 2 * np.array([1.0, -0.5])
    uv = centre[:, None] + SHAPE
    return time_s, uv + noise * np.random.default_rng(seed).normal(size=uv.shape)


def hand(uv, missing=()):
    state = np.full(21, JointState.MEASURED, np.uint8)
    uv, score = uv.astype(np.float32), np.full(21, 0.8, np.float32)
    gone = list(missing)
    state[gone], uv[gone], score[gone] = 0, np.nan, 0
    return Keypoints(HAND21, uv, score, state, shape_xyz=np.c_[uv, uv[:, 0]] * 1e-3)


def points(smoothed):
    return np.stack([joints.uv for joints in smoothed])


def test_even_acceleration_stays_exactly_where_it_is():
    time_s, uv = track()
    valid = np.ones(uv.shape[:2], bool)
    position, velocity = local_fit(time_s, uv, valid)
    np.testing.assert_allclose(position, uv, atol=1e-6)
    exact = 200 - 300 * time_s[:, None] * np.array([1.0, -0.5])
    np.testing.assert_allclose(velocity, np.broadcast_to(exact[:, None], uv.shape), atol=1e-4)


def test_noise_falls_by_more_than_half_inside_a_track():
    time_s, uv = track(noise=2.0)
    position, _ = local_fit(time_s, uv, np.ones(uv.shape[:2], bool))
    _, true = track()
    inner = slice(6, -6)
    assert np.std((position - true)[inner]) < 0.6 * np.std((uv - true)[inner])


def test_a_recording_that_is_played_backwards_is_smoothed_alike():
    time_s, uv = track(noise=2.0)
    valid = np.random.default_rng(1).uniform(size=uv.shape[:2]) > 0.2
    ahead, _ = local_fit(time_s, uv, valid)
    back, _ = local_fit(-time_s[::-1], uv[::-1], valid[::-1])
    np.testing.assert_allclose(ahead, back[::-1], atol=1e-9)


def test_blocks_of_a_long_recording_give_what_one_block_gives(monkeypatch):
    time_s, uv = track(count=100, noise=1.0)
    valid = np.random.default_rng(1).uniform(size=uv.shape[:2]) > 0.2
    whole = local_fit(time_s, uv, valid)
    monkeypatch.setattr("vitpose_ros.smooth.local_fit._BLOCK", 7)
    for one, other in zip(whole, local_fit(time_s, uv, valid), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_measurements_stay_as_they_are(count):
    time_s, uv = track(count=count, noise=2.0)
    position, velocity = local_fit(time_s, uv, np.ones(uv.shape[:2], bool))
    np.testing.assert_allclose(position, uv, atol=1e-9)
    assert np.isfinite(velocity).all()


def test_images_that_are_farther_apart_than_the_window_are_not_smoothed():
    time_s, uv = track(noise=2.0)
    position, _ = local_fit(time_s * (5 * SIGMA_S / time_s[1]), uv, np.ones(uv.shape[:2], bool))
    np.testing.assert_allclose(position, uv, atol=1e-9)


def test_a_bridge_leaves_and_arrives_with_the_motion_of_the_hand():
    time_s, uv = track()
    valid = np.ones(uv.shape[:2], bool)
    valid[15:21] = False
    position, velocity = local_fit(time_s, uv, valid)
    bridged, age = bridge(time_s, position, velocity, valid, 0.5)
    straight = uv[14] + (uv[21] - uv[14]) * ((time_s[15:21] - time_s[14]) / (7 * time_s[1]))[
        :, None, None
    ]
    assert np.abs(bridged[15:21] - uv[15:21]).max() < 0.5 < np.abs(straight - uv[15:21]).max()
    assert age[15, 0] == pytest.approx(time_s[1]) and age[18, 0] == pytest.approx(3 * time_s[1])


def test_gaps_are_predicted_and_fade_and_long_ones_stay_absent():
    time_s, uv = track(count=60)
    given = [hand(one, missing=[4] if 20 <= i < 26 else ()) for i, one in enumerate(uv)]
    given[35:55] = [Keypoints.absent(HAND21)] * 20
    smoothed = smooth_track(HAND21, SETTINGS, time_s, given)
    inside = smoothed[22]
    assert inside.state[4] == JointState.PREDICTED
    assert inside.state[5] == JointState.MEASURED
    np.testing.assert_allclose(inside.uv[4], uv[22, 4], atol=2.0)
    assert 0.5 < inside.score[4] < smoothed[20].score[4] < 0.8
    assert all(smoothed[i] is None for i in range(35, 55))
    assert smoothed[34] is not None and smoothed[55] is not None


def test_nothing_is_made_up_before_the_first_and_after_the_last_measurement():
    time_s, uv = track()
    ends = (*range(5), *range(35, 40))
    given = [hand(one, missing=[8] if i in ends else ()) for i, one in enumerate(uv)]
    smoothed = smooth_track(HAND21, SETTINGS, time_s, given)
    absent = [i for i, joints in enumerate(smoothed) if joints.state[8] == JointState.ABSENT]
    assert absent == list(ends)


def test_an_outlier_is_replaced_and_marked():
    time_s, uv = track()
    jumped = uv.copy()
    jumped[20, 8] += 400
    smoothed = smooth_track(HAND21, SETTINGS, time_s, [hand(one) for one in jumped])
    assert smoothed[20].corrected[8] & Correction.OUTLIER
    assert smoothed[20].state[8] == JointState.PREDICTED
    np.testing.assert_allclose(smoothed[20].uv[8], uv[20, 8], atol=2.0)
    ungated = replace(SETTINGS, gate=False)
    assert not smooth_track(HAND21, ungated, time_s, [hand(j) for j in jumped])[20].corrected.any()


def test_the_preset_none_changes_nothing():
    time_s, uv = track(noise=2.0)
    given = [hand(one, missing=[3]) for one in uv]
    assert smooth_track(HAND21, PRESETS["none"], time_s, given) == given


def instance(joints, track_id, side=Side.LEFT, age_s=0.0):
    return Instance(
        joints,
        0.9,
        "network",
        side=side,
        side_score=0.9,
        track_id=track_id,
        track_state=TrackState.CONFIRMED,
        track_age_s=age_s,
    )


@pytest.mark.parametrize("biomechanics", [False, True])
def test_tracks_are_smoothed_apart_and_lost_while_only_a_bridge_knows_them(biomechanics):
    time_s, uv = track()
    stamps = [round(t * 1e9) + 10**18 for t in time_s]
    images = [[instance(hand(one), 7), instance(hand(one + 300), 3)] for one in uv]
    for gap in range(10, 14):
        images[gap] = images[gap][1:]
    smoother = WholeSmoother([HAND21, COCO17], SETTINGS, biomechanics)
    published = smoother(stamps, images)
    assert [[one.track_id for one in found] for found in published] == [[3, 7]] * 40
    bridged = published[11][1]
    assert bridged.track_state is TrackState.LOST and bridged.score < 0.9
    assert np.isnan(bridged.raw.uv).all() and (bridged.keypoints.state == 1).all()
    np.testing.assert_allclose(bridged.keypoints.uv, uv[11], atol=1.0)
    seen = published[20][0]
    assert seen.track_state is TrackState.CONFIRMED
    np.testing.assert_array_equal(seen.raw.uv, images[20][1].raw.uv)
