from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.factory import assemble_top_down, create_top_down
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.pixels import Pixels
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.keypoints.simcc import SimCCCodec
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.catalogue import Conversion, load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.types import Crop, Region

CATALOGUE = load_catalogue()
VITPOSES = [
    name for name in CATALOGUE.names() if CATALOGUE.get(name).architecture in ("vitpose", "rtmpose")
]


def engine_for(entry):
    """An engine with the inputs and outputs that an entry's architecture has."""

    class Fake:
        name = "fake"
        codec = codec_of(entry)
        inputs = (TensorSpec("in", (None, 3, *codec.input_size[::-1])),)
        shapes = codec.output_shapes(len(entry.layout))
        outputs = tuple(TensorSpec(f"o{i}", (None, *shape)) for i, shape in enumerate(shapes))

        def run(self, tensors):
            count = len(tensors["in"])
            return {
                spec.name: np.ones((count, *spec.shape[1:]), np.float32) for spec in self.outputs
            }

    return Fake()


@pytest.mark.parametrize("name", VITPOSES)
def test_every_top_down_model_of_the_catalogue_has_its_recipe(name):
    entry = CATALOGUE.get(name)
    model = assemble_top_down(engine_for(entry), entry)
    assert model.name == name and model.layout is entry.layout
    (found,) = model([Crop(np.zeros((90, 90, 3), np.uint8), Region(45, 45, 30, 40))])
    assert len(found.score) == len(entry.layout)


def test_vitpose_is_read_by_heatmaps_and_rtmpose_by_simcc_each_with_its_own_warp():
    entry = CATALOGUE.get("vitpose-b")
    assert codec_of(entry) == HeatmapCodec((192, 256), (48, 64)) and codec_of(entry).udp
    hand = dataclasses.replace(
        entry, architecture="rtmpose", layout=HAND21, input_width=256, input_height=256
    )
    assert codec_of(hand) == SimCCCodec((256, 256)) and not codec_of(hand).udp
    assert assemble_top_down(engine_for(hand), hand).layout is HAND21
    whole = dataclasses.replace(hand, settings={"score_scale": 10})
    assert codec_of(whole) == SimCCCodec((256, 256), score_scale=10.0)


@pytest.mark.parametrize("size", "sblh")
@pytest.mark.parametrize(
    ("head", "udp"),
    [("", True), ("-mpii", True), *((f"-{n}", False) for n in ("aic", "ap10k", "apt36k"))],
)
def test_each_head_of_vitpose_plus_has_the_lattice_that_it_was_trained_on(size, head, udp):
    codec = codec_of(CATALOGUE.get(f"vitpose-plus-{size}{head}"))
    assert (codec.udp, codec.step, codec.shift) == (udp, "dark", int(not udp))


@pytest.mark.parametrize(
    ("expert", "udp"),
    [("coco", True), ("mpii", True)]
    + [(name, False) for name in ("aic", "ap10k", "apt36k", "wholebody")],
)
def test_an_entry_that_names_an_expert_has_its_lattice_unless_it_says_otherwise(expert, udp):
    base = CATALOGUE.get("vitpose-b")
    entry = dataclasses.replace(base, convert=Conversion("vitpose_pth", expert))
    assert codec_of(entry).udp == udp
    other = dataclasses.replace(entry, settings={"codec": "classic" if udp else "udp"})
    assert codec_of(other).udp != udp


@pytest.mark.parametrize("name", ["vitpose-plus-s-ap10k", "vitpose-plus-s-apt36k"])
def test_the_joints_of_an_animals_head_are_read_on_its_lattice(name):
    entry = CATALOGUE.get(name)
    true = np.stack([8.0 + 11 * np.arange(17), 240.0 - 13 * np.arange(17)], axis=1)
    maps = HeatmapCodec(kind="classic").encode(true[None])[0]
    engine = engine_for(entry)
    engine.run = lambda tensors: {"o0": np.repeat(maps, len(tensors["in"]), axis=0)}
    model = assemble_top_down(engine, entry, padding=1.0)
    (found,) = model([Crop(np.zeros((256, 192, 3), np.uint8), Region(95.5, 127.5, 192, 256))])
    np.testing.assert_allclose(found.uv, true - 0.5, atol=0.01)  # the crop begins at -0.5


