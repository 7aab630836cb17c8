"""Runs the nodes of an ONNX file in torch, in the types that the file names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.gpu_errors import is_gpu_error
from vitpose_ros.engines.onnx_nodes import Network, Node
from vitpose_ros.engines.onnx_ops import (
    OPERATORS,
    PRODUCTS,
    READS_VALUES,
    Operation,
    UnsupportedError,
)


class OnnxGraph:
    """A network as a function of tensors.

    Nodes that depend on constants only run once, here. Tensors are released after their last use.
    Shapes and indices stay on the CPU, so that a run on a GPU is a chain of kernels that never
    waits, and can be captured as a CUDA graph. On the CPU, products of float16 are summed in
    float32 and then rounded, as a GPU does.

    Parameters
    ----------
    network : from `onnx_nodes`.
    device : where it runs.
    what : the file's name, for messages.

    Raises
    ------
    EngineError : an operator, or an attribute of one, is unknown; the message names it.
    """

    def __init__(self, network: Network, device: torch.device, what: str) -> None:
        self._what = what
        self._outputs = [spec.name for spec in network.outputs]
        read = {
            name
            for node in network.nodes
            if node.operator in READS_VALUES
            for name in node.inputs[1:]
        }
        self._constants = {
            name: torch.from_numpy(np.array(value)).to(
                device if value.dtype.kind == "f" and name not in read else "cpu"
            )
            for name, value in network.constants.items()
        }
        steps = []
        for node in network.nodes:
            operation = _operation(node, what)
            if device.type == "cpu" and node.operator in PRODUCTS:
                operation = _in_float32(operation)
            if all(name == "" or name in self._constants for name in node.inputs):
                self._run(node, operation, self._constants)
            else:
                steps.append((node, operation))
        self._steps = list(zip(*_with_last_uses(steps, self._outputs), strict=True))
        used = {name for node, _ in steps for name in node.inputs} | set(self._outputs)
        self._constants = {n: value for n, value in self._constants.items() if n in used}

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the network: inputs by name in, outputs by name out."""
        values = {**self._constants, **inputs}
        for node, operation, over in self._steps:
            self._run(node, operation, values)
            for name in over:
                del values[name]
        return {name: values[name] for name in self._outputs}

    def _run(self, node: Node, operation: Operation, values: dict[str, Any]) -> None:
        try:
            found = operation(*(values[name] if name else None for name in node.inputs))
        except (UnsupportedError, RuntimeError, TypeError, IndexError) as error:
            if is_gpu_error(error):  # not the operator's fault; `engines.torch` reports it
                raise
            raise EngineError(
                f"'{self._what}': torch cannot run the operator {node.operator} that computes "
                f"'{node.outputs[0]}': {' '.join(str(error).split())[:200]}"
            ) from error
        several = found if isinstance(found, (tuple, list)) else (found,)
        for name, value in zip(node.outputs, several, strict=False):
            if name:
                values[name] = value


def _operation(node: Node, what: str) -> Operation:
    make = OPERATORS.get(node.operator)
    if make is None:
        raise EngineError(
            f"'{what}' has the operator {node.operator}, which the torch engine does not support; "
            "set engine to openvino or tensorrt"
        )
    try:
        return make(node.attributes)
    except (UnsupportedError, KeyError) as error:
        raise EngineError(
            f"'{what}' has the operator {node.operator} in a form that the torch engine does not "
            f"support ({error}); set engine to openvino or tensorrt"
        ) from error


def _in_float32(operation: Operation) -> Operation:
    """The operation, computed in float32 where its inputs are float16."""

    def run(*inputs: torch.Tensor | None) -> Any:
        if inputs[0] is None or inputs[0].dtype != torch.float16:
            return operation(*inputs)
        wide = (x.float() if x is not None and x.dtype == torch.float16 else x for x in inputs)
        return operation(*wide).half()

    return run


def _with_last_uses(
    steps: list[tuple[Node, Operation]], kept: list[str]
) -> tuple[list[Node], list[Operation], list[list[str]]]:
    """The steps, and for each the tensors that no later step needs."""
    seen = set(kept)
    over: list[list[str]] = []
    made = {name for node, _ in steps for name in node.outputs if name}
    for node, _ in reversed(steps):
        names = dict.fromkeys(name for name in (*node.inputs, *node.outputs) if name in made)
        over.append([name for name in names if name not in seen])
        seen.update(names)
    return [node for node, _ in steps], [operation for _, operation in steps], over[::-1]
