"""Samples, regions and crops that the network learns from."""

from __future__ import annotations

from itertools import islice

import cv2
import hand_crops
import hand_samples
import numpy as np
import pytest
import sample_cache
from tiny_vitpose import make_codec

from vitpose_ros.geometry import apply_affine
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.keypoints.warp import crop_to_image
from vitpose_ros.types import Region

RECIPE = sample_cache.Recipe(seed=3, free_shards=2, scene_shards=1, shard=6)


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> sample_cache.Samples:
    return sample_cache.samples_of(tmp_path_factory.mktemp("cache"), RECIPE, workers=1)


def test_a_sample_shows_the_region_of_its_own_joints_upright(samples):
    for uv in samples.uv:
        region, own = hand_region(uv, 1.0, 0), hand_samples.own_region()
        assert region is not None
        # hand_region works on an image's lattice, of which a side of n px has n - 1.
        assert (region.cx, region.cy) == pytest.approx((own.cx, own.cy), abs=0.5)
        assert region.width == pytest.approx(own.width, rel=0.01)
        turn = (region.rotation_rad + np.pi) % (2 * np.pi) - np.pi
        assert turn == pytest.approx(0.0, abs=0.02)


def test_visible_joints_of_free_hands_lie_on_the_hand(samples):
    free = RECIPE.free_shards * RECIPE.shard
    for image, uv, visible in zip(samples.images, samples.uv, samples.visible, strict=True):
        u, v = np.clip(np.round(uv[visible]), 0, hand_samples.SAMPLE_PX - 1).astype(int).T
        near = cv2.dilate(image[..., 3], np.ones((7, 7), np.uint8))
        assert (near[v, u] == 255).all()
    assert (samples.images[:free, ..., 3] == 0).mean() > 0.5
    assert 0.3 < samples.visible.mean() < 1.0


def test_samples_do_not_depend_on_who_renders_them_or_when(samples, tmp_path):
    first = tmp_path / "first"
    again = sample_cache.samples_of(first, RECIPE, workers=1)
    assert np.array_equal(again.images, samples.images)
    (first / "shard-0001.done").unlink()
    rows = slice(RECIPE.shard, 2 * RECIPE.shard)
    np.load(first / "images.npy", mmap_mode="r+")[rows] = 0
    resumed = sample_cache.samples_of(first, RECIPE, workers=1)
    assert np.array_equal(resumed.images, samples.images)


def test_a_cache_of_another_recipe_is_refused(tmp_path):
    small = sample_cache.Recipe(1, 1, 0, shard=2)
    sample_cache.samples_of(tmp_path, small, workers=1)
    with pytest.raises(ValueError, match="another recipe"):
        sample_cache.samples_of(tmp_path, sample_cache.Recipe(2, 1, 0, shard=2), workers=1)


def test_fingers_keep_to_the_limits_of_anatomy():
    rng = np.random.default_rng(5)
    low, high = (limit[:20].reshape(5, 4) for limit in hand_samples.ANGLE_LIMITS_DEG)
    digits = np.array([hand_samples.random_digits(rng) for _ in range(300)])
    assert (digits >= low).all() and (digits <= high).all()
    # The bend of every finger's middle joint covers most of its range.
    assert (np.ptp(digits[:, 1:, 2], axis=0) > 90).all()


@pytest.mark.parametrize("rotation", [0.0, 0.4, -2.0, np.pi])
def test_an_upright_box_holds_the_joints_whatever_its_rotation(samples, rotation):
    uv = samples.uv[0].astype(np.float64)
    region = hand_crops.upright_box(uv, rotation, 1.0)
    matrix = crop_to_image([region], (101, 101), udp=True)[0]
    inside = apply_affine(cv2.invertAffineTransform(matrix), uv)
    assert inside.min() == pytest.approx(0.0, abs=0.51) and inside.max() <= 100 + 1e-6
    assert max(np.ptp(inside[:, 0]), np.ptp(inside[:, 1])) == pytest.approx(100.0, abs=1e-6)


