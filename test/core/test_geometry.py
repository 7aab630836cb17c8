from __future__ import annotations

import math
import warnings

import cv2
import numpy as np
import pytest

from vitpose_ros.geometry import (
    apply_affine,
    crop,
    crop_rgb,
    grow_square,
    intersection,
    iou,
    known_median,
    letterbox_region,
    overlap_of_smaller,
    region_to_image,
    upright_rotation,
    wrap_angle,
)
from vitpose_ros.types import Region


def to_crop(region, side):
    """The (2, 3) map from image pixels to those of a square crop."""
    return cv2.invertAffineTransform(region_to_image(region, (side, side)))


@pytest.mark.parametrize(
    ("angle", "wrapped"),
    [
        (0.0, 0.0),
        (math.pi, -math.pi),  # the interval is open at pi
        (-math.pi, -math.pi),
        (3 * math.pi / 2, -math.pi / 2),
        (-7.0, -7.0 + 2 * math.pi),
    ],
)
def test_wrapped_angles_lie_from_minus_pi_to_below_pi(angle, wrapped):
    assert wrap_angle(angle) == pytest.approx(wrapped)


@pytest.mark.parametrize(
    ("end", "rotation"),
    [
        ((0, -1), 0.0),  # already up
        ((1, 0), math.pi / 2),  # points right: the region is turned clockwise
        ((0, 1), -math.pi),
        ((-1, 0), -math.pi / 2),
    ],
)
def test_a_region_turned_upright_sees_the_line_pointing_up(end, rotation):
    assert upright_rotation((0, 0), end) == pytest.approx(rotation)
    region = Region(0, 0, 10, 10, upright_rotation((0, 0), end))
    start_in_crop, end_in_crop = apply_affine(to_crop(region, 10), np.array([(0.0, 0.0), end]))
    assert end_in_crop - start_in_crop == pytest.approx([0, -1], abs=1e-9)


def test_a_crops_corners_are_the_regions_corners():
    region = Region(100, 50, 40, 20, math.pi / 2)
    corners = apply_affine(region_to_image(region, (8, 8)), np.array([(0, 0), (8, 0), (8, 8)]))
    # Turned clockwise by a quarter: the region's x axis points down the image, its y axis left.
    assert corners == pytest.approx(np.array([(110, 30), (110, 70), (90, 70)]))


def test_a_bright_spot_lands_in_the_crop_where_the_map_says():
    image = np.zeros((120, 160, 3), np.uint8)
    image[70, 90] = 255
    region = Region(85.0, 66.0, 60.0, 60.0, 0.6)
    x, y = apply_affine(to_crop(region, 240), np.array([(90.0, 70.0)]))[0]
    weight = crop(image, region, (240, 240))[..., 0].astype(float)
    rows, columns = np.mgrid[:240, :240]
    found = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert found == pytest.approx((x, y), abs=0.05)


def test_crop_rgb_swaps_channels_and_scales_to_one():
    image = np.full((50, 60, 3), (255, 51, 0), np.uint8)
    out = np.empty((8, 8, 3), np.float32)
    crop_rgb(image, Region(30, 25, 20, 20), out)
    assert out.reshape(-1, 3) == pytest.approx(np.tile([0.0, 0.2, 1.0], (64, 1)))


@pytest.mark.parametrize(("replicate", "outside"), [(True, 200), (False, 0)])
def test_outside_the_image_stands_its_edge_or_nothing(replicate, outside):
    image = np.full((10, 10, 3), 200, np.uint8)
    far = crop(image, Region(-500, -500, 20, 20), (16, 16), replicate=replicate)
    assert (far == outside).all()


def test_an_image_of_one_pixel_can_be_cropped():
    image = np.full((1, 1, 3), 77, np.uint8)
    assert (crop(image, Region(0, 0, 3, 3, 1.0), (224, 224)) == 77).all()


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (300, 300), (1, 7)])
def test_the_letterbox_is_a_square_around_the_image(size):
    region = letterbox_region(*size)
    assert (region.width, region.height) == (max(size), max(size))
    assert (region.cx, region.cy) == (size[0] / 2, size[1] / 2)


def test_shift_goes_along_the_regions_own_axis():
    grown = grow_square(Region(100, 100, 20, 40, math.pi / 2), scale=2.0, shift_y=-0.5)
    # Its y axis points left in the image, so half its height up is 20 px to the right.
    assert (grown.cx, grown.cy) == pytest.approx((120, 100))
    assert (grown.width, grown.height) == (80, 80)


@pytest.mark.parametrize(
    ("a", "b", "shared", "union_ratio", "smaller_ratio"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 100, 1.0, 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 50, 1 / 3, 0.5),
        ((0, 0, 10, 10), (2, 2, 5, 2), 10, 0.1, 1.0),  # one inside the other
        ((0, 0, 10, 10), (20, 0, 10, 10), 0, 0.0, 0.0),
        ((0, 0, 0, 10), (0, 0, 0, 10), 0, 0.0, 0.0),  # without area
    ],
)
def test_overlaps(a, b, shared, union_ratio, smaller_ratio):
    assert intersection(a, b) == shared
    assert iou(a, b) == pytest.approx(union_ratio)
    assert overlap_of_smaller(a, b) == pytest.approx(smaller_ratio)


def test_the_median_of_what_is_known_is_that_of_numpy():
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 3, 6))
    values[random.random(values.shape) < 0.3] = np.nan
    values[5, 1] = np.nan  # nothing at all
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of it
        expected = np.nanmedian(values, axis=-1)
    np.testing.assert_array_equal(known_median(values), expected)
    assert known_median(np.array([3.0, 1.0])) == 2.0
