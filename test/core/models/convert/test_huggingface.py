"""Checkpoints in the hub's format that are not what they should be."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vitpose_ros.models.convert.huggingface import open_huggingface
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError

pytestmark = pytest.mark.convert


def read(folder, expert=None, layout_named=False):
    return open_huggingface(folder, expert, layout_named=layout_named)


@pytest.fixture
def saved(hub_model, tmp_path):
    """Save a small random network, with weights changed by `change` and settings by `config`."""

    def save(change=lambda weights: None, config=None, **settings):
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "hub"
        hub_model(**{"num_hidden_layers": 1} | settings).save_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | (config or {})))
        return folder

    return save


FIRST = "backbone.encoder.layer.0."


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda w: w.pop("head.conv.bias"), r"missing: head\.conv\.bias\."),
        (lambda w: w.update(extra=w["head.conv.bias"].clone()), r"unexpected: extra\."),
        (lambda w: w["head.conv.bias"].fill_(float("inf")), r"not finite: head\.conv\.bias\."),
        (
            lambda w: w.update({"head.conv.bias": w["head.conv.bias"][:3].clone()}),
            r"of another shape: head\.conv\.bias \(3,\) instead of \(17,\)",
        ),
    ],
)
def test_weights_that_are_not_the_configurations_are_listed(change, complaint, saved):
    with pytest.raises(ModelError, match=complaint):
        read(saved(change))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model_type": "vit"}, "has the architecture 'vit'; only 'vitpose' can be converted"),
        ({"num_labels": 18, "id2label": None, "label2id": None}, "another shape: head.conv"),
    ],
)
def test_another_configuration_is_refused(config, complaint, saved):
    with pytest.raises(ModelError, match=complaint):
        read(saved(config=config))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(name, saved):
    folder = saved()
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        read(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_was_cut_short_is_refused(name, saved):
    folder = saved()
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(
        ModelError, match=r"is not a model configuration|cannot be read as a ViTPose"
    ):
        read(folder)


def test_pickled_weights_beside_the_configuration_are_not_read(saved, torch):
    folder = saved()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        read(folder)


def test_another_expert_is_believed_only_with_its_layout_named(saved):
    folder = saved(num_experts=6)
    with pytest.raises(
        ModelError, match=r"contain only COCO's head.*give its head's layout with --layout"
    ):
        read(folder, "ap10k")
    assert read(folder, "ap10k", layout_named=True).expert == "ap10k"
    assert read(folder, "coco").expert == "coco"
    with pytest.raises(ModelError, match=r"with 6 experts.* got 'hands'"):
        read(folder, "hands")


def test_an_expert_of_a_plain_network_is_refused(saved):
    with pytest.raises(ModelError, match="has no experts; omit --expert"):
        read(saved(), "coco")


def test_half_precision_weights_become_float32(saved, images, run_network, tmp_path):
    def halve(weights):
        for name, weight in weights.items():
            weights[name] = weight.half() if weight.is_floating_point() else weight

    folder = saved(halve, config={"dtype": "float16", "torch_dtype": "float16"})
    convert_checkpoint(folder, "net", tmp_path / "net", layout="coco17")
    heatmaps = run_network(tmp_path / "net", images(1))
    assert heatmaps.dtype == np.float32
    assert np.isfinite(heatmaps).all()
