"""ONNX operators in torch: those of ViTPose, RTMPose and YOLOX.

Source: the operators' specifications, onnx.ai/onnx/operators. Each entry of OPERATORS makes a
function of tensors from a node's attributes; an omitted input is None. Integers (shapes, axes,
indices) always are tensors on the CPU, so that reading one never waits for the GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as functional

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]
"""Tensors in; a tensor, or a tuple of tensors, out."""


class UnsupportedError(ValueError):
    """An operator, or an attribute of one, that is not implemented here."""


DTYPES = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""torch's types by ONNX's numbers."""


def _numbers(tensor: torch.Tensor) -> list[int]:
    return [int(value) for value in tensor.reshape(-1).tolist()]


def _axes(attributes: Attributes, given: torch.Tensor | None) -> list[int] | None:
    """Axes: an input since opset 13 or 18, an attribute in older ones."""
    if given is not None:
        return _numbers(given)
    return list(attributes["axes"]) if "axes" in attributes else None


def _padding(attributes: Attributes, dimensions: int) -> tuple[list[int], list[int] | None]:
    """Symmetric padding for torch's layer, or asymmetric padding to apply before it."""
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"auto_pad {attributes['auto_pad']}")
    pads = attributes.get("pads", [0] * 2 * dimensions)
    begin, end = pads[:dimensions], pads[dimensions:]
    if begin == end:
        return list(begin), None
    return [0] * dimensions, _for_torch(pads)


def _for_torch(pads: Sequence[int]) -> list[int]:
    """ONNX's pads (all begins, all ends) in torch's order: pairs, last axis first."""
    half = len(pads) // 2
    return [pads[i] for axis in reversed(range(half)) for i in (axis, half + axis)]


def _conv(a: Attributes) -> Operation:
    layers = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
        padding, ahead = _padding(a, x.ndim - 2)
        if ahead is not None:
            x = functional.pad(x, ahead)
        ones = [1] * (x.ndim - 2)
        return layers[x.ndim](
            x,
            weight,
            bias,
            stride=a.get("strides", ones),
            padding=padding,
            dilation=a.get("dilations", ones),
            groups=a.get("group", 1),
        )

    return run


def _conv_transpose(a: Attributes) -> Operation:
    if "output_shape" in a:
        raise UnsupportedError("output_shape")

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
        padding, ahead = _padding(a, x.ndim - 2)
        if ahead is not None:
            raise UnsupportedError("asymmetric pads")
        ones = [1] * (x.ndim - 2)
        return functional.conv_transpose2d(
            x,
            weight,
            bias,
            stride=a.get("strides", ones),
            padding=padding,
            output_padding=a.get("output_padding", [0] * (x.ndim - 2)),
            groups=a.get("group", 1),
            dilation=a.get("dilations", ones),
        )

    return run


def _pool(a: Attributes, kind: str) -> Operation:
    if a.get("ceil_mode", 0) or (kind == "max" and any(d != 1 for d in a.get("dilations", [1]))):
        raise UnsupportedError("ceil_mode or dilations")

    def run(x: torch.Tensor) -> Any:
        kernel = a["kernel_shape"]
        strides = a.get("strides", [1] * len(kernel))
        padding, ahead = _padding(a, len(kernel))
        if kind == "max":
            if ahead is not None:
                x = functional.pad(x, ahead, value=-math.inf)
            return functional.max_pool2d(x, kernel, strides, padding)
        if ahead is not None:
            raise UnsupportedError("asymmetric pads")
        counted = bool(a.get("count_include_pad", 0))
        return functional.avg_pool2d(x, kernel, strides, padding, count_include_pad=counted)

    return run


