"""Recordings that a test makes up: hands that swing, read with a known error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vitpose_ros.bench.recording import HandRecording, Recording
from vitpose_ros.synthetic.anatomy import rest_hand21_mm
from vitpose_ros.types import NO_ID, JointState, Side

RATE_HZ = 30.0
PX_PER_M = 900.0


def _hand(script: str, seconds: float, noise_px: float, lag_s: float, seed: int) -> HandRecording:
    count = round(seconds * RATE_HZ)
    rng = np.random.default_rng(seed)
    time_s = np.arange(count) / RATE_HZ
    xyz = rest_hand21_mm() * 1e-3

    def uv(at_s: np.ndarray) -> np.ndarray:
        if script == "still":
            at_s = np.zeros_like(at_s)
        sway = np.stack([np.sin(2 * np.pi * 0.6 * at_s), np.sin(2 * np.pi * 0.35 * at_s)], -1)
        return 250.0 + 60.0 * sway[:, None] + PX_PER_M * xyz[:, :2]

    raw = uv(time_s - lag_s) + rng.normal(0, noise_px, (count, 21, 2))
    true_xyz = np.tile(xyz + np.array((0.0, 0.0, 0.5)), (count, 1, 1))
    return HandRecording(
        script=script,
        seed=seed,
        side=Side.RIGHT,
        stamp_ns=(1e9 + np.round(time_s * 1e9)).astype(np.int64),
        true_uv=uv(time_s).astype(np.float32),
        true_xyz=true_xyz.astype(np.float32),
        in_view=np.ones(count, bool),
        uv=raw.astype(np.float32),
        score=np.full((count, 21), 0.9, np.float32),
        state=np.full((count, 21), JointState.VISIBLE, np.uint8),
        shape_xyz=(true_xyz + rng.normal(0, 0.001, true_xyz.shape)).astype(np.float32),
        presence=np.full(count, 0.9, np.float32),
        found_side=np.full(count, Side.RIGHT, np.uint8),
        track_id=np.full(count, 7, np.int64),
    )


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    """A function: a recording of one hand in each script."""

    def make(
        scripts: tuple[str, ...] = ("reach", "still"),
        seconds: float = 4.0,
        noise_px: float = 1.5,
        lag_s: float = 0.0,
        unseen: slice = slice(0, 0),
    ) -> Recording:
        hands = [_hand(name, seconds, noise_px, lag_s, i) for i, name in enumerate(scripts)]
        for hand in hands:
            hand.uv[unseen], hand.shape_xyz[unseen] = np.nan, np.nan
            hand.score[unseen], hand.state[unseen] = 0.0, JointState.ABSENT
            hand.presence[unseen], hand.track_id[unseen] = np.nan, NO_ID
        return Recording(tuple(hands), RATE_HZ, 640, 480, ("played",))

    return make
