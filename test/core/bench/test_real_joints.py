"""The tables on real joints: how they are read, cut and measured."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.bench import real_joints as real
from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import methods
from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.smooth.gate import Gate

AIMS = {  # preset, space: the largest acceleration ratio and lag, ms
    ("balanced", real.METRES): (0.32, 23.0),
    ("balanced", real.IMAGE): (0.47, 23.0),
    ("responsive", real.METRES): (0.45, 12.0),
    ("responsive", real.IMAGE): (0.6, 12.0),
    ("steady", real.METRES): (0.2, 60.0),
    ("steady", real.IMAGE): (0.31, 60.0),
}


def folder() -> Path:
    """Of the real recordings; the test is skipped where there are none."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    path = Path(os.environ.get("VITPOSE_ROS_TEST_DATA", beside)) / "real"
    if not (path / real.JOINTS_FILE).exists():
        pytest.skip(f"there are no real recordings in {path}")
    return path


@pytest.fixture(scope="module")
def hands():
    path = folder()
    try:
        return real.load(path, load_pipeline(ModelStore(), threads=1))
    except ModelError as error:
        pytest.skip(str(error))


def figures(row, space):
    return row.metres if space == real.METRES else row.image


def made_up(make_recording):
    (hand,) = make_recording(("reach",)).hands
    return real.RealHands(hand, hand, 30.0)


def test_the_second_half_is_reported_and_shares_no_image_with_the_first(make_recording):
    whole = made_up(make_recording)
    first, second = whole.tuning.image.stamp_ns, whole.held_out.image.stamp_ns
    np.testing.assert_array_equal(np.concatenate((first, second)), whole.image.stamp_ns)
    assert abs(len(first) - len(second)) <= 1


def test_raw_joints_have_a_ratio_of_one_and_no_lag_and_filters_less_and_some(make_recording):
    rows = {row.name: row for row in real.measure(made_up(make_recording), methods(30.0))}
    for space in (real.METRES, real.IMAGE):
        raw = figures(rows["raw"], space)
        assert raw.accel_ratio == 1.0 and abs(raw.lag_ms) < 0.1
    balanced = rows["balanced"].image
    assert balanced.accel_ratio < 0.9 and balanced.lag_ms > 2 and balanced.offset_palm > 0
    assert rows["mmpose_0x"].metres is None


def test_a_method_of_a_family_has_its_own_acceleration_at_its_own_lag(make_recording):
    whole = made_up(make_recording)
    (ema,) = (row for row in methods(30.0) if row.name == "ema_0.5")
    own = figures(real.measure(whole, [ema])[0], real.IMAGE)
    at = real.at_lags(whole, real.IMAGE, [own.lag_ms, 1e4])
    assert at["ema"][0] == pytest.approx(own.accel_ratio, abs=0.02)
    assert np.isnan(at["ema"][1])


@pytest.mark.parametrize(("name", "space"), AIMS)
def test_every_preset_is_as_steady_and_as_quick_as_promised_on_the_held_out_half(
    hands, name, space
):
    (way,) = (row for row in methods(30.0) if row.name == name)
    found = figures(real.measure(hands.held_out, [way])[0], space)
    most, lag_ms = AIMS[name, space]
    assert found.accel_ratio < most and found.lag_ms < lag_ms
    at = real.at_lags(hands.held_out, space, [found.lag_ms])
    assert found.accel_ratio < at["ema"][0]


@pytest.mark.parametrize("space", [real.METRES, real.IMAGE])
def test_a_hand_that_reaches_is_followed_where_other_filters_of_that_lag_fall_behind(hands, space):
    ways = {row.name: row for row in methods(30.0)}
    reach = hands.held_out.reaching()
    found = {
        name: figures(real.measure(reach, [ways[name]])[0], space)
        for name in ("balanced", "ema_0.5", "one_euro")
    }
    assert found["balanced"].lag_ms < 5
    assert found["balanced"].offset_palm < 0.04
    for other in ("ema_0.5", "one_euro"):
        assert found["balanced"].offset_palm < found[other].offset_palm / 1.3


def test_the_gate_holds_back_no_joint_of_a_real_hand_in_motion(hands):
    assert real.rejected(hands) == 0


@pytest.mark.parametrize("whole_hand", [False, True])
def test_the_gate_holds_back_a_joint_or_a_hand_that_is_a_palm_away_for_one_image(
    hands, whole_hand
):
    rng, raw = np.random.default_rng(0), hands.image.uv.astype(float)
    size = real.curve(hands.image, real.IMAGE).scale
    moved = np.linalg.norm(np.diff(raw, axis=0), axis=-1).max(axis=1) / size[1:]
    calm = 1 + np.flatnonzero(moved < 0.3)  # a flick at the same time may undo the jump
    for image in rng.choice(calm[calm > 10], 20):
        angle, joint = rng.uniform(0, 2 * np.pi), rng.integers(21)
        jump = 1.05 * size[image] * np.array((np.cos(angle), np.sin(angle)))
        uv = raw.copy()
        uv[image, slice(None) if whole_hand else joint] += jump
        gate, found = Gate(real.HAND21), []
        for i in range(image - 5, image + 2):
            found.append(gate(uv[i : i + 1], np.ones((1, 21), bool), i / 30, size[i : i + 1])[0])
        assert np.flatnonzero(found[-2]).tolist() == (list(range(21)) if whole_hand else [joint])
        assert not found[-1].any()


def test_files_that_are_missing_or_wrong_are_named(tmp_path):
    with pytest.raises(BenchError, match=r"hand_joints\.npz holds no hand joints"):
        real.load(tmp_path, None)
    np.savez(tmp_path / real.JOINTS_FILE, xyz_m=np.zeros((4, 20, 3)))
    with pytest.raises(BenchError, match=r"xyz_m is \(4, 20, 3\), not \(T, 21, 3\)"):
        real.load(tmp_path, None)
