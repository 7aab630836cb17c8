"""The torch engine on torch's CPU device: against OpenVINO, ONNX's own reference, and its contract.

Streams and CUDA graphs are simulated in test_torch_order.py; nothing here needs a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.torch import TorchEngine

pytestmark = pytest.mark.torch

TINY = Path(__file__).parents[3] / "assets" / "vitpose-tiny-synthetic" / "model.onnx"


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """Torch and onnx; and the small networks importable."""
    pytest.importorskip("onnx", reason="needs onnx: make test-convert")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return pytest.importorskip("torch", reason="needs torch: make test-convert")


@pytest.fixture
def rtmpose(tmp_path):
    import torch_networks

    return torch_networks.rtmpose_like(tmp_path / "rtmpose.onnx")


@pytest.fixture
def yolox(tmp_path):
    import torch_networks

    return torch_networks.yolox_like(tmp_path / "yolox.onnx")


def noise(engine, batch=3, seed=0):
    (spec,) = engine.inputs
    shape = (batch, *spec.shape[1:])
    return {spec.name: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


def assert_as_openvino(path, batches=(1, 3)):
    ours, reference = TorchEngine(path, "cpu"), OpenVinoEngine(path)
    assert ours.inputs == reference.inputs and ours.outputs == reference.outputs
    for batch in batches:
        inputs = noise(ours, batch)
        expected = reference.run(inputs)
        for name, found in ours.run(inputs).items():
            assert found.shape == expected[name].shape and found.dtype == np.float32
            scale = max(1.0, float(np.abs(expected[name]).max()))
            assert np.abs(found - expected[name]).max() < 1e-4 * scale
            assert found.std() > 1e-3


def test_the_shipped_vitpose_gives_what_openvino_gives():
    assert_as_openvino(TINY)


def test_a_network_with_the_parts_of_rtmpose_gives_what_openvino_gives(rtmpose):
    assert_as_openvino(rtmpose)


def test_a_network_with_the_parts_of_yolox_takes_any_batch_though_exported_for_one(yolox):
    assert_as_openvino(yolox)


def test_joined_nodes_give_what_the_nodes_give_alone(torch):
    from vitpose_ros.engines.onnx_nodes import fuse, parse, read_network
    from vitpose_ros.engines.onnx_torch import OnnxGraph

    network = parse(read_network(TINY), "tiny")
    joined = fuse(network)
    operators = [node.operator for node in joined.nodes]
    counts = {n: operators.count(n) for n in ("FusedAttention", "FusedGelu", "FusedLinear")}
    assert counts == {"FusedAttention": 6, "FusedGelu": 6, "FusedLinear": 36}
    assert not {"Softmax", "Erf", "MatMul"} & set(operators)
    x = {"image": torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))}
    alone, together = (OnnxGraph(n, torch.device("cpu"), "tiny")(x) for n in (network, joined))
    assert float((alone["heatmaps"] - together["heatmaps"]).abs().max()) < 1e-6


@pytest.mark.parametrize("kept", ["scores", "softmax", "product", "erf"])
def test_what_others_use_too_is_not_joined(kept, torch, tmp_path):
    import torch_networks

    b = torch_networks.Builder()
    q = b.add("Reshape", "image", np.array([0, 6, 8]))
    scores = b.add("MatMul", q, b.add("Transpose", q, perm=[0, 2, 1]))
    softmax = b.add("Softmax", b.add("Mul", scores, np.float32(0.3)), axis=-1)
    product = b.add("MatMul", b.add("MatMul", softmax, q), b.random(8, 8))
    x = b.add("Add", product, b.random(8))
    erf = b.add("Erf", b.add("Div", x, np.float32(2**0.5)))
    out = b.add("Mul", b.add("Mul", x, b.add("Add", erf, np.float32(1))), np.float32(0.5))
    sizes = {"scores": (6, 6), "softmax": (6, 6), "product": (6, 8), "erf": (6, 8)}
    made = {"scores": scores, "softmax": softmax, "product": product, "erf": erf}[kept]
    path = b.save(
        tmp_path / "net.onnx",
        ("N", 3, 4, 4),
        {"out": (out, ("N", 6, 8)), "kept": (made, ("N", *sizes[kept]))},
    )
    assert_as_openvino(path)


OPERATORS = {
    "AveragePool": ([(1, 2, 6, 6)], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "Conv": ([(1, 4, 7, 7), (6, 2, 3, 3), (6,)], {"group": 2, "pads": [0, 1, 2, 1],
                                                  "strides": [2, 1], "dilations": [1, 2]}),
    "ConvTranspose": ([(1, 4, 5, 5), (4, 3, 4, 4)], {"strides": [2, 2], "pads": [1, 1, 1, 1],
                                                     "output_padding": [1, 0]}),
    "BatchNormalization": ([(2, 3, 4, 4), (3,), (3,), (3,), np.array([1, 2, 3.0])], {}),
    "Clip": ([(3, 4), np.float32(-0.2), np.float32(0.4)], {}),
    "Concat": ([(2, 3), (2, 1)], {"axis": -1}),
    "Expand": ([(3, 1), np.array([2, 1, 4])], {}),
    "Flatten": ([(2, 3, 4)], {"axis": 2}),
    "Gather": ([(3, 5, 2), np.array([[0, -1], [2, 2]])], {"axis": 1}),
    "Gemm": ([(4, 3), (5, 4), (5,)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "HardSigmoid": ([(3, 4)], {"alpha": 0.3}),
    "HardSwish": ([(3, 4)], {}),
    "LayerNormalization": ([(2, 3, 4), (3, 4), (3, 4)], {"axis": 1, "epsilon": 1e-2}),
    "LeakyRelu": ([(3, 4)], {"alpha": 0.2}),
    "MaxPool": ([(1, 2, 6, 6)], {"kernel_shape": [3, 3], "pads": [0, 0, 1, 1],
                                 "strides": [2, 2]}),
    "Pad": ([(1, 2, 3, 3), np.array([0, 0, 1, 2, 0, 0, 0, 1]), np.float32(2)], {}),
    "ReduceMean": ([(2, 3, 4), np.array([0, 2])], {"keepdims": 0}),
    "Resize": ([(1, 2, 3, 3), None, np.array([1, 1, 2, 4.0])],
               {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    "Slice": ([(4, 5), np.array([1, -4]), np.array([4, 99]), np.array([0, 1]), np.array([1, 2])],
              {}),
    "Softmax": ([(2, 3, 4)], {"axis": 1}),
    "Squeeze": ([(1, 3, 1), np.array([0, 2])], {}),
    "Transpose": ([(2, 3, 4)], {}),
    "Unsqueeze": ([(2, 3), np.array([-1, 0])], {}),
}  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_gives_what_onnx_says(operator, torch):
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    from vitpose_ros.engines.onnx_ops import OPERATORS as KNOWN

    given, attributes = OPERATORS[operator]
    rng = np.random.default_rng(0)
    arrays = [
        None if a is None
        else rng.standard_normal(a).astype(np.float32) if isinstance(a, tuple)
        else np.asarray(a, np.float32 if np.asarray(a).dtype.kind == "f" else np.int64)
        for a in given
    ]  # fmt: skip
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)],
        "one",
        [
            helper.make_tensor_value_info(n, kinds[a.dtype.kind], a.shape)
            for n, a in zip(names, arrays, strict=True)
            if a is not None
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    inputs = {n: a for n, a in zip(names, arrays, strict=True) if a is not None}
    (expected,) = ReferenceEvaluator(model).run(None, inputs)
    tensors = [None if a is None else torch.from_numpy(np.asarray(a)) for a in arrays]
    found = KNOWN[operator](attributes)(*tensors).numpy()
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-5)


def save_one(path, operator, opset=18, domain="", **attributes):
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.maker", 1)]
    graph = helper.make_graph([node], "one", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def test_an_unknown_operator_is_named(tmp_path):
    path = save_one(tmp_path / "net.onnx", "Sinh")
    with pytest.raises(EngineError, match="operator Sinh, which the torch engine does not support"):
        TorchEngine(path, "cpu")


def test_an_operator_of_another_maker_is_named(tmp_path):
    path = save_one(tmp_path / "net.onnx", "FastGelu", domain="com.maker")
    with pytest.raises(EngineError, match=r"custom operator FastGelu of com\.maker;"):
        TorchEngine(path, "cpu")


def test_an_operator_in_an_unknown_form_is_named(tmp_path):
    path = save_one(tmp_path / "net.onnx", "MaxPool", kernel_shape=[1], ceil_mode=1)
    with pytest.raises(EngineError, match="MaxPool in a form"):
        TorchEngine(path, "cpu")


def test_an_opset_of_old_meanings_is_refused(tmp_path):
    with pytest.raises(EngineError, match="opset 12; the torch engine needs 13 or later"):
        TorchEngine(save_one(tmp_path / "net.onnx", "Neg", opset=12), "cpu")


def test_a_missing_or_broken_file_names_the_command(tmp_path):
    with pytest.raises(EngineError, match=r"gone\.onnx' does not exist.*vitpose_ros models pull"):
        TorchEngine(tmp_path / "gone.onnx", "cpu")
    path = tmp_path / "net.onnx"
    for content in (b"", b"\x00" * 100, TINY.read_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(EngineError, match=r"net\.onnx.*vitpose_ros models pull"):
            TorchEngine(path, "cpu")


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({}, "takes the inputs image; got none"),
        ({"z": np.zeros((1, 3, 128, 128), np.float32)}, "takes the inputs image; got z"),
        ({"image": np.zeros((1, 3, 128, 64), np.float32)}, r"got torch.float32 \(1, 3, 128"),
        ({"image": np.zeros((1, 3, 128, 128))}, "got torch.float64"),
        ({"image": np.zeros((0, 3, 128, 128), np.float32)}, r"got .* \(0, 3, 128, 128\)"),
        ({"image": np.zeros((128, 128, 3, 1), np.float32).T}, "takes C-contiguous numpy arrays"),
        ({"image": [0.0]}, "takes C-contiguous numpy arrays; image was list"),
    ],
)
def test_wrong_tensors_are_refused_with_what_is_expected(tensors, text):
    with pytest.raises(EngineError, match=text):
        TorchEngine(TINY, "cpu").run(tensors)


def test_outputs_of_run_belong_to_the_caller_and_inputs_may_be_read_only():
    engine = TorchEngine(TINY, "cpu")
    first, second = noise(engine, seed=1), noise(engine, seed=2)
    first["image"].flags.writeable = False
    kept = engine.run(first)["heatmaps"]
    copy = kept.copy()
    engine.run(second)
    assert np.array_equal(kept, copy)


def test_buffers_are_the_engines_own_for_each_batch_size_and_any_tensor_runs(torch):
    engine = TorchEngine(TINY, "cpu")
    one, two = engine.buffers(1)["image"], engine.buffers(2)["image"]
    assert one.shape[0] == 1 and two.shape[0] == 2
    assert engine.buffers(2)["image"].data_ptr() == two.data_ptr() != one.data_ptr()
    inputs = noise(engine, 2)
    expected = engine.run(inputs)["heatmaps"]
    two.copy_(torch.from_numpy(inputs["image"]))
    assert np.array_equal(engine.run_device({"image": two})["heatmaps"].numpy(), expected)
    own = torch.from_numpy(inputs["image"])
    assert np.array_equal(engine.run_device({"image": own})["heatmaps"].numpy(), expected)


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 7.60 GiB"
ILLEGAL = "CUDA error: an illegal memory access was encountered"


@pytest.mark.parametrize(
    ("kind", "text", "advice"),
    [
        ("OutOfMemoryError", OUT_OF_MEMORY, "the GPU has too little free memory. Close other"),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "too little free memory"),
        ("RuntimeError", ILLEGAL, f"failed: {ILLEGAL}"),
    ],
)
@pytest.mark.parametrize("when", ["loading", "running"])
def test_an_error_of_cuda_is_an_engine_error_that_names_no_operator(
    kind, text, advice, when, torch, monkeypatch
):
    from vitpose_ros.engines import onnx_torch

    error = torch.cuda.OutOfMemoryError if kind == "OutOfMemoryError" else RuntimeError
    engine = TorchEngine(TINY, "cpu")

    def refuse(*_):
        raise error(text)

    if when == "loading":
        monkeypatch.setattr(onnx_torch.OnnxGraph, "__init__", refuse)
    else:
        engine._graph._steps = [(node, refuse, spent) for node, _, spent in engine._graph._steps]
    with pytest.raises(EngineError, match=f"^{when} '.*model.onnx'") as said:
        TorchEngine(TINY, "cpu") if when == "loading" else engine.run(noise(engine, 1))
    assert advice in str(said.value) and "operator" not in str(said.value)


def test_sums_are_exact_during_a_run_and_torchs_settings_are_left_as_they_were(torch, monkeypatch):
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def settings():
        return (
            matmul.allow_tf32, matmul.allow_fp16_reduced_precision_reduction, cudnn.allow_tf32
        )  # fmt: skip

    engine = TorchEngine(TINY, "cpu")
    seen, compute = [], engine._compute
    monkeypatch.setattr(engine, "_compute", lambda x: seen.append(settings()) or compute(x))
    matmul.allow_tf32 = True
    try:
        before = settings()
        engine.run(noise(engine, 1))
        assert seen == [(False, False, False)]
        assert settings() == before == (True, True, True)
    finally:
        matmul.allow_tf32 = False


def test_without_torch_or_onnx_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match=f"Install it with: {sys.executable} -m pip install "):
        TorchEngine(TINY, "cpu")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineError, match=rf"package onnx: {sys.executable} -m pip install onnx"):
        TorchEngine(TINY, "cpu")


def test_without_a_gpu_the_error_says_what_torch_was_built_for(torch, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(EngineError, match=r"finds no NVIDIA GPU: .* has no CUDA\. .*openvino"):
        TorchEngine(TINY)
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    with pytest.raises(EngineError, match=r"was built for CUDA 12\.6"):
        TorchEngine(TINY, "cuda:1")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(EngineError, match=r"device: expected cuda, cuda:N or cpu, got"):
        TorchEngine(TINY, device)
