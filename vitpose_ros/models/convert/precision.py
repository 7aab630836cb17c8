"""Mixed precision in the ONNX itself: float16, with float32 where float16 is known to fail.

TensorRT from 11 on takes types from the ONNX alone, and older ones obey them in a strongly typed
network, so that what is decided here is what runs. float32 stay, in this order of importance:

- LayerNormalization: its sum of squares overflows float16 (TensorRT issues 2564, 4723);
- the residual stream, that is the sums of activations that go from block to block: its values grow
  over the blocks, and it never is float16 in between;
- Softmax, reductions, powers, roots and exponentials.

Inputs and outputs stay float32. A tensor is cast where its user's type is another one, once for
each type. Operators that only move values take the type that they are given.

This pass is the package's own: onnxconverter-common's `convert_float_to_float16` with the same
nodes blocked casts every blocked node's result back, so that the residual stream would be float16
between the sums.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.onnx_nodes import OLDEST_OPSET, import_onnx, read_network
from vitpose_ros.engines.trt.key import file_hash
from vitpose_ros.models.convert.libraries import versions
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import (
    NETWORK_NAME,
    Record,
    disk_sentences,
    put_in_place,
    sha256_of,
    write_record,
)

MIXED_NAME = "model.mixed.onnx"
"""The mixed network beside `model.onnx`."""

REPORT_NAME = "model.mixed.json"
"""What is known of it."""

FORMAT = 1
"""Of that file."""

EXACT = frozenset(
    {
        "LayerNormalization", "Softmax", "LogSoftmax", "InstanceNormalization",
        "GroupNormalization", "RMSNormalization", "BatchNormalization", "Exp", "Log", "Pow",
        "Sqrt", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare",
        "ReduceLogSumExp", "ReduceProd", "CumSum", "GlobalAveragePool", "Softplus", "Range",
    }
)  # fmt: skip
"""Operators that stay float32."""

MOVES = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape",
        "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that only move values: they take the type of their first input."""

LARGEST = 65504.0
"""The largest number of float16."""

LIMIT = 0.02
"""Largest difference of an output's value on sample crops, as a fraction of the largest one, or of
1 where that is larger; that of the gate in `keypoints.agreement`.
"""


@dataclass(frozen=True)
class Mixed:
    """What became of a network.

    Attributes
    ----------
    source_sha256 : of the float32 file that it was made from.
    sha256 : of the mixed file.
    exact : how many nodes of each operator stay float32.
    half : how many nodes compute in float16.
    difference : "outputs", the largest from float32's on sample crops, and "largest_value"; empty
        where not measured.
    measured_on : the engine that it was measured with; a GPU where torch sees one, "" for none.
    versions : of the tools.
    date : ISO 8601, UTC.
    file, precision : the mixed file's name, and "mixed".
    source : the float32 file's name.
    weights_sha256 : of the weights that lie beside a large float32 file, "" where in the file.
    """

    source_sha256: str
    sha256: str
    exact: Mapping[str, int]
    half: int
    difference: Mapping[str, float]
    measured_on: str
    versions: Mapping[str, str]
    date: str
    file: str = MIXED_NAME
    precision: str = "mixed"
    source: str = NETWORK_NAME
    weights_sha256: str = ""


