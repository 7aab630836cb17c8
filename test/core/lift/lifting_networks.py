"""Small ONNX files with the shapes of lifting networks and known weights, and their entries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import Entry, Licence, ModelFile
from vitpose_ros.models.sources import FileSource

IMAGES = 9
rng = np.random.default_rng(11)
DEPTHS = rng.normal(0, 0.2, (17, 1)).astype(np.float32)
"""The third coordinate that the networks below give each joint, in their own unit."""
STATISTICS = {
    "mean_2d": rng.normal(0, 50, 32).tolist(),
    "std_2d": rng.uniform(50, 100, 32).tolist(),
    "mean_3d": rng.normal(0, 300, 48).tolist(),
    "std_3d": rng.uniform(100, 200, 48).tolist(),
}
WEIGHTS = rng.normal(0, 0.3, (32, 48)).astype(np.float32)


def _save(path, nodes, given, taken, constants):
    graph = helper.make_graph(
        nodes,
        "lifting",
        [helper.make_tensor_value_info("joints", TensorProto.FLOAT, ["batch", *given])],
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", *taken])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


def motionbert(path: Path, images: int = IMAGES) -> Path:
    """x and y as given, z from DEPTHS times the score."""
    nodes = [
        helper.make_node("Slice", ["joints", "zero", "two", "last"], ["xy"]),
        helper.make_node("Slice", ["joints", "two", "three", "last"], ["score"]),
        helper.make_node("Mul", ["score", "depths"], ["z"]),
        helper.make_node("Concat", ["xy", "z"], ["points"], axis=3),
    ]
    constants = {
        **{name: np.array([n], np.int64) for name, n in (("zero", 0), ("two", 2), ("three", 3))},
        "last": np.array([3], np.int64),
        "depths": DEPTHS,
    }
    return _save(path, nodes, (images, 17, 3), (images, 17, 3), constants)


def videopose3d(path: Path, images: int = IMAGES, read: int = IMAGES // 2) -> Path:
    """The joints of the image `read` times 0.5 m, z from DEPTHS."""
    nodes = [
        helper.make_node("Slice", ["joints", "from", "to", "axis"], ["one"]),
        helper.make_node("Mul", ["one", "half"], ["xy"]),
        helper.make_node("Slice", ["xy", "zero", "single", "three"], ["x"]),
        helper.make_node("Mul", ["x", "none"], ["empty"]),
        helper.make_node("Add", ["empty", "depths"], ["z"]),
        helper.make_node("Concat", ["xy", "z"], ["points"], axis=3),
    ]
    constants = {
        "from": np.array([read], np.int64),
        "to": np.array([read + 1], np.int64),
        "axis": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "single": np.array([1], np.int64),
        "three": np.array([3], np.int64),
        "half": np.float32(0.5),
        "none": np.float32(0.0),
        "depths": DEPTHS,
    }
    return _save(path, nodes, (images, 17, 2), (1, 17, 3), constants)


def martinez(path: Path) -> Path:
    """One linear layer, without the pelvis."""
    nodes = [helper.make_node("MatMul", ["joints", "weights"], ["points"])]
    return _save(path, nodes, (32,), (48,), {"weights": WEIGHTS})


WRITE = {"motionbert": motionbert, "videopose3d": videopose3d, "martinez": martinez}


def entry(architecture: str, path: Path, layout: str = "h36m17", **settings) -> Entry:
    """As the user's own catalogue would have it."""
    return Entry(
        name=f"my-{architecture}",
        task="body_lifting",
        architecture=architecture,
        layout=LAYOUTS[layout],
        input_width=0,
        input_height=0,
        parameters=None,
        licence=Licence("CC-BY-NC-4.0", "https://example.org/licence"),
        origin="https://example.org",
        accuracy=(),
        verified_here=False,
        files=(ModelFile(path.name, (FileSource(path),)),),
        settings={**(STATISTICS if architecture == "martinez" else {}), **settings},
    )
