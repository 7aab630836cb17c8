"""Networks that a user might bring, with known answers: small ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def save(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[Any],
    outputs: Mapping[str, Sequence[Any]],
    weights: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    kind: str = "FLOAT",
) -> Path:
    """Write a graph with the input `image`."""
    import onnx

    helper = onnx.helper
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("image", getattr(onnx.TensorProto, kind), list(shape))],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(sizes))
            for name, sizes in outputs.items()
        ],
        [onnx.numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def constants(
    path: Path,
    shape: Sequence[Any],
    outputs: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    kind: str = "FLOAT",
) -> Path:
    """A network that gives the same outputs for every image, which it uses times zero."""
    import onnx

    node, weights = onnx.helper.make_node, {"nil": np.zeros((), np.float32)}
    nodes = [
        node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
        node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        node("Mul", ["mean", "nil"], ["zero"]),
    ]
    for name, values in outputs.items():
        weights[f"{name}_values"] = values.astype(np.float32)
        nodes.append(node("Add", ["zero", f"{name}_values"], [name]))
    shapes = {name: values.shape for name, values in outputs.items()}
    return save(path, nodes, shape, shapes, weights, metadata, kind)


def spots(
    path: Path,
    lattice: str,
    joints: int = 17,
    gain: float = 1 / 255,
    offset: float = 0.0,
    size: tuple[int, int] = (192, 256),
    last: bool = False,
) -> Path:
    """A network of heatmaps that all show the red channel: `gain` times it plus `offset`, a quarter
    of the size.

    Parameters
    ----------
    lattice : "udp" or "classic".
    last : channels last, as TensorFlow's.
    """
    import onnx

    node, (width, height) = onnx.helper.make_node, size
    mode = {"udp": "align_corners", "classic": "asymmetric"}[lattice]
    weights = {
        "first": np.array([0], np.int64),
        "scaling": np.array(gain, np.float32),
        "moving": np.array(offset, np.float32),
        "sizes": np.array([1, 1, height // 4, width // 4], np.int64),
        "times": np.array([1, joints, 1, 1], np.int64),
    }
    source = "planes" if last else "image"
    nodes = [node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        node("Gather", [source, "first"], ["red"], axis=1),
        node("Mul", ["red", "scaling"], ["scaled"]),
        node("Add", ["scaled", "moving"], ["heat"]),
        node(
            "Resize", ["heat", "", "", "sizes"], ["small"], mode="linear",
            coordinate_transformation_mode=mode,
        ),
        node("Tile", ["small", "times"], ["maps" if last else "heatmaps"]),
    ]  # fmt: skip
    if last:
        nodes.append(node("Transpose", ["maps"], ["heatmaps"], perm=[0, 2, 3, 1]))
    rows, columns = height // 4, width // 4
    shape = [1, height, width, 3] if last else [1, 3, height, width]
    out = [1, rows, columns, joints] if last else [1, joints, rows, columns]
    return save(path, nodes, shape, {"heatmaps": out}, weights)


def detector(
    form: str, classes: int = 1, size: int = 64, found: int = 0
) -> dict[str, np.ndarray]:
    """The outputs of a detector that finds one box, from (16, 8) to (48, 56), of the class `found`
    with a score of 0.9.
    """
    logit = np.log(0.9 / 0.1)
    if form == "yolox":
        rows = np.zeros((1, 84, 5 + classes))
        cell = 3 * 8 + 3  # of stride 8: its corner is (24, 24)
        rows[0, :, 2:4] = 0.1
        rows[0, cell, :5] = 1.0, 1.0, np.log(4.0), np.log(6.0), 1.0
        rows[0, cell, 5 + found] = 0.9
        return {"output": rows}
    if form == "rtmdet":
        maps = {}
        for stride in (8, 16, 32):
            side = size // stride
            one = np.full((1, side, side, classes + 4), 1.0)
            one[..., :classes] = -9.0
            if stride == 16:
                one[0, 2, 2, found], one[0, 2, 2, classes:] = logit, (16, 24, 16, 24)
            maps[f"out_{stride}"] = one
        return maps
    if form == "detr":
        boxes, logits = np.full((1, 20, 4), 0.1), np.full((1, 20, classes), -9.0)
        boxes[0, 3], logits[0, 3, found] = (0.5, 0.5, 0.5, 0.75), logit
        return {"pred_boxes": boxes, "logits": logits}
    if form == "mmdeploy":
        dets, labels = np.zeros((1, 10, 5)), np.zeros((1, 10))
        dets[0, 0], labels[0, 0] = (16, 8, 48, 56, 0.9), found
        return {"dets": dets, "labels": labels}
    raise ValueError(form)
