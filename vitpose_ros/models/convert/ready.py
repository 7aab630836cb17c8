"""ONNX files that others made: accepted when their tensors are those of a ViTPose of the named
layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.layouts import Layout
from vitpose_ros.models.errors import ModelError


@dataclass(frozen=True)
class ReadyNetwork:
    """What a ready ONNX file says about itself: its tensors' names and sizes, px."""

    input_name: str
    input_width: int
    input_height: int
    output_name: str
    output_width: int
    output_height: int


def open_ready(path: Path, layout: Layout) -> ReadyNetwork:
    """Check a ready ONNX file by running it once.

    Raises
    ------
    ModelError : it cannot be read, has not one image in and one set of heatmaps out, gives another
        number of joints than `layout`, or heatmaps of another size or that are not finite.
    """
    try:
        engine = OpenVinoEngine(path)
        if len(engine.inputs) != 1 or len(engine.outputs) != 1:
            raise _unlike(path, f"{_listed(engine.inputs)} in and {_listed(engine.outputs)} out")
        spec, out = engine.inputs[0], engine.outputs[0]
        if len(spec.shape) != 4 or spec.shape[1] != 3 or None in spec.shape[2:]:
            raise _unlike(path, f"{spec} in")
        height, width = int(spec.shape[2] or 0), int(spec.shape[3] or 0)
        heatmaps = engine.run({spec.name: np.zeros((2, 3, height, width), np.float32)})[out.name]
    except EngineError as error:
        raise ModelError(
            f"{path} cannot be used: {error}. If its weights lie in another file, it cannot be "
            "taken as a ready network; convert its checkpoint instead."
        ) from error
    shape = heatmaps.shape
    if len(shape) != 4 or shape[0] != 2 or shape[2:] != (height // 4, width // 4):
        raise _unlike(path, f"{spec} in and an output of the shape {shape} for a batch of 2")
    if shape[1] != len(layout):
        raise ModelError(
            f"{path} gives {shape[1]} joints; the layout '{layout.name}' has {len(layout)}."
        )
    if not np.isfinite(heatmaps).all():
        raise ModelError(f"{path} gives heatmaps that are not finite.")
    return ReadyNetwork(spec.name, width, height, out.name, shape[3], shape[2])


def _unlike(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path} is not a ViTPose: expected is one image (N, 3, H, W) in and heatmaps "
        f"(N, K, H/4, W/4) out; it has {found}."
    )


def _listed(specs: tuple[object, ...]) -> str:
    return ", ".join(map(str, specs))
