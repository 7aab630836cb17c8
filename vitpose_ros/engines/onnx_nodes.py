"""Reads an ONNX file as a list of nodes, and fuses some before torch runs them.

On a GPU every node costs a pass through memory, so three groups of small nodes become one each. The
fused nodes compute the same function:

- MatMul with weights, Add of a bias: FusedLinear;
- x / sqrt(2), Erf, + 1, * x, * 0.5: FusedGelu;
- MatMul, a scale, Softmax, MatMul: FusedAttention, which computes the softmax in float32 for any
  input type, so that casts to float32 around a softmax disappear.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import EngineError, TensorSpec

OLDEST_OPSET = 13
"""In older opsets, Softmax, Squeeze and others are defined differently."""


@dataclass
class Node:
    """An operator's name, the names of its tensors ("" for an omitted input), and attributes."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Network:
    """The contents of an ONNX file.

    Attributes
    ----------
    nodes : in execution order.
    constants : weights and other constant tensors by name.
    inputs, outputs : names and shapes.
    """

    nodes: list[Node]
    constants: dict[str, npt.NDArray]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def import_onnx() -> Any:
    """The package onnx; EngineError with the install command where it is missing."""
    try:
        import onnx
    except ImportError as error:
        raise EngineError(
            "reading an ONNX file for torch needs the Python package onnx: "
            f"{sys.executable} -m pip install onnx ({error})"
        ) from error
    return onnx


def read_network(path: Path) -> Any:
    """The ONNX file as an onnx.ModelProto with its weights.

    Raises
    ------
    EngineError : onnx is not installed, or the file is missing or cannot be read.
    """
    onnx = import_onnx()
    if not path.is_file():
        raise EngineError(
            f"the model file '{path}' does not exist; pull it with: vitpose_ros models pull NAME "
            "(`vitpose_ros models list` has the names)"
        )
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(str(path))
    except Exception as error:  # protobuf's and onnx's errors share no base class
        reason = " ".join(str(error).split())[:200]
        raise EngineError(
            f"'{path}' cannot be read as ONNX: {reason}. If the file is truncated or altered, "
            "delete it and pull it again with `vitpose_ros models pull`"
        ) from error
    return model


def parse(model: Any, what: str) -> Network:
    """Turn an onnx.ModelProto into a Network.

    Parameters
    ----------
    what : the file's name, for messages.

    Raises
    ------
    EngineError : its opset is older than OLDEST_OPSET, or it has custom operators.
    """
    onnx = import_onnx()
    opsets = {item.domain or "ai.onnx": item.version for item in model.opset_import}
    if opsets.get("ai.onnx", 0) < OLDEST_OPSET:
        raise EngineError(
            f"'{what}' has ONNX opset {opsets.get('ai.onnx')}; the torch engine needs "
            f"{OLDEST_OPSET} or later"
        )
    graph = model.graph
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    nodes = []
    for item in graph.node:
        if item.domain not in ("", "ai.onnx"):
            raise EngineError(
                f"'{what}' has the custom operator {item.op_type} of {item.domain}; the torch "
                "engine supports only ONNX's own operators"
            )
        attributes = {
            a.name: _attribute(onnx.helper.get_attribute_value(a)) for a in item.attribute
        }
        if item.op_type == "Constant":
            constants[item.output[0]] = _constant(onnx, attributes)
        else:
            nodes.append(Node(item.op_type, list(item.input), list(item.output), attributes))
    inputs = [item for item in graph.input if item.name not in constants]
    return Network(nodes, constants, _specs(inputs), _specs(graph.output))


def _attribute(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _constant(onnx: Any, attributes: Mapping[str, Any]) -> npt.NDArray:
    if "value" in attributes:
        return np.asarray(onnx.numpy_helper.to_array(attributes["value"]))
    (kind, value), = attributes.items()
    return np.array(value, np.int64 if "int" in kind else np.float32)


def _specs(ports: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            port.name,
            tuple(
                int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None
                for dim in port.type.tensor_type.shape.dim
            ),
        )
        for port in ports
    )


def fuse(network: Network) -> Network:
    """Fuse nodes where possible; the network's results do not change."""
    chains = _Chains(network)
    for match in (_linear, _gelu, _attention):
        for node in list(chains.nodes):
            if node in chains and (found := match(chains, node)) is not None:
                chains.replace(*found)
    return Network(chains.nodes, network.constants, network.inputs, network.outputs)


