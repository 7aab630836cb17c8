from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.keypoints.warp import (
    box_region,
    crop_region,
    crop_to_image,
    cut_crops,
    map_points,
    shows_image,
)
from vitpose_ros.types import Region

SIZE = (192, 256)
BOX = (412.8, 157.61, 53.05, 138.01)


def cut(image, region, udp=True):
    """The crop of a region without padding, (3, 256, 192), in grey levels."""
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return np.round(cut_normalised(image, region, udp) * std + mean, 3)


def cut_normalised(image, region, udp=True):
    out = np.empty((1, 3, SIZE[1], SIZE[0]), np.float32)
    cut_crops(image, crop_to_image([region], SIZE, udp), out)
    return out[0]


@pytest.mark.parametrize(
    ("box", "centre", "sides", "matrix"),
    [
        (
            BOX,
            (439.325, 226.615),
            (129.384375, 172.5125),
            [[1.476222, 0, -553.041024], [0, 1.478154, -207.471814]],
        ),
        (
            (384.43, 172.21, 15.12, 35.74),
            (391.99, 190.08),
            (33.50625, 44.675),
            [[5.700429, 0, -2139.011173], [0, 5.70789, -957.455792]],
        ),
    ],
)
def test_boxes_give_the_official_centre_scale_and_udp_matrix(box, centre, sides, matrix):
    region = crop_region(box_region(box), SIZE)
    assert (region.cx, region.cy) == pytest.approx(centre)
    assert (region.width, region.height) == pytest.approx(sides)
    to_crop = cv2.invertAffineTransform(crop_to_image([region], SIZE, udp=True)[0])
    assert to_crop == pytest.approx(np.array(matrix), abs=1e-6 * 2000)
    assert to_crop[:, :2] == pytest.approx(np.array(matrix)[:, :2], abs=1e-6)


def test_the_middle_of_the_crop_is_the_boxs_centre():
    for box in (BOX, (384.43, 172.21, 15.12, 35.74), (-20.0, 3.0, 400.0, 10.0)):
        matrices = crop_to_image([crop_region(box_region(box), SIZE)], SIZE, udp=True)
        centre = box[0] + box[2] / 2, box[1] + box[3] / 2
        assert map_points(matrices, np.array([[[95.5, 127.5]]]))[0, 0] == pytest.approx(centre)


@pytest.mark.parametrize(("udp", "end"), [(True, (191, 255)), (False, (192, 256))])
def test_the_regions_sides_lie_where_the_warp_says(udp, end):
    matrices = crop_to_image([Region(100, 80, 60, 80)], SIZE, udp)
    corners = map_points(matrices, np.array([[(0, 0), end]], float))[0]
    assert corners == pytest.approx(np.array([[70, 40], [130, 120]]))


def test_the_two_warps_differ_by_up_to_one_crop_pixel():
    point = np.array([[[191.0, 255.0]]])
    udp, three_point = (
        map_points(crop_to_image([Region(0, 0, 192, 256)], SIZE, udp), point)
        for udp in (True, False)
    )
    assert udp - three_point == pytest.approx(np.ones((1, 1, 2)))


@pytest.mark.parametrize("theta", [0.0, 0.4, -2.0, math.pi])
def test_a_turned_region_gives_the_general_udp_matrix(theta):
    region = Region(cx=210.0, cy=120.0, width=90.0, height=120.0, rotation_rad=-theta)
    cos, sin = math.cos(theta), math.sin(theta)
    sx, sy = 191 / region.width, 255 / region.height
    expected = [
        [
            cos * sx,
            -sin * sx,
            sx * (-region.cx * cos + region.cy * sin + region.width / 2),
        ],
        [sin * sy, cos * sy, sy * (-region.cx * sin - region.cy * cos + region.height / 2)],
    ]
    to_crop = cv2.invertAffineTransform(crop_to_image([region], SIZE, udp=True)[0])
    assert to_crop == pytest.approx(np.array(expected), abs=1e-9)


def test_each_crop_has_its_own_map():
    regions = [Region(100, 80, 60, 80), Region(5, 6, 30, 40, 0.3)]
    both = crop_to_image(regions, SIZE, udp=True)
    points = np.random.default_rng(0).uniform(0, 190, (2, 7, 2))
    mapped = map_points(both, points)
    for i, region in enumerate(regions):
        alone = map_points(crop_to_image([region], SIZE, udp=True), points[i : i + 1])
        assert mapped[i] == pytest.approx(alone[0])


