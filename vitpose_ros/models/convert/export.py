"""The network as an ONNX file, and the comparison that it must pass."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.convert.checkpoint import Checkpoint
from vitpose_ros.models.convert.libraries import torch
from vitpose_ros.models.convert.strip import strip
from vitpose_ros.models.errors import ModelError

INPUT, OUTPUT = "image", "heatmaps"
"""Names of the network's tensors: (N, 3, height, width) and (N, K, height / 4, width / 4)."""

OPSETS = range(17, 24)
"""ONNX opsets that can be written; LayerNormalization is one node from 17 on, which half precision
needs (TensorRT otherwise overflows in the parts)."""

DEFAULT_OPSET = 18
"""Read by every engine in use: OpenVINO, and TensorRT since 8.6."""

SINGLE_FILE_LIMIT = 2**31 - 2**24
"""Bytes of weights that one ONNX file holds, with room for the graph: protobuf ends at 2 GiB."""

BATCHES = (1, 2, 5)
"""Batch sizes of the comparison."""

TOLERANCE = 1e-4
"""Of the comparison, relative to the largest heatmap value."""

SCALE_FLOOR = 0.05
"""Heatmaps are trained to peaks of height 1; a good network answers noise with next to nothing, and
below this its rounding would be judged instead of its weights."""


def export(checkpoint: Checkpoint, path: Path, opset: int = DEFAULT_OPSET) -> None:
    """Write the network as ONNX with a dynamic batch, without the exporter's notes.

    One file, unless its weights exceed SINGLE_FILE_LIMIT (ViTPose-H): then they lie beside it, in
    <path>.data.

    Raises
    ------
    ModelError : the opset is not one of OPSETS, or torch cannot export it.
    """
    if opset not in OPSETS:
        raise ModelError(
            f"the opset {opset} cannot be written; accepted are {OPSETS[0]} to {OPSETS[-1]}."
        )
    library = torch()
    image = library.zeros(2, 3, checkpoint.height, checkpoint.width)
    try:
        with _silent():
            library.onnx.export(
                _network(checkpoint.model),
                (image,),
                str(path),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: library.export.Dim("batch")}},
                external_data=4 * checkpoint.parameters > SINGLE_FILE_LIMIT,
                verbose=False,
            )
    except Exception as error:  # the exporter's errors share no class
        raise ModelError(
            f"torch {library.__version__} could not export the network at opset {opset}: "
            f"{' '.join(str(error).split())[:300]}."
        ) from error
    strip(path)
    written = _opset(path)
    if written != opset:
        raise ModelError(
            f"torch {library.__version__} wrote opset {written} instead of {opset}; give "
            f"--opset {written}."
        )


def _network(model: Any) -> Any:
    """The model as one tensor in, one tensor out."""

    class Heatmaps(torch().nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Any) -> Any:
            return self.model(pixel_values=image).heatmaps

    return Heatmaps().eval()


def _opset(path: Path) -> int:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return next(int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx"))


def compare(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Run the ONNX file on the package's CPU engine, the checkpoint's model on torch, and compare.

    Returns
    -------
    The figures for the manifest.

    Raises
    ------
    ModelError : they differ by more than TOLERANCE of the heatmaps' scale, in shape, or in value;
        the text gives the figures.
    """
    library = torch()
    try:
        engine = OpenVinoEngine(path, as_exported=True)
        random = np.random.default_rng(0)
        difference = scale = 0.0
        for batch in BATCHES:
            shape = (batch, 3, checkpoint.height, checkpoint.width)
            image = random.standard_normal(shape, dtype=np.float32)
            with library.no_grad():
                expected = checkpoint.model(pixel_values=library.from_numpy(image)).heatmaps.numpy()
            given = engine.run({INPUT: image})[OUTPUT]
            if given.shape != expected.shape:
                raise ModelError(
                    f"the converted network gives heatmaps of the shape {given.shape} for a batch "
                    f"of {batch}, its checkpoint {expected.shape}; it is not kept."
                )
            difference = max(difference, float(np.nan_to_num(
                np.abs(given - expected), nan=np.inf).max()))  # fmt: skip
            scale = max(scale, float(np.abs(expected).max()))
    except EngineError as error:
        raise ModelError(f"the converted network cannot be run: {error}. It is not kept.") from (
            error
        )
    limit = TOLERANCE * max(scale, SCALE_FLOOR)
    if not difference <= limit:
        raise ModelError(
            f"the converted network is not its checkpoint's: heatmaps differ by up to "
            f"{difference:.3g}, allowed are {limit:.3g} (their largest value is {scale:.3g}, "
            f"batches of {', '.join(map(str, BATCHES))}); it is not kept."
        )
    return {
        "engine": engine.name,
        "batches": list(BATCHES),
        "max_difference": difference,
        "allowed": limit,
        "largest_value": scale,
    }


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter tells developers of torch what users cannot act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
