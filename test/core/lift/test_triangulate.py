"""Triangulation: exact without noise, honest about what cameras cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.camera import EQUIDISTANT, CameraModel
from vitpose_ros.lift.triangulate import MAX_CAMERAS, PosedCamera, triangulate
from vitpose_ros.transform import Transform

PINHOLE = CameraModel(640, 480, 600.0, 600.0, 319.5, 239.5)
DISTORTED = CameraModel(
    640, 480, 600.0, 590.0, 310.0, 250.0, "plumb_bob", (-0.3, 0.1, 0.001, -0.001, 0.0)
)
FISHEYE = CameraModel(800, 800, 200.0, 200.0, 399.5, 399.5, EQUIDISTANT, (0.02, 0, 0, 0))
MIRRORED = CameraModel(640, 480, 600.0, 600.0, 300.0, 239.5, mirrored=True)


def turned(yaw_rad):
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array(((cos, 0, sin), (0, 1, 0), (-sin, 0, cos)))


def rig(*models, baseline_m=0.3):
    """Cameras side by side, each turned towards (0, 0, 0.6)."""
    places = [(i - (len(models) - 1) / 2) * baseline_m for i in range(len(models))]
    return [
        PosedCamera(model, Transform(turned(-math.atan2(x, 0.6)), (x, 0.0, 0.0)))
        for model, x in zip(models, places, strict=True)
    ]


def points(seed=0, count=200):
    rng = np.random.default_rng(seed)
    return np.array((0.0, 0.0, 0.6)) + rng.uniform(-0.1, 0.1, (count, 3))


def seen(cameras, xyz, noise_px=0.0, seed=1):
    uv = np.stack([camera.project(xyz) for camera in cameras])
    return uv + np.random.default_rng(seed).normal(0, noise_px, uv.shape) * (noise_px > 0)


def ones(uv, std=1.0):
    return np.full(uv.shape[:2], std)


@pytest.mark.parametrize(
    "models",
    [
        (PINHOLE, PINHOLE),
        (DISTORTED, FISHEYE),
        (PINHOLE, MIRRORED),
        (PINHOLE, DISTORTED, FISHEYE, MIRRORED),
    ],
)
def test_points_without_noise_are_exact_for_every_lens(models):
    cameras, xyz = rig(*models), points()
    found = triangulate(cameras, uv := seen(cameras, xyz), ones(uv))
    assert np.abs(found.xyz - xyz).max() < 1e-6
    assert found.used.all() and found.error_px.max() < 1e-3


def test_a_fisheye_pair_measures_a_point_beyond_90_degrees():
    cameras = [PosedCamera(FISHEYE, Transform(np.eye(3), (x, 0.0, 0.0))) for x in (-0.15, 0.15)]
    xyz = np.array([[0.1, 0.8, -0.1]])
    found = triangulate(cameras, uv := seen(cameras, xyz), ones(uv))
    assert np.abs(found.xyz - xyz).max() < 1e-6


def test_a_baseline_of_30_cm_and_1_px_of_noise_give_3_mm_and_the_covariance_says_so():
    cameras, xyz = rig(PINHOLE, PINHOLE), points(count=2000)
    found = triangulate(cameras, uv := seen(cameras, xyz, 1.0), ones(uv))
    off = found.xyz - xyz
    assert np.median(np.linalg.norm(off, axis=1)) < 3e-3
    told = np.einsum("ka,kab,kb->k", off, np.linalg.inv(found.covariance), off)
    assert 2.4 < told.mean() < 3.3  # chi squared with three degrees of freedom


def test_the_covariance_grows_with_the_pixels_uncertainty():
    cameras, xyz = rig(PINHOLE, PINHOLE), points()
    uv = seen(cameras, xyz)
    one, two = (triangulate(cameras, uv, ones(uv, std)).covariance for std in (1.0, 2.0))
    np.testing.assert_allclose(two, 4 * one, rtol=1e-6)


def test_a_camera_with_a_larger_uncertainty_counts_less():
    cameras, xyz = rig(PINHOLE, PINHOLE, PINHOLE), points(count=1000)
    uv = seen(cameras, xyz, 1.0)
    uv[2] += np.random.default_rng(5).normal(0, 8.0, uv[2].shape)
    true = np.stack([np.full(1000, std) for std in (1.0, 1.0, 8.0)])
    weighted, even = triangulate(cameras, uv, true), triangulate(cameras, uv, ones(uv, 8.0))
    error = [np.median(np.linalg.norm(f.xyz - xyz, axis=1)) for f in (weighted, even)]
    assert error[0] < 0.6 * error[1]


@pytest.mark.parametrize("wrong", range(4))
def test_a_camera_that_contradicts_three_others_is_left_out_of_that_joint_only(wrong):
    cameras, xyz = rig(*[PINHOLE] * 4, baseline_m=0.2), points(count=40)
    uv = seen(cameras, xyz, 0.5)
    uv[wrong, ::2] += (25.0, 40.0)
    found = triangulate(cameras, uv, ones(uv))
    assert not found.used[wrong, ::2].any()
    assert found.used[wrong, 1::2].mean() > 0.9
    assert np.median(np.linalg.norm(found.xyz - xyz, axis=1)) < 3e-3


def test_a_blind_camera_changes_nothing():
    cameras, xyz = rig(PINHOLE, PINHOLE, PINHOLE), points()
    uv = seen(cameras, xyz, 1.0)
    without = triangulate(cameras[:2], uv[:2], ones(uv[:2]))
    for blind in (np.full_like(uv[2], np.nan), np.zeros_like(uv[2])):
        uv[2] = blind
        std = ones(uv)
        std[2] = np.nan
        found = triangulate(cameras, uv, std)
        np.testing.assert_allclose(found.xyz, without.xyz, atol=1e-9)
        assert not found.used[2].any()


def test_two_cameras_that_disagree_give_nothing():
    cameras, xyz = rig(PINHOLE, PINHOLE), points()
    uv = seen(cameras, xyz)
    uv[1, :, 1] += 30.0  # across the epipolar lines
    found = triangulate(cameras, uv, ones(uv))
    assert np.isnan(found.xyz).all() and np.isnan(found.covariance).all()
    assert not found.used.any()


def test_pairs_that_agree_on_different_points_are_not_chosen_between():
    """The third camera's pixel is moved along the epipolar lines of both others."""
    level = [PosedCamera(PINHOLE, Transform(np.eye(3), (x, 0.0, 0.0))) for x in (-0.2, 0, 0.2)]
    xyz = points(count=20)
    uv = seen(level, xyz)
    uv[2, :, 0] += 40.0
    assert np.isnan(triangulate(level, uv, ones(uv)).xyz).all()