class _Chains:
    """A network's nodes, with the producer and the consumers of each tensor."""

    def __init__(self, network: Network) -> None:
        self.nodes = list(network.nodes)
        self._constants = network.constants
        self._kept = {spec.name for spec in network.outputs}
        self._index()

    def _index(self) -> None:
        self._present = {id(node) for node in self.nodes}
        self._maker = {name: node for node in self.nodes for name in node.outputs}
        self._users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                self._users.setdefault(name, []).append(node)

    def __contains__(self, node: Node) -> bool:
        return id(node) in self._present

    def constant(self, name: str) -> npt.NDArray | None:
        """The constant floating-point tensor of that name, or None."""
        value = self._constants.get(name)
        return value if value is not None and value.dtype.kind == "f" else None

    def scalar(self, name: str) -> float | None:
        """The constant of that name as a number, or None."""
        value = self.constant(name)
        return float(value.reshape(())) if value is not None and value.size == 1 else None

    def before(self, name: str, *operators: str) -> Node | None:
        """The node that makes a tensor, if it has one consumer only and is of these operators."""
        node = self._maker.get(name)
        alone = len(self._users.get(name, ())) == 1 and name not in self._kept
        return node if node is not None and alone and node.operator in operators else None

    def after(self, node: Node, *operators: str) -> Node | None:
        """The only consumer of a node's result, if it is of these operators."""
        (name,) = node.outputs
        users = self._users.get(name, [])
        alone = len(users) == 1 and name not in self._kept
        return users[0] if alone and users[0].operator in operators else None

    def replace(self, old: Sequence[Node], new: Node) -> None:
        """Replace a group of nodes by one, in the place of the last."""
        gone = {id(node) for node in old}
        last = next(node for node in reversed(self.nodes) if id(node) in gone)
        self.nodes = [
            new if node is last else node
            for node in self.nodes
            if node is last or id(node) not in gone
        ]
        self._index()


_Found = tuple[list[Node], Node]


def _linear(chains: _Chains, add: Node) -> _Found | None:
    if add.operator != "Add":
        return None
    for product_name, bias_name in (add.inputs, add.inputs[::-1]):
        bias, product = chains.constant(bias_name), chains.before(product_name, "MatMul")
        if bias is None or bias.ndim != 1 or product is None:
            continue
        weight = chains.constant(product.inputs[1])
        if weight is not None and weight.ndim == 2 and weight.shape[1:] == bias.shape:
            return [product, add], Node("FusedLinear", [*product.inputs, bias_name], add.outputs)
    return None


def _gelu(chains: _Chains, erf: Node) -> _Found | None:
    scaled = chains.before(erf.inputs[0], "Div", "Mul") if erf.operator == "Erf" else None
    if scaled is None or (factor := chains.scalar(scaled.inputs[1])) is None:
        return None
    factor = 1 / factor if scaled.operator == "Div" else factor
    add = chains.after(erf, "Add")
    first = chains.after(add, "Mul") if add is not None else None
    last = chains.after(first, "Mul") if first is not None else None
    if add is None or first is None or last is None:
        return None
    x, group = scaled.inputs[0], [scaled, erf, add, first, last]
    inner = {name for node in group for name in node.outputs}
    others = [name for node in (first, last) for name in node.inputs if name not in inner]
    half = [chains.scalar(name) for name in others if name != x]
    one = [chains.scalar(name) for name in add.inputs if name not in inner]
    exact = math.isclose(factor, math.sqrt(0.5), rel_tol=1e-3) and (half, one) == ([0.5], [1.0])
    return (group, Node("FusedGelu", [x], last.outputs)) if exact and x in others else None


def _attention(chains: _Chains, softmax: Node) -> _Found | None:
    if softmax.operator != "Softmax" or softmax.attributes.get("axis", -1) != -1:
        return None
    group, scale, probabilities = [softmax], 1.0, softmax
    node = chains.before(softmax.inputs[0], "Cast", "Mul", "Div", "MatMul")
    while node is not None and node.operator != "MatMul":
        if node.operator != "Cast":
            factor = chains.scalar(node.inputs[1])
            if factor is None:
                return None
            scale *= 1 / factor if node.operator == "Div" else factor
        group.append(node)
        node = chains.before(node.inputs[0], "Cast", "Mul", "Div", "MatMul")
    down = chains.after(softmax, "Cast", "MatMul")
    if down is not None and down.operator == "Cast":
        group.append(down)
        probabilities, down = down, chains.after(down, "MatMul")
    if node is None or down is None or down.inputs[0] not in probabilities.outputs:
        return None
    if any(chains.constant(name) is not None for name in (*node.inputs, down.inputs[1])):
        return None
    sides = []
    for name in node.inputs:  # each factor may carry the square root of the scale
        side = chains.before(name, "Mul")
        factor = chains.scalar(side.inputs[1]) if side is not None else None
        if side is not None and factor is not None:
            scale *= factor
            group.append(side)
            name = side.inputs[0]
        sides.append(name)
    fused = Node("FusedAttention", [*sides, down.inputs[1]], down.outputs, {"scale": scale})
    return [*group, node, down], fused
