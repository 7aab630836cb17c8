"""A simulated GPU: fake torch and TensorRT, and a small network."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

HERE = Path(__file__).parent
JOINTS, SIZE = 17, (48, 64)
"""Of the small network: joints, and (width, height) of its input."""


def write_network(path: Path, seed: int = 0) -> Path:
    """An ONNX file from (N, 3, 64, 48) to (N, 17, 16, 12): a convolution, as a head has it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(seed).normal(0, 0.1, (JOINTS, 3, 4, 4)).astype(np.float32)
    width, height = SIZE
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["heatmaps"], strides=[4, 4])],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, height, width])],
        [
            helper.make_tensor_value_info(
                "heatmaps", TensorProto.FLOAT, ["batch", JOINTS, height // 4, width // 4]
            )
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def fakes(monkeypatch):
    """The modules that stand in for torch and TensorRT, importable by tests."""
    monkeypatch.syspath_prepend(str(HERE))
    import fake_tensorrt
    import fake_tensorrt_rtx
    import fake_torch

    return SimpleNamespace(torch=fake_torch, tensorrt=fake_tensorrt, rtx=fake_tensorrt_rtx)


@pytest.fixture
def gpu(fakes, monkeypatch):
    """This machine has a GPU, torch and TensorRT 10.3."""
    torch, trt = fakes.torch.make(), fakes.tensorrt.make()
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    return SimpleNamespace(torch=torch, trt=trt, OrderError=fakes.tensorrt.OrderError)


@pytest.fixture
def network(tmp_path) -> Path:
    """The small network in a model's folder."""
    folder = tmp_path / "net"
    folder.mkdir()
    return write_network(folder / "model.onnx")


@pytest.fixture
def model_root(network, tmp_path, monkeypatch):
    """The folder of a store that has the small network as the converted model `small`."""
    from vitpose_ros.models.manifest import HashedFile, Manifest, Output, write_manifest

    root, content = tmp_path / "store", network.read_bytes()
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(root))
    folder = root / "small"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    file = HashedFile("model.onnx", len(content), hashlib.sha256(content).hexdigest())
    width, height = SIZE
    write_manifest(
        folder,
        Manifest(
            name="small",
            task="body_keypoints",
            architecture="vitpose",
            layout="coco17",
            joints=JOINTS,
            input_name="image",
            input_width=width,
            input_height=height,
            outputs=(Output("heatmaps", (JOINTS, height // 4, width // 4)),),
            parameters=816,
            licence="MIT",
            licence_url="",
            origin="",
            files=(file,),
            sources=(file,),
            date="2026-01-01T00:00:00+00:00",
            network={},
        ),
    )
    return root


@pytest.fixture
def shelf(network):
    """The shelf of the small network's model."""
    from vitpose_ros.engines.trt.shelf import EngineShelf

    return EngineShelf(network.parent)


@pytest.fixture
def built(gpu, shelf, network):
    """An engine of the small network on the shelf."""
    from vitpose_ros.engines.trt.build import build_engine
    from vitpose_ros.engines.trt.key import Recipe, machine_here, network_hash

    recipe = Recipe(network_hash(network), "fp32")
    judge = lambda folder: {"joint_px": 0.01}  # noqa: E731
    return build_engine(shelf, network, machine_here(), recipe, judge)