def test_no_region_gives_no_map():
    assert crop_to_image([], SIZE, udp=True).shape == (0, 2, 3)


def test_a_crop_grows_to_its_aspect_and_never_shrinks():
    for width, height in ((10, 100), (100, 10), (75, 100)):
        grown = crop_region(Region(50, 60, width, height, 0.2, 0.5, 7), SIZE, padding=1.0)
        assert grown.width / grown.height == pytest.approx(0.75)
        assert grown.width >= width - 1e-9 and grown.height >= height - 1e-9
        assert (grown.cx, grown.cy, grown.rotation_rad, grown.track_id) == (50, 60, 0.2, 7)
        assert crop_region(grown, SIZE, 1.0).width == pytest.approx(grown.width)


def test_a_crops_pixel_shows_the_image_where_its_map_says():
    u, v = np.meshgrid(np.arange(250), np.arange(240))
    image = np.stack([u, v, np.full_like(u, 9)], axis=-1).astype(np.uint8)
    region = Region(120.3, 110.7, 90, 120, 0.3)
    blue_is_u = cut(image, region)
    ys, xs = np.mgrid[0 : SIZE[1] : 17, 0 : SIZE[0] : 13]
    points = np.stack([xs, ys], axis=-1).reshape(1, -1, 2).astype(float)
    shown = map_points(crop_to_image([region], SIZE, udp=True), points)[0]
    # uint8 rounds by half a level, and OpenCV places pixels to 1/32.
    assert blue_is_u[2][ys, xs].ravel() == pytest.approx(shown[:, 0], abs=0.55)
    assert blue_is_u[1][ys, xs].ravel() == pytest.approx(shown[:, 1], abs=0.55)
    assert blue_is_u[0] == pytest.approx(np.full((256, 192), 9))


def test_pixels_become_normalised_rgb_planes():
    image = np.full((300, 300, 3), (10, 100, 250), np.uint8)
    planes = cut_normalised(image, Region(150, 150, 90, 120))
    expected = [(250 - 123.675) / 58.395, (100 - 116.28) / 57.12, (10 - 103.53) / 57.375]
    assert planes[:, 128, 96] == pytest.approx(expected, abs=1e-6)
    assert np.ptp(planes.reshape(3, -1), axis=1) == pytest.approx([0, 0, 0])


def test_outside_the_image_pixels_are_zero_before_the_normalisation():
    image = np.full((40, 40, 3), 200, np.uint8)  # smaller than the crop
    planes = cut_normalised(image, Region(40, 20, 60, 80))
    black = -np.array(IMAGENET_MEAN) / IMAGENET_STD
    assert planes[:, 0, 0] == pytest.approx(black, abs=1e-6)
    assert planes[0, 128, 20] == pytest.approx((200 - 123.675) / 58.395, abs=1e-6)


def test_a_mirrored_image_gives_the_mirrored_udp_crop():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), np.uint8), (9, 9), 3)
    region = Region(150.25, 140.5, 96, 128)
    mirrored = Region(399 - region.cx, region.cy, region.width, region.height)
    there = cut(image, region)
    back = cut(np.ascontiguousarray(image[:, ::-1]), mirrored)[:, :, ::-1]
    assert np.abs(there - back).max() <= 1  # the rounding of uint8


def test_a_box_of_no_size_is_refused():
    for box in ((10, 10, 0, 20), (10, 10, 5, -1), (math.nan, 10, 5, 5), (0, 0, math.inf, 5)):
        with pytest.raises(ValueError, match="positive sides"):
            box_region(box)


@pytest.mark.parametrize(
    ("region", "seen"),
    [
        (Region(50, 50, 20, 20), True),
        (Region(-9, 50, 20, 20), True),  # a strip of it
        (Region(-11, 50, 20, 20), False),  # beside, though the padding reaches in
        (Region(50, 111, 20, 20), False),
        (Region(-11, 50, 20, 20, math.pi / 4), True),  # turned, a corner reaches in
        (Region(50, 50, 1e4, 1e4), False),  # the image is a speck in it
        (Region(1e30, 50, 20, 20), False),
        (Region(50, 50, 1e30, 1e30), False),
        (Region(50, 50, 1e-9, 1e-9), True),
    ],
)
def test_only_a_region_that_shows_the_image_is_looked_at(region, seen):
    assert shows_image(region, crop_region(region, SIZE), 100, 100) is seen
