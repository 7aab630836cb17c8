"""Joints over time: smoothed, without outliers, predicted over gaps.

Which of several tracks gets what is in test_smoother_tracks.py.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import pytest

from vitpose_ros.layouts import COCO_WHOLEBODY133, HAND21
from vitpose_ros.smooth.predict import DAMPING_S
from vitpose_ros.smooth.settings import PRESETS, preset
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import Correction, JointState, Keypoints, ZSource

STEP_S = 1 / 30
PALM_PX = 100.0


def hand_px():
    """(21, 2) an open hand, upright, its palm's longest side 100 px."""
    points = np.zeros((21, 2))
    for finger, (x, y) in enumerate(((-45, -30), (-30, -95), (-8, -100), (14, -95), (34, -85))):
        start = np.array((x, y), float)
        for bone in range(4):
            points[1 + 4 * finger + bone] = start * (1 + 0.28 * bone)
    triangle = points[[0, 5, 17]]
    size = np.linalg.norm(triangle - np.roll(triangle, 1, axis=0), axis=1).max()
    return points * PALM_PX / size


def gesture(time_s):
    """(21, 2) px at a time: reaches, turns, and closes and opens its fingers."""
    hand = hand_px()
    bend = 0.3 * (1 - np.cos(2 * np.pi * 0.8 * time_s)) / 2
    for finger in range(5):
        root = hand[1 + 4 * finger].copy()
        tip = slice(2 + 4 * finger, 5 + 4 * finger)
        hand[tip] = root + (hand[tip] - root) * (1 - bend)
    angle = 0.4 * np.sin(2 * np.pi * 0.4 * time_s)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place = (320 + 150 * np.sin(2 * np.pi * 0.5 * time_s), 240 + 60 * np.cos(np.pi * time_s))
    return hand @ turn.T + place


def reach(times, start_s, seconds):
    """How far a minimum-jerk motion has come, 0 to 1: a hand that reaches for something."""
    s = np.clip((times - start_s) / seconds, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def joints(uv, score=1.0, xyz=None, shape_xyz=None, layout=HAND21):
    """Keypoints at places; absent where they are NaN."""
    uv = np.asarray(uv, np.float32)
    absent = np.isnan(uv).any(axis=1)
    score = np.where(absent, 0, np.broadcast_to(score, len(uv))).astype(np.float32)
    more = {}
    if xyz is not None:
        more["xyz"] = np.asarray(xyz, np.float32)
        missing = np.isnan(xyz).any(axis=1)
        more["z_source"] = np.where(missing, ZSource.NONE, ZSource.MEASURED).astype(np.uint8)
        more["xyz_std"] = np.where(missing, np.nan, 0.003).astype(np.float32)
    if shape_xyz is not None:
        more["shape_xyz"] = np.asarray(shape_xyz, np.float32)
    state = np.where(absent, JointState.ABSENT, JointState.VISIBLE).astype(np.uint8)
    return Keypoints(layout, uv, score, state, **more)


def ns(time_s):
    return 1_700_000_000_000_000_000 + round(time_s * 1e9)


def play(smoother, times, points, track_id=7, **more):
    """What comes out for one track; points are (21, 2) each, or None."""
    out = []
    for time_s, uv in zip(times, points, strict=True):
        given = None if uv is None else joints(uv, **more)
        out += smoother(ns(time_s), [(track_id, given)])
    return out


def moving(count=30):
    times = np.arange(count) * STEP_S
    return times, [gesture(t) for t in times]


def still(count=30):
    return np.arange(count) * STEP_S, [hand_px() + 300] * count


def hand_smoother(**changes):
    return Smoother(HAND21, replace(PRESETS["balanced"], **changes))


# --- smoothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "left"), [("responsive", 0.3), ("balanced", 0.2), ("steady", 0.1)]
)
def test_a_trembling_hand_is_steadied(name, left):
    rng = np.random.default_rng(1)
    times, points = still(120)
    noisy = [uv + rng.normal(0, 1, uv.shape) for uv in points]
    out = np.array([k.uv for k in play(Smoother(HAND21, PRESETS[name]), times, noisy)])
    jitter = [np.abs(np.diff(x[30:], 2, axis=0)).mean() for x in (out, np.array(noisy))]
    assert jitter[0] < left * jitter[1]


def test_none_gives_the_very_joints_that_came_in():
    given = joints(hand_px())
    smoother = Smoother(HAND21, preset("none"))
    assert smoother(0, [(1, given)])[0] is given
    assert smoother(1, [(1, None)]) == [None]


@lru_cache(maxsize=3)
def dense_curve(name):
    """2.5 s of the gesture at 240 Hz: the times, and what a preset makes of it."""
    times = np.arange(600) / 240
    curve = play(Smoother(HAND21, PRESETS[name]), times, map(gesture, times))
    return times, [k.uv for k in curve]


