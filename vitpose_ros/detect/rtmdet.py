"""Detectors of the RTMDet family, of persons or hands.

Pre- and post-processing follow MMDetection (configs/rtmdet and its RTMDetSepBNHead): BGR minus
ImageNet's mean, over its standard deviation; the image scaled into the top left of the input and
padded with grey 114; one point per cell of the strides 8, 16 and 32, at the cell's top left corner;
distances to the box's four sides in input pixels; scores as logits; non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitpose_ros.detect.boxes import (
    FIRST_CLASS,
    BoxDetector,
    Boxes,
    ChooseClasses,
    read_suppressed,
    suppressed_outputs,
)
from vitpose_ros.detect.nms import greedy_nms
from vitpose_ros.detect.persons import image_input
from vitpose_ros.detect.yolox import STRIDES, cells, letterbox
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.types import ByteArray, FloatArray

SUPPRESSION_IOU = 0.6
"""That of RTMDet's configurations."""

_SIDES = 4
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)[:, None, None]  # blue, green, red
_STD = np.array([57.375, 57.12, 58.395], np.float32)[:, None, None]


class RtmdetDetector(BoxDetector):
    """Finds boxes with an RTMDet network.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, H, W) with sides divisible by 32. Accepted outputs:
        one (N, rows, columns, classes + 4) for each stride, in any order; or MMDeploy's
        (N, boxes, 5) with classes (N, boxes), already suppressed.
    name : the network's name in the model catalogue.
    size : (width, height) of the input, for a network that accepts any size.
    classes : which classes to look for.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        size: tuple[int, int] | None = None,
        classes: ChooseClasses = FIRST_CLASS,
    ) -> None:
        self.name = name
        self._engine = engine
        self._input, self._width, self._height = image_input(engine.inputs, name, size)
        if self._width % STRIDES[-1] or self._height % STRIDES[-1]:
            raise EngineError(
                f"'{name}' cannot be used as an RTMDet detector: its input, "
                f"{self._width}x{self._height} px, is not divisible by {STRIDES[-1]}. Correct its "
                "catalogue entry, or choose another model"
            )
        grid, strides = cells(self._width, self._height)
        self._points = grid * strides
        self._suppressed = suppressed_outputs(engine.outputs)
        self._maps: list[str] = []
        count = None
        if self._suppressed is None:
            self._maps, count = _maps(engine.outputs, name, self._width, self._height)
        self.classes = classes(count, name)

    def boxes(self, image: ByteArray, threshold: float) -> Boxes:
        """See `BoxDetector`."""
        tensor, scale = letterbox(image, self._width, self._height)
        outputs = self._engine.run({self._input: (tensor - _MEAN) / _STD})
        if self._suppressed is not None:
            found = read_suppressed(outputs, self._suppressed, self.classes, threshold)
            return Boxes(found.corners / scale, found.scores)
        maps = [outputs[name][0] for name in self._maps]
        rows = np.concatenate([one.reshape(-1, one.shape[-1]) for one in maps])
        return self._decode(rows, threshold, scale)

    def _decode(self, rows: FloatArray, threshold: float, scale: float) -> Boxes:
        logits = rows[:, list(self.classes)].astype(np.float64)
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -100.0, 100.0)))
        best = scores.max(axis=1)
        kept = np.flatnonzero((best >= threshold) & np.isfinite(rows).all(axis=1))
        points, sides = self._points[kept], rows[kept, -_SIDES:]
        corners = np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1)
        sound = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        corners, kept = corners[sound], kept[sound]
        once = greedy_nms(corners, best[kept], SUPPRESSION_IOU)
        return Boxes(corners[once] / scale, scores[kept][once])


def _maps(specs: Sequence[TensorSpec], name: str, width: int, height: int) -> tuple[list[str], int]:
    """Names of the outputs in the order of the strides, and the number of classes."""
    names, last = [], set()
    for stride in STRIDES:
        shape = height // stride, width // stride
        fitting = [s for s in specs if len(s.shape) == 4 and s.shape[1:3] == shape]
        names += [spec.name for spec in fitting]
        last |= {spec.shape[3] for spec in fitting}
    values = last.pop() if len(last) == 1 else None
    if len(specs) != len(STRIDES) or len(names) != len(STRIDES) or (values or 0) <= _SIDES:
        wanted = ", ".join(
            f"(N, {height // stride}, {width // stride}, classes + 4)" for stride in STRIDES
        )
        raise EngineError(
            f"'{name}' cannot be used as an RTMDet detector: for its input size, expected the "
            f"outputs {wanted}, or MMDeploy's (N, boxes, 5) and (N, boxes); the file has "
            f"{', '.join(map(str, specs))}. Choose another model, or another export of it"
        )
    return names, int(values or 0) - _SIDES
