"""Where the joints of a hand of known size are: from one image, and with depth."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.camera import EQUIDISTANT, CameraModel
from vitpose_ros.lift.anatomy import HAND_TREE
from vitpose_ros.lift.hand_fit import Readings, fit_hand, with_lengths
from vitpose_ros.synthetic.scene import Scene

PINHOLE = CameraModel(640, 480, 460.0, 460.0, 319.5, 239.5)
FISHEYE = CameraModel(640, 480, 200.0, 200.0, 319.5, 239.5, EQUIDISTANT, (0.01, -0.002, 0.0, 0.0))
ALL = np.ones(21, bool)
UNKNOWN = np.full(21, np.nan)
TIPS = [8, 12, 16, 20]


def length(shape):
    """The length of a hand that hand_size means, m."""
    return float(np.linalg.norm(np.diff(shape[[0, 9, 10, 11, 12]], axis=0), axis=1).sum())


def fitted(shape, rays, size_m=None, seen=ALL, noise_px=2.0, readings=None):
    """The distances of the joints, m; None if there are none."""
    noise = np.full(21, noise_px / PINHOLE.fx)
    fit = fit_hand(shape, size_m or length(shape), rays, noise, seen, readings)
    return None if fit is None else fit.distance_m


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
        noise_px = 2.0 if camera is PINHOLE else 1.0  # much the same angle
        uv = camera.project(true) + rng.normal(0, noise_px, (21, 2))
        found = fitted(shape @ towards(place), camera.rays(uv))
        distance = np.linalg.norm(true, axis=1)
        errors.append(abs(found[0] - distance[0]) / distance[0])
    assert np.median(errors) < 0.015


def test_a_hand_at_the_side_of_a_fisheye_image_beyond_any_pinhole_is_placed(hands):
    place = np.array([0.5, 0.0, 0.02])  # 88 degrees from the axis
    true = hands[0] + place
    found = fitted(hands[0] @ towards(place), FISHEYE.rays(FISHEYE.project(true)))
    np.testing.assert_allclose(found, np.linalg.norm(true, axis=1), rtol=0.01)


def test_a_hand_taken_for_10_percent_larger_is_10_percent_farther(hands):
    place = np.array([0.05, 0.0, 0.5])
    rays = PINHOLE.rays(PINHOLE.project(hands[2] + place))
    true, larger = (fitted(s * hands[2] @ towards(place), rays) for s in (1.0, 1.1))
    assert np.median(larger / true) == pytest.approx(1.1, abs=0.005)


def test_too_few_joints_or_a_shape_that_does_not_fit_give_no_distance(hands):
    place = np.array([0.0, 0.0, 0.5])
    rays = PINHOLE.rays(PINHOLE.project(hands[0] + place))
    assert fitted(hands[0], rays, seen=np.arange(21) < 7) is None
    assert fitted(np.full((21, 3), np.nan), rays, 0.18) is None
    assert fitted(hands[0], rays * [1, 1, -1]) is None  # behind
    scattered = np.random.default_rng(0).permutation(rays)
    found = fitted(hands[0], scattered)
    assert found is None or (found[np.isfinite(found)] > 0).all()


def test_unknown_joints_stay_unknown_and_those_of_the_palm_are_needed(hands):
    rays = PINHOLE.rays(PINHOLE.project(hands[0] + (0.0, 0.0, 0.5)))
    rays[8] = np.nan
    assert np.flatnonzero(np.isnan(fitted(hands[0], rays))).tolist() == [8]
    rays[9] = np.nan
    assert fitted(hands[0], rays) is None


def test_bones_get_anatomical_lengths_and_keep_their_directions(hands):
    placed = with_lengths(1.7 * hands[1], 0.2)
    for a, b, share in HAND_TREE:
        bone, before = placed[b] - placed[a], hands[1][b] - hands[1][a]
        assert np.linalg.norm(bone) == pytest.approx(0.2 * share)
        assert bone @ before == pytest.approx(np.linalg.norm(bone) * np.linalg.norm(before))
    assert sum(share for a, b, share in HAND_TREE if b in (9, 10, 11, 12)) == pytest.approx(1.0)


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_a_model_that_turns_the_hand_wrongly_is_turned_back_by_the_pixels(degrees, hands):
    turn = about_x(degrees)
    off, unturned = [], []
    for shape in hands:
        true = shape + np.array((0.0, 0.0, 0.4))
        rays = PINHOLE.rays(PINHOLE.project(true))
        size_m = length(shape)
        found = fitted(with_lengths(shape, size_m) @ turn.T, rays, size_m)
        points = rays * found[:, None]
        off.append(apart(points, true))
        unturned.append(apart(shape @ turn.T, true))
    assert np.median(off) < 0.4 * np.median(unturned)


@pytest.mark.parametrize("axes", ["crop", "camera", "opposite"])
def test_at_the_side_of_the_image_the_axes_of_an_exact_shape_do_not_matter(axes, hands):
    """38 degrees from the axis: pixels turn the shape, whichever axes the model meant."""
    place = np.array([0.3, -0.1, 0.4])
    turn = {"crop": towards(place), "camera": np.eye(3), "opposite": towards(place).T}[axes]
    for shape in hands:
        true = shape + place
        rays = PINHOLE.rays(PINHOLE.project(true))
        assert apart(rays * fitted(shape @ turn, rays)[:, None], true) < 1e-4


# --- with depth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("joints", [[8], [4, 8], [16, 20], [5], [17]])
@pytest.mark.parametrize("off_m", [-0.06, 0.06, 0.4], ids=["before", "behind", "background"])
def test_what_depth_shows_in_place_of_a_joint_moves_it_less_than_the_fit_says(joints, off_m, hands):
    """Read on what hides it, or past its edge on what is behind."""
    for shape in hands[::3]:
        true = shape + np.array((0.02, 0.05, 0.45))
        rays = PINHOLE.rays(PINHOLE.project(true))
        exact = np.linalg.norm(true, axis=1)
        read = exact.copy()
        read[joints] += off_m
        size_m = length(shape)
        noise = np.full(21, 2.0 / PINHOLE.fx)
        readings = Readings(read, np.full(21, 0.004))
        model = with_lengths(shape, size_m) @ towards((0.02, 0.05, 0.45))
        fit = fit_hand(model, size_m, rays, noise, ALL, readings)
        error = np.abs(fit.distance_m - exact)
        assert (error[joints] < 4 * fit.std_m[joints]).all(), error[joints]
        assert np.median(error) < 0.004


def test_without_readings_at_the_fingertips_they_are_where_shape_and_bones_have_them(hands):
    for shape in hands[::3]:
        true = shape + np.array((0.0, 0.0, 0.45))
        rays = PINHOLE.rays(PINHOLE.project(true))
        exact = np.linalg.norm(true, axis=1)
        read = np.where(np.isin(np.arange(21), TIPS), np.nan, exact)
        size_m = length(shape)
        tilted = with_lengths(shape, size_m) @ about_x(25).T
        readings = Readings(read, np.full(21, 0.004))
        fit = fit_hand(tilted, size_m, rays, UNKNOWN, ALL, readings)
        assert np.abs(fit.distance_m - exact)[TIPS].max() < 0.02
        assert (fit.std_m[TIPS] > fit.std_m[[5, 9, 13, 17]]).all()


def about_x(degrees):
    """A rotation about the x axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def apart(points, true):
    """Median distance of joints seen from the wrist, m."""
    return np.median(np.linalg.norm((points - points[0]) - (true - true[0]), axis=1)[1:])