RATE_BOUND = {"30 Hz": 0.1, "60 Hz": 0.06, "irregular": 0.13, "dropped": 0.25}
"""How far the curves are apart at most, in palms, once a hand was seen for 0.4 s: its joints move
by up to 0.17 palms from image to image at 30 Hz.
"""


@pytest.mark.parametrize("name", ["responsive", "balanced", "steady"])
@pytest.mark.parametrize("kind", RATE_BOUND)
def test_the_same_motion_gives_nearly_the_same_curve_at_any_rate(name, kind):
    dense, reference = dense_curve(name)
    rng = np.random.default_rng(7)
    steps = np.arange(0, len(dense), 4 if kind == "60 Hz" else 8)
    if kind == "dropped":
        steps = steps[np.r_[True, rng.random(len(steps) - 1) > 0.2]]
    if kind == "irregular":
        steps[1:] += rng.integers(-3, 4, len(steps) - 1)
    times = dense[steps]
    out = play(Smoother(HAND21, PRESETS[name]), times, [gesture(t) for t in times])
    off = np.array([np.abs(k.uv - reference[i]).max() for k, i in zip(out, steps, strict=True)])
    assert off[times > 0.4].max() / PALM_PX < RATE_BOUND[kind]


@pytest.mark.parametrize("name", ["responsive", "balanced", "steady"])
@pytest.mark.parametrize(("palms", "seconds"), [(5, 0.6), (3, 0.4), (2, 0.25)])
@pytest.mark.parametrize("rate_hz", [30, 60])
def test_a_reach_that_stops_is_not_overshot_and_is_soon_met(name, palms, seconds, rate_hz):
    times = np.arange(2 * rate_hz) / rate_hz
    way = palms * PALM_PX * reach(times, 0.7, seconds)
    points = [hand_px() + np.array((200 + w, 240)) for w in way]
    out = play(Smoother(HAND21, PRESETS[name]), times, points)
    beyond = np.array([(k.uv - points[-1])[:, 0].max() for k in out])
    assert beyond.max() < 0.001 * PALM_PX
    away = np.array([np.abs(k.uv - points[-1]).max() for k in out])[times > 0.8 + seconds]
    assert away.max() / PALM_PX < {"responsive": 0.01, "balanced": 0.06, "steady": 0.3}[name]


@pytest.mark.parametrize("late", [0, -STEP_S])
def test_a_repeated_or_older_stamp_does_no_harm(late):
    smoother = hand_smoother()
    times, points = moving()
    play(smoother, times, points)
    (out,) = play(smoother, [times[-1] + late], points[-1:])
    assert np.abs(out.uv - points[-1]).max() < 0.2 * PALM_PX


def test_scores_are_published_as_measured_and_do_not_change_the_filter():
    times, points = moving()
    sure = play(hand_smoother(), times, points, score=1.0)
    unsure = play(hand_smoother(), times, points, score=0.55)
    assert np.array_equal(sure[-1].uv, unsure[-1].uv)
    assert unsure[-1].score == pytest.approx(np.full(21, 0.55))


def test_metres_are_smoothed_too_and_keep_their_source():
    rng = np.random.default_rng(2)
    smoother, out = hand_smoother(), []
    metres = np.c_[hand_px() * 0.0009, np.full(21, 0.5)]
    for i in range(60):
        noisy = metres + rng.normal(0, 0.002, metres.shape)
        given = joints(hand_px(), xyz=noisy, shape_xyz=noisy - (0, 0, 0.5))
        out.append((smoother(ns(i * STEP_S), [(1, given)])[0], given))
    for name in ("xyz", "shape_xyz"):
        jitter = [
            np.abs(np.diff([getattr(pair[which], name) for pair in out[15:]], 2, axis=0)).mean()
            for which in (0, 1)
        ]
        assert jitter[0] < 0.3 * jitter[1]
    assert (out[-1][0].z_source == ZSource.MEASURED).all()


# --- outliers ----------------------------------------------------------------------------------


def test_a_single_image_with_a_spike_of_65_px_changes_nothing_visible_and_is_marked():
    times, points = moving(40)
    clean = play(hand_smoother(), times, points)
    spiked = [uv.copy() for uv in points]
    spiked[30][8] += (39.0, -52.0)
    out = play(hand_smoother(), times, spiked)
    for i, (a, b) in enumerate(zip(out, clean, strict=True)):
        assert np.abs(a.uv - b.uv).max() < 0.06 * PALM_PX, i
    marked = [(i, j) for i, k in enumerate(out) for j in np.flatnonzero(k.corrected)]
    assert marked == [(30, 8)]
    assert out[30].corrected[8] == Correction.OUTLIER
    assert out[30].state[8] == JointState.PREDICTED and out[31].state[8] == JointState.VISIBLE


