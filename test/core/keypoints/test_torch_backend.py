"""TopDown with crops and decoding in torch gives what TopDown in NumPy gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.types import Crop, JointState, Region

pytestmark = pytest.mark.torch

REGIONS = [
    Region(320, 240, 120, 160),
    Region(310, 250, 200, 90, 0.5),
    Region(-500, 240, 60, 80),
    Region(330, 225, 100, 170, -2.2),
    Region(20, 470, 160, 160),
]


class BrightEngine:
    """Sees brightness: each joint is where its crop is brightest; in numpy and in torch.

    Both answers come from the same float32 code, so that what differs is around the engine.
    """

    name = "bright"
    max_batch = None

    def __init__(self, torch, codec, layout):
        width, height = codec.input_size
        self._torch = torch
        self.device = torch.device("cpu")
        self._joints, self._codec = len(layout), codec
        shapes = codec.output_shapes(len(layout))
        self.inputs = (TensorSpec("image", (None, 3, height, width)),)
        self.outputs = tuple(
            TensorSpec(name, (None, *shape))
            for name, shape in zip(codec.output_names, shapes, strict=True)
        )
        self.batches = []

    def buffers(self, batch):
        width, height = self._codec.input_size
        return {"image": self._torch.full((batch, 3, height, width), float("nan"))}

    def run(self, tensors):
        found = self.run_device({"image": self._torch.from_numpy(tensors["image"])})
        return {name: tensor.numpy() for name, tensor in found.items()}

    def run_device(self, tensors):
        self.batches.append(len(tensors["image"]))
        red = (tensors["image"][:, :1] * 58.395 + 123.675) / 255
        resize = self._torch.nn.functional.interpolate
        if isinstance(self._codec, HeatmapCodec):
            size = self._codec.map_size[::-1]
            maps = resize(red, size=size, mode="bilinear", align_corners=True)
            return {"heatmaps": maps.repeat(1, self._joints, 1, 1)}
        maps = resize(red, scale_factor=2, mode="bilinear").repeat(1, self._joints, 1, 1)
        return {"simcc_x": maps.amax(2), "simcc_y": maps.amax(3)}


def image_of_dots(seed=0):
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:480, :640]
    u, v = rng.uniform([300, 220], [340, 260])
    dot = 200 * np.exp(-0.5 * ((xs - u) ** 2 + (ys - v) ** 2) / 12.0**2)
    noise = cv2.GaussianBlur(rng.normal(0, 30, dot.shape), (0, 0), 5)
    return np.repeat((30 + dot + noise).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def assert_alike(found, expected, limit_px):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours.state, theirs.state)
        assert ours.score == pytest.approx(theirs.score, abs=3e-3)
        absent = theirs.state == JointState.ABSENT
        assert np.isnan(ours.uv[absent]).all()
        assert ours.uv[~absent] == pytest.approx(theirs.uv[~absent], abs=limit_px)


@pytest.fixture
def both(torch):
    """The joints that numpy and torch find around the same engine, and the engine's batches."""

    def find(codec, layout, image, regions, **options):
        engine = BrightEngine(torch, codec, layout)
        crops = [Crop(image, region) for region in regions]
        expected, found = (
            TopDown(engine, codec, layout, "bright", on_device=on_device, **options)(crops)
            for on_device in (False, True)
        )
        return found, expected, engine.batches

    return find


@pytest.mark.parametrize("flip_test", [False, True], ids=["direct", "flip test"])
@pytest.mark.parametrize("kind", ["heatmap", "simcc"])
def test_on_crops_without_rounding_both_paths_find_the_same_joints(kind, flip_test, both):
    # Crops of the image's own pixels: OpenCV then has no grey levels to round.
    size = (128, 128)
    codec = HeatmapCodec(size, (32, 32)) if kind == "heatmap" else SimCCCodec(size)
    side = 127 if kind == "heatmap" else 128
    corners = [(260, 190), (255, 180), (600, 430), (-30, 200), (280, 200)]
    regions = [Region(u + side / 2, v + side / 2, side, side) for u, v in corners]
    options = {"flip_test": flip_test, "max_batch": 2, "padding": 1.0}
    found, expected, batches = both(codec, HAND21, image_of_dots(), regions, **options)
    assert (expected[0].state == JointState.MEASURED).all()
    # Where a curve has two highest bins of one value, either may be taken.
    assert_alike(found, expected, 1e-3 if kind == "heatmap" else 0.501)
    assert batches == 2 * ([2, 2, 2, 2, 1, 1] if flip_test else [2, 2, 1])


