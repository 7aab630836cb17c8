"""Heatmaps of converted networks against transformers', on random weights, at full width."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vitpose_ros.models.catalogue import EXPERTS
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError

pytestmark = pytest.mark.convert

SMALL = {"num_hidden_layers": 12}
BASE = {"num_hidden_layers": 12, "hidden_size": 768}
LARGE = {"num_hidden_layers": 2, "hidden_size": 1024, "num_attention_heads": 16}
HUGE = {"num_hidden_layers": 1, "hidden_size": 1280, "num_attention_heads": 16}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("settings", "labels", "layout"),
    [
        pytest.param(SMALL, 17, "coco17", id="S"),
        pytest.param(SMALL | {"simple": True}, 17, "coco17", id="S-simple"),
        pytest.param(BASE, 17, "coco17", id="B"),
        pytest.param(LARGE, 133, "coco_wholebody133", id="L-2-layers"),
        pytest.param(HUGE, 17, "coco17", id="H-1-layer"),
        pytest.param({"layer_norm_eps": 1e-2}, 16, "mpii16", id="its-own-epsilon"),
        pytest.param({"image_size": (256, 256)}, 21, "hand21", id="square-hand"),
    ],
)
def test_heatmaps_equal_those_of_transformers(
    settings, labels, layout, hub_model, transformers_heatmaps, images, run_network, tmp_path
):
    model = hub_model(labels=labels, **settings)
    model.save_pretrained(tmp_path / "hub")
    manifest = convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout=layout)
    image = images(3, manifest.input_width, manifest.input_height)
    expected = transformers_heatmaps(model, image)
    assert expected.shape[1] == labels == manifest.joints
    np.testing.assert_allclose(run_network(tmp_path / "net", image), expected, rtol=0, atol=1e-4)
    assert np.abs(expected).max() > 0.1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("expert", EXPERTS)
def test_every_folded_expert_equals_transformers_with_its_dataset_index(
    expert, hub_model, transformers_heatmaps, images, run_network, tmp_path
):
    layers = 12 if expert == "coco" else 2
    model = hub_model(num_experts=6, num_hidden_layers=layers)
    model.save_pretrained(tmp_path / "hub")
    manifest = convert_checkpoint(
        tmp_path / "hub", "net", tmp_path / "net", expert=expert, layout="coco17"
    )
    image, number = images(), list(EXPERTS).index(expert)
    expected = transformers_heatmaps(model, image, number)
    another = transformers_heatmaps(model, image, (number + 1) % 6)
    np.testing.assert_allclose(run_network(tmp_path / "net", image), expected, rtol=0, atol=1e-4)
    assert np.abs(expected - another).max() > 1e-2  # which expert it is does matter
    assert manifest.network["expert"] == expert
    assert manifest.parameters == sum(
        weight.numel() for name, weight in model.named_parameters() if ".experts." not in name
    ) + layers * 96 * (4 * 384 + 1)


def test_the_network_takes_any_batch_and_its_norms_are_single_nodes(hub_model, torch, tmp_path):
    import onnx

    hub_model().save_pretrained(tmp_path / "hub")
    convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    graph = onnx.load(str(tmp_path / "net" / "model.onnx"))
    assert [item.version for item in graph.opset_import if not item.domain] == [18]
    norms = [node for node in graph.graph.node if node.op_type == "LayerNormalization"]
    assert len(norms) == 2 * 2 + 1
    (image,), (heatmaps,) = graph.graph.input, graph.graph.output
    assert (image.name, heatmaps.name) == ("image", "heatmaps")
    for port, sizes in ((image, [3, 256, 192]), (heatmaps, [17, 64, 48])):
        batch, *rest = port.type.tensor_type.shape.dim
        assert batch.dim_param
        assert [dim.dim_value for dim in rest] == sizes


def test_the_manifest_says_what_was_made_from_what(hub_model, torch, tmp_path):
    hub_model(labels=14).save_pretrained(tmp_path / "hub")
    convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="aic14")
    manifest = json.loads((tmp_path / "net" / "model.json").read_text())
    assert manifest["layout"] == "aic14"
    assert (manifest["input_width"], manifest["input_height"]) == (192, 256)
    assert manifest["outputs"] == [{"name": "heatmaps", "shape": [14, 64, 48]}]
    assert manifest["mean"] == [0.485, 0.456, 0.406]
    assert manifest["std"] == [0.229, 0.224, 0.225]
    assert [file["name"] for file in manifest["sources"]] == ["config.json", "model.safetensors"]
    assert all(len(file["sha256"]) == 64 for file in manifest["sources"] + manifest["files"])
    assert manifest["check"]["batches"] == [1, 2, 5]
    assert manifest["check"]["max_difference"] <= manifest["check"]["allowed"]
    assert {"torch", "transformers", "onnx", "openvino", "vitpose_ros"} <= set(manifest["versions"])
    assert manifest["network"]["head"] == "classic"


def test_weights_beyond_one_file_lie_beside_it_and_run(
    hub_model, transformers_heatmaps, images, run_network, tmp_path, monkeypatch
):
    monkeypatch.setattr("vitpose_ros.models.convert.export.SINGLE_FILE_LIMIT", 1000)
    model = hub_model()
    model.save_pretrained(tmp_path / "hub")
    manifest = convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    assert [file.name for file in manifest.files] == ["model.onnx", "model.onnx.data"]
    image = images()
    expected = transformers_heatmaps(model, image)
    np.testing.assert_allclose(run_network(tmp_path / "net", image), expected, rtol=0, atol=1e-4)


def test_a_network_that_differs_from_its_checkpoint_is_not_kept(
    hub_model, torch, tmp_path, monkeypatch
):
    from vitpose_ros.models.convert import run

    hub_model().save_pretrained(tmp_path / "hub")
    export = run.export

    def spoilt(checkpoint, path):
        with torch.no_grad():
            weight = checkpoint.model.head.conv.bias
            weight += 1e-3
            export(checkpoint, path)
            weight -= 1e-3

    monkeypatch.setattr(run, "export", spoilt)
    with pytest.raises(
        ModelError, match=r"differ from the checkpoint's by up to 0\.001.*accepted is .*e-05"
    ):
        convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    assert not list((tmp_path / "net").glob("model*"))
    assert not list((tmp_path / "net").glob(".convert*"))


def test_a_converted_network_tells_nothing_of_the_machine_that_made_it(
    hub_model, torch, tmp_path, monkeypatch
):
    import onnx

    from vitpose_ros.models.convert import export

    hub_model(num_hidden_layers=1).save_pretrained(tmp_path / "hub")
    before = []
    strip = export.strip

    def noting(path):
        before.append(path.read_bytes())
        strip(path)

    monkeypatch.setattr(export, "strip", noting)
    convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    written = (tmp_path / "net" / "model.onnx").read_bytes()
    assert b"/site-packages/" in before[0]  # torch's stack traces, which are to go
    assert b"/site-packages/" not in written
    assert b"stack_trace" not in written
    assert len(written) < len(before[0]) - 50_000
    graph = onnx.load(str(tmp_path / "net" / "model.onnx")).graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        assert not part.metadata_props
        assert not part.doc_string