def test_a_joint_keeps_its_standard_deviation_and_that_of_one_that_was_not_used_grows():
    times, points = still(3)
    points[2] = points[2] + 110 * (np.arange(21) == 8)[:, None]
    smoother = hand_smoother()
    given = [replace(joints(uv), uv_std=np.arange(1, 22, dtype=np.float32)) for uv in points]
    before, after = [
        smoother(ns(t), [(7, k)])[0].uv_std for t, k in zip(times, given, strict=True)
    ][1:]
    assert before.tolist() == list(range(1, 22))
    assert np.flatnonzero(after != before).tolist() == [8]
    assert after[8] > before[8]


def test_the_standard_deviation_of_a_held_joint_grows_and_faster_for_a_fast_hand():
    times, points = still(40)
    last = {}
    for speed_px_s in (0.0, 200.0):
        moved = [uv + speed_px_s * t for t, uv in zip(times, points, strict=True)]
        smoother, out = hand_smoother(), []
        for i, (t, uv) in enumerate(zip(times, moved, strict=True)):
            joint = replace(joints(uv), uv_std=np.full(21, 3, np.float32)) if i < 30 else None
            out += smoother(ns(t), [(7, joint)])
        held = np.array([k.uv_std[8] for k in out[29:38]])
        assert held[0] == 3 and (np.diff(held) > 0).all()
        last[speed_px_s] = held[-1]
    assert last[0.0] == pytest.approx(np.hypot(3, 0.45 * PALM_PX * 8 * STEP_S), rel=0.05)
    assert last[200.0] > last[0.0] + 2


def test_an_unknown_standard_deviation_does_not_become_known_by_waiting():
    times, points = still(40)
    points = [*points[:30], *[None] * 10]
    assert np.isnan(play(hand_smoother(), times, points)[35].uv_std).all()


def test_a_joint_that_jumps_and_stays_is_followed_from_the_second_image_on():
    times, points = still(40)
    for uv in (jumped := [uv.copy() for uv in points])[30:]:
        uv[8] += 110
    out = play(hand_smoother(), times, jumped)
    assert [bool(k.corrected[8]) for k in out[29:34]] == [False, True, False, False, False]
    assert np.abs(out[30].uv[8] - points[0][8]).max() < 3
    assert np.abs(out[32].uv[8] - jumped[32][8]).max() < 15


def test_a_fast_reach_is_no_outlier():
    # 4 m/s at its fastest, for a palm of 0.09 m: 1.5 palms from image to image.
    times = np.arange(30) * STEP_S
    way = 960 * reach(times, 0.3, 0.4)
    out = play(hand_smoother(), times, [hand_px() + np.array((300 + w, 200)) for w in way])
    assert not any(k.corrected.any() for k in out)


def test_a_whole_hand_that_is_elsewhere_for_one_image_is_not_followed():
    times, points = still(40)
    elsewhere = list(points)
    elsewhere[30] = points[30] + (PALM_PX, 0)
    out = play(hand_smoother(), times, elsewhere)
    assert (out[30].corrected == Correction.OUTLIER).all()
    assert max(np.abs(k.uv - points[0]).max() for k in out) < 0.01 * PALM_PX


# --- gaps --------------------------------------------------------------------------------------


def gap(after=15, missing=21):
    """A moving hand that is not seen any more."""
    times = np.arange(after + missing) * STEP_S
    start = hand_px() + 200
    return times, [start + 300 * t for t in times[:after]] + [None] * missing


def test_a_gap_is_predicted_with_falling_speed_and_score_then_absent():
    times, points = gap()
    out = play(hand_smoother(hold_s=0.48), times, points)
    ages = times - times[14]
    lost = [i for i in range(15, 36) if out[i] is None]
    assert lost == [i for i in range(15, 36) if ages[i] > 0.48]
    known = out[14 : lost[0]]
    assert all((k.state == JointState.PREDICTED).all() for k in known[1:])
    steps = np.diff([k.uv[0, 0] for k in known])
    assert (steps > 0).all()
    np.testing.assert_allclose(steps[1:] / steps[:-1], np.exp(-STEP_S / DAMPING_S), atol=2e-3)
    scores = np.array([k.score[0] for k in known])
    assert (np.diff(scores) < 0).all() and scores[-1] < 0.1


def test_a_model_without_scores_per_joint_gets_none_until_the_joint_is_absent():
    times, points = moving(40)
    points[20:] = [None] * 20
    out = play(hand_smoother(), times, points, score=np.nan)
    assert np.isnan(out[19].score).all() and np.isnan(out[25].score).all()
    assert out[39] is None


