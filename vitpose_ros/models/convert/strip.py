"""Takes the exporter's notes out of an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOTES = ("metadata_props", "doc_string")


def strip(path: Path) -> None:
    """Take all metadata and comments out of an ONNX file, in place.

    torch writes the stack trace of each node into it: paths of the machine that wrote the file, and
    for a small network a fifth of its bytes. Weights that lie in another file are not touched.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    for part in _parts(model):
        for name in _NOTES:
            if name in part.DESCRIPTOR.fields_by_name:
                part.ClearField(name)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(path))


def _parts(model: Any) -> Iterator[Any]:
    """Everything in a model that can carry a note."""
    yield model
    yield from _graph_parts(model.graph)
    for function in model.functions:
        yield from (function, *function.value_info)
        yield from _node_parts(function.node)


def _graph_parts(graph: Any) -> Iterator[Any]:
    yield graph
    yield from (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    yield from _node_parts(graph.node)


def _node_parts(nodes: Any) -> Iterator[Any]:
    """Nodes with their attributes, and the graphs inside them (branches and loops)."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield attribute
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _graph_parts(attribute.g)
            yield from attribute.tensors
            for graph in attribute.graphs:
                yield from _graph_parts(graph)
