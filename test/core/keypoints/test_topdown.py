from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.pixels import IMAGENET_MEAN, IMAGENET_STD
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21
from vitpose_ros.types import Crop, JointState, Region

IMAGE = np.zeros((480, 640, 3), np.uint8)
REGION = Region(320, 240, 120, 160)


def crops(image, *regions):
    return [Crop(image, region) for region in regions]


class FakeEngine:
    """Answers with one crop's outputs, repeated; counts its runs."""

    name = "fake"

    def __init__(self, codec, layout, outputs=None, open_shapes=False):
        width, height = codec.input_size
        shapes = codec.output_shapes(len(layout))
        self.inputs = (TensorSpec("image", (None, 3, height, width)),)
        self.outputs = tuple(
            TensorSpec(name, (None,) * (1 + len(shape)) if open_shapes else (None, *shape))
            for name, shape in zip(codec.output_names, shapes, strict=True)
        )
        if outputs is None:
            outputs = codec.encode(np.full((1, len(layout), 2), 90.0))
        self.values = outputs
        self.batches = []

    def run(self, tensors):
        self.batches.append(len(tensors["image"]))
        return {
            spec.name: np.repeat(value, self.batches[-1], axis=0)
            for spec, value in zip(self.outputs, self.values, strict=True)
        }


class SeeingEngine(FakeEngine):
    """Sees brightness: every joint is where its crop is brightest."""

    def __init__(self, codec, layout):
        super().__init__(codec, layout)
        self.joints = len(layout)
        self.simcc = isinstance(codec, SimCCCodec)
        if self.simcc:
            self.grid = [np.arange(size * 2) / 2 for size in codec.input_size]
        else:
            sizes = zip(codec.input_size, codec.map_size, strict=True)
            self.grid = [np.linspace(0, size - 1, cells) for size, cells in sizes]
        self.grid = np.meshgrid(*self.grid)

    def run(self, tensors):
        red = tensors["image"][:, 0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]
        x, y = (axis.astype(np.float32) for axis in self.grid)
        maps = np.stack([cv2.remap(crop, x, y, cv2.INTER_LINEAR) for crop in red]) / 255
        maps = np.repeat(maps[:, None], self.joints, axis=1).astype(np.float32)
        if self.simcc:
            return {"simcc_x": maps.max(axis=2), "simcc_y": maps.max(axis=3)}
        return {"heatmaps": maps}


