"""MediaPipe's palm detector: windows of an image in, palms out.

The network is a single-shot detector on 192x192 pixels. Its numbers are those of MediaPipe's graph
palm_detection_cpu: anchors at strides 8, 16, 16, 16 of fixed size, boxes and seven points relative
to the anchor in input pixels, logits as scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.nms import weighted_nms
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.geometry import Box, crop_rgb
from vitpose_ros.types import ByteArray, Region

INPUT_PX = 192
POINTS = 7
"""Points of a palm: the hand joints 0, 5, 9, 13, 17, 1, 2 (wrist, finger roots, thumb)."""

_STRIDES = (8, 16, 16, 16)
# One of aspect 1, one interpolated to the next layer's scale; of a fixed size they are equal.
_ANCHORS_PER_CELL_AND_LAYER = 2
_SUPPRESSION_IOU = 0.3


@dataclass(frozen=True)
class Palm:
    """A palm in an image.

    Attributes
    ----------
    box : (x, y, width, height), px.
    points : (7, 2) float64, px, in the order of `POINTS`.
    score : 0 .. 1.
    """

    box: Box
    points: npt.NDArray[np.float64]
    score: float


def anchors() -> npt.NDArray[np.float32]:
    """(2016, 2) anchor centres, x and y as fractions of the input, in the order of the outputs."""
    layers = []
    for stride in sorted(set(_STRIDES)):
        cells = INPUT_PX // stride
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        repeats = _ANCHORS_PER_CELL_AND_LAYER * _STRIDES.count(stride)
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(layers)


class PalmDetector:
    """Finds palms in square windows of an image.

    Parameters
    ----------
    engine : runs the network: one input (N, 192, 192, 3), outputs (N, 2016, 18) and (N, 2016, 1).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : when the network has other inputs or outputs.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine
        self._anchors = anchors()
        self._input, self._boxes, self._scores = _outputs(engine, name, len(self._anchors))

    def __call__(
        self, image: ByteArray, windows: Sequence[Region], threshold: float
    ) -> list[list[Palm]]:
        """Look for palms.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        windows : squares of the image; what of them lies outside of it is black to the network.
        threshold : palms of a lower score are left out.

        Returns
        -------
        For each window its palms, best first.
        """
        tensor = np.empty((len(windows), INPUT_PX, INPUT_PX, 3), np.float32)
        for window, target in zip(windows, tensor, strict=True):
            crop_rgb(image, window, target, replicate=False)
        outputs = self._engine.run({self._input: tensor})
        return [
            self._palms(window, boxes, logits[:, 0], threshold)
            for window, boxes, logits in zip(
                windows, outputs[self._boxes], outputs[self._scores], strict=True
            )
        ]

    def _palms(
        self,
        window: Region,
        raw: npt.NDArray[np.float32],
        logits: npt.NDArray[np.float32],
        threshold: float,
    ) -> list[Palm]:
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -100.0, 100.0)))
        kept = np.flatnonzero(scores >= threshold)  # NaN compares false: a broken score is no palm
        kept = kept[np.isfinite(raw[kept]).all(axis=1) & (raw[kept, 2:4] > 0).all(axis=1)]
        if kept.size == 0:
            return []
        values, centres, scores = raw[kept] / INPUT_PX, self._anchors[kept], scores[kept]
        centre, size = values[:, :2] + centres, values[:, 2:4]
        points = values[:, 4:].reshape(-1, POINTS, 2) + centres[:, None]
        coordinates = np.concatenate(
            [centre - size / 2, centre + size / 2, points.reshape(-1, 2 * POINTS)], axis=1
        )
        return [
            _in_image(window, merged, score)
            for merged, score in weighted_nms(coordinates, scores, _SUPPRESSION_IOU)
        ]


def _in_image(window: Region, merged: npt.NDArray[np.float64], score: float) -> Palm:
    """A palm in window fractions -> in image pixels."""
    origin = np.array([window.cx - window.width / 2, window.cy - window.height / 2])
    points = origin + merged.reshape(-1, 2) * (window.width, window.height)
    (x0, y0), (x1, y1) = points[0], points[1]
    return Palm((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), points[2:], score)


def _outputs(engine: Engine, name: str, count: int) -> tuple[str, str, str]:
    """Names of the input, the boxes and the scores."""

    def named(specs: Sequence[TensorSpec], shape: tuple[int, ...]) -> list[str]:
        return [spec.name for spec in specs if spec.shape[1:] == shape]

    inputs = named(engine.inputs, (INPUT_PX, INPUT_PX, 3))
    boxes, scores = (
        named(engine.outputs, (count, 4 + 2 * POINTS)),
        named(engine.outputs, (count, 1)),
    )
    if len(engine.inputs) != 1 or len(inputs) != 1 or len(boxes) != 1 or len(scores) != 1:
        found = ", ".join(map(str, (*engine.inputs, *engine.outputs)))
        raise EngineError(
            f"'{name}' is no palm detector of MediaPipe: expected one input "
            f"(N, {INPUT_PX}, {INPUT_PX}, 3) and the outputs (N, {count}, {4 + 2 * POINTS}) and "
            f"(N, {count}, 1); the file has {found}"
        )
    return inputs[0], boxes[0], scores[0]
