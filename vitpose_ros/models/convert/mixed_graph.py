"""Rewrites an ONNX graph in mixed precision: float16, but float32 where float16 fails.

TensorRT 11 and later take types from the ONNX file only, and older versions follow them in strongly
typed networks, so the types chosen here are the ones that run. float32 remain, by importance:

- LayerNormalization, whose sum of squares overflows float16 (TensorRT issues 2564, 4723);
- the residual stream, that is, the sums of activations passed from block to block: its values grow
  with every block, and it is never float16 in between;
- Softmax, reductions, powers, roots and exponentials.

Inputs and outputs remain float32. A tensor is cast once for each other type that its users need.
Operators that only move values keep their input's type.

Why no library: onnxconverter-common's `convert_float_to_float16`, told to leave the same nodes in
float32, casts each of their results back, so that the residual stream is float16 between the sums.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from vitpose_ros.engines.onnx_nodes import OLDEST_OPSET, import_onnx
from vitpose_ros.models.errors import ModelError

EXACT = frozenset(
    {
        "LayerNormalization", "Softmax", "LogSoftmax", "InstanceNormalization",
        "GroupNormalization", "RMSNormalization", "BatchNormalization", "Exp", "Log", "Pow",
        "Sqrt", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare",
        "ReduceLogSumExp", "ReduceProd", "CumSum", "GlobalAveragePool", "Softplus", "Range",
    }
)  # fmt: skip
"""Operators that remain float32."""

MOVES = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape",
        "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that only move values: they keep the type of their first input."""

LARGEST = 65504.0
"""The largest float16 number."""


