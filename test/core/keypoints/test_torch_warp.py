"""Crops in torch against OpenCV's and against bilinear interpolation in float64."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.keypoints.warp import crop_to_image, cut_crops
from vitpose_ros.types import Region

pytestmark = pytest.mark.torch

SIZE = (192, 256)
OPENCV_EXACT = int(cv2.__version__.split(".")[0]) >= 5

REGIONS = {
    "inside": Region(320.3, 240.8, 150, 200),
    "turned": Region(300.1, 250.2, 210, 280, 0.7),
    "over the border": Region(10, 470, 300, 400, -2.5),
    "tiny": Region(320.25, 240.5, 9, 12),
    "larger than the image": Region(320, 240, 1500, 2000, 0.1),
    "outside": Region(-500, -300, 90, 120),
}


@pytest.fixture
def grey_levels(torch):
    """The crops in grey levels, RGB: (N, 3, height, width)."""
    from vitpose_ros.keypoints.torch_warp import TorchCrops, upload_planes

    def cut(image, regions, size=SIZE, udp=True):
        device = torch.device("cpu")
        out = torch.full((len(regions), 3, size[1], size[0]), np.nan)
        planes = upload_planes(image, device)
        matrices = crop_to_image(regions, size, udp)
        TorchCrops(size, device)(planes, matrices, out)
        return levels(out.numpy())

    return cut


def levels(crops):
    mean, std = (np.reshape(values, (3, 1, 1)) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return crops * std + mean


def image_of(smoothness, shape=(480, 640, 3)):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if not smoothness:
        return image
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), smoothness)
    return (127 + 40 * (soft - soft.mean()) / soft.std()).clip(0, 255).astype(np.uint8)


def interpolated(image, matrix, size):
    """Bilinear interpolation in float64 with zeros outside the image."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    u, v = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in (0, 1))
    height, width = image.shape[:2]
    found = np.zeros((*x.shape, 3))
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = np.floor(u).astype(int) + dx, np.floor(v).astype(int) + dy
            weight = (1 - abs(u - column)) * (1 - abs(v - row))
            weight = weight * ((column >= 0) & (column < width) & (row >= 0) & (row < height))
            pixels = image[row.clip(0, height - 1), column.clip(0, width - 1)]
            found += weight[..., None] * pixels
    return found[..., ::-1].transpose(2, 0, 1)


@pytest.mark.parametrize("udp", [True, False], ids=["UDP", "not UDP"])
@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
def test_a_crop_is_the_exact_interpolation(region, udp, grey_levels):
    image = image_of(0)
    (matrix,) = crop_to_image([region], SIZE, udp)
    (found,) = grey_levels(image, [region], udp=udp)
    assert found == pytest.approx(interpolated(image, matrix, SIZE), abs=0.05)


@pytest.mark.parametrize("smoothness", [0, 3])
def test_a_crop_is_opencvs_within_a_grey_level(smoothness, grey_levels):
    regions = list(REGIONS.values())
    image = image_of(smoothness)
    expected = np.empty((len(regions), 3, SIZE[1], SIZE[0]), np.float32)
    cut_crops(image, crop_to_image(regions, SIZE, True), expected)
    difference = np.abs(grey_levels(image, regions) - levels(expected)).max()
    rounding = 0.55
    if OPENCV_EXACT:
        assert difference < rounding
    else:  # places to the nearest 1/32 px: see torch_warp
        steps = [np.abs(np.diff(image.astype(int), axis=axis)).max() for axis in (0, 1)]
        assert difference < rounding + sum(steps) / 64


def test_crops_together_are_those_alone(grey_levels):
    image = image_of(0)
    together = grey_levels(image, list(REGIONS.values()))
    for region, found in zip(REGIONS.values(), together, strict=True):
        assert np.array_equal(found, grey_levels(image, [region])[0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5, 3), (7, 1, 3)])
def test_an_image_of_one_pixel_is_read(shape, grey_levels):
    image = np.full(shape, 200, np.uint8)
    region = Region((shape[1] - 1) / 2, (shape[0] - 1) / 2, 3, 4)
    (matrix,) = crop_to_image([region], SIZE, True)
    (found,) = grey_levels(image, [region])
    assert found == pytest.approx(interpolated(image, matrix, SIZE), abs=0.05)


def test_a_read_only_view_of_an_image_is_taken(grey_levels):
    image = image_of(3)
    view = image[:, ::-1]
    view.flags.writeable = False
    region = REGIONS["inside"]
    assert np.array_equal(
        grey_levels(view, [region]), grey_levels(np.ascontiguousarray(view), [region])
    )


def test_an_uploaded_image_does_not_change_with_the_array(torch):
    from vitpose_ros.keypoints.torch_warp import upload_planes

    image = image_of(3)
    planes = upload_planes(image, torch.device("cpu"))
    before = planes.clone()
    image[:] = 7
    assert torch.equal(planes, before)