@pytest.mark.parametrize("flip_test", [False, True], ids=["direct", "flip test"])
@pytest.mark.parametrize(
    ("codec", "limit_px"), [(HeatmapCodec(), 0.1), (SimCCCodec(), 2.1)], ids=["heatmap", "simcc"]
)
def test_on_any_crop_they_differ_by_opencvs_rounding_only(codec, limit_px, flip_test, both):
    # A broad dot of 24 px: half a grey level moves its top, and among curves the highest bin.
    found, expected, _ = both(codec, COCO17, image_of_dots(), REGIONS, flip_test=flip_test)
    assert_alike(found, expected, limit_px)


@pytest.mark.parametrize("flip_test", [False, True], ids=["direct", "flip test"])
def test_crops_of_several_images_share_batches_and_give_what_each_gives_alone(flip_test, torch):
    codec = HeatmapCodec()
    engine = BrightEngine(torch, codec, COCO17)
    topdown = TopDown(
        engine, codec, COCO17, "bright", on_device=True, flip_test=flip_test, max_batch=4
    )
    images = image_of_dots(0), image_of_dots(1)[:460, :600], image_of_dots(2)
    order = [0, 0, 1, 2, 1, 1, 0]
    crops = [Crop(images[n], REGIONS[i % 2]) for i, n in enumerate(order)]
    together = topdown(crops)
    assert engine.batches == ([4, 4, 3, 3] if flip_test else [4, 3])
    alone = [topdown([crop])[0] for crop in crops]
    assert_alike(together, alone, 1e-4)
    assert np.abs(alone[0].uv - alone[2].uv).max() > 1


def test_each_image_is_uploaded_once_in_a_call_and_anew_in_the_next(torch, monkeypatch):
    from vitpose_ros.keypoints import torch_backend

    uploads = []
    upload = torch_backend.upload_planes
    monkeypatch.setattr(
        torch_backend, "upload_planes", lambda image, to: uploads.append(image) or upload(image, to)
    )
    codec = HeatmapCodec()
    topdown = TopDown(
        BrightEngine(torch, codec, COCO17), codec, COCO17, "x", on_device=True, max_batch=2
    )
    first, second = image_of_dots(0), image_of_dots(1)
    crops = [Crop(image, REGIONS[0]) for image in (first, second, first, second, first)]
    before = topdown(crops)
    assert len(uploads) == 2 and uploads[0] is first and uploads[1] is second
    first[:] = 0
    after = topdown(crops)
    assert len(uploads) == 4
    assert (after[0].score < before[0].score / 2).all()
    assert_alike(after[1:2], before[1:2], 0.0)


def test_a_largest_batch_of_the_engine_bounds_that_of_the_model(torch):
    codec = HeatmapCodec()
    engine = BrightEngine(torch, codec, COCO17)
    engine.max_batch = 3
    TopDown(engine, codec, COCO17, "bright", on_device=True)(
        [Crop(image_of_dots(), REGIONS[0])] * 7
    )
    assert engine.batches == [3, 3, 1]


def test_an_engine_without_device_tensors_cannot_take_the_gpu_path(torch):
    codec = HeatmapCodec()
    engine = BrightEngine(torch, codec, COCO17)
    del engine.device
    with pytest.raises(EngineError, match="bright keeps its tensors in the CPU's memory: set"):
        TopDown(engine, codec, COCO17, "bright", on_device=True)


def test_the_device_follows_the_engine_where_it_is_not_said(torch):
    from vitpose_ros.keypoints.backend import CpuBackend

    codec = HeatmapCodec()
    topdown = TopDown(BrightEngine(torch, codec, COCO17), codec, COCO17, "bright")
    assert isinstance(topdown._backend, CpuBackend)
