"""The distance of a hand of known size from one image."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.camera import EQUIDISTANT, CameraModel
from vitpose_ros.lift.anatomy import HAND_TREE
from vitpose_ros.lift.hand_fit import fit_distance, with_lengths
from vitpose_ros.synthetic.scene import Scene

PINHOLE = CameraModel(640, 480, 460.0, 460.0, 319.5, 239.5)
FISHEYE = CameraModel(640, 480, 200.0, 200.0, 319.5, 239.5, EQUIDISTANT, (0.01, -0.002, 0.0, 0.0))
ALL = np.ones(21, bool)


@pytest.fixture(scope="module")
def hands():
    """(N, 21, 3) hands about their middle, m."""
    scene = Scene("tour", seed=3)
    shapes = [h.xyz - h.xyz.mean(axis=0) for t in range(2, 22, 2) for h in scene.truth(float(t))]
    return np.array(shapes, np.float64)


def towards(direction):
    """A rotation from the optical axis to a direction, as a crop around a hand looks."""
    z = np.asarray(direction, float) / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


@pytest.mark.parametrize("camera", [PINHOLE, FISHEYE], ids=["pinhole", "fisheye"])
def test_the_true_shape_with_noisy_pixels_gives_the_distance_within_1_5_percent(camera, hands):
    rng = np.random.default_rng(1)
    errors = []
    for shape in hands:
        place = rng.uniform((-0.1, -0.1, 0.35), (0.1, 0.1, 0.6))
        true = shape + place
        uv = camera.project(true) + rng.normal(0, 2, (21, 2))
        found = fit_distance(shape @ towards(place), camera.rays(uv), ALL)
        distance = np.linalg.norm(true, axis=1)
        errors.append(abs(found[0] - distance[0]) / distance[0])
    assert np.median(errors) < (0.015 if camera is PINHOLE else 0.035)


def test_a_hand_at_the_side_of_a_fisheye_image_beyond_any_pinhole_is_placed(hands):
    place = np.array([0.5, 0.0, 0.02])  # 88 degrees from the axis
    true = hands[0] + place
    found = fit_distance(hands[0] @ towards(place), FISHEYE.rays(FISHEYE.project(true)), ALL)
    np.testing.assert_allclose(found, np.linalg.norm(true, axis=1), rtol=0.01)


def test_a_hand_taken_for_10_percent_larger_is_10_percent_farther(hands):
    place = np.array([0.05, 0.0, 0.5])
    rays = PINHOLE.rays(PINHOLE.project(hands[2] + place))
    true, larger = (fit_distance(s * hands[2] @ towards(place), rays, ALL) for s in (1.0, 1.1))
    assert np.median(larger / true) == pytest.approx(1.1, abs=0.005)


def test_too_few_joints_or_a_shape_that_does_not_fit_give_no_distance(hands):
    place = np.array([0.0, 0.0, 0.5])
    rays = PINHOLE.rays(PINHOLE.project(hands[0] + place))
    assert fit_distance(hands[0], rays, np.arange(21) < 7) is None
    assert fit_distance(np.full((21, 3), np.nan), rays, ALL) is None
    scattered = np.random.default_rng(0).permutation(rays)
    found = fit_distance(hands[0], scattered, ALL)
    assert found is None or (found[np.isfinite(found)] > 0).all()


def test_unknown_joints_stay_unknown(hands):
    rays = PINHOLE.rays(PINHOLE.project(hands[0] + (0.0, 0.0, 0.5)))
    rays[8] = np.nan
    found = fit_distance(hands[0], rays, ALL)
    assert np.flatnonzero(np.isnan(found)).tolist() == [8]


def test_bones_get_anatomical_lengths_and_keep_their_directions(hands):
    placed = with_lengths(1.7 * hands[1], 0.2)
    for a, b, share in HAND_TREE:
        bone, before = placed[b] - placed[a], hands[1][b] - hands[1][a]
        assert np.linalg.norm(bone) == pytest.approx(0.2 * share)
        assert bone @ before == pytest.approx(np.linalg.norm(bone) * np.linalg.norm(before))
    assert sum(share for a, b, share in HAND_TREE if b in (9, 10, 11, 12)) == pytest.approx(1.0)


def test_a_model_that_turns_the_hand_wrongly_is_turned_back_by_the_pixels(hands):
    angle = np.radians(15)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    off, unturned = [], []
    for shape in hands:
        true = shape + np.array((0.0, 0.0, 0.35))
        found = fit_distance(shape @ tilt.T, PINHOLE.rays(PINHOLE.project(true)), ALL)
        relative = np.linalg.norm(true, axis=1)
        off.append(np.ptp(found - relative))  # of the hand's own depth
        unturned.append(np.ptp((shape @ tilt.T - shape)[:, 2]))
    assert np.median(off) < 0.4 * np.median(unturned)
