"""Prediction ahead of the stamp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.smooth.predict import DAMPING_S, Velocity, ahead, coasting_s
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import JointState, Keypoints, ZSource


def hand(states=JointState.VISIBLE):
    state = np.broadcast_to(np.uint8(states), 21).astype(np.uint8)
    absent = (state == JointState.ABSENT)[:, None]
    xyz = np.where(absent, np.nan, 0.5).astype(np.float32) * np.ones((1, 3), np.float32)
    return Keypoints(
        HAND21,
        np.where(absent, np.nan, np.full((21, 2), 100.0)).astype(np.float32),
        np.where(absent[:, 0], 0, 0.9).astype(np.float32),
        state,
        xyz,
        np.where(absent[:, 0], ZSource.NONE, ZSource.MEASURED).astype(np.uint8),
    )


def velocity(px_per_s=100.0):
    return Velocity(
        np.full((21, 2), px_per_s, np.float32),
        np.full((21, 3), 0.1, np.float32),
        np.full((21, 3), np.nan, np.float32),
    )


def test_a_velocity_dies_away():
    ways = [float(coasting_s(t)) for t in (0.0, 0.001, 0.1, 10.0)]
    assert ways[0] == 0 and ways[1] == pytest.approx(0.001, rel=0.01)
    assert ways[2] < 0.1 and ways[3] == pytest.approx(DAMPING_S)


def test_joints_move_on_in_pixels_and_metres_and_are_marked():
    out = ahead(hand(), velocity(), 0.05)
    assert out.uv == pytest.approx(100 + 100 * float(coasting_s(0.05)))
    assert out.xyz == pytest.approx(0.5 + 0.1 * float(coasting_s(0.05)))
    assert np.isnan(out.shape_xyz).all() and (out.z_source == ZSource.MEASURED).all()
    assert (out.state == JointState.PREDICTED).all()


def test_what_is_predicted_or_absent_stays():
    states = np.full(21, JointState.VISIBLE, np.uint8)
    states[3], states[4] = JointState.PREDICTED, JointState.ABSENT
    out = ahead(hand(states), velocity(), 0.05)
    assert out.uv[3].tolist() == [100.0, 100.0] and np.isnan(out.uv[4]).all()
    assert out.state[[3, 4]].tolist() == [JointState.PREDICTED, JointState.ABSENT]


def test_the_standard_deviation_of_a_joint_grows_with_the_way_ahead():
    states = np.full(21, JointState.MEASURED, np.uint8)
    states[3] = JointState.PREDICTED
    given = replace(hand(states), uv_std=np.full(21, 2.0, np.float32))
    given.uv[[0, 5, 17]] += ((0, 100), (0, 0), (30, 0))
    slow, fast = (ahead(given, velocity(speed), 0.05).uv_std for speed in (0.0, 400.0))
    assert slow[3] == fast[3] == 2.0
    assert (np.delete(slow, 3) > 2.5).all() and (np.delete(fast - slow, 3) > 1).all()


@pytest.mark.parametrize("horizon_s", [0.0, -0.1])
def test_no_horizon_gives_the_very_joints(horizon_s):
    given = hand()
    assert ahead(given, velocity(), horizon_s) is given


@pytest.mark.parametrize("horizon_s", [0.033, 0.066, 0.1])
def test_a_smooth_motion_is_predicted_better_than_by_holding_it(horizon_s):
    def place(time_s):
        shape = np.stack(np.meshgrid([0, 30, 60], range(0, 140, 20)), axis=2).reshape(21, 2)
        return shape + 300 + 120 * np.sin(2 * np.pi * 0.7 * time_s)

    rng = np.random.default_rng(1)
    smoother = Smoother(HAND21, PRESETS["balanced"])
    errors = []
    for i in range(120):
        uv = (place(i / 30) + rng.normal(0, 1, (21, 2))).astype(np.float32)
        given = Keypoints(HAND21, uv, np.ones(21, np.float32), np.full(21, 3, np.uint8))
        (out,) = smoother(round(i / 30 * 1e9), [(1, given)])
        (rate,) = smoother.velocities()
        true = place(i / 30 + horizon_s)
        errors.append(
            [np.abs(k.uv - true).mean() for k in (ahead(out, rate, horizon_s), out)]
        )
    predicted, held = np.mean(errors[15:], axis=0)
    assert predicted < 0.7 * held


def test_velocities_come_in_the_order_of_the_tracks_and_are_nan_before_anything_is_known():
    smoother = Smoother(HAND21, PRESETS["balanced"])
    assert smoother.velocities() == []
    for i in range(10):
        moved = np.full((21, 2), 100.0, np.float32) + np.arange(42).reshape(21, 2)
        tracks = [
            (k, Keypoints(HAND21, (moved + speed * i / 30).astype(np.float32),
                          np.ones(21, np.float32), np.full(21, 3, np.uint8)))
            for k, speed in ((4, 60.0), (2, -30.0))
        ]  # fmt: skip
        smoother(round(i / 30 * 1e9), tracks)
    first, second = smoother.velocities()
    # The filter is still catching up after ten images.
    assert ((first.uv > 0.6 * 60.0) & (first.uv < 1.1 * 60.0)).all()
    assert ((second.uv < 0.6 * -30.0) & (second.uv > 1.1 * -30.0)).all()
    assert np.isnan(first.xyz).all()