def test_a_network_of_heatmaps_has_the_codec_the_stride_and_the_pixels_of_its_entry():
    entry = dataclasses.replace(CATALOGUE.get("vitpose-b"), architecture="heatmap")
    settings = {"codec": "classic", "stride": 8, "sigma": 3, "logits": True, "pixels": "bgr"}
    settings |= {"mean": [1, 2, 3], "std": [4, 5, 6]}
    assert codec_of(dataclasses.replace(entry, settings=settings)) == HeatmapCodec(
        (192, 256), (24, 32), 3.0, "classic", True, Pixels(True, (1, 2, 3), (4, 5, 6))
    )
    same = dataclasses.replace(entry, settings={"codec": "udp"})
    assert codec_of(same) == codec_of(CATALOGUE.get("vitpose-b"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"architecture": "yolox"}, "'yolox'; top-down models are vitpose, rtmpose and heatmap"),
        ({"layout": None}, "cannot be used for joints"),
        ({"settings": {"sigma": 3}}, "unknown settings sigma .* vitpose takes turned and codec"),
        ({"settings": {"codec": "msra"}}, "codec: expected one of udp .* got 'msra'"),
        ({"settings": {"score_scale": 3}}, "unknown settings score_scale .* vitpose takes turned"),
        (
            {"architecture": "rtmpose", "settings": {"sigma": 3}},
            "unknown settings sigma .* rtmpose takes turned, score_scale, pixels, mean and std",
        ),
        (
            {"architecture": "rtmpose", "settings": {"score_scale": 0}},
            "score_scale: expected a number above 0, got 0",
        ),
        (
            {"architecture": "rtmpose", "settings": {"score_scale": "high"}},
            "score_scale: expected a number above 0, got 'high'",
        ),
        (
            {"architecture": "heatmap"},
            "codec: expected one of udp .UDP.* classic .*SimpleBaseline.*, got None",
        ),
        (
            {"architecture": "heatmap", "settings": {"codec": "classic", "stride": 0}},
            "stride: expected a whole number from 1 to 64, got 0",
        ),
        (
            {"architecture": "heatmap", "settings": {"codec": "udp", "logits": "yes"}},
            "logits: expected true or false, got 'yes'",
        ),
        (
            {"architecture": "heatmap", "settings": {"codec": "udp", "pixels": "hsv"}},
            "settings.pixels: expected one of imagenet, .*, got 'hsv'",
        ),
        (
            {"architecture": "rtmpose", "settings": {"pixels": "imagenet", "mean": [1, 2, 3]}},
            "'imagenet' has a mean and a deviation of its own",
        ),
        (
            {"architecture": "rtmpose", "settings": {"pixels": "bgr", "std": [1, 0, 3]}},
            "settings.std: expected numbers above 0",
        ),
        (
            {"architecture": "rtmpose", "settings": {"pixels": "bgr", "mean": [1, 2]}},
            r"settings.mean: expected three numbers, got \[1, 2\]",
        ),
    ],
)
def test_an_entry_that_is_no_top_down_model_is_refused(change, text):
    entry = CATALOGUE.get("vitpose-b")
    with pytest.raises(EngineError, match=text):
        assemble_top_down(engine_for(entry), dataclasses.replace(entry, **change))


def test_a_model_that_is_not_there_or_of_another_task_is_refused(tmp_path):
    store = ModelStore(tmp_path)
    with pytest.raises(ModelError, match="vitpose-b"):
        create_top_down(store, "vitpose-b", "body_keypoints")
    with pytest.raises(ModelError, match="hand_keypoints"):
        create_top_down(store, "vitpose-b", "hand_keypoints")