def make_mixed(source: Path, target: Path, *, measure: bool = True) -> Mixed:
    """Write a float32 ONNX file's network in mixed precision.

    Parameters
    ----------
    source : an ONNX file in float32, of opset 17 or later where it has layer norms.
    target : written, whole or not at all.
    measure : whether to compare both in torch, on a GPU where it sees one.

    Raises
    ------
    ModelError : the source cannot be read, is not float32, has layer norms in parts or weights
        that float16 cannot hold, or the mixed network differs by more than LIMIT.
    """
    try:
        onnx = import_onnx()
        model = mixed_model(read_network(source), source.name)
        part = target.with_name(f".{target.name}.part")
        with disk_sentences(target.parent):
            try:
                onnx.save(model, str(part))
                difference, engine = _measured(source, part) if measure else ({}, "")
                put_in_place(part, target)
            finally:
                part.unlink(missing_ok=True)
    except EngineError as error:
        raise ModelError(f"{error}.") from error
    types = {item.name: item.type.tensor_type.elem_type for item in model.graph.value_info}
    types |= {item.name: item.type.tensor_type.elem_type for item in model.graph.output}
    single = Counter(
        node.op_type
        for node in model.graph.node
        if types.get(node.output[0]) == onnx.TensorProto.FLOAT and node.op_type != "Cast"
    )
    half = sum(types.get(n.output[0]) == onnx.TensorProto.FLOAT16 for n in model.graph.node)
    return Mixed(
        source_sha256=sha256_of(source),
        sha256=sha256_of(target),
        exact=dict(sorted(single.items())),
        half=half,
        difference=difference,
        measured_on=engine,
        versions=versions("onnx", "torch"),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        file=target.name,
        source=source.name,
        weights_sha256=_weights_sha256(source),
    )


def add_mixed(network: Path) -> Mixed:
    """Make a model's network in mixed precision, beside it, and write down what is known of it.

    Parameters
    ----------
    network : the float32 ONNX file in the model's folder.

    Raises
    ------
    ModelError : as of `make_mixed`, or the network is no ONNX file.
    """
    if network.suffix != ".onnx":
        raise ModelError(
            f"{network} is a {network.suffix or 'nameless'} file; mixed precision is made of ONNX "
            "files."
        )
    folder = network.parent
    made = make_mixed(network, folder / MIXED_NAME)
    part = folder / f".{REPORT_NAME}.part"
    with disk_sentences(folder):
        part.write_text(json.dumps({"format": FORMAT, **asdict(made)}, indent=2) + "\n", "utf-8")
        put_in_place(part, folder / REPORT_NAME)
        found = (folder / MIXED_NAME).stat()
        write_record(
            folder, MIXED_NAME, Record(made.sha256, found.st_size, found.st_mtime_ns, "mixed")
        )
    return made


def read_mixed(folder: Path, source_sha256: str) -> tuple[Path, Mixed] | None:
    """The mixed network of a model's folder and what is known of it; None where there is none.

    Parameters
    ----------
    source_sha256 : of the float32 network now.

    Raises
    ------
    ModelError : it was made from another float32 network, was altered, or cannot be read.
    """
    path, report = folder / MIXED_NAME, folder / REPORT_NAME
    if not path.is_file() and not report.is_file():
        return None
    again = "make it again with: vitpose_ros models convert NAME --mixed."
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT}")
        made = Mixed(**content)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{report} cannot be read ({error}); {again}") from error
    weights = _weights_sha256(folder / made.source)
    if (made.source_sha256, made.weights_sha256) != (source_sha256, weights):
        raise ModelError(f"{path} was made from another float32 network; {again}")
    if not path.is_file() or sha256_of(path) != made.sha256:
        raise ModelError(f"{path} is missing or altered; {again}")
    return path, made


def _weights_sha256(network: Path) -> str:
    """Of what lies beside a large network: its own file is the same for all of an architecture."""
    weights = network.with_name(f"{network.name}.data")
    return file_hash(weights) if weights.is_file() else ""


