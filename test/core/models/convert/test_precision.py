"""Mixed precision: what stays float32, that types fit at every node, what it costs in accuracy."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.cli.main import main
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.torch import TorchEngine
from vitpose_ros.keypoints.agreement import compare, require, sample_crops
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.models.convert import precision
from vitpose_ros.models.convert.precision import add_mixed, make_mixed, read_mixed
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError

pytestmark = pytest.mark.torch

TINY = Path(__file__).parents[4] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"


@pytest.fixture(autouse=True)
def onnx():
    """Onnx; torch is not needed to make a mixed network, but to measure it."""
    pytest.importorskip("torch", reason="needs torch: make test-convert")
    return pytest.importorskip("onnx", reason="needs onnx: make test-convert")


def typed(onnx, path):
    """The nodes, and the type of every tensor: inferred anew, strictly."""
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    del model.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    ports = [*graph.value_info, *graph.input, *graph.output]
    types = {port.name: port.type.tensor_type.elem_type for port in ports}
    types |= {item.name: item.data_type for item in graph.initializer}
    return graph, types


def assert_rules_hold(onnx, path):
    """Return how many nodes of each operator compute in float16."""
    single, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    graph, types = typed(onnx, path)
    constants = {item.name for item in graph.initializer}
    halves = Counter()
    for node in graph.node:
        kinds = {types[n] for n in (*node.input, *node.output) if n and types[n] in (single, half)}
        if node.op_type == "Resize":
            kinds = {types[node.input[0]], types[node.output[0]]}
        assert node.op_type == "Cast" or len(kinds) <= 1, f"{node.op_type} mixes types"
        halves[node.op_type] += kinds == {half}
        if node.op_type in ("LayerNormalization", "Softmax"):
            assert kinds == {single}
        if node.op_type == "Add" and not constants & set(node.input):
            assert kinds == {single}, "a residual sum in float16"
    assert {types[port.name] for port in (*graph.input, *graph.output)} == {single}
    return halves


def test_layer_norms_softmax_and_residual_sums_stay_float32_and_types_fit(onnx, tmp_path):
    made = make_mixed(TINY, tmp_path / "mixed.onnx")
    halves = assert_rules_hold(onnx, tmp_path / "mixed.onnx")
    assert halves["MatMul"] == 48 and halves["Conv"] == 2
    assert halves["Softmax"] == halves["LayerNormalization"] == 0
    assert made.exact["LayerNormalization"] == 13 and made.exact["Softmax"] == 6
    assert made.exact["Add"] == 2 * 6 + 2  # two sums for each block, and two of positions
    assert made.half > 150
    assert (tmp_path / "mixed.onnx").stat().st_size < 0.6 * TINY.stat().st_size


def test_the_residual_stream_is_never_rounded_to_float16_on_its_way(onnx, tmp_path):
    make_mixed(TINY, tmp_path / "mixed.onnx", measure=False)
    graph, types = typed(onnx, tmp_path / "mixed.onnx")
    maker = {name: node for node in graph.node for name in node.output}
    sums = [
        node for node in graph.node
        if node.op_type == "Add" and types[node.output[0]] == onnx.TensorProto.FLOAT
    ]  # fmt: skip
    casts = {node.output[0] for node in graph.node if node.op_type == "Cast"}
    linked = [s for s in sums if any(maker.get(n) in sums for n in s.input if n not in casts)]
    assert len(sums) == 14 and len(linked) == 13


def test_the_mixed_network_agrees_with_float32_on_the_joints(tmp_path):
    make_mixed(TINY, tmp_path / "mixed.onnx")
    mixed, reference = TorchEngine(tmp_path / "mixed.onnx", "cpu"), TorchEngine(TINY, "cpu")
    assert (mixed.precision, reference.precision) == ("mixed", "fp32")
    codec = HeatmapCodec((128, 128), (32, 32))
    crops = sample_crops(codec.input_size, seed=1)
    found = require(mixed, reference, codec, "tiny", crops)
    assert 0 < found.output < 5e-3
    assert compare(reference, OpenVinoEngine(TINY), codec, crops).output < 1e-5


def test_the_measured_difference_is_that_of_float16(tmp_path):
    made = make_mixed(TINY, tmp_path / "mixed.onnx")
    largest = made.difference["largest_value"]
    assert 1e-6 * largest < made.difference["outputs"] < 5e-3 * max(largest, 1)


def test_openvino_reads_the_mixed_network_too(tmp_path):
    make_mixed(TINY, tmp_path / "mixed.onnx", measure=False)
    x = {"image": sample_crops((128, 128), 2)}
    ours = TorchEngine(tmp_path / "mixed.onnx", "cpu").run(x)["heatmaps"]
    theirs = OpenVinoEngine(tmp_path / "mixed.onnx").run(x)["heatmaps"]
    assert np.abs(ours - theirs).max() < 5e-3


@pytest.mark.convert
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("simple", [False, True], ids=["classic", "simple"])
def test_vitpose_s_in_torch_equals_transformers_and_mixed_is_near(
    simple, onnx, hub_model, transformers_heatmaps, images, tmp_path
):
    model = hub_model(num_hidden_layers=12, simple=simple)
    model.save_pretrained(tmp_path / "hub")
    convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    image = images(2)
    expected = transformers_heatmaps(model, image)
    network = tmp_path / "net" / "model.onnx"
    found = TorchEngine(network, "cpu").run({"image": image})["heatmaps"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    make_mixed(network, tmp_path / "mixed.onnx", measure=False)
    assert_rules_hold(onnx, tmp_path / "mixed.onnx")
    found = TorchEngine(tmp_path / "mixed.onnx", "cpu").run({"image": image})["heatmaps"]
    assert 1e-5 < np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()


def test_values_beyond_float16_pass_through_the_residual_stream(onnx, tmp_path, monkeypatch):
    import torch_networks

    b = torch_networks.Builder()
    x = b.add("Reshape", "image", np.array([0, 6, 8]))
    grown = b.add("Add", x, b.add("Mul", x, np.float32([60000.0] * 8)))
    grown = b.add("Add", grown, b.add("Mul", x, np.float32([60000.0] * 8)))
    out = b.add("LayerNormalization", grown, np.ones(8, np.float32), np.zeros(8, np.float32))
    network = b.save(tmp_path / "net.onnx", ("N", 3, 4, 4), {"out": (out, ("N", 6, 8))})
    make_mixed(network, tmp_path / "mixed.onnx", measure=False)
    values = {"image": np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 4)).astype(np.float32)}
    expected = TorchEngine(network, "cpu").run(values)["out"]
    found = TorchEngine(tmp_path / "mixed.onnx", "cpu").run(values)["out"]
    assert found == pytest.approx(expected, abs=2e-3)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    """Test networks of the engines' tests are importable."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "engines"))


