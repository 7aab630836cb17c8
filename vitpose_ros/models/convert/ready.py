"""Checks ready ONNX files: accepted are a ViTPose and an RTMPose with the given layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.layouts import Layout
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.manifest import Output

CURVES = ("simcc_x", "simcc_y")
"""MMDeploy's names for an RTMPose's outputs."""

_BATCH = 2


@dataclass(frozen=True)
class ReadyNetwork:
    """The architecture of a ready ONNX file, and its tensors' names and sizes, px."""

    architecture: str
    input_name: str
    input_width: int
    input_height: int
    outputs: tuple[Output, ...]


def open_ready(path: Path, layout: Layout) -> ReadyNetwork:
    """Check a ready ONNX file by running it once.

    A ViTPose gives heatmaps of a quarter of its input's size, an RTMPose two curves with two bins
    per pixel. If the curves' names are not CURVES, the first is assumed to be over x.

    Raises
    ------
    ModelError : it cannot be read, its tensors are neither a ViTPose's nor an RTMPose's, its number
        of joints differs from the layout's, or its values are not finite.
    """
    try:
        engine = OpenVinoEngine(path, as_exported=True)
        if len(engine.inputs) != 1 or len(engine.outputs) not in (1, 2):
            found_in, found_out = _listed(engine.inputs), _listed(engine.outputs)
            raise _unlike(path, f"inputs {found_in} and outputs {found_out}")
        spec, specs = engine.inputs[0], _ordered(engine.outputs)
        if len(spec.shape) != 4 or spec.shape[1] != 3 or None in spec.shape[2:]:
            raise _unlike(path, f"the input {spec}")
        height, width = int(spec.shape[2] or 0), int(spec.shape[3] or 0)
        image = np.zeros((_BATCH, 3, height, width), np.float32)
        found = engine.run({spec.name: image})
    except EngineError as error:
        raise ModelError(
            f"{path} cannot be used: {error}. A ready network with its weights in a separate file "
            "is not accepted; convert its checkpoint instead."
        ) from error
    shapes = [found[out.name].shape for out in specs]
    joints = shapes[0][1] if len(shapes[0]) > 1 else 0
    architectures = {
        "vitpose": [(_BATCH, joints, height // 4, width // 4)],
        "rtmpose": [(_BATCH, joints, 2 * width), (_BATCH, joints, 2 * height)],
    }
    architecture = next((name for name, wanted in architectures.items() if wanted == shapes), None)
    if architecture is None:
        what = " and ".join(map(str, shapes))
        raise _unlike(path, f"the input {spec} and, for a batch of {_BATCH}, outputs {what}")
    if joints != len(layout):
        raise ModelError(
            f"{path} has {joints} joints, but the layout '{layout.name}' has {len(layout)}."
        )
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ModelError(f"{path} gives values that are not finite.")
    outputs = tuple(Output(out.name, shape[1:]) for out, shape in zip(specs, shapes, strict=True))
    return ReadyNetwork(architecture, spec.name, width, height, outputs)


def _ordered(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The outputs, with the curve over x first if their names are CURVES."""
    if {spec.name for spec in specs} == set(CURVES):
        return sorted(specs, key=lambda spec: CURVES.index(spec.name))
    return list(specs)


def _unlike(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path} is neither a ViTPose nor an RTMPose: expected are one image (N, 3, H, W) as "
        "input, and as outputs heatmaps (N, K, H/4, W/4) or the curves simcc_x (N, K, 2 W) and "
        f"simcc_y (N, K, 2 H); it has {found}."
    )


def _listed(specs: Sequence[object]) -> str:
    return ", ".join(map(str, specs))