def mixed_model(model: Any, what: str) -> Any:
    """The network of an onnx.ModelProto in mixed precision, as a new one, its types checked.

    Raises
    ------
    ModelError : as of `make_mixed`.
    """
    onnx = import_onnx()
    opset = max((i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"{what} is of ONNX opset {opset}; {OLDEST_OPSET} or later is needed.")
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    _Pass(onnx, mixed, what, opset).run()
    del mixed.graph.value_info[:]
    try:
        mixed = onnx.shape_inference.infer_shapes(mixed, check_type=True, strict_mode=True)
        onnx.checker.check_model(mixed, full_check=True)
    except Exception as error:  # onnx's errors share no class
        raise ModelError(
            f"{what} cannot be given mixed precision: {' '.join(str(error).split())[:300]}."
        ) from error
    return mixed


class _Pass:
    """Gives each node of a graph its type, and casts between them."""

    def __init__(self, onnx: Any, model: Any, what: str, opset: int) -> None:
        self._onnx, self._graph, self._what, self._opset = onnx, model.graph, what, opset
        self._float, self._half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
        ports = [*inferred.value_info, *inferred.input, *inferred.output]
        # Of each tensor its type; first as it is, then as it becomes.
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
            raise ModelError(f"{self._what} has float16 already; give the float32 network.")
        operators = Counter(node.op_type for node in self._graph.node)
        in_parts = operators["ReduceMean"] and operators["Sqrt"] and operators["Softmax"]
        if in_parts and not operators["LayerNormalization"]:
            raise ModelError(
                f"{self._what} has its layer norms in parts; export it with opset 17 or later, "
                "where LayerNormalization is one node."
            )
        for node in self._graph.node:
            if any(a.type == self._onnx.AttributeProto.GRAPH for a in node.attribute):
                raise ModelError(f"{self._what} has the operator {node.op_type} with a subgraph.")

    def _is_float(self, node: Any) -> bool:
        """Whether a node computes floating point numbers."""
        return node.op_type != "Cast" and any(
            self._types.get(name) in (self._float, self._half) for name in node.input
        )

    def _free_inputs(self, node: Any) -> list[int]:
        """Which inputs have the type that the node computes in; Resize's scales are always float32,
        for example.
        """
        schema = self._onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        kinds = [port.type_str for port in schema.inputs]
        kinds += kinds[-1:] * (len(node.input) - len(kinds))  # the last one may be repeated
        computed = schema.outputs[0].type_str
        computed = computed if computed in kinds else kinds[0]
        return [
            i
            for i, name in enumerate(node.input)
            if kinds[i] == computed and self._types.get(name) in (self._float, self._half)
        ]

    def _type_of(self, node: Any) -> int:
        """The type in which a node is to compute."""
        if node.op_type in EXACT or (node.op_type == "Add" and self._is_residual(node)):
            return int(self._float)
        if node.op_type in MOVES:
            moved = [name for name in node.input[:1] if name not in self._weights]
            return int(self._types[moved[0]] if moved else self._float)
        return int(self._half)

    def _is_residual(self, node: Any) -> bool:
        """Whether a sum is one of activations, or of activations and positions (a bias has one
        number for each channel only), or goes on from such a sum.
        """
        if self._sums & set(node.input):
            return True
        weights = [self._weights[name] for name in node.input if name in self._weights]
        if len(weights) == len(node.input):
            return True
        return all(sum(size > 1 for size in weight.dims) > 1 for weight in weights)

    def _as(self, name: str, wanted: int) -> str:
        """The name of a tensor in a type, cast where needed."""
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
                f"{self._what}: the weights {weight.name} reach {np.abs(values).max():.3g}, more "
                f"than float16 holds ({LARGEST:.0f})."
            )
        return self._onnx.numpy_helper.from_array(values.astype(np.float16), name)


def _measured(source: Path, target: Path) -> tuple[dict[str, float], str]:
    """How far the outputs lie apart on sample crops, both in torch; and the engine's name."""
    from vitpose_ros.engines.torch import TorchEngine, import_torch
    from vitpose_ros.keypoints.agreement import sample_crops

    device = "cuda" if import_torch().cuda.is_available() else "cpu"
    reference, mixed = TorchEngine(source, device), TorchEngine(target, device)
    _, _, height, width = reference.inputs[0].shape
    crops = sample_crops((int(width or 0), int(height or 0)))
    inputs = {reference.inputs[0].name: crops}
    largest = worst = 0.0
    wanted, given = reference.run(inputs), mixed.run(inputs)
    for name, values in wanted.items():
        largest = max(largest, float(np.abs(values).max()))
        apart = np.nan_to_num(np.abs(given[name] - values), nan=np.inf)
        worst = max(worst, float(apart.max()))
    if not worst <= LIMIT * max(largest, 1.0):
        raise ModelError(
            f"in mixed precision the outputs of {source.name} differ by up to {worst:.3g} from "
            f"float32 (their largest value is {largest:.3g}, accepted is {LIMIT} of it); it is not "
            "kept. Run it in float32."
        )
    return {"outputs": worst, "largest_value": largest}, mixed.name
