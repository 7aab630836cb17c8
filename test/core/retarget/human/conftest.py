"""Hands and arms whose angles are known exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21, Layout
from vitpose_ros.synthetic.anatomy import HandPose, bone_maps, hand21_m
from vitpose_ros.synthetic.motion import OPEN
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource

MIRROR = np.array((-1.0, 1.0, 1.0))
ELBOW_M = np.array((-0.26, 0.0, 0.0))


@pytest.fixture(scope="session")
def posed_hand() -> Callable[..., np.ndarray]:
    """``posed_hand(digits, side, wrist_flexion_deg, ...)``: (21, 3) m.

    The forearm points along x and the palm is down, so the hand lies along x with its back to z. A
    left hand is the mirror image at y -> -y.
    """

    def make(digits=OPEN, side: Side = Side.RIGHT, **wrist: float) -> np.ndarray:
        pose = HandPose(np.array(digits, float), **wrist)
        points = hand21_m(bone_maps(pose, 1.0, ELBOW_M)[0])
        return points * (1, -1, 1) if side is Side.LEFT else points

    return make


@pytest.fixture(scope="session")
def keypoints_of() -> Callable[..., Keypoints]:
    """``keypoints_of(layout, xyz, shape)``: measured joints; None for points that are unknown."""

    def make(layout: Layout, xyz=None, shape=None) -> Keypoints:
        count = len(layout)
        unknown = np.full((count, 3), np.nan, np.float32)
        xyz = unknown if xyz is None else np.asarray(xyz, np.float32)
        shape = unknown if shape is None else np.asarray(shape, np.float32)
        source = np.where(np.isnan(xyz).any(axis=1), ZSource.NONE, ZSource.MEASURED)
        return Keypoints(
            layout,
            np.zeros((count, 2), np.float32),
            np.ones(count, np.float32),
            np.full(count, JointState.MEASURED, np.uint8),
            xyz=xyz,
            z_source=source.astype(np.uint8),
            shape_xyz=shape,
        )

    return make


@pytest.fixture(scope="session")
def hand_of(keypoints_of) -> Callable[..., Instance]:
    """``hand_of(side, xyz, shape, track_id=1, ...)``: a confirmed hand."""

    def make(side: Side, xyz=None, shape=None, track_id: int = 1, **fields) -> Instance:
        fields = {"track_state": TrackState.CONFIRMED, "side_score": 0.9, **fields}
        keypoints = keypoints_of(HAND21, xyz, shape)
        return Instance(keypoints, 0.9, "net", side=side, track_id=track_id, **fields)

    return make


@pytest.fixture(scope="session")
def body_of(keypoints_of) -> Callable[..., Instance]:
    """``body_of(points, track_id=100, metric=True)``: a confirmed body with these joints."""

    def make(points: dict, track_id: int = 100, metric: bool = True, **fields) -> Instance:
        joints = np.array([points.get(name, (np.nan,) * 3) for name in COCO17.joints], np.float32)
        keypoints = keypoints_of(COCO17, joints if metric else None, None if metric else joints)
        fields = {"track_state": TrackState.CONFIRMED, **fields}
        return Instance(keypoints, 0.9, "net", track_id=track_id, **fields)

    return make
