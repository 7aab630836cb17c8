"""Metric results in the target frame."""

from __future__ import annotations

import numpy as np

from vitpose_ros.layouts import HAND21
from vitpose_ros.lift.target import in_target_frame
from vitpose_ros.transform import Transform
from vitpose_ros.types import Instance, JointState, Keypoints, TrackState, ZSource


def lifted():
    """A hand with metres, one joint without."""
    rng = np.random.default_rng(5)
    xyz = rng.normal(size=(21, 3)).astype(np.float32)
    xyz[4] = np.nan
    known = ~np.isnan(xyz[:, 0])
    return Instance(
        Keypoints(
            HAND21,
            uv=rng.uniform(0, 600, (21, 2)).astype(np.float32),
            score=np.ones(21, np.float32),
            state=np.full(21, JointState.MEASURED, np.uint8),
            xyz=xyz,
            z_source=np.where(known, ZSource.MEASURED, ZSource.NONE).astype(np.uint8),
            xyz_std=np.where(known, 0.004, np.nan).astype(np.float32),
            shape_xyz=rng.normal(size=(21, 3)).astype(np.float32),
        ),
        score=1.0,
        model="m",
        track_id=3,
        track_state=TrackState.CONFIRMED,
    )


def test_positions_are_moved_and_shapes_only_turned():
    given = lifted()
    transform = Transform.from_quaternion((0.1, 0.2, 0.3, 0.9), (4, 5, 6))
    (moved,) = in_target_frame(transform, [given])
    np.testing.assert_allclose(moved.raw.xyz, transform.points(given.raw.xyz), rtol=1e-5)
    shape = transform.directions(given.raw.shape_xyz)
    np.testing.assert_allclose(moved.raw.shape_xyz, shape, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(moved.raw.uv, given.raw.uv)
    np.testing.assert_array_equal(moved.raw.z_source, given.raw.z_source)
    assert moved.keypoints is moved.raw


def test_without_a_target_frame_everything_stays():
    given = lifted()
    assert in_target_frame(None, [given]) == [given]


def test_where_the_transform_is_unknown_nothing_is_metric_but_pixels_stay():
    given = lifted()
    (moved,) = in_target_frame(Transform.unknown(), [given])
    assert np.isnan(moved.raw.xyz).all() and np.isnan(moved.raw.shape_xyz).all()
    assert (moved.raw.z_source == ZSource.NONE).all() and np.isnan(moved.raw.xyz_std).all()
    np.testing.assert_array_equal(moved.raw.uv, given.raw.uv)
