"""Exports a checkpoint to ONNX, and compares the result with it."""

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

OPSET = 18
"""The ONNX opset, read by OpenVINO and by TensorRT since 8.6. From 17 on, LayerNormalization is one
operator, which mixed precision needs."""

SINGLE_FILE_LIMIT = 2**31 - 2**24
"""Bytes of weights in one ONNX file, with room for the graph: protobuf's limit is 2 GiB."""

BATCHES = (1, 2, 5)
"""Batch sizes of the comparison."""

TOLERANCE = 1e-4
"""The largest accepted difference, relative to the largest heatmap value."""

SCALE_FLOOR = 0.05
"""A lower bound for the largest heatmap value. Peaks are trained to a height of 1, but the input is
noise here, which gives next to none; below this bound, the comparison would measure rounding."""


def export(checkpoint: Checkpoint, path: Path) -> None:
    """Write the network as ONNX with a dynamic batch, without the exporter's metadata.

    Weights above SINGLE_FILE_LIMIT (ViTPose-H) go into a second file, <path>.data.

    Raises
    ------
    ModelError : torch cannot export the network.
    """
    library = torch()
    image = library.zeros(2, 3, checkpoint.height, checkpoint.width)
    try:
        with _silent():
            library.onnx.export(
                _network(checkpoint.model),
                (image,),
                str(path),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: library.export.Dim("batch")}},
                external_data=4 * checkpoint.parameters > SINGLE_FILE_LIMIT,
                verbose=False,
            )
    except Exception as error:  # the exporter's errors have no common class
        raise ModelError(
            f"torch {library.__version__} could not export the network: "
            f"{' '.join(str(error).split())[:300]}."
        ) from error
    strip(path)
    written = _opset(path)
    if written != OPSET:
        raise ModelError(
            f"torch {library.__version__} wrote the ONNX opset {written} instead of {OPSET}; use "
            "another version of torch and onnxscript."
        )


def _network(model: Any) -> Any:
    """The model with one tensor as input and one as output."""

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
    """Compare the heatmaps of the ONNX file, on the CPU engine, with the checkpoint's, in torch.

    Returns
    -------
    The results for the manifest.

    Raises
    ------
    ModelError : shapes differ, or values by more than TOLERANCE.
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
                    f"for a batch of {batch}, the converted network gives heatmaps of the shape "
                    f"{given.shape}, the checkpoint {expected.shape}. The result was discarded."
                )
            difference = max(difference, float(np.nan_to_num(
                np.abs(given - expected), nan=np.inf).max()))  # fmt: skip
            scale = max(scale, float(np.abs(expected).max()))
    except EngineError as error:
        raise ModelError(
            f"the converted network does not run: {error}. The result was discarded."
        ) from error
    limit = TOLERANCE * max(scale, SCALE_FLOOR)
    if not difference <= limit:
        raise ModelError(
            f"heatmaps of the converted network differ from the checkpoint's by up to "
            f"{difference:.3g}, accepted is {limit:.3g} (the largest value is {scale:.3g}, batches "
            f"of {', '.join(map(str, BATCHES))}). The result was discarded."
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
    """Suppress the exporter's messages, which are for torch's developers."""
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
