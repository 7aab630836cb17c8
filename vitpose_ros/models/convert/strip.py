"""Removes metadata from an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NOTES = ("metadata_props", "doc_string")


def strip(path: Path) -> None:
    """Remove all metadata and comments from an ONNX file, in place.

    torch writes each node's stack trace into it, with paths of the exporting machine; in a small
    network, they are a fifth of the file. Weights in a separate file are not touched.
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
    """All parts of a model that can have metadata."""
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
    """Nodes, their attributes, and the graphs in those (branches and loops)."""
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
