from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.layouts import COCO17

CODEC = SimCCCodec()


def test_what_is_encoded_is_decoded_to_the_nearest_bin():
    xy = np.random.default_rng(0).uniform(0, [191.5, 255.5], (5, 17, 2))
    found = CODEC.decode(CODEC.encode(xy))
    assert np.abs(found.xy - xy).max() <= 0.25 + 1e-6
    assert found.score.min() > 0.9 and found.score.dtype == np.float32


def test_curves_have_two_bins_for_each_pixel():
    x, y = CODEC.encode(np.array([[[50.5, 60.0]]]))
    assert x.shape == (1, 1, 384) and y.shape == (1, 1, 512)
    assert x.argmax() == 101 and y.argmax() == 120
    assert CODEC.output_shapes(17) == ((17, 384), (17, 512))


def test_the_score_is_the_smaller_maximum():
    x, y = CODEC.encode(np.array([[[50.5, 60.0], [70.0, 80.0]]]))
    y[0, 0] *= np.float32(0.4)
    x[0, 1] *= np.float32(1.2)
    assert CODEC.decode([x, y]).score[0] == pytest.approx([0.4, 1.0])


@pytest.mark.parametrize(
    ("size", "sigma"),
    [((192, 256), (4.9, 5.66)), ((256, 256), (5.66, 5.66)), ((288, 384), (6.0, 6.93))],
)
def test_gaussians_are_as_wide_as_mmpose_makes_them_for_the_size(size, sigma):
    assert SimCCCodec(size).sigma == pytest.approx(sigma, abs=0.005)
    x, y = SimCCCodec(size).encode(np.array([[[50.0, 60.0]]]))
    assert x[0, 0, 106] == pytest.approx(np.exp(-0.5 * (6 / sigma[0]) ** 2), abs=1e-3)
    assert y[0, 0, 126] == pytest.approx(np.exp(-0.5 * (6 / sigma[1]) ** 2), abs=1e-3)


def test_scores_of_high_curves_come_down_by_their_scale_and_joints_stay():
    codec = SimCCCodec(score_scale=10.0)
    xy = np.array([[[50.5, 60.0], [70.0, 80.0]]])
    x, y = codec.encode(xy)
    assert x.max() == y.max() == 10
    x[0, 1] *= np.float32(0.4)
    found = codec.decode([x, y])
    assert found.score[0] == pytest.approx([1.0, 0.4]) and found.score.dtype == np.float32
    assert found.xy == pytest.approx(xy)


def test_a_curve_without_a_positive_value_gives_no_joint():
    x, y = CODEC.encode(np.array([[[50.5, 60.0], [np.nan, np.nan]]]))
    y[0, 0] = -0.1
    found = CODEC.decode([x, y])
    assert np.isnan(found.xy).all() and not found.score.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_curve_with_a_value_that_is_not_finite_gives_no_joint_and_harms_no_other(value, axis):
    curves = CODEC.encode(np.array([[[50.5, 60.0], [70.0, 80.0]]]))
    curves[axis][0, 0, 3] = value
    found = CODEC.decode(curves)
    assert np.isnan(found.xy[0, 0]).all() and found.score[0, 0] == 0
    assert found.xy[0, 1] == pytest.approx([70, 80])


def test_a_thousand_crops_with_133_joints_decode_as_one_by_one():
    codec = SimCCCodec((48, 64))
    rng = np.random.default_rng(5)
    curves = [
        rng.normal(0, 0.05, (1, 133, bins)) + rng.normal(0, 0.5, (1000, 1, bins))
        for bins in (96, 128)
    ]
    curves = [values.astype(np.float32) for values in curves]
    together = codec.decode(curves)
    for i in (0, 1, 37, 125, 126, 500, 998, 999):
        alone = codec.decode([values[i : i + 1] for values in curves])
        assert np.array_equal(together.xy[i], alone.xy[0], equal_nan=True)
        assert np.array_equal(together.score[i], alone.score[0])
        places = np.stack([values[i].argmax(axis=1) for values in curves], axis=1) / 2
        assert np.array_equal(together.xy[i], places)
    assert curves[1].size > 2**24  # where float32 can no longer count


def test_no_crop_gives_no_joints():
    found = CODEC.decode([np.empty((0, 17, 384), np.float32), np.empty((0, 17, 512), np.float32)])
    assert found.xy.shape == (0, 17, 2) and found.score.shape == (0, 17)


def test_the_flip_test_leaves_no_residual():
    xy = np.random.default_rng(1).uniform(0, [191, 255], (2, 17, 2))
    mirrored = np.stack([191 - xy[..., 0], xy[..., 1]], axis=-1)[:, list(COCO17.flip_permutation())]
    direct = CODEC.encode(xy)
    turned = CODEC.unmirror(CODEC.encode(mirrored), COCO17.flip_permutation(), direct)
    for ours, theirs in zip(turned, direct, strict=True):
        assert np.abs(ours - theirs).max() < 1e-6


def test_a_codec_that_cannot_be_is_refused():
    for options in ({"split": 0}, {"score_scale": 0.0}, {"input_size": (0, 256)}):
        with pytest.raises(ValueError, match="SimCCCodec: expected"):
            SimCCCodec(**options)
