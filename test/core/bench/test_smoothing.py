"""The table's rows on made-up hands, whose noise and lag are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import DEFAULT_PRESET, OFFLINE, Method, Smoothed, methods, smooth
from vitpose_ros.bench.smoothing import IN_VIEW_SCRIPTS, by_script, measure, run
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.synthetic.motion import SCRIPTS


def method(change):
    """A row that does something to the raw joints of each hand."""

    def each(hands):
        return [
            Smoothed(change(h.uv.astype(float)), change(h.shape_xyz.astype(float))) for h in hands
        ]

    return Method("own", "", each)


def half_the_noise(hand):
    return Smoothed((hand.uv + hand.true_uv) / 2.0, (hand.shape_xyz + hand.true_xyz) / 2.0)


def test_every_preset_has_a_row_and_so_have_the_published_filters():
    names = [row.name for row in methods(30.0)]
    assert len(set(names)) == len(names)
    assert [row.name for row in methods(30.0) if row.of_package] == [*list(PRESETS)[1:], OFFLINE]
    others = {row.name for row in methods(30.0) if not row.of_package}
    published = {"mediapipe_pose", "mediapipe_world", "mmpose_0x"}
    assert others == {"raw", "ema_0.2", "ema_0.5", "one_euro", *published}


def test_the_default_is_that_of_the_package():
    assert PRESETS[DEFAULT_PRESET] == SmoothingSettings()


def test_the_motion_that_is_measured_is_one_of_known_scripts():
    assert set(IN_VIEW_SCRIPTS) < set(SCRIPTS)


def test_raw_joints_have_ratios_of_one_and_their_own_lag(make_recording):
    recording = make_recording(lag_s=0.012)
    (row,) = measure(recording, [way for way in methods(30.0) if way.name == "raw"])
    assert (row.accel_ratio, row.error_ratio) == (1.0, 1.0)
    assert (row.shape_accel_ratio, row.shape_error_ratio) == (1.0, 1.0)
    assert row.lag_ms == pytest.approx(12.0, abs=1.0)


def test_less_noise_is_a_smaller_ratio_in_pixels_and_metres(make_recording):
    way = Method("half", "", lambda hands: [half_the_noise(hand) for hand in hands])
    (row,) = measure(make_recording(), [way])
    assert row.error_ratio == pytest.approx(0.5, abs=1e-6)
    assert row.shape_error_ratio == pytest.approx(0.5, abs=1e-3)
    # The truth's own acceleration remains, in pixels; in metres the shape does not move.
    assert 0.5 < row.accel_ratio < 0.6
    assert row.shape_accel_ratio == pytest.approx(0.5, abs=1e-3)


def test_the_still_hand_tells_of_trembling_only(make_recording):
    way = Method("half", "", lambda hands: [half_the_noise(hand) for hand in hands])
    raw, half = measure(make_recording(), [method(lambda x: x), way])
    assert half.still_palm == pytest.approx(raw.still_palm / 2, rel=1e-3)
    (without,) = measure(make_recording(("reach",)), [way])
    assert np.isnan(without.still_palm) and without.error_ratio == half.error_ratio


def test_what_is_held_or_predicted_while_a_hand_is_away_is_not_measured(make_recording):
    def filled(joints):
        return np.where(np.isnan(joints), 1e4, joints)

    recording = make_recording(unseen=slice(40, 60))
    (row,) = measure(recording, [method(filled)])
    assert (row.accel_ratio, row.error_ratio) == (1.0, 1.0)
    assert abs(row.lag_ms) < 1.0


def test_hands_that_leave_are_not_part_of_the_motion(make_recording):
    ways = [way for way in methods(30.0) if way.name == "balanced"]
    (with_leave,) = measure(make_recording(("reach", "leave", "still")), ways)
    (without,) = measure(make_recording(("reach", "still")), ways)
    assert with_leave.error_ratio == without.error_ratio
    with pytest.raises(BenchError, match="no hand that moves in view"):
        measure(make_recording(("leave", "still")), ways)


def test_each_script_is_told_with_the_part_of_the_truth(make_recording):
    figures = by_script(make_recording(("reach", "leave", "still")), method(lambda x: x))
    assert list(figures) == ["reach", "leave"]
    accel, lag_ms, error, truth = figures["reach"]
    assert (accel, error) == (1.0, 1.0) and abs(lag_ms) < 1.0
    assert 0.05 < truth < 0.5


@pytest.mark.parametrize("name", ["responsive", "balanced", "steady", "one_euro", "ema_0.5"])
def test_every_filter_for_both_steadies_both_pixels_and_metres(make_recording, name):
    ways = {way.name: way for way in methods(30.0)}
    raw, row = measure(make_recording(), [ways["raw"], ways[name]])
    assert row.accel_ratio < 0.95 and row.shape_accel_ratio < 0.95
    assert row.still_palm < raw.still_palm


def test_filters_for_pixels_say_nothing_of_metres(make_recording):
    pixels = ("mediapipe_pose", "mmpose_0x")
    for row in measure(make_recording(), [way for way in methods(30.0) if way.name in pixels]):
        assert row.accel_ratio < 1.0 and np.isnan(row.shape_error_ratio)


def test_a_moving_average_lags_as_its_share_says(make_recording):
    rows = measure(make_recording(noise_px=0.3), methods(30.0))
    lags = {row.name: row.lag_ms for row in rows}
    # (1 - share) / share images of 33 ms, for a motion that is slow against it.
    assert lags["ema_0.5"] == pytest.approx(33.3, abs=1.5)
    assert 90 < lags["ema_0.2"] < 134


def test_the_smoother_follows_hands_by_their_ids(make_recording):
    hand = make_recording(("reach",), noise_px=0.0).hands[0]
    hand.track_id[60:] = 8  # another hand from here on, elsewhere
    hand.uv[60:] += 200.0
    (done,) = smooth(PRESETS["steady"], [hand])
    np.testing.assert_allclose(done.uv[60], hand.uv[60], atol=1e-3)


def test_a_gap_is_bridged_by_the_smoother(make_recording):
    (hand,) = make_recording(("reach",), unseen=slice(40, 42)).hands
    (done,) = smooth(PRESETS[DEFAULT_PRESET], [hand])
    assert np.isfinite(done.uv[40:42]).all()
    (bare,) = smooth(PRESETS["none"], [hand])
    assert np.isnan(bare.uv[40:42]).all()


def test_two_hands_with_one_id_are_one_track_of_the_hand_that_is_seen(make_recording):
    seen, lost = make_recording(("reach", "grasp"), noise_px=0.0).hands
    lost.track_id[50:] = -1
    lost.uv[50:], lost.state[50:], lost.score[50:] = np.nan, 0, 0.0
    done = smooth(replace(PRESETS["none"], hold_s=0.4), [seen, lost])
    np.testing.assert_allclose(done[0].uv[50:], seen.uv[50:], atol=1e-3)
    assert np.isnan(done[1].uv[50:]).all()


def test_results_are_in_the_recordings_order(make_recording):
    recording = make_recording(("reach", "still", "grasp"))
    done = run(method(lambda x: x), recording)
    for one, hand in zip(done, recording.hands, strict=True):
        np.testing.assert_array_equal(one.uv, hand.uv)