def test_a_joint_that_is_not_seen_goes_with_its_hand():
    times, points = moving(40)
    hidden = [uv.copy() for uv in points]
    for uv in hidden[30:]:
        uv[8] = np.nan
    out = play(hand_smoother(), times, hidden)
    full = play(hand_smoother(), times, points)
    assert all(k.state[8] == JointState.PREDICTED for k in out[30:])
    held = np.linalg.norm(out[39].uv[8] - full[39].uv[8])
    left_behind = np.linalg.norm(full[29].uv[8] - full[39].uv[8])
    assert held < 0.35 * left_behind


def test_a_hidden_joint_becomes_absent_while_the_others_are_seen():
    times, points = still(50)
    hidden = [uv.copy() for uv in points]
    for uv in hidden[30:]:
        uv[8] = np.nan
    out = play(hand_smoother(hold_s=0.48), times, hidden)
    gone = [i for i, k in enumerate(out) if k.state[8] == JointState.ABSENT]
    assert gone == [i for i in range(30, 50) if times[i] - times[29] > 0.48]
    assert out[-1].score[8] == 0 and (out[-1].state[:8] == JointState.VISIBLE).all()


def test_a_hand_that_comes_back_elsewhere_is_there_at_once():
    times = np.arange(40) * STEP_S
    here, there = hand_px() + 150, hand_px() + np.array((500, 300))
    points = [here] * 20 + [None] * 8 + [there] * 12
    out = play(hand_smoother(), times, points)
    assert np.abs(out[28].uv - there).max() < 0.03 * PALM_PX
    assert not any(k.corrected.any() for k in out[28:])


def test_a_joint_that_was_away_for_longer_than_it_is_remembered_begins_anew():
    times, points = still(40)
    hidden = [uv.copy() for uv in points]
    for uv in hidden[10:30]:
        uv[8] = np.nan
    hidden[30][8] += 1.0
    out = play(hand_smoother(), times, hidden)
    assert np.array_equal(out[30].uv[8], hidden[30][8].astype(np.float32))


def test_metres_that_are_missing_while_the_joint_is_seen_are_not_held():
    smoother, seen = hand_smoother(), []
    metres = np.c_[hand_px() * 0.0009, np.full(21, 0.5)]
    for i in range(20):
        now = metres if i < 10 else np.full((21, 3), np.nan)
        seen.append(smoother(ns(i * STEP_S), [(1, joints(hand_px(), xyz=now))])[0])
    known = [bool((k.z_source == ZSource.MEASURED).all()) for k in seen]
    assert known == [True] * 13 + [False] * 7  # 0.1 s beyond the tenth image
    assert np.isnan(seen[13].xyz).all() and (seen[13].state == JointState.VISIBLE).all()
    std = np.array([k.xyz_std for k in seen])
    assert (std[:10] == np.float32(0.003)).all() and np.isnan(std[13:]).all()
    assert (np.diff(std[9:13], axis=0) > 0.001).all()  # predictions are less certain


def test_held_metres_keep_their_source_when_the_hand_is_lost():
    smoother = hand_smoother()
    metres = np.c_[hand_px() * 0.0009, np.full(21, 0.5)]
    for i in range(10):
        smoother(ns(i * STEP_S), [(1, joints(hand_px(), xyz=metres))])
    (out,) = smoother(ns(9 * STEP_S + 0.3), [(1, None)])
    assert (out.z_source == ZSource.MEASURED).all() and np.isfinite(out.xyz).all()


# --- whatever comes in -------------------------------------------------------------------------


def random_track(rng, layout, i):
    """Keypoints with joints and metres that come and go."""
    count = len(layout)
    uv = rng.uniform(100, 500, (count, 2)) if rng.random() < 0.1 else np.arange(2 * count) + i
    uv = np.asarray(uv, float).reshape(count, 2)
    uv[rng.random(count) < 0.2] = np.nan
    xyz = np.where(rng.random((count, 1)) < 0.5, np.nan, rng.normal(size=(count, 3)))
    return joints(uv, rng.uniform(0, 1, count), xyz=xyz, shape_xyz=xyz / 2, layout=layout)


@pytest.mark.parametrize("name", ["balanced", "none"])
@pytest.mark.parametrize("layout", [HAND21, COCO_WHOLEBODY133])
def test_whatever_comes_in_what_goes_out_passes_the_checks_of_keypoints(name, layout):
    rng = np.random.default_rng(4)
    smoother = Smoother(layout, replace(PRESETS[name], gate=True, hold_s=0.5))
    for i in range(60):
        ids = [k for k in range(4) if rng.random() < 0.9]
        tracks = [(k, random_track(rng, layout, i) if rng.random() < 0.7 else None) for k in ids]
        for out in smoother(ns(i * STEP_S), tracks):
            if out is not None:
                Keypoints(**{field.name: getattr(out, field.name) for field in fields(out)})
                assert (out.score[out.state == JointState.ABSENT] == 0).all()
                assert ((out.score >= 0) & (out.score <= 1)).all()
