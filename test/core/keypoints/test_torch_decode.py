"""Decoding in torch against decoding in numpy, on torch's CPU device."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.heatmap import CODECS, HeatmapCodec
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.layouts import COCO17

pytestmark = pytest.mark.torch

HEATMAP, SIMCC = HeatmapCodec(), SimCCCodec()


@pytest.fixture
def differences(torch):
    """Largest differences of place (px of the crop) and score; what is absent must be in both."""
    from vitpose_ros.keypoints.torch_decode import make_decode

    def measure(codec, outputs):
        expected = codec.decode(outputs)
        decode = make_decode(codec, torch.device("cpu"))
        found = decode([torch.from_numpy(np.ascontiguousarray(o)) for o in outputs]).numpy()
        assert found.shape == (*expected.score.shape, 3)
        assert np.array_equal(np.isnan(found[..., 0]), np.isnan(expected.xy[..., 0]))
        away = np.linalg.norm(found[..., :2] - expected.xy, axis=-1)
        return np.nanmax(away, initial=0.0), np.abs(found[..., 2] - expected.score).max()

    return measure


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("kind", CODECS)
def test_every_codec_of_heatmaps_is_decoded_as_in_numpy(differences, kind, logits):
    codec = HeatmapCodec(kind=kind, logits=logits)
    xy = np.random.default_rng(5).uniform([-3, -3], [195, 259], (12, 17, 2))
    assert differences(codec, codec.encode(xy)) == pytest.approx((0, 0), abs=2e-3)


@pytest.mark.parametrize("kind", CODECS)
def test_every_codec_of_heatmaps_is_unmirrored_as_in_numpy(torch, kind):
    from vitpose_ros.keypoints.torch_decode import make_unmirror

    codec, order = HeatmapCodec(kind=kind), COCO17.flip_permutation()
    maps = np.random.default_rng(6).random((2, 3, 17, 64, 48)).astype(np.float32)
    (wanted,) = codec.unmirror([maps[0]], order, [maps[1]])
    unmirror = make_unmirror(codec, order, torch.device("cpu"))
    (found,) = unmirror([torch.from_numpy(maps[0])], [torch.from_numpy(maps[1])])
    assert np.array_equal(found.numpy(), wanted)


def test_peaks_anywhere_on_the_map_and_beyond_its_border(differences):
    rng = np.random.default_rng(0)
    xy = rng.uniform([-6, -6], [198, 262], (40, 17, 2))
    for amplitude in (1.5, 0.05):
        maps = HEATMAP.encode(xy)[0] * np.float32(amplitude)
        assert differences(HEATMAP, [maps]) == pytest.approx((0, 0), abs=1e-4)


def test_noisy_peaks_and_maps_of_noise_alone(differences):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (40, 17, 64, 48)).astype(np.float32)
    peaks = HEATMAP.encode(rng.uniform([10, 10], [180, 240], (40, 17, 2)))[0]
    assert differences(HEATMAP, [peaks + noise]) == pytest.approx((0, 0), abs=1e-3)
    assert differences(HEATMAP, [noise]) == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_makes_that_joint_absent_and_no_other(bad, differences):
    (maps,) = HEATMAP.encode(np.full((2, 17, 2), 90.0))
    maps[0, 3, 5, 7] = bad
    assert differences(HEATMAP, [maps]) == pytest.approx((0, 0), abs=1e-4)
    curves = [curve.copy() for curve in SIMCC.encode(np.full((2, 17, 2), 90.0))]
    curves[1][1, 2, 5] = bad
    assert differences(SIMCC, curves) == (0, 0)


@pytest.mark.parametrize("level", [0.0, -1.0, 60.0, 1e-4])
def test_flat_maps(level, differences):
    maps = np.full((1, 17, 64, 48), level, np.float32)
    assert differences(HEATMAP, [maps]) == pytest.approx((0, 0), abs=1e-4)


def test_small_maps(differences):
    codec = HeatmapCodec((12, 12), (3, 3))
    maps = np.random.default_rng(0).random((50, 5, 3, 3)).astype(np.float32)
    assert differences(codec, [maps]) == pytest.approx((0, 0), abs=1e-3)


def test_a_thousand_crops_with_133_joints_decode_as_one_by_one(torch):
    from vitpose_ros.keypoints.torch_decode import make_decode

    codec = HeatmapCodec((48, 64), (12, 16), sigma=1.0)
    rng = np.random.default_rng(2)
    xy = rng.uniform([4, 4], [43, 59], (1000, 133, 2))
    (maps,) = codec.encode(xy)
    decode = make_decode(codec, torch.device("cpu"))
    together = decode([torch.from_numpy(maps)]).numpy()
    for i in (0, 1, 17, 500, 999):
        alone = decode([torch.from_numpy(maps[i : i + 1])]).numpy()
        assert together[i] == pytest.approx(alone[0], abs=1e-4)
    assert np.linalg.norm(together[..., :2] - codec.decode([maps]).xy, axis=-1).max() < 1e-3


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_curves_of_two_axes(scale, differences):
    rng = np.random.default_rng(3)
    codec = SimCCCodec(score_scale=scale)
    curves = codec.encode(rng.uniform([0, 0], [191, 255], (30, 17, 2)))
    noisy = [c + rng.normal(0, 0.02, c.shape).astype(np.float32) for c in curves]
    assert differences(codec, noisy) == pytest.approx((0, 0), abs=1e-6)
    none = [np.full_like(c, -0.1) for c in curves]
    assert differences(SIMCC, none) == (0, 0)


@pytest.mark.parametrize("codec", [HEATMAP, SIMCC], ids=["heatmap", "simcc"])
def test_mirrored_outputs_are_turned_back_alike(codec, torch):
    from vitpose_ros.keypoints.torch_decode import make_unmirror

    rng = np.random.default_rng(4)
    shapes = codec.output_shapes(17)
    mirrored, direct = ([rng.random((3, *s)).astype(np.float32) for s in shapes] for _ in range(2))
    permutation = COCO17.flip_permutation()
    expected = codec.unmirror(mirrored, permutation, direct)
    turn = make_unmirror(codec, permutation, torch.device("cpu"))
    found = turn([torch.from_numpy(m) for m in mirrored], [torch.from_numpy(d) for d in direct])
    for given, wanted in zip(found, expected, strict=True):
        assert np.array_equal(given.numpy(), wanted)


def test_a_codec_without_decoding_in_torch_is_refused(torch):
    from vitpose_ros.keypoints.torch_decode import make_decode

    class Regression:
        pass

    with pytest.raises(EngineError, match="Regression cannot be decoded on a GPU"):
        make_decode(Regression(), torch.device("cpu"))
