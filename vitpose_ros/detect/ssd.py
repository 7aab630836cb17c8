"""MediaPipe's single-shot detectors for palms and persons: from windows of images to boxes with
points.

Pre- and post-processing follow MediaPipe's calculators SsdAnchors, TensorsToDetections and
NonMaxSuppression, with the options that both graphs share: anchors of fixed size; boxes and points
relative to the anchor, in input pixels; scores as logits; weighted non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.nms import weighted_nms
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.geometry import Box, crop_rgb
from vitpose_ros.types import Crop, Region

# One with aspect 1, one interpolated to the next layer's scale; with a fixed size they are equal.
_ANCHORS_PER_CELL_AND_LAYER = 2
SUPPRESSION_IOU = 0.3


@dataclass(frozen=True)
class Detection:
    """An object in an image.

    Attributes
    ----------
    box : (x, y, width, height), px.
    points : (P, 2) float64, px.
    score : 0 .. 1.
    """

    box: Box
    points: npt.NDArray[np.float64]
    score: float


@dataclass(frozen=True)
class SsdRecipe:
    """The differences between the networks.

    Attributes
    ----------
    finds : what it detects, for error messages.
    input_px : side of the square input.
    strides : of the layers, px.
    points : number of points per object.
    signed : whether input pixels are -1 .. 1, not 0 .. 1.
    """

    finds: str
    input_px: int
    strides: tuple[int, ...]
    points: int
    signed: bool

    def anchors(self) -> npt.NDArray[np.float32]:
        """(A, 2) anchor centres, x and y as fractions of the input, in the outputs' order."""
        layers = []
        for stride in sorted(set(self.strides)):
            cells = self.input_px // stride
            centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
            y, x = np.meshgrid(centres, centres, indexing="ij")
            repeats = _ANCHORS_PER_CELL_AND_LAYER * self.strides.count(stride)
            layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
        return np.concatenate(layers)


class SsdDetector:
    """Finds objects in square windows of images.

    Parameters
    ----------
    engine : runs the network: one input (N, S, S, 3), outputs (N, A, 4 + 2 P) and (N, A, 1).
    name : the network's name in the model catalogue.
    recipe : the kind of network.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(self, engine: Engine, name: str, recipe: SsdRecipe) -> None:
        self.name = name
        self._engine = engine
        self._recipe = recipe
        self._anchors = recipe.anchors()
        self._input, self._boxes, self._scores = self._names()

    def search(
        self,
        crops: Sequence[Crop],
        threshold: float,
        prepare: Callable[[npt.NDArray[np.float32]], None] | None = None,
    ) -> list[list[Detection]]:
        """Find objects in windows, in one batch.

        Parameters
        ----------
        crops : square windows of images; parts outside the image are black.
        threshold : minimum score.
        prepare : changes the network's input in place: (N, S, S, 3) float32 RGB, 0 .. 1.

        Returns
        -------
        For each window its objects, best first, in px of the image.
        """
        side = self._recipe.input_px
        tensor = np.empty((len(crops), side, side, 3), np.float32)
        for crop, target in zip(crops, tensor, strict=True):
            crop_rgb(crop.image, crop.region, target, replicate=False)
        if prepare is not None:
            prepare(tensor)
        if self._recipe.signed:
            tensor *= 2
            tensor -= 1
        outputs = self._engine.run({self._input: tensor})
        return [
            self._decode(crop.region, boxes, logits[:, 0], threshold)
            for crop, boxes, logits in zip(
                crops, outputs[self._boxes], outputs[self._scores], strict=True
            )
        ]

    def _decode(
        self,
        window: Region,
        raw: npt.NDArray[np.float32],
        logits: npt.NDArray[np.float32],
        threshold: float,
    ) -> list[Detection]:
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -100.0, 100.0)))
        kept = np.flatnonzero(scores >= threshold)  # NaN compares false
        kept = kept[np.isfinite(raw[kept]).all(axis=1) & (raw[kept, 2:4] > 0).all(axis=1)]
        if kept.size == 0:
            return []
        values, centres = raw[kept] / self._recipe.input_px, self._anchors[kept]
        centre, size = values[:, :2] + centres, values[:, 2:4]
        points = values[:, 4:].reshape(len(kept), -1, 2) + centres[:, None]
        coordinates = np.concatenate(
            [centre - size / 2, centre + size / 2, points.reshape(len(kept), -1)], axis=1
        )
        return [
            _in_image(window, merged, score)
            for merged, score in weighted_nms(coordinates, scores[kept], SUPPRESSION_IOU)
        ]

    def _names(self) -> tuple[str, str, str]:
        """Names of the input, the boxes and the scores."""

        def named(specs: Sequence[TensorSpec], shape: tuple[int, ...]) -> list[str]:
            return [spec.name for spec in specs if spec.shape[1:] == shape]

        engine, recipe, count = self._engine, self._recipe, len(self._anchors)
        values = 4 + 2 * recipe.points
        inputs = named(engine.inputs, (recipe.input_px, recipe.input_px, 3))
        boxes, scores = named(engine.outputs, (count, values)), named(engine.outputs, (count, 1))
        if len(engine.inputs) != 1 or len(inputs) != 1 or len(boxes) != 1 or len(scores) != 1:
            found = ", ".join(map(str, (*engine.inputs, *engine.outputs)))
            raise EngineError(
                f"'{self.name}' is not MediaPipe's {recipe.finds} detector: expected one input "
                f"(N, {recipe.input_px}, {recipe.input_px}, 3) and the outputs (N, {count}, "
                f"{values}) and (N, {count}, 1); the file has {found}"
            )
        return inputs[0], boxes[0], scores[0]


def _in_image(window: Region, merged: npt.NDArray[np.float64], score: float) -> Detection:
    """Convert an object from fractions of the window to image pixels."""
    origin = np.array([window.cx - window.width / 2, window.cy - window.height / 2])
    points = origin + merged.reshape(-1, 2) * (window.width, window.height)
    (x0, y0), (x1, y1) = points[0], points[1]
    return Detection((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), points[2:], score)