@pytest.mark.parametrize("kind", ["rtmpose_like", "yolox_like"])
def test_networks_of_other_kinds_are_given_mixed_precision_too(kind, onnx, tmp_path):
    import torch_networks

    network = getattr(torch_networks, kind)(tmp_path / "net.onnx")
    make_mixed(network, tmp_path / "mixed.onnx")
    assert assert_rules_hold(onnx, tmp_path / "mixed.onnx")["Conv"] >= 4


def test_a_network_that_float16_spoils_is_not_kept(tmp_path):
    import torch_networks

    b = torch_networks.Builder()
    x = b.add("Mul", b.add("Mul", "image", np.float32(5e4)), np.float32(5e4))
    out = b.add("Mul", x, np.float32(1e-9))
    network = b.save(tmp_path / "net.onnx", ("N", 3, 4, 4), {"out": (out, ("N", 3, 4, 4))})
    with pytest.raises(
        ModelError, match=r"differ from float32 by up to inf .*run the network in float32"
    ):
        make_mixed(network, tmp_path / "mixed.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_weights_beyond_float16_are_refused(tmp_path):
    import torch_networks

    b = torch_networks.Builder()
    out = b.add("Mul", "image", np.float32(1e5))
    network = b.save(tmp_path / "net.onnx", ("N", 3, 4, 4), {"out": (out, ("N", 3, 4, 4))})
    with pytest.raises(ModelError, match=r"weights .* reach 1e\+05, but float16 ends at"):
        make_mixed(network, tmp_path / "mixed.onnx")


def test_a_mixed_network_and_one_with_layer_norms_in_parts_are_refused(tmp_path):
    import torch_networks

    make_mixed(TINY, tmp_path / "mixed.onnx", measure=False)
    with pytest.raises(ModelError, match="already contains float16"):
        make_mixed(tmp_path / "mixed.onnx", tmp_path / "twice.onnx")
    b = torch_networks.Builder()
    x = b.add("Softmax", b.add("Sqrt", b.add("ReduceMean", "image", np.array([-1]))), axis=-1)
    network = b.save(tmp_path / "net.onnx", ("N", 3, 4, 4), {"out": (x, ("N", 3, 4, 1))})
    with pytest.raises(ModelError, match="layer norms in parts; export it with opset 17"):
        make_mixed(network, tmp_path / "parts.onnx")


@pytest.fixture
def folder(tmp_path):
    """A model's folder with its mixed network."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.onnx").write_bytes(TINY.read_bytes())
    add_mixed(tmp_path / "net" / "model.onnx")
    return tmp_path / "net"


@pytest.mark.convert
def test_weights_beside_a_large_network_are_its_own_too(hub_model, tmp_path, monkeypatch):
    monkeypatch.setattr("vitpose_ros.models.convert.export.SINGLE_FILE_LIMIT", 1000)
    hub_model().save_pretrained(tmp_path / "hub")
    convert_checkpoint(tmp_path / "hub", "net", tmp_path / "net", layout="coco17")
    made = add_mixed(tmp_path / "net" / "model.onnx")
    sha256 = precision.sha256_of(tmp_path / "net" / "model.onnx")
    assert len(made.weights_sha256) == 64
    assert read_mixed(tmp_path / "net", sha256) is not None
    data = tmp_path / "net" / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="made from another float32 network"):
        read_mixed(tmp_path / "net", sha256)


def test_what_is_known_of_a_mixed_network_lies_beside_it(folder):
    sha256 = precision.sha256_of(folder / "model.onnx")
    path, made = read_mixed(folder, sha256)
    assert path == folder / "model.mixed.onnx"
    content = json.loads((folder / "model.mixed.json").read_text())
    assert content["exact"]["LayerNormalization"] == 13
    assert content["difference"]["outputs"] == made.difference["outputs"] > 0
    assert {"onnx", "torch", "vitpose_ros"} <= set(content["versions"])


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """The tool on a store that has the shipped model; exit code and what was said."""
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "store"))

    def run(*words):
        code = main(["models", *words])
        out = capsys.readouterr()
        return code, out.out + out.err

    assert run("pull", "vitpose-tiny-synthetic")[0] == 0
    return run


def test_a_model_of_the_store_is_given_a_mixed_network_by_one_command(cli, tmp_path):
    code, said = cli("convert", "vitpose-tiny-synthetic", "--mixed")
    folder = tmp_path / "store" / "vitpose-tiny-synthetic"
    assert code == 0 and "in float32: 14 Add, 13 LayerNormalization" in said, said
    assert "(torch " in said
    assert read_mixed(folder, precision.sha256_of(folder / "model.onnx")) is not None
    code, said = cli("verify", "vitpose-tiny-synthetic")
    assert (code, said) == (0, "vitpose-tiny-synthetic: verified\n")
    code, said = cli("convert", "vitpose-tiny-synthetic", "--mixed", "--layout", "coco17")
    assert code == 1 and "omit --layout" in said
    code, said = cli("convert", "vitpose-tiny-synthetic")
    assert code == 1 and "needs no conversion" in said


def test_only_onnx_files_are_given_mixed_precision(tmp_path):
    with pytest.raises(ModelError, match=r"\.tflite is not an ONNX file"):
        add_mixed(tmp_path / "net.tflite")


@pytest.mark.convert
def test_a_conversion_gives_both_networks_at_once(hub_model, tmp_path, capsys):
    hub_model().save_pretrained(tmp_path / "hub")
    words = ["--output", str(tmp_path / "net"), "--layout", "coco17", "--mixed"]
    assert main(["models", "convert", str(tmp_path / "hub"), *words]) == 0
    assert read_mixed(tmp_path / "net", precision.sha256_of(tmp_path / "net" / "model.onnx"))
    assert "outputs differ from float32 by up to" in capsys.readouterr().err


def test_a_mixed_network_that_is_not_this_models_is_refused(folder, tmp_path):
    sha256 = precision.sha256_of(folder / "model.onnx")
    assert read_mixed(tmp_path, sha256) is None
    with pytest.raises(ModelError, match=r"made from another float32 network; make it again"):
        read_mixed(folder, "0" * 64)
    (folder / "model.mixed.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="is missing or altered; make it again"):
        read_mixed(folder, sha256)
    (folder / "model.mixed.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.mixed\.json cannot be read"):
        read_mixed(folder, sha256)
