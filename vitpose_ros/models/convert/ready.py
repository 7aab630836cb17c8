"""ONNX files that others made: accepted when their tensors are those of a ViTPose or of an RTMPose
of the named layout.
"""

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
"""What MMDeploy calls the outputs of an RTMPose."""

_BATCH = 2


@dataclass(frozen=True)
class ReadyNetwork:
    """What a ready ONNX file is: its architecture, and its tensors' names and sizes, px."""

    architecture: str
    input_name: str
    input_width: int
    input_height: int
    outputs: tuple[Output, ...]


def open_ready(path: Path, layout: Layout) -> ReadyNetwork:
    """Check a ready ONNX file by running it once.

    It is a ViTPose when it gives heatmaps of a quarter of its input's size, and an RTMPose when it
    gives two curves of two bins for each pixel. The curves are told apart by their names; where
    these are not CURVES, the first one is taken to be over x.

    Raises
    ------
    ModelError : it cannot be read, has not one image in and heatmaps or two curves out, gives
        another number of joints than `layout`, or values that are not finite.
    """
    try:
        engine = OpenVinoEngine(path, as_exported=True)
        if len(engine.inputs) != 1 or len(engine.outputs) not in (1, 2):
            raise _unlike(path, f"{_listed(engine.inputs)} in and {_listed(engine.outputs)} out")
        spec, specs = engine.inputs[0], _ordered(engine.outputs)
        if len(spec.shape) != 4 or spec.shape[1] != 3 or None in spec.shape[2:]:
            raise _unlike(path, f"{spec} in")
        height, width = int(spec.shape[2] or 0), int(spec.shape[3] or 0)
        image = np.zeros((_BATCH, 3, height, width), np.float32)
        found = engine.run({spec.name: image})
    except EngineError as error:
        raise ModelError(
            f"{path} cannot be used: {error}. If its weights lie in another file, it cannot be "
            "taken as a ready network; convert its checkpoint instead."
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
        raise _unlike(path, f"{spec} in and outputs of the shape {what} for a batch of {_BATCH}")
    if joints != len(layout):
        raise ModelError(
            f"{path} gives {joints} joints; the layout '{layout.name}' has {len(layout)}."
        )
    if not all(np.isfinite(values).all() for values in found.values()):
        raise ModelError(f"{path} gives values that are not finite.")
    outputs = tuple(Output(out.name, shape[1:]) for out, shape in zip(specs, shapes, strict=True))
    return ReadyNetwork(architecture, spec.name, width, height, outputs)


def _ordered(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """The outputs, the curve over x first where their names say it."""
    if {spec.name for spec in specs} == set(CURVES):
        return sorted(specs, key=lambda spec: CURVES.index(spec.name))
    return list(specs)


def _unlike(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path} is neither a ViTPose nor an RTMPose: expected is one image (N, 3, H, W) in, and "
        "heatmaps (N, K, H/4, W/4) or the curves simcc_x (N, K, 2 W) and simcc_y (N, K, 2 H) out; "
        f"it has {found}."
    )


def _listed(specs: Sequence[object]) -> str:
    return ", ".join(map(str, specs))