def _resize(a: Attributes) -> Operation:
    mode = a.get("mode", "nearest")
    lattice = a.get("coordinate_transformation_mode", "half_pixel")
    corners = lattice == "align_corners"
    # torch's nearest is floor(x / scale): ONNX's asymmetric with floor and, for integer scales,
    # half_pixel with its rounding, too.
    if mode == "linear" and lattice not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise UnsupportedError(f"coordinate_transformation_mode {lattice} of linear")
    if mode == "nearest" and lattice not in ("asymmetric", "half_pixel"):
        raise UnsupportedError(f"coordinate_transformation_mode {lattice} of nearest")
    if mode not in ("linear", "nearest") or a.get("antialias", 0):
        raise UnsupportedError(f"mode {mode}")

    def run(
        x: torch.Tensor,
        roi: torch.Tensor | None = None,
        scales: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> Any:
        if sizes is not None and sizes.numel():
            size = _numbers(sizes)[2:]
        else:
            assert scales is not None
            factors = scales.tolist()[2:]
            size = [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
        whole = all(wanted % have == 0 for wanted, have in zip(size, x.shape[2:], strict=True))
        if mode == "nearest":
            if not whole:
                raise UnsupportedError("nearest by a fractional factor")
            return functional.interpolate(x, size=size, mode="nearest")
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=corners)

    return run


def _slice(a: Attributes) -> Operation:
    def run(
        x: torch.Tensor,
        starts: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        axes: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> Any:
        begin = _numbers(starts) if starts is not None else list(a["starts"])
        end = _numbers(ends) if ends is not None else list(a["ends"])
        where = _axes(a, axes) or list(range(len(begin)))
        stride = _numbers(steps) if steps is not None else [1] * len(begin)
        if min(stride) < 1:
            raise UnsupportedError("a step below 1")
        index = [slice(None)] * x.ndim
        for axis, first, last, step in zip(where, begin, end, stride, strict=True):
            index[axis] = slice(*slice(first, last, step).indices(x.shape[axis]))
        return x[tuple(index)]

    return run


def _split(a: Attributes) -> Operation:
    axis = a.get("axis", 0)

    def run(x: torch.Tensor, sizes: torch.Tensor | None = None) -> Any:
        if sizes is not None:
            return torch.split(x, _numbers(sizes), axis)
        if "split" in a:
            return torch.split(x, list(a["split"]), axis)
        return torch.split(x, -(-x.shape[axis] // a["num_outputs"]), axis)

    return run


def _reshape(a: Attributes) -> Operation:
    def run(x: torch.Tensor, shape: torch.Tensor) -> Any:
        sizes = _numbers(shape)
        if not a.get("allowzero", 0):
            sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
        return x.reshape(sizes)

    return run


def _gather(a: Attributes) -> Operation:
    axis = a.get("axis", 0)
    last: list[Any] = [None, None]  # the constant indices, and their copy on x's device

    def run(x: torch.Tensor, index: torch.Tensor) -> Any:
        if index.ndim == 0:
            return x.select(axis, int(index))
        if last[0] is not index:
            places = (index % x.shape[axis]).reshape(-1)
            last[:] = index, places.to(x.device)
        where = axis % x.ndim
        shape = (*x.shape[:where], *index.shape, *x.shape[where + 1 :])
        return x.index_select(where, last[1]).reshape(shape)

    return run


def _clip(a: Attributes) -> Operation:
    def run(x: torch.Tensor, low: Any = None, high: Any = None) -> Any:
        low = a.get("min") if low is None else low
        high = a.get("max") if high is None else high
        if isinstance(low, torch.Tensor) or isinstance(high, torch.Tensor):
            x = x if low is None else torch.maximum(x, torch.as_tensor(low).to(x))
            return x if high is None else torch.minimum(x, torch.as_tensor(high).to(x))
        return x if low is None and high is None else x.clamp(low, high)

    return run


def _reduce(a: Attributes, how: Callable[..., Any]) -> Operation:
    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> Any:
        where = _axes(a, axes)
        if where is None and a.get("noop_with_empty_axes", 0):
            return x
        return how(x, where or list(range(x.ndim)), bool(a.get("keepdims", 1)))

    return run


def _layer_norm(a: Attributes) -> Operation:
    axis = a.get("axis", -1)

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
        return functional.layer_norm(x, x.shape[axis:], scale, bias, a.get("epsilon", 1e-5))

    return run


def _gemm(a: Attributes) -> Operation:
    def run(x: torch.Tensor, y: torch.Tensor, c: torch.Tensor | None = None) -> Any:
        x = x.T if a.get("transA", 0) else x
        y = y.T if a.get("transB", 0) else y
        product = (x @ y) * a.get("alpha", 1.0)
        return product if c is None else product + a.get("beta", 1.0) * c

    return run


def _divide(x: torch.Tensor, y: torch.Tensor) -> Any:
    if x.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


def _pad(a: Attributes) -> Operation:
    if a.get("mode", "constant") != "constant":
        raise UnsupportedError(f"mode {a['mode']}")

    def run(x: torch.Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
        if axes is not None:
            raise UnsupportedError("axes")
        wanted = list(a["pads"]) if pads is None else _numbers(pads)
        return functional.pad(x, _for_torch(wanted), value=0.0 if value is None else float(value))

    return run


def _batch_norm(a: Attributes) -> Operation:
    return lambda x, scale, bias, mean, variance: functional.batch_norm(
        x, mean, variance, scale, bias, False, 0.0, a.get("epsilon", 1e-5)
    )


def _unsqueeze(a: Attributes) -> Operation:
    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> Any:
        where = _axes(a, axes) or []
        rank = x.ndim + len(where)
        for axis in sorted(axis % rank for axis in where):
            x = x.unsqueeze(axis)
        return x

    return run


def _squeeze(a: Attributes) -> Operation:
    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> Any:
        where = _axes(a, axes)
        return x.squeeze() if where is None else x.squeeze(tuple(where))

    return run


def _fused_attention(a: Attributes) -> Operation:
    """See `onnx_nodes`: the keys come transposed, as for a matrix product."""

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Any:
        finest = torch.promote_types(q.dtype, v.dtype)
        q, k, values = q.to(finest), k.to(finest).transpose(-1, -2), v.to(finest)
        found = functional.scaled_dot_product_attention(q, k, values, scale=a["scale"])
        return found.to(v.dtype)

    return run


def _plain(function: Operation) -> Callable[[Attributes], Operation]:
    """An operator without attributes."""
    return lambda attributes: function


OPERATORS: dict[str, Callable[[Attributes], Operation]] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "AveragePool": lambda a: _pool(a, "average"),
    "BatchNormalization": _batch_norm,
    "Cast": lambda a: lambda x: x.to(DTYPES[a["to"]]),
    "Clip": _clip,
    "Concat": lambda a: lambda *parts: torch.cat(parts, a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": _plain(_divide),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _plain(lambda x, shape: x.broadcast_to(
        torch.broadcast_shapes(x.shape, tuple(_numbers(shape))))),
    "Flatten": lambda a: lambda x: x.reshape(math.prod(x.shape[: a.get("axis", 1)]), -1),
    "FusedAttention": _fused_attention,
    "FusedGelu": _plain(functional.gelu),
    "FusedLinear": _plain(lambda x, weight, bias: functional.linear(x, weight.T, bias)),
    "Gather": _gather,
    "Gelu": lambda a: lambda x: functional.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True)),
    "HardSigmoid": lambda a: lambda x: (
        (x * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0.0, 1.0)
    ),
    "HardSwish": _plain(functional.hardswish),
    "Identity": _plain(lambda x: x),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a: lambda x: functional.leaky_relu(x, a.get("alpha", 0.01)),
    "Log": _plain(torch.log),
    "MatMul": _plain(torch.matmul),
    "Max": _plain(torch.maximum),
    "MaxPool": lambda a: _pool(a, "max"),
    "Min": _plain(torch.minimum),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Pad": _pad,
    "Pow": _plain(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL2": lambda a: _reduce(a, lambda x, axes, keep: torch.linalg.vector_norm(
        x, dim=axes, keepdim=keep)),
    "ReduceMax": lambda a: _reduce(a, torch.amax),
    "ReduceMean": lambda a: _reduce(a, torch.mean),
    "ReduceSum": lambda a: _reduce(a, torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda a: lambda x: torch.tensor(
        list(x.shape)[a.get("start", 0) : a.get("end", x.ndim)], dtype=torch.int64
    ),
    "Sigmoid": _plain(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda a: lambda x: x.softmax(a.get("axis", -1)),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda a: lambda x: x.permute(a.get("perm", tuple(reversed(range(x.ndim))))),
    "Unsqueeze": _unsqueeze,
}  # fmt: skip
"""By ONNX's names; the Fused ones come from `onnx_nodes`."""

READS_VALUES = ("Resize", "Pad")
"""Operators that read the values of their inputs after the first, which stay on the CPU."""

PRODUCTS = ("Conv", "ConvTranspose", "FusedAttention", "FusedLinear", "Gemm", "MatMul")
"""Operators that sum products."""
