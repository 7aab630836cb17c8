"""The surface that a depth image shows at a joint: edges, holes, flying pixels, both encodings."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.lift.surface import nearest_surface, typical_depth_m
from vitpose_ros.types import Depth

AT = np.array([[100.0, 60.0]])
RADIUS = np.array([6.0])


def finger(left=94, right=107, behind_m=0.9):
    """A vertical bar at 0.5 m before a wall."""
    image = np.full((120, 200), behind_m, np.float32)
    image[:, left:right] = 0.5
    return image


def read(image, at=AT, radius=RADIUS):
    depth = Depth(image, 0.001 if image.dtype == np.uint16 else 1.0)
    return nearest_surface(depth, at, radius)


def test_a_flat_surface_is_read_exactly():
    found = read(np.full((120, 200), 0.5, np.float32))
    assert found.depth_m[0] == pytest.approx(0.5) and 0 < found.std_m[0] < 0.006


@pytest.mark.parametrize("shift", [-6, -4, 0, 4, 6])
def test_at_an_edge_the_nearer_side_counts(shift):
    found = read(finger(), AT + np.array((shift, 0)))
    assert found.depth_m[0] == pytest.approx(0.5, abs=1e-6)


def test_flying_pixels_between_a_finger_and_the_wall_do_not_count():
    rng = np.random.default_rng(2)
    image = finger()
    for column in (92, 93, 107, 108):  # what stereo and time of flight put at edges
        image[:, column] = rng.uniform(0.5, 0.9, len(image))
    near = rng.random(image.shape) < 0.04
    image[near] = rng.uniform(0.25, 0.48, near.sum())
    places = [np.array((dx, dy)) for dx in (-5, 0, 5) for dy in range(-20, 21, 5)]
    found = [read(image, AT + place).depth_m[0] for place in places]
    assert np.abs(np.array(found) - 0.5).max() < 0.005


def test_holes_are_bridged_by_what_is_left_and_nothing_is_made_up():
    rng = np.random.default_rng(3)
    image = finger()
    image[rng.random(image.shape) < 0.7] = np.nan
    assert read(image).depth_m[0] == pytest.approx(0.5, abs=1e-6)
    image[50:71, 90:111] = np.nan
    assert np.isnan(read(image).depth_m[0]) and np.isnan(read(image).std_m[0])


def test_millimetres_and_metres_agree_to_a_millimetre():
    rng = np.random.default_rng(4)
    image = (0.5 + 0.02 * rng.random((120, 200))).astype(np.float32)
    metres, millimetres = read(image), read((image * 1000).round().astype(np.uint16))
    assert abs(metres.depth_m[0] - millimetres.depth_m[0]) <= 0.001


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf, -0.5, 30.0, 0.01])
def test_what_is_no_distance_is_no_measurement(value):
    image = np.full((120, 200), value, np.float32)
    assert np.isnan(read(image).depth_m[0])
    assert np.isnan(typical_depth_m(Depth(image, 1.0), AT))


def test_zero_millimetres_is_no_measurement():
    assert np.isnan(read(np.zeros((120, 200), np.uint16)).depth_m[0])


def test_joints_outside_the_image_or_absent_have_no_surface():
    at = np.array([[-30.0, 50], [250, 50], [np.nan, np.nan], [0, 0]])
    found = read(finger(), at, np.full(4, 5.0)).depth_m
    assert np.isnan(found[:3]).all() and found[3] == pytest.approx(0.9)


def test_the_window_grows_with_the_object():
    image = np.full((120, 200), 0.9, np.float32)
    image[57:64, 97:104] = np.nan  # a hole of 7 pixels: all that a small window sees
    assert np.isnan(read(image, radius=np.array([2.0])).depth_m[0])
    assert read(image, radius=np.array([9.0])).depth_m[0] == pytest.approx(0.9)
