"""Computes a network's large products in bfloat16, and everything else in float32.

Where OpenVINO computes a whole network in bfloat16, it rounds the residual stream to 8 bits in
every block, and the heatmaps, too. Here only the factors and the result of each matrix product or
transposed convolution are rounded, once each; sums, norms, attention and the last product stay in
float32. On rendered hands this halves the distance of the tiny ViTPose's joints from float32's (see
`keypoints.cpu_precision`), and keeps most of the speed: ViTPose-S takes 17 ms, against 28 in
float32 and 15 wholly in bfloat16 (2 cores with AVX-512). The tiny one has no transposed
convolutions; no trained network with them has been tested.

The types of the network's own operations express this; OpenVINO 2024.3 and 2026.4 follow them.
Attributes that should keep an operation's precision had no effect from Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LOWERED = ("MatMul", "ConvolutionBackpropData")
_PRODUCTS = (*_LOWERED, "Convolution", "GroupConvolution", "GroupConvolutionBackpropData")

_SPLITTER = np.float32(2**16 + 1)
"""The factor that splits a float32 after 8 bits (Dekker 1971; Veltkamp)."""


def lower_products(model: Any) -> int:
    """Compute a network's large products in bfloat16.

    These are the matrix products and transposed convolutions with constant weights, except the last
    ones: they compute the outputs, where every bit counts.

    Parameters
    ----------
    model : an `openvino.Model` in float32, changed in place.

    Returns
    -------
    The number of products that were lowered.
    """
    from openvino import Type

    ops = _operations()
    last = _last_products(model)
    rounded: dict[tuple[str, int], Any] = {}
    lowered = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() not in _LOWERED or node.get_name() in last:
            continue
        weights = node.input_value(1).get_node()
        if weights.get_type_name() != "Constant" or weights.get_element_type() != Type.f32:
            continue
        source = node.input_value(0)
        key = source.get_node().get_name(), source.get_index()
        if key not in rounded:  # query, key and value share their input
            rounded[key] = ops.convert(_round(ops, source), Type.bf16)
        node.input(0).replace_source_output(rounded[key].output(0))
        exact = ops.constant(round_to_bf16(weights.data))
        node.input(1).replace_source_output(ops.convert(exact, Type.bf16).output(0))
        followers = list(node.output(0).get_target_inputs())
        result = ops.convert(node.output(0), Type.f32)
        for follower in followers:
            follower.replace_source_output(result.output(0))
        lowered += 1
    model.validate_nodes_and_infer_types()
    return lowered


def round_to_bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The nearest bfloat16 values, ties to even, as float32; for finite numbers."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return bits.astype(np.uint32).view(np.float32)


def _operations() -> Any:
    try:
        from openvino import opset13
    except ImportError:  # before 2025
        from openvino.runtime import opset13
    return opset13


def _round(ops: Any, source: Any) -> Any:
    """The nearest bfloat16 values, computed in float32.

    OpenVINO's own conversion truncates half of the numbers, which doubles the error; after this
    there is nothing left to truncate.
    """
    large = ops.multiply(source, ops.constant(_SPLITTER))
    return ops.subtract(large, ops.subtract(large, source))


def _last_products(model: Any) -> set[str]:
    """The names of the products without another product after them."""
    last, seen = set(), set()
    waiting = [output.get_node() for output in model.outputs]
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        if node.get_type_name() in _PRODUCTS:
            last.add(node.get_name())
        else:
            waiting += [value.get_node() for value in node.input_values()]
    return last
