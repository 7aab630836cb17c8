"""Tests of vitpose_ros.smooth.instances and of what Settings accepts for it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.pipeline import Settings
from vitpose_ros.smooth.instances import InstanceSmoother
from vitpose_ros.smooth.predict import DAMPING_S
from vitpose_ros.smooth.settings import SmoothingSettings, preset
from vitpose_ros.types import Instance, JointState, Keypoints, TrackState

STEP_NS = 33_333_333
SPEED = 150.0  # px/s


def instance(layout=HAND21, shift=0.0, track_id=1):
    count = len(layout)
    uv = np.random.default_rng(8).uniform(100, 200, (count, 2)).astype(np.float32)
    uv[:, 0] += shift
    state = np.full(count, JointState.VISIBLE, np.uint8)
    joints = Keypoints(layout, uv, np.full(count, 0.9, np.float32), state)
    return Instance(joints, 0.9, "net", track_id=track_id, track_state=TrackState.CONFIRMED)


def run(smoother, images=20, layout=HAND21):
    """What comes out of the last of some images in which an object moves to the right."""
    for number in range(images):
        given = instance(layout, SPEED * number * STEP_NS * 1e-9)
        (out,) = smoother(number * STEP_NS, [given])
    return given, out


def test_all_layouts_are_smoothed_each_for_itself_and_in_their_order():
    smoother = InstanceSmoother((COCO17, HAND21), SmoothingSettings())
    given = [instance(HAND21, track_id=4), instance(COCO17, track_id=2)]
    out = smoother(0, given)
    assert [(one.layout, one.track_id) for one in out] == [(COCO17, 2), (HAND21, 4)]
    assert [one.raw for one in out] == [given[1].raw, given[0].raw]


def test_what_is_lost_is_held_and_then_left_out():
    smoother = InstanceSmoother((HAND21,), SmoothingSettings(hold_s=0.3))
    given, _ = run(smoother)
    gone = Keypoints.absent(HAND21)
    lost = replace(given, keypoints=gone, raw=gone, track_state=TrackState.LOST)
    shown = [len(smoother((20 + i) * STEP_NS, [lost])) for i in range(15)]
    assert [n for n, _ in itertools.groupby(shown)] == [1, 0]
    assert sum(shown) == round(0.3 / (STEP_NS * 1e-9))


@pytest.mark.parametrize("horizon_s", [0.05, 0.1])
def test_a_horizon_predicts_measured_joints_and_marks_them(horizon_s):
    given, now = run(InstanceSmoother((HAND21,), preset("responsive")))
    _, later = run(InstanceSmoother((HAND21,), preset("responsive"), horizon_s=horizon_s))
    way = (later.keypoints.uv - now.keypoints.uv)[:, 0]
    most = SPEED * DAMPING_S * (1 - np.exp(-horizon_s / DAMPING_S))
    assert way == pytest.approx(np.full(21, most), rel=0.25)
    assert (later.keypoints.state == JointState.PREDICTED).all()
    assert (now.keypoints.state == JointState.VISIBLE).all()
    assert later.raw is given.raw or np.array_equal(later.raw.uv, given.raw.uv)


def test_predicted_joints_are_not_moved_by_a_horizon():
    smoothers = [InstanceSmoother((HAND21,), preset("balanced"), horizon_s=h) for h in (0.0, 0.1)]
    given, _ = [run(smoother)[0] for smoother in smoothers]
    gone = Keypoints.absent(HAND21)
    lost = replace(given, keypoints=gone, raw=gone, track_state=TrackState.LOST)
    held, ahead = (smoother(20 * STEP_NS, [lost])[0] for smoother in smoothers)
    assert np.array_equal(held.keypoints.uv, ahead.keypoints.uv)


def test_a_horizon_is_changed_while_it_runs():
    smoother = InstanceSmoother((HAND21,), preset("balanced"))
    run(smoother)
    smoother.update(preset("balanced"), False, 0.1)
    (out,) = smoother(20 * STEP_NS, [instance(shift=SPEED * 20 * STEP_NS * 1e-9)])
    assert (out.keypoints.state == JointState.PREDICTED).all()
    smoother.update(preset("balanced"), False)
    (out,) = smoother(21 * STEP_NS, [instance(shift=SPEED * 21 * STEP_NS * 1e-9)])
    assert (out.keypoints.state == JointState.VISIBLE).all()


# fields of Settings, what is said
REFUSED = [
    ({"biomechanics": 1}, "biomechanics: expected true or false, got 1"),
    ({"prediction_horizon_s": -0.01}, "expected a number from 0 to 0.1 s, got -0.01"),
    ({"prediction_horizon_s": 0.2}, "expected a number from 0 to 0.1 s, got 0.2"),
    ({"prediction_horizon_s": float("nan")}, "expected a number from 0 to 0.1 s, got nan"),
    ({"prediction_horizon_s": True}, "expected a number from 0 to 0.1 s, got True"),
    ({"prediction_horizon_s": 0.05, "smoothing": preset("none")}, "needs the joints' velocities"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_settings_that_do_not_fit_are_refused_with_a_sentence(given, said):
    with pytest.raises(ValueError, match=said):
        Settings(**given)


def noisy(number):
    """The hand of an image, read with 2 px of noise."""
    given = instance()
    noise = np.random.default_rng(number).normal(0, 2, given.raw.uv.shape).astype(np.float32)
    return with_uv(given, given.raw.uv + noise)


def with_uv(given, uv, state=None):
    joints = replace(given.raw, uv=uv) if state is None else replace(given.raw, uv=uv, state=state)
    return replace(given, keypoints=joints, raw=joints)


@pytest.mark.parametrize("name", ["responsive", "balanced", "steady"])
def test_joints_that_are_seen_are_smoothed_alike_however_long_others_are_held(name):
    curves = []
    for hold_s in (0.5, 0.01, 0.0):
        own = replace(preset(name), hold_s=hold_s)
        smoother = InstanceSmoother((HAND21,), own)
        curves.append([smoother(n * STEP_NS, [noisy(n)])[0].keypoints.uv for n in range(15)])
    assert np.array_equal(curves[0], curves[1])
    assert np.array_equal(curves[0], curves[2])
    assert np.abs(curves[0][-1] - noisy(14).raw.uv).max() > 0.5


@pytest.mark.parametrize("hold_s", [0.0, 0.05])
def test_a_joint_that_is_not_seen_is_absent_as_soon_as_nothing_is_held_any_more(hold_s):
    own = replace(preset("balanced"), hold_s=hold_s)
    smoother = InstanceSmoother((HAND21,), own)
    given, _ = run(smoother)
    uv, state = given.raw.uv.copy(), given.raw.state.copy()
    uv[4], state[4] = np.nan, JointState.ABSENT
    for images in range(1, 5):
        (out,) = smoother((19 + images) * STEP_NS, [with_uv(given, uv, state)])
        held = images * STEP_NS * 1e-9 <= hold_s
        expected = JointState.PREDICTED if held else JointState.ABSENT
        assert out.keypoints.state[4] == expected
        assert np.isnan(out.keypoints.uv[4]).all() == (not held)
        assert (out.keypoints.score[4] > 0) == held
        assert (np.delete(out.keypoints.state, 4) == JointState.VISIBLE).all()


@pytest.mark.parametrize("hold_s", [0.0, 0.5])
@pytest.mark.parametrize("name", ["none", "balanced"])
def test_the_gate_works_with_every_preset_and_time_of_holding(name, hold_s):
    own = replace(preset(name), gate=True, hold_s=hold_s)
    smoother = InstanceSmoother((HAND21,), own)
    for number in range(10):
        smoother(number * STEP_NS, [instance()])
    spike = instance().raw.uv.copy()
    spike[4] += 150.0
    (out,) = smoother(10 * STEP_NS, [with_uv(instance(), spike)])
    assert np.flatnonzero(out.keypoints.corrected).tolist() == [4]
    assert out.keypoints.state[4] == (JointState.PREDICTED if hold_s else JointState.ABSENT)
