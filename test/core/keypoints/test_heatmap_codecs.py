"""The codecs of heatmaps besides ViTPose's, and what tells them apart."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.engines.base import TensorSpec
from vitpose_ros.keypoints.channels import channels_first
from vitpose_ros.keypoints.heatmap import CODECS, HeatmapCodec, heat_of
from vitpose_ros.keypoints.mirror import mirror_residual
from vitpose_ros.keypoints.peaks import integral, quarter
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import COCO17
from vitpose_ros.types import Crop, Region

FLIP = COCO17.flip_permutation()
ROWS, COLUMNS = np.mgrid[0:64, 0:48]
LARGEST_ERROR_PX = {"udp": 0.01, "dark": 0.01, "classic": 1.02, "integral": 0.2}
"""Of the crop, of joints at least 3 heatmap px from the border."""


def joints(seed=0, margin=16, size=(192, 256)):
    """(1, 17, 2) px of a crop."""
    low, high = np.full(2, margin), np.array(size) - margin
    return np.random.default_rng(seed).uniform(low, high, (1, 17, 2))


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("kind", CODECS)
def test_joints_come_back_from_their_own_heatmaps(kind, logits):
    codec = HeatmapCodec(kind=kind, logits=logits)
    wanted = joints()
    found = codec.decode(codec.encode(wanted))
    assert np.abs(found.xy - wanted).max() < LARGEST_ERROR_PX[kind]
    assert found.score.min() > 0.8


@pytest.mark.parametrize("kind", CODECS)
def test_a_symmetric_network_gives_the_same_joints_mirrored(kind):
    """Its maps of the mirrored crop are those of the mirrored joints: pixel x becomes 191 - x."""
    codec = HeatmapCodec(kind=kind)
    wanted = joints()
    swapped = wanted[:, list(FLIP)]
    (direct,), (mirrored,) = codec.encode(wanted), codec.encode([191, 0] + swapped * [-1, 1])
    (back,) = codec.unmirror([mirrored], FLIP, [direct])
    found = codec.decode([(direct + back) / 2])
    # On the classic lattice, a shift of a whole pixel for 0.75 leaves an eighth of a pixel.
    limit = LARGEST_ERROR_PX[kind] + (0 if codec.udp else 0.55)
    assert np.abs(found.xy - wanted).max() < limit


def test_a_stride_of_one_needs_no_shift():
    assert HeatmapCodec((48, 64), (48, 64), kind="classic").shift == 0
    assert HeatmapCodec((48, 64), (24, 32), kind="classic").shift == 1


def test_a_quarter_step_goes_to_the_higher_neighbour_and_stays_at_the_border():
    maps = np.zeros((1, 1, 6, 6), np.float32)
    maps[0, 0, 3, 3], maps[0, 0, 3, 4], maps[0, 0, 2, 3] = 1.0, 0.5, 0.4
    at = [np.array([value]) for value in (0, 0, 3, 3)]
    assert quarter(maps, *at) == pytest.approx(np.array([[3.25, 2.75]]))
    edge = [np.array([value]) for value in (0, 0, 1, 3)]
    assert quarter(maps, *edge) == pytest.approx(np.array([[1, 3]]))


# AlphaPose's integral over the whole map of logits, a Gaussian from a background to 2.
WHOLE_MAP = [
    ((20.3, 31.7), -20, (20.343, 31.657), 0.819),
    ((20.3, 31.7), -10, (20.378, 31.700), 0.850),
    ((20.3, 31.7), -6, (21.776, 31.608), 0.861),
    ((1.3, 31.7), -20, (1.343, 31.657), 0.819),
    ((1.3, 31.7), -10, (1.897, 31.700), 0.850),
    ((1.3, 31.7), -6, (11.901, 31.606), 0.861),
]


@pytest.mark.parametrize(("centre", "background", "whole", "score"), WHOLE_MAP)
def test_the_integral_is_taken_near_the_maximum_and_stays_exact_over_a_noisy_background(
    centre, background, whole, score
):
    away = (COLUMNS - centre[0]) ** 2 + (ROWS - centre[1]) ** 2
    logits = (background + (2 - background) * np.exp(-away / 8)).astype(np.float32)
    heat = heat_of(logits)
    everywhere = [(heat * axis).sum() / heat.sum() for axis in (COLUMNS, ROWS)]
    assert everywhere == pytest.approx(whole, abs=2e-3)  # the published recipe
    codec = HeatmapCodec(kind="integral", logits=True)
    found = codec.decode([logits[None, None]])
    assert found.score[0, 0] == pytest.approx(score, abs=1e-3)
    assert np.abs(found.xy[0, 0] / 4 - centre).max() < 0.2


def test_a_whole_window_gives_the_integral_of_the_whole_map():
    maps = np.zeros((1, 1, 7, 7), np.float32)
    maps[0, 0, 3, 3], maps[0, 0, 0, 6] = 1.0, 0.5
    at = [np.array([value]) for value in (0, 0, 3, 3)]
    assert integral(maps, *at, radius=3) == pytest.approx(np.array([[4.0, 2.0]]))


def network(kind, seed, logits=False, noise=0.0):
    """Heatmaps of a network trained with a codec: of a crop, and of the crop mirrored."""
    codec = HeatmapCodec(kind=kind, logits=logits)
    rng = np.random.default_rng(seed)
    wanted = joints(seed)
    swapped = wanted[:, list(FLIP)]
    maps = []
    for places in (wanted, [191, 0] + swapped * [-1, 1]):
        (clean,) = codec.encode(places + rng.normal(0, noise, places.shape))
        maps.append(clean)
    return maps


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("kind", ["udp", "classic", "dark"])
def test_mirrored_crops_tell_the_lattice(kind, logits):
    direct, mirrored = network(kind, 3, logits, noise=0.8)
    found = mirror_residual(direct, mirrored, FLIP, 4.0)
    assert found.udp is CODECS[kind].udp
    assert found.shift_px == pytest.approx(0 if found.udp else -0.75, abs=0.15)
    assert found.joints == 17


def test_mirrored_crops_tell_nothing_where_joints_are_few_or_scattered():
    direct, mirrored = network("udp", 3)
    assert mirror_residual(direct[:, :, :, :] * 0.1, mirrored, FLIP, 4.0).udp is None
    direct, mirrored = network("udp", 3, noise=6.0)
    scattered = mirror_residual(direct, mirrored, FLIP, 4.0)
    assert scattered.udp is None, scattered


def test_not_finite_maps_tell_nothing():
    direct, mirrored = network("udp", 3)
    assert mirror_residual(np.full_like(direct, np.nan), mirrored, FLIP, 4.0).udp is None


class ChannelsLast:
    """A TensorFlow network: its heatmaps show the brightest pixel's place for every joint."""

    name = "stand-in"
    inputs = (TensorSpec("image", (None, 64, 48, 3)),)
    outputs = (TensorSpec("maps", (None, 16, 12, 17)),)

    def run(self, tensors):
        image = tensors["image"]
        assert image.shape[1:] == (64, 48, 3) and image.flags.c_contiguous
        places = [np.unravel_index(one[..., 2].argmax(), (64, 48))[::-1] for one in image]
        codec = HeatmapCodec((48, 64), (12, 16))
        (maps,) = codec.encode(np.repeat(np.array(places)[:, None], 17, axis=1))
        return {"maps": np.ascontiguousarray(maps.transpose(0, 2, 3, 1))}


def test_a_network_with_its_channels_last_is_read_like_any_other():
    codec = HeatmapCodec((48, 64), (12, 16))
    engine = channels_first(ChannelsLast(), codec, 17)
    model = TopDown(engine, codec, COCO17, "mine", padding=1.0)
    image = np.zeros((64, 48, 3), np.uint8)
    image[41, 17] = (255, 0, 0)  # blue is the third channel
    (found,) = model([Crop(image, Region(23.5, 31.5, 47, 63))])
    assert found.uv == pytest.approx(np.repeat([[17, 41]], 17, axis=0), abs=0.5)
    assert channels_first(engine, codec, 17) is engine
