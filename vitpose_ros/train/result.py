"""The end of a run: its best checkpoint becomes a model in the store, if it deserves to.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitpose_ros.engines.base import EngineError, Tensors
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.keypoints.recipes import TURNED
from vitpose_ros.layouts import Layout
from vitpose_ros.models.convert.export import INPUT, OUTPUT
from vitpose_ros.models.convert.huggingface import open_huggingface
from vitpose_ros.models.convert.run import convert_checkpoint
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.manifest import Manifest
from vitpose_ros.train.crops import CropMaker, make_codec
from vitpose_ros.train.loop import evaluate_with
from vitpose_ros.train.regions import is_turned
from vitpose_ros.train.samples import Samples
from vitpose_ros.train.score import Score, size_name, text

_GATE_CROPS = 32  # of the validation labels

_KEPT = (
    *("start", "start_sha256", "data_sha256", "validation_sha256", "least_score", "plan"),
    *("objects", "error_unit", "baseline", "result", "agreement", "seconds"),
)
"""What of the log goes into the manifest."""


def install(
    checkpoint: Path,
    target: Path,
    log: dict[str, Any],
    run_id: str,
    licence: str,
    unseen: Samples,
    layout: Layout,
    tell: Callable[[str], None],
) -> Manifest:
    """Convert a checkpoint, compare the network with it, judge it, and put it into the store.

    Parameters
    ----------
    checkpoint : its folder.
    target : the model's folder in the store.
    log : of the run; gets `result`, `agreement` and `check`.
    run_id : identifies the run.
    licence : of the weights.
    unseen, layout : the validation samples.
    tell : called with a sentence for each step.

    Raises
    ------
    ModelError : the network differs from the checkpoint, or is not better than its start.
    """

    def judge(network: Path) -> Mapping[str, Any]:
        engine = OpenVinoEngine(network)
        codec, seed = make_codec(unseen.size), log["plan"]["seed"]
        rows = np.arange(min(_GATE_CROPS, len(unseen)))
        crops = CropMaker(unseen, layout).held_out(rows, np.random.default_rng(0)).pixels
        crops = np.concatenate([gate_crops(codec, layout), crops])

        def heatmaps(pixels: np.ndarray) -> np.ndarray:
            return engine.run({INPUT: pixels})[OUTPUT]

        try:
            reference = _Torch(checkpoint, engine)
            agreed = require(engine, reference, codec, log["name"], crops)
            found = evaluate_with(heatmaps, unseen, layout, seed)
        except EngineError as error:
            raise ModelError(f"{error}. The checkpoint in {checkpoint} is kept.") from error
        log["result"], log["agreement"] = found.plain(), asdict(agreed)
        _check_better(log, found, checkpoint, layout)
        return {"run": run_id, **{key: log[key] for key in _KEPT}}

    manifest = convert_checkpoint(
        checkpoint,
        log["name"],
        target,
        layout=layout.name,
        licence=licence,
        origin=f"vitpose_ros train, from {log['start']}",
        settings={TURNED: True} if is_turned(layout) else {},
        judge=judge,
        tell=tell,
    )
    log["check"] = dict(manifest.check)
    return manifest


def _check_better(log: Mapping[str, Any], found: Score, folder: Path, layout: Layout) -> None:
    """ModelError for a network that is not better than its start."""
    before = log["baseline"]
    if not log["start_knows_joints"]:
        return
    worst = float("inf")
    error = before["error_percent"]
    rank = (before["ap"] or 0.0, -(worst if error is None else error))
    if found.rank <= rank:
        unit = size_name(layout)
        raise ModelError(
            f"training did not improve '{log['start']}' on the validation labels: "
            f"{text(before, unit)} before, {text(found.plain(), unit)} after. The result is not "
            f"put into the store; its checkpoint is in {folder}. Train with a lower --lr, more "
            "data or more epochs."
        )


class _Torch:
    """A checkpoint as an engine."""

    def __init__(self, folder: Path, like: OpenVinoEngine) -> None:
        self.name = "torch"
        self._model = open_huggingface(folder, None, layout_named=True).model
        self.inputs, self.outputs = like.inputs, like.outputs

    def run(self, tensors: Mapping[str, np.ndarray]) -> Tensors:
        """See `Engine.run`."""
        with torch.no_grad():
            found = self._model(pixel_values=torch.from_numpy(tensors[INPUT])).heatmaps
        return {OUTPUT: found.numpy()}