def mixed_model(model: Any, what: str) -> Any:
    """A mixed-precision copy of an onnx.ModelProto, with checked types.

    Parameters
    ----------
    what : the network's name in errors.

    Raises
    ------
    ModelError : it has an old opset, float16 already, layer norms in parts, subgraphs, or weights
        that float16 cannot hold.
    """
    onnx = import_onnx()
    opset = max((i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"{what} has the ONNX opset {opset}; {OLDEST_OPSET} or later is needed.")
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    _Pass(onnx, mixed, what, opset).run()
    del mixed.graph.value_info[:]
    try:
        mixed = onnx.shape_inference.infer_shapes(mixed, check_type=True, strict_mode=True)
        onnx.checker.check_model(mixed, full_check=True)
    except Exception as error:  # onnx's errors have no common class
        raise ModelError(
            f"{what} cannot be converted to mixed precision: {' '.join(str(error).split())[:300]}."
        ) from error
    return mixed


class _Pass:
    """Gives each node of a graph its type, and inserts the casts."""

    def __init__(self, onnx: Any, model: Any, what: str, opset: int) -> None:
        self._onnx, self._graph, self._what, self._opset = onnx, model.graph, what, opset
        self._float, self._half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
        ports = [*inferred.value_info, *inferred.input, *inferred.output]
        # The type of each tensor: at first its old one, then its new one.
        self._types = {port.name: port.type.tensor_type.elem_type for port in ports}
        self._types |= {item.name: item.data_type for item in self._graph.initializer}
        self._weights = {item.name: item for item in self._graph.initializer}
        self._new: list[Any] = []
        self._cast: dict[tuple[str, int], str] = {}
        self._sums: set[str] = set()  # the residual stream

    def run(self) -> None:
        """Rewrite the graph."""
        self._refuse()
        kept = {port.name for port in self._graph.output}
        for node in self._graph.node:
            if not self._is_float(node):
                self._new.append(node)
                continue
            wanted = self._type_of(node)
            if node.op_type == "Add" and wanted == self._float:
                self._sums.update(node.output)
            for i in self._free_inputs(node):
                node.input[i] = self._as(node.input[i], wanted)
            self._new.append(node)
            for i, name in enumerate(node.output):
                if not name or self._types.get(name) != self._float:
                    continue
                self._types[name] = wanted
                if name in kept and wanted != self._float:
                    node.output[i] = f"{name}_half"
                    self._types[node.output[i]] = wanted
                    self._add_cast(node.output[i], name, self._float)
        del self._graph.node[:]
        self._graph.node.extend(self._new)
        used = {name for node in self._new for name in node.input}
        left = [item for item in self._weights.values() if item.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(left)

    def _refuse(self) -> None:
        if any(kind == self._half for kind in self._types.values()):
            raise ModelError(f"{self._what} already contains float16; give the float32 network.")
        operators = Counter(node.op_type for node in self._graph.node)
        in_parts = operators["ReduceMean"] and operators["Sqrt"] and operators["Softmax"]
        if in_parts and not operators["LayerNormalization"]:
            raise ModelError(
                f"{self._what} has layer norms in parts; export it with opset 17 or later, which "
                "has the operator LayerNormalization."
            )
        for node in self._graph.node:
            if any(a.type == self._onnx.AttributeProto.GRAPH for a in node.attribute):
                raise ModelError(f"{self._what} has an operator with a subgraph, {node.op_type}.")

    def _is_float(self, node: Any) -> bool:
        """Whether a node computes with floating-point numbers."""
        return node.op_type != "Cast" and any(
            self._types.get(name) in (self._float, self._half) for name in node.input
        )

    def _free_inputs(self, node: Any) -> list[int]:
        """The inputs whose type is the one the node computes in, unlike, for example, Resize's
        scales, which are always float32.
        """
        schema = self._onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        kinds = [port.type_str for port in schema.inputs]
        kinds += kinds[-1:] * (len(node.input) - len(kinds))  # the last may repeat
        computed = schema.outputs[0].type_str
        computed = computed if computed in kinds else kinds[0]
        return [
            i
            for i, name in enumerate(node.input)
            if kinds[i] == computed and self._types.get(name) in (self._float, self._half)
        ]

    def _type_of(self, node: Any) -> int:
        """The type that a node will compute in."""
        if node.op_type in EXACT or (node.op_type == "Add" and self._is_residual(node)):
            return int(self._float)
        if node.op_type in MOVES:
            moved = [name for name in node.input[:1] if name not in self._weights]
            return int(self._types[moved[0]] if moved else self._float)
        return int(self._half)

    def _is_residual(self, node: Any) -> bool:
        """Whether a sum adds activations to activations or positions, unlike a bias, which has one
        number per channel, or to another such sum.
        """
        if self._sums & set(node.input):
            return True
        weights = [self._weights[name] for name in node.input if name in self._weights]
        if len(weights) == len(node.input):
            return True
        return all(sum(size > 1 for size in weight.dims) > 1 for weight in weights)

    def _as(self, name: str, wanted: int) -> str:
        """The name of a tensor in the wanted type, with a cast if needed."""
        if self._types[name] == wanted:
            return name
        if (name, wanted) not in self._cast:
            made = f"{name}_{'half' if wanted == self._half else 'single'}"
            self._cast[name, wanted] = made
            self._types[made] = wanted
            if name in self._weights:
                self._weights[made] = self._halved(self._weights[name], made)
            else:
                self._add_cast(name, made, wanted)
        return self._cast[name, wanted]

    def _add_cast(self, name: str, made: str, wanted: int) -> None:
        node = self._onnx.helper.make_node(
            "Cast", [name], [made], name=f"cast_{made}", to=int(wanted)
        )
        self._new.append(node)
        self._types[made] = wanted

    def _halved(self, weight: Any, name: str) -> Any:
        values = self._onnx.numpy_helper.to_array(weight)
        if np.abs(values).max(initial=0.0) > LARGEST:
            raise ModelError(
                f"{self._what}: the weights {weight.name} reach {np.abs(values).max():.3g}, but "
                f"float16 ends at {LARGEST:.0f}."
            )
        return self._onnx.numpy_helper.from_array(values.astype(np.float16), name)
