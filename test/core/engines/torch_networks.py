"""Small ONNX networks with the operators of the real ones, and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and weights; each method gives the name of its result."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.rng = np.random.default_rng(seed)

    def add(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        made = [f"t{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any) -> str:
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        self.weights.append(numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def random(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return self.rng.normal(0, scale, shape).astype(np.float32)

    def conv(self, x: str, outgoing: int, incoming: int, kernel: int, **attributes: Any) -> str:
        pad = kernel // 2
        weight = self.random(
            outgoing,
            incoming // attributes.get("group", 1),
            kernel,
            kernel,
            scale=(incoming * kernel**2) ** -0.5,
        )
        bias = self.random(outgoing, scale=0.1)
        return str(
            self.add("Conv", x, weight, bias, pads=[pad] * 4, kernel_shape=[kernel] * 2)
            if not attributes
            else self.add("Conv", x, weight, bias, pads=[pad] * 4, **attributes)
        )

    def silu(self, x: str) -> str:
        return str(self.add("Mul", x, self.add("Sigmoid", x)))

    def save(
        self,
        path: Path,
        shape: tuple[Any, ...],
        outputs: dict[str, tuple[str, tuple[Any, ...]]],
        opset: int = 18,
    ) -> Path:
        """Write the network: outputs are a name and a shape for the results that they are."""
        nodes = self.nodes + [
            helper.make_node("Identity", [made], [name]) for name, (made, _) in outputs.items()
        ]
        kind = TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("image", kind, shape)],
            [helper.make_tensor_value_info(n, kind, s) for n, (_, s) in outputs.items()],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 9
        onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), str(path))
        return path


def rtmpose_like(path: Path, joints: int = 17, size: tuple[int, int] = (48, 64)) -> Path:
    """RTMPose's parts: SiLU, pooling pyramid, channel attention, a gated attention unit, curves."""
    b, (width, height) = Builder(), size
    x = b.silu(b.conv("image", 16, 3, 3, strides=[2, 2]))
    x = b.silu(b.conv(x, 16, 16, 3, group=16))
    x = b.silu(b.conv(x, 32, 16, 3, strides=[2, 2]))
    pooled = [x]
    for kernel in (5, 9):
        pads = [kernel // 2] * 4
        pooled.append(b.add("MaxPool", x, kernel_shape=[kernel] * 2, strides=[1, 1], pads=pads))
    x = b.silu(b.conv(b.add("Concat", *pooled, axis=1), 32, 96, 1))
    gate = b.conv(b.add("GlobalAveragePool", x), 32, 32, 1)
    x = b.add("Mul", x, b.add("HardSigmoid", gate, alpha=1 / 6, beta=0.5))
    x = b.conv(x, joints, 32, 7)
    cells = (width // 4) * (height // 4)
    x = b.add("Reshape", x, np.array([0, joints, cells]))

    def scale_norm(x: str, width: int) -> str:
        norm = b.add("ReduceL2", x, np.array([-1]), keepdims=1)
        norm = b.add("Clip", b.add("Mul", norm, np.float32(width**-0.5)), np.float32(1e-5))
        return str(b.add("Mul", b.add("Div", x, norm), np.float32([1.3])))

    x = b.add("MatMul", scale_norm(x, cells), b.random(cells, 32, scale=cells**-0.5))
    kept = x
    x = b.silu(b.add("MatMul", scale_norm(x, 32), b.random(32, 80, scale=32**-0.5)))
    u, v, base = b.add("Split", x, np.array([32, 32, 16]), outputs=3, axis=2)
    base = b.add("Unsqueeze", base, np.array([2]))
    base = b.add("Add", b.add("Mul", base, b.random(2, 16)), b.random(2, 16, scale=0.1))
    q, k = b.add("Split", base, outputs=2, axis=2, num_outputs=2)
    q, k = (b.add("Squeeze", part, np.array([2])) for part in (q, k))
    scores = b.add("Div", b.add("MatMul", q, b.add("Transpose", k, perm=[0, 2, 1])), np.float32(4))
    kernel = b.add("Pow", b.add("Relu", scores), np.float32(2))
    x = b.add("MatMul", b.add("Mul", u, b.add("MatMul", kernel, v)), b.random(32, 32, scale=0.2))
    x = b.add("Add", x, b.add("Mul", kept, b.random(32)))
    curves = {}
    for name, bins in (("simcc_x", 2 * width), ("simcc_y", 2 * height)):
        made = b.add("MatMul", x, b.random(32, bins, scale=0.2))
        curves[name] = made, ("N", joints, bins)
    return b.save(path, ("N", 3, height, width), curves)


def yolox_like(path: Path, batch: int | str = 1) -> Path:
    """YOLOX's parts: strided slices, SiLU, pyramid with enlargement, anchors in one row."""
    b = Builder()
    parts = []
    for dx in (0, 1):
        for dy in (0, 1):
            starts, ends, steps = np.array([dy, dx]), np.array([2**62] * 2), np.array([2, 2])
            parts.append(b.add("Slice", "image", starts, ends, np.array([2, 3]), steps))
    x = b.silu(b.conv(b.add("Concat", *parts, axis=1), 16, 12, 3))
    small = b.silu(b.conv(x, 16, 16, 3, strides=[2, 2]))
    scales = np.array([1, 1, 2, 2], np.float32)
    large = b.add("Resize", small, "", scales, mode="nearest",
                  coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    large = b.silu(b.conv(b.add("Concat", large, x, axis=1), 16, 32, 1))
    rows = []
    for level, cells in ((large, 16 * 16), (small, 8 * 8)):
        head = b.add("Concat", b.conv(level, 4, 16, 1), b.add("Sigmoid", b.conv(level, 2, 16, 1)),
                     axis=1)  # fmt: skip
        rows.append(b.add("Reshape", head, np.array([0, 6, cells])))
    out = b.add("Transpose", b.add("Concat", *rows, axis=2), perm=[0, 2, 1])
    return b.save(path, (batch, 3, 32, 32), {"output": (out, (batch, 320, 6))})