def image_of_a_dot(u, v, sigma_px):
    ys, xs = np.mgrid[:480, :640]
    dot = 255 * np.exp(-0.5 * ((xs - u) ** 2 + (ys - v) ** 2) / sigma_px**2)
    return np.repeat(dot.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize(("codec", "limit_px"), [(HeatmapCodec(), 0.06), (SimCCCodec(), 0.9)])
@pytest.mark.parametrize(
    "region",
    [
        Region(320, 240, 120, 160),
        Region(310, 250, 200, 90, 0.5),
        Region(330, 225, 100, 170, -2.2),
    ],
)
def test_what_the_network_sees_is_where_it_is_in_the_image(region, codec, limit_px, flip_test):
    topdown = TopDown(SeeingEngine(codec, COCO17), codec, COCO17, "seeing", flip_test=flip_test)
    u, v = 341.7, 219.2
    (found,) = topdown(crops(image_of_a_dot(u, v, 9.0), region))
    assert np.linalg.norm(found.uv - (u, v), axis=1).max() < limit_px
    assert found.score.min() > 0.9 and (found.state == JointState.MEASURED).all()
    assert found.uv.dtype == np.float32 and found.layout is COCO17


def test_crops_of_one_image_go_through_together_in_order_and_as_if_alone():
    codec = HeatmapCodec()
    image = image_of_a_dot(341.7, 219.2, 9.0)
    rng = np.random.default_rng(0)
    regions = [Region(*rng.uniform([310, 210, 90, 120], [350, 240, 200, 200])) for _ in range(7)]
    engine = SeeingEngine(codec, COCO17)
    together = TopDown(engine, codec, COCO17, "seeing", max_batch=3)(crops(image, *regions))
    alone = TopDown(engine, codec, COCO17, "seeing")
    for region, found in zip(regions, together, strict=True):
        assert found.uv == pytest.approx(alone(crops(image, region))[0].uv, abs=1e-4)


@pytest.mark.parametrize("codec", [HeatmapCodec(), SimCCCodec()], ids=["heatmap", "simcc"])
@pytest.mark.parametrize("flip_test", [False, True], ids=["direct", "flip test"])
def test_crops_of_several_images_share_batches_and_give_what_each_gives_alone(codec, flip_test):
    large, small = image_of_a_dot(341.7, 219.2, 9.0), image_of_a_dot(51.0, 80.5, 9.0)[:150, :200]
    mixed = [
        Crop(large, Region(330, 225, 100, 170, -0.4)),
        Crop(small, Region(60, 80, 120, 140)),
        Crop(small, Region(700, 400, 90, 120)),  # inside the large image, outside this one
        Crop(large, Region(330, 225, 180, 160)),
        Crop(small, Region(150, 80, 260, 140)),  # joints beyond this image, inside the large one
    ]
    engine = SeeingEngine(codec, COCO17)
    topdown = TopDown(engine, codec, COCO17, "seeing", flip_test=flip_test, max_batch=3)
    batches = []
    run = engine.run
    engine.run = lambda tensors: batches.append(len(tensors["image"])) or run(tensors)
    together = topdown(mixed)
    assert batches == ([3, 3, 1, 1] if flip_test else [3, 1])
    assert (together[2].state == JointState.ABSENT).all()
    for crop, found in zip(mixed, together, strict=True):
        (alone,) = topdown([crop])
        np.testing.assert_array_equal(found.uv, alone.uv)
        np.testing.assert_array_equal(found.score, alone.score)
        np.testing.assert_array_equal(found.state, alone.state)
    for found, place in ((together[0], (341.7, 219.2)), (together[1], (51.0, 80.5))):
        assert np.linalg.norm(found.uv - place, axis=1).max() < 0.9


@pytest.mark.parametrize(("width", "state"), [(400, "MEASURED"), (341, "OCCLUDED")])
def test_a_joint_is_inside_or_outside_its_own_image(width, state):
    codec = HeatmapCodec()
    outputs = codec.encode(np.full((1, 17, 2), [127.5, 95.5]))  # right of the middle
    topdown = TopDown(FakeEngine(codec, COCO17, outputs), codec, COCO17, "fake")
    other, own = np.zeros((600, 340, 3), np.uint8), np.zeros((480, width, 3), np.uint8)
    found = topdown([*crops(other, REGION), *crops(own, REGION)])[1]
    assert 341 < found.uv[0, 0] < 346
    assert (found.state == JointState[state]).all()


def test_a_batch_is_split_at_its_largest_size():
    codec = HeatmapCodec()
    engine = FakeEngine(codec, COCO17)
    topdown = TopDown(engine, codec, COCO17, "fake", max_batch=3)
    assert len(topdown(crops(IMAGE, *[REGION] * 7))) == 7
    assert engine.batches == [3, 3, 1]


def test_no_region_needs_no_network():
    codec = HeatmapCodec()
    engine = FakeEngine(codec, COCO17)
    assert TopDown(engine, codec, COCO17, "fake")([]) == []
    assert engine.batches == []


@pytest.mark.parametrize(
    "outside", [Region(-500, 240, 60, 80), Region(320, 900, 60, 80), Region(320, 240, 1e8, 1e8)]
)
def test_a_region_without_any_image_has_every_joint_absent_and_needs_no_network(outside):
    codec = HeatmapCodec()
    engine = FakeEngine(codec, COCO17)
    topdown = TopDown(engine, codec, COCO17, "fake")
    nothing, something = topdown(crops(IMAGE, outside, REGION))
    assert (nothing.state == JointState.ABSENT).all()
    assert np.isnan(nothing.uv).all() and not nothing.score.any()
    assert (something.state != JointState.ABSENT).all()
    topdown(crops(IMAGE, outside))
    assert engine.batches == [1]


@pytest.mark.parametrize("codec", [HeatmapCodec(), SimCCCodec()], ids=["heatmap", "simcc"])
def test_an_image_smaller_than_a_crop_is_read(codec):
    topdown = TopDown(FakeEngine(codec, COCO17), codec, COCO17, "fake")
    (found,) = topdown(crops(np.zeros((1, 2, 3), np.uint8), Region(0.5, 0, 2, 1)))
    left, crop_px = 0.5 - 1.25, 2.5 / (191 if codec.udp else 192)
    assert found.uv[:, 0] == pytest.approx(np.full(17, left + 90 * crop_px), abs=0.01)
    bright = np.zeros((8, 8, 3), np.uint8)
    bright[3, 5] = 255
    seeing = TopDown(SeeingEngine(codec, COCO17), codec, COCO17, "seeing", padding=1.0)
    (found,) = seeing(crops(bright, Region(3.5, 3.5, 8, 8)))
    assert found.uv == pytest.approx(np.tile([5.0, 3.0], (17, 1)), abs=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("codec", [HeatmapCodec(), SimCCCodec()], ids=["heatmap", "simcc"])
def test_a_value_that_is_not_finite_makes_its_joint_absent_and_no_other(codec, value):
    outputs = codec.encode(np.full((1, 17, 2), 90.0))
    for output in outputs:
        output[0, 4].flat[7] = value
    topdown = TopDown(FakeEngine(codec, COCO17, outputs), codec, COCO17, "fake")
    (found,) = topdown(crops(IMAGE, REGION))
    absent = found.state == JointState.ABSENT
    assert list(np.flatnonzero(absent)) == [4]
    assert np.isnan(found.uv[4]).all() and found.score[4] == 0
    assert np.isfinite(found.uv[~absent]).all()


def test_states_tell_seen_from_inferred_from_unknown():
    codec = HeatmapCodec()
    (maps,) = codec.encode(np.full((1, 17, 2), 90.0))
    maps[0, 0] *= np.float32(0.31)
    maps[0, 1] *= np.float32(0.29)
    maps[0, 2] *= np.float32(0.06)
    maps[0, 3] *= np.float32(0.04)
    maps[0, 4] = np.nan
    maps[0, 5] = -1
    maps[0, 6] *= np.float32(1.4)
    topdown = TopDown(FakeEngine(codec, COCO17, [maps]), codec, COCO17, "fake")
    (found,) = topdown(crops(IMAGE, REGION))
    seen, inferred, unknown = JointState.MEASURED, JointState.OCCLUDED, JointState.ABSENT
    expected = [seen, inferred, inferred, unknown, unknown, unknown, seen]
    assert list(found.state[:7]) == expected
    assert found.score[:7] == pytest.approx([0.31, 0.29, 0.06, 0, 0, 0, 1.0], rel=0.02)
    assert np.isnan(found.uv[3:6]).all() and np.isfinite(found.uv[:3]).all()


def test_a_joint_outside_the_image_is_inferred_however_sure_the_network_is():
    codec = HeatmapCodec()
    (maps,) = codec.encode(np.full((1, 17, 2), 10.0))
    topdown = TopDown(FakeEngine(codec, COCO17, [maps]), codec, COCO17, "fake")
    (found,) = topdown(crops(IMAGE, Region(20, 240, 120, 160)))
    assert (found.uv[:, 0] < -0.5).all()
    assert (found.state == JointState.OCCLUDED).all() and found.score.min() > 0.9


@pytest.mark.parametrize("codec", [HeatmapCodec(), SimCCCodec()], ids=["heatmap", "simcc"])
@pytest.mark.parametrize("open_shapes", [False, True])
def test_a_network_of_another_joint_count_is_refused_naming_both(codec, open_shapes):
    engine = FakeEngine(codec, COCO_WHOLEBODY133, open_shapes=open_shapes)
    with pytest.raises(EngineError, match=r"\(N, 133, .*expected \(N, 17, .*layout 'coco17'"):
        TopDown(engine, codec, COCO17, "whole-body")


def test_a_network_of_another_kind_is_refused():
    heatmap, simcc = HeatmapCodec(), SimCCCodec()
    with pytest.raises(EngineError, match=r"outputs simcc_x .*expected \(N, 17, 64, 48\)"):
        TopDown(FakeEngine(simcc, COCO17), heatmap, COCO17, "rtmpose")
    with pytest.raises(EngineError, match=r"outputs heatmaps .*expected \(N, 17, 384\)"):
        TopDown(FakeEngine(heatmap, COCO17), simcc, COCO17, "vitpose")


def test_a_network_of_another_input_size_is_refused():
    large = HeatmapCodec((288, 384), (72, 96))
    with pytest.raises(EngineError, match=r"\(N, 3, 384, 288\); expected .*\(N, 3, 256, 192\)"):
        TopDown(FakeEngine(large, COCO17), HeatmapCodec(), COCO17, "large")


def test_outputs_of_open_shape_are_tried_once_and_accepted():
    codec = HeatmapCodec()
    engine = FakeEngine(codec, COCO17, open_shapes=True)
    TopDown(engine, codec, COCO17, "open")
    assert engine.batches == [1]


def test_the_two_curves_are_told_apart_by_name_where_their_sizes_are_equal():
    codec = SimCCCodec((256, 256))
    x, y = codec.encode(np.tile([[[60.0, 200.0]]], (1, 21, 1)))
    engine = FakeEngine(codec, HAND21, [y, x])
    engine.outputs = engine.outputs[::-1]
    (found,) = TopDown(engine, codec, HAND21, "hand", padding=1.0)(
        crops(IMAGE, Region(128, 128, 256, 256))
    )
    assert found.uv == pytest.approx(np.tile([60.0, 200.0], (21, 1)))


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 0.5},
        {"padding": float("nan")},
        {"max_batch": 0},
    ],
)
def test_numbers_out_of_range_are_refused(options):
    codec = HeatmapCodec()
    with pytest.raises(ValueError, match="expected"):
        TopDown(FakeEngine(codec, COCO17), codec, COCO17, "fake", **options)
