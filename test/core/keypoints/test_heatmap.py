from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.warp import box_region, crop_region, crop_to_image, map_points
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21

CODEC = HeatmapCodec()
SCALE = np.array([191 / 47, 255 / 63])
"""Input pixels for each heatmap pixel."""


def maps_at(points, amplitude=1.0, noise=0.0, seed=0):
    """(1, K, 64, 48) Gaussians at places in heatmap px."""
    (maps,) = CODEC.encode(np.asarray(points, float).reshape(1, -1, 2) * SCALE)
    maps = maps * np.float32(amplitude)
    if noise:
        maps = maps + np.random.default_rng(seed).normal(0, noise, maps.shape)
    return maps.astype(np.float32)


def decoded(maps):
    """Places in heatmap px."""
    return CODEC.decode([maps]).xy / SCALE


def errors(points, **options):
    return np.linalg.norm(decoded(maps_at(points, **options))[0] - points, axis=1)


def official(heatmap):
    """The official recipe on one whole map: blur, clip, logarithm, edge padding, Newton's step."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    blurred = cv2.GaussianBlur(heatmap.astype(np.float64), (11, 11), 0)
    log = np.pad(np.log(np.clip(blurred, 0.001, 50)), 1, mode="edge")
    i = log[y : y + 3, x : x + 3]
    gradient = np.array([i[1, 2] - i[1, 0], i[2, 1] - i[0, 1]]) / 2
    dxx, dyy = i[1, 2] - 2 * i[1, 1] + i[1, 0], i[2, 1] - 2 * i[1, 1] + i[0, 1]
    dxy = (i[2, 2] - i[1, 2] - i[2, 1] + 2 * i[1, 1] - i[1, 0] - i[0, 1] + i[0, 0]) / 2
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.eye(2) * np.finfo(np.float32).eps
    return np.array([x, y]) - np.linalg.solve(hessian, gradient)


@pytest.mark.parametrize("amplitude", [1.0, 0.3, 0.03, 0.003])
def test_a_clean_gaussian_is_recovered_at_any_amplitude(amplitude):
    points = np.array([[20.3, 31.7], [1.3, 31.7]])  # the second one at the border
    assert errors(points, amplitude=amplitude) == pytest.approx([0, 0], abs=1e-4)


def test_clean_gaussians_are_recovered_everywhere_on_the_map():
    steps = 0.31
    grid = np.stack(np.meshgrid(np.arange(0, 47, steps), np.arange(0, 63, 3 * steps)), -1)
    assert errors(grid.reshape(-1, 2)).max() < 1e-3


def test_a_joint_a_little_off_the_map_is_still_found():
    points = np.array([[-0.4, 20.2], [47.3, 63.4], [10.1, -0.3]])
    assert errors(points).max() < 1e-3


def test_the_lattices_ends_coincide_and_its_middle_is_the_crops():
    maps = maps_at([[0, 0], [47, 63], [23.5, 31.5]])
    xy = CODEC.decode([maps]).xy[0]
    assert xy == pytest.approx(np.array([[0, 0], [191, 255], [95.5, 127.5]]), abs=5e-3)


def test_the_middle_of_the_map_is_the_centre_of_any_box():
    rng = np.random.default_rng(7)
    boxes = np.concatenate([rng.uniform(-100, 500, (50, 2)), rng.uniform(5, 400, (50, 2))], axis=1)
    found = CODEC.decode([np.repeat(maps_at([[23.5, 31.5]]), len(boxes), axis=0)])
    regions = [crop_region(box_region(box), CODEC.input_size) for box in boxes]
    uv = map_points(crop_to_image(regions, CODEC.input_size, CODEC.udp), found.xy)[:, 0]
    off = np.abs(uv - (boxes[:, :2] + boxes[:, 2:] / 2)).max(axis=1)
    assert (off / [region.width / 47 for region in regions]).max() < 1e-3  # px of the heatmap


def test_inside_the_map_it_is_the_official_recipe():
    rng = np.random.default_rng(1)
    points = rng.uniform([8, 8], [39, 55], (200, 2))
    maps = maps_at(points, noise=0.03)
    assert decoded(maps)[0] == pytest.approx(np.stack([official(m) for m in maps[0]]), abs=1e-5)


@pytest.mark.parametrize(("noise", "limit"), [(0.01, 0.0127), (0.03, 0.0381)])
def test_noise_moves_joints_no_more_than_in_the_official_recipe(noise, limit):
    points = np.random.default_rng(2).uniform([8, 8], [39, 55], (1000, 2))
    assert errors(points, noise=noise).mean() < limit


def test_noise_at_the_border_moves_joints_little():
    rng = np.random.default_rng(3)
    points = np.stack([rng.uniform(0, 47, 500), rng.uniform(0, 5, 500)], axis=1)
    assert errors(points, noise=0.01).mean() < 0.04


def test_a_junk_map_moves_no_joint_by_more_than_one_pixel_from_its_maximum():
    junk = np.random.default_rng(4).normal(0, 0.01, (60, 17, 64, 48)).astype(np.float32)
    y, x = np.divmod(junk.reshape(60, 17, -1).argmax(axis=2), 48)
    found = CODEC.decode([junk])
    away = np.linalg.norm(found.xy / SCALE - np.stack([x, y], axis=-1), axis=-1)
    assert away.max() <= 1 + 1e-9
    assert found.score.max() < 0.06  # and the score tells what it is


def test_where_there_is_no_peak_the_maximum_stays():
    maps = np.full((1, 2, 64, 48), 0.5, np.float32)
    maps[0, 1] = 0
    maps[0, 1, 10, :] = 0.7  # a ridge
    found = decoded(maps)[0]
    assert found[0] == pytest.approx([0, 0])
    assert found[1] == pytest.approx([0, 10])


def test_the_score_is_the_raw_maximum_and_may_exceed_1():
    points = [[20.0, 31.0], [5.0, 5.0]]
    found = CODEC.decode([maps_at(points) * np.array([1.3, 0.4], np.float32)[:, None, None]])
    assert found.score[0] == pytest.approx([1.3, 0.4])
    assert found.score.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_with_a_value_that_is_not_finite_gives_no_joint_and_harms_no_other(value):
    maps = maps_at([[20.3, 31.7], [10.2, 12.4]])
    maps[0, 0, 50, 40] = value  # far from the peak
    found = CODEC.decode([maps])
    assert np.isnan(found.xy[0, 0]).all() and found.score[0, 0] == 0
    assert found.xy[0, 1] / SCALE == pytest.approx([10.2, 12.4], abs=1e-3)


@pytest.mark.parametrize("value", [0.0, -0.2])
def test_a_map_without_a_positive_value_gives_no_joint(value):
    found = CODEC.decode([np.full((1, 1, 64, 48), value, np.float32)])
    assert np.isnan(found.xy).all() and found.score[0, 0] == 0


def test_a_thousand_crops_with_133_joints_decode_as_one_by_one():
    codec = HeatmapCodec((48, 64), (12, 16))
    rng = np.random.default_rng(5)
    maps = np.empty((1000, 133, 16, 12), np.float32)
    maps[:] = rng.normal(0, 0.05, (133, 16, 12))
    maps += rng.normal(0, 0.5, (1000, 1, 16, 12)).astype(np.float32)
    assert maps.size > 2**24  # where float32 can no longer count
    together = codec.decode([maps])
    for i in (0, 1, 37, 500, 998, 999):
        alone = codec.decode([maps[i : i + 1]])
        assert np.array_equal(together.xy[i], alone.xy[0], equal_nan=True)
        assert np.array_equal(together.score[i], alone.score[0])
    y, x = np.divmod(maps.reshape(1000, 133, -1).argmax(axis=2), 12)
    steps = together.xy / codec.px_per_map_px - np.stack([x, y], axis=-1)
    assert np.nanmax(np.abs(steps)) <= 1 + 1e-9


def test_no_crop_gives_no_joints():
    found = CODEC.decode([np.empty((0, 17, 64, 48), np.float32)])
    assert found.xy.shape == (0, 17, 2) and found.score.shape == (0, 17)


def test_an_absent_joint_is_encoded_as_nothing():
    (maps,) = CODEC.encode(np.array([[[50.0, 60.0], [np.nan, np.nan]]]))
    assert maps.shape == (1, 2, 64, 48) and maps.dtype == np.float32
    assert maps[0, 0].max() > 0.9 and not maps[0, 1].any()


def test_an_encoded_gaussian_is_1_at_its_joint_and_has_the_sigma_of_the_training():
    heatmap = maps_at([[20.0, 31.0]])[0, 0]
    assert heatmap[31, 20] == 1
    assert heatmap[31, 22] == heatmap[33, 20] == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("layout", [COCO17, COCO_WHOLEBODY133, HAND21], ids=lambda it: it.name)
def test_the_flip_test_leaves_no_residual(layout):
    rng = np.random.default_rng(6)
    xy = rng.uniform(0, [191, 255], (2, len(layout), 2))
    mirrored = np.stack([191 - xy[..., 0], xy[..., 1]], axis=-1)[:, list(layout.flip_permutation())]
    direct, other = CODEC.encode(xy), CODEC.encode(mirrored)
    (turned,) = CODEC.unmirror(other, layout.flip_permutation(), direct)
    assert np.abs(turned - direct[0]).max() < 1e-6


def test_a_codec_that_cannot_be_is_refused():
    for options in ({"map_size": (2, 64)}, {"sigma": 0.0}, {"input_size": (1, 256)}):
        with pytest.raises(ValueError, match="HeatmapCodec: expected"):
            HeatmapCodec(**options)