def test_crops_move_the_joints_exactly_as_the_pixels():
    """Spots painted where the joints are come out where the crop says the joints are."""
    side = hand_samples.SAMPLE_PX
    rng = np.random.default_rng(0)
    corners = ((60.0, 70.0), (140.0, 72.0), (98.0, 100.0), (64.0, 138.0), (137.0, 133.0))
    uv = np.array([corners[i % 5] for i in range(21)], np.float32)
    uv[9] = (98.0, 60.0)
    image = np.zeros((1, side, side, 4), np.uint8)
    image[..., 3] = 255
    u, v = np.meshgrid(np.arange(side), np.arange(side))
    for x, y in uv[:5]:
        spot = 255 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 5)
        image[0, ..., :3] = np.maximum(image[0, ..., :3], spot[..., None])
    made = hand_crops.CropMaker(
        sample_cache.Samples(image, uv[None], np.ones((1, 21), bool)),
        make_codec(128),
        np.zeros((1, 288, 288, 3), np.uint8),
    ).held_out(np.zeros(6, np.int64), rng)
    for pixels, xy in zip(made.pixels, made.xy, strict=True):
        brightness = pixels[1] * IMAGENET_STD[1] + IMAGENET_MEAN[1]
        for x, y in xy[:5]:
            x0, y0 = round(x) - 4, round(y) - 4
            part = brightness[y0 : y0 + 9, x0 : x0 + 9].astype(np.float64)
            moment = (part[None] * np.mgrid[0:9, 0:9]).sum(axis=(1, 2)) / part.sum()
            assert moment[::-1] == pytest.approx((x - x0, y - y0), abs=0.12)


def test_joints_outside_the_crop_have_no_weight_and_those_inside_have(samples):
    maker = hand_crops.CropMaker(samples, make_codec(128), hand_crops.make_backgrounds(0, 4))
    batch = maker.training(48, np.random.default_rng(2))
    inside = ((batch.xy >= -0.5) & (batch.xy < 127.5)).all(axis=2)
    assert np.array_equal(batch.weight == 1, inside)
    assert 0.9 < batch.weight.mean() < 1
    assert np.isfinite(batch.pixels).all() and batch.pixels.shape == (48, 3, 128, 128)


def test_crops_without_a_hand_ask_for_maps_of_nothing(samples):
    codec = make_codec(128)
    maker = hand_crops.CropMaker(samples, codec, hand_crops.make_backgrounds(0, 4))
    batch = maker.training(8, np.random.default_rng(2), empty=0.25)
    (maps,) = codec.encode(batch.xy)
    assert not maps[:2].any() and (batch.weight[:2] == 1).all()
    assert (maps[2:].max(axis=(2, 3)) > 0.5).mean() > 0.9


def test_the_same_seed_gives_the_same_batch(samples):
    maker = hand_crops.CropMaker(samples, make_codec(128), hand_crops.make_backgrounds(0, 4))
    first, second, other = (maker.training(16, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.xy, second.xy)
    assert np.array_equal(first.pixels, second.pixels)
    assert not np.array_equal(first.xy, other.xy)


def test_a_jitter_of_nothing_leaves_a_region_as_it_is():
    region = Region(50.0, 60.0, 80.0, 80.0, 0.3)
    assert hand_crops.jittered(region, np.random.default_rng(0), 0.0, 0.0, 0.0) == region


def test_scenes_that_are_measured_are_never_trained_on():
    from held_out import FIRST_SEED

    assert FIRST_SEED > sample_cache.HELD_OUT_SEED + 10_000
    assert sample_cache.HELD_OUT_SEED > 1000 * 500  # more shards of scenes than a run has


def test_free_hands_are_of_many_shapes_and_lights():
    hands = list(islice(hand_samples.free_hands(np.random.default_rng(1)), 12))
    brightness = [hand.image[hand.image[..., 3] > 0][:, :3].mean() for hand in hands]
    assert np.ptp(brightness) > 20
    assert np.std([hand.uv for hand in hands], axis=0).mean() > 4