@pytest.mark.parametrize(
    ("xyz", "why"),
    [((0.0, 0.0, 40.0), "too far for the baseline"), ((0.01, 0.0, 0.0), "on the baseline")],
)
def test_rays_that_are_nearly_parallel_give_nothing(xyz, why):
    cameras = [PosedCamera(FISHEYE, Transform(np.eye(3), (x, 0.0, 0.0))) for x in (-0.15, 0.15)]
    uv = seen(cameras, np.array([xyz]))
    assert np.isnan(triangulate(cameras, uv, ones(uv)).xyz).all(), why


def test_a_point_behind_a_camera_gives_nothing():
    cameras = [PosedCamera(PINHOLE, Transform(np.eye(3), (x, 0.0, 0.0))) for x in (-0.15, 0.15)]
    uv = seen(cameras, points())[::-1]  # exchanged: rays that meet behind both cameras
    assert np.isnan(triangulate(cameras, uv, ones(uv)).xyz).all()


def test_one_joint_that_nobody_sees_leaves_the_others_alone():
    cameras, xyz = rig(PINHOLE, PINHOLE), points(count=5)
    uv = seen(cameras, xyz)
    uv[0, 2] = np.nan
    found = triangulate(cameras, uv, ones(uv))
    assert np.isnan(found.xyz[2]).all()
    assert np.isfinite(found.xyz[[0, 1, 3, 4]]).all()


@pytest.mark.parametrize(
    ("count", "shape", "message"),
    [
        (1, (1, 5, 2), "expected 2 to 8 cameras, got 1"),
        (MAX_CAMERAS + 1, (9, 5, 2), "expected 2 to 8 cameras, got 9"),
        (2, (3, 5, 2), "expected uv (2, K, 2) and std_px (2, K)"),
    ],
)
def test_bad_input_is_named(count, shape, message):
    cameras = rig(*[PINHOLE] * count)
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        triangulate(cameras, np.zeros(shape), np.zeros(shape[:2]))
