"""Which track the smoother's state belongs to: by ids, until it is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import JointState, Keypoints

STEP_S = 1 / 30


def joints(shift=0.0, layout=HAND21):
    """All of them seen, at places of their own, shifted by this many px."""
    count = len(layout)
    uv = np.random.default_rng(8).uniform(100, 200, (count, 2)) + shift
    state = np.full(count, JointState.VISIBLE, np.uint8)
    return Keypoints(layout, uv.astype(np.float32), np.ones(count, np.float32), state)


def sway_px(time_s):
    """To and fro, at up to 470 px/s."""
    return 150 * np.sin(2 * np.pi * 0.5 * time_s)


def hand_smoother():
    return Smoother(HAND21, PRESETS["balanced"])


def step(smoother, number, *tracks):
    """What comes out of an image, for tracks (id, joints or None)."""
    return smoother(1_700_000_000_000_000_000 + round(number * STEP_S * 1e9), tracks)


def follow(smoother, count):
    """What comes out of each of the first images, for one track, 7."""
    return [step(smoother, i, (7, joints(sway_px(i * STEP_S))))[0] for i in range(count)]


def test_rows_follow_the_ids_whatever_their_order_and_company():
    alone = follow(hand_smoother(), 20)
    smoother = hand_smoother()
    orders = ([5, 7], [7, 5], [7], [9, 7, 5], [5, 9, 7])
    for i in range(20):
        ids = orders[i % 5]
        sway = sway_px(i * STEP_S)
        out = step(smoother, i, *((k, joints(sway if k == 7 else sway + 100 * k)) for k in ids))
        assert np.array_equal(out[ids.index(7)].uv, alone[i].uv)


def test_a_new_track_does_not_inherit_the_size_of_the_one_before():
    def fingertips(shift):
        uv = np.full((21, 2), np.nan, np.float32)
        uv[[8, 12, 16, 20]] = shift + np.arange(8).reshape(4, 2)
        state = np.where(np.isnan(uv[:, 0]), JointState.ABSENT, JointState.MEASURED)
        score = np.where(np.isnan(uv[:, 0]), 0, 1).astype(np.float32)
        return Keypoints(HAND21, uv, score, state.astype(np.uint8))

    curves = []
    for company in (False, True):
        smoother = hand_smoother()
        step(smoother, 0, *([(3, joints())] if company else []))
        for i in range(1, 6):
            others = [(3, joints())] if company else []
            *_, out = step(smoother, i, *others, (7, fingertips(9.0 * i)))
        curves.append(out.uv[8])
    assert np.array_equal(curves[0], curves[1])


def test_a_track_that_is_not_named_is_forgotten():
    smoother = hand_smoother()
    follow(smoother, 10)
    assert step(smoother, 11) == []
    assert step(smoother, 12, (7, None)) == [None]


def test_reset_forgets_everything():
    smoother = hand_smoother()
    follow(smoother, 10)
    smoother.reset()
    assert step(smoother, 10, (7, None)) == [None]


def test_other_settings_keep_what_is_known():
    smoother = hand_smoother()
    follow(smoother, 10)
    smoother.update(PRESETS["steady"])
    assert smoother.settings == PRESETS["steady"]
    (kept,) = step(smoother, 10, (7, None))
    assert (kept.state == JointState.PREDICTED).all()


def test_an_id_named_twice_and_joints_of_another_layout_are_refused():
    smoother = hand_smoother()
    with pytest.raises(ValueError, match=r"only once.*\[3, 3\]"):
        step(smoother, 0, (3, None), (3, None))
    with pytest.raises(ValueError, match=r"hand21.*coco17"):
        step(smoother, 0, (3, joints(layout=COCO17)))
