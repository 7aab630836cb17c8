"""Detectors of the YOLOX family, of persons or hands.

Pre- and post-processing follow the authors' repository (Ge et al., 2021; yolox/data, demo and
utils): BGR 0 .. 255, the image scaled into the top left of the input and padded with grey 114;
grids of stride 8, 16 and 32, with an offset and a log size for the box of each cell; score =
objectness * class; non-maximum suppression among boxes whose best class is one of those sought.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

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
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.types import ByteArray, FloatArray

STRIDES = (8, 16, 32)
BAR = 114
"""Grey level of the padding."""

SUPPRESSION_IOU = 0.45
"""The authors' default."""

_BOX_AND_OBJECTNESS = 5
_SMALL_OFFSET = 4.0  # cells; for a blank image, the median of the authors' networks is below 1


class Form(Enum):
    """What a YOLOX file outputs."""

    RAW = "an offset and a log size for each cell (the authors' ONNX files)"
    DECODED = "boxes in input pixels (exported with decoding)"
    SUPPRESSED = "boxes after suppression in the graph (MMDeploy's files)"


class YoloxDetector(BoxDetector):
    """Finds boxes with a YOLOX network.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, H, W) with sides divisible by 32. Accepted outputs:
        one (N, cells, 5 + classes), where a run on a blank image shows whether the graph decodes
        the boxes; or MMDeploy's (N, boxes, 5) with classes (N, boxes), already suppressed.
    name : the network's name in the model catalogue.
    size : (width, height) of the input, for a network that accepts any size.
    classes : which classes to look for; by default class 0, which is the person in COCO.

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
                f"'{name}' cannot be used as a YOLOX detector: its input, "
                f"{self._width}x{self._height} px, is not divisible by {STRIDES[-1]}. Correct its "
                "catalogue entry, or choose another model"
            )
        self._cells, self._strides = cells(self._width, self._height)
        self._suppressed = suppressed_outputs(engine.outputs)
        count = None
        if self._suppressed is None:
            self._boxes, count = _output(engine.outputs, name, len(self._cells))
        self.classes = classes(count, name)
        self.form = Form.SUPPRESSED if self._suppressed else self._form_of_blank()

    def boxes(self, image: ByteArray, threshold: float) -> Boxes:
        """See `BoxDetector`."""
        tensor, scale = letterbox(image, self._width, self._height)
        outputs = self._engine.run({self._input: tensor})
        if self._suppressed is not None:
            found = read_suppressed(outputs, self._suppressed, self.classes, threshold)
            return Boxes(found.corners / scale, found.scores)
        corners, scores = self._decode(outputs[self._boxes][0])
        best = scores.max(axis=1)
        kept = np.flatnonzero(best >= threshold)  # NaN compares false
        kept = kept[greedy_nms(corners[kept], best[kept], SUPPRESSION_IOU)]
        return Boxes(corners[kept] / scale, scores[kept])

    def _decode(self, rows: FloatArray) -> tuple[npt.NDArray, npt.NDArray]:
        """Corners in input pixels, and scores: NaN if the box shows something else."""
        centre, size = rows[:, :2], rows[:, 2:4]
        if self.form is Form.RAW:
            with np.errstate(over="ignore"):  # infinite boxes are dropped below
                centre = (centre + self._cells) * self._strides
                size = np.exp(size) * self._strides
        classes = rows[:, _BOX_AND_OBJECTNESS:]
        scores = rows[:, 4:5] * classes[:, list(self.classes)]
        sought = np.isin(classes.argmax(axis=1), self.classes)
        sound = np.isfinite(rows).all(axis=1) & np.isfinite(size).all(axis=1)
        sound &= (size > 0).all(axis=1)
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        return corners, np.where((sought & sound)[:, None], scores, np.nan)

    def _form_of_blank(self) -> Form:
        """Whether the graph decodes its boxes: for a blank image, offsets are about a cell or less,
        and decoded centres lie near their cells.
        """
        blank = np.full((1, 3, self._height, self._width), BAR, np.float32)
        rows = self._engine.run({self._input: blank})[self._boxes][0]
        if rows.shape[0] == len(self._cells) and np.isfinite(rows[:, :4]).all():
            as_offset = float(np.median(np.abs(rows[:, :2])))
            as_centre = float(np.median(np.abs(rows[:, :2] / self._strides - self._cells)))
            decoded = as_centre < as_offset and bool((rows[:, 2:4] > 0).all())
            if decoded or as_offset < min(_SMALL_OFFSET, as_centre):
                return Form.DECODED if decoded else Form.RAW
        raise EngineError(
            f"'{self.name}' cannot be used as a YOLOX detector: its {rows.shape[0]} outputs for a "
            f"blank image are neither {Form.RAW.value} nor {Form.DECODED.value}. Choose another "
            "model, or another export of it"
        )


def cells(width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """The grid cells for an input size (px), in the order of the output.

    Returns
    -------
    (cells, 2) columns and rows, and (cells, 1) strides in px.
    """
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


def letterbox(image: ByteArray, width: int, height: int) -> tuple[FloatArray, float]:
    """Scale and pad an image to the network's input size.

    Returns
    -------
    (1, 3, height, width) float32 BGR 0 .. 255, and the scale from image to input pixels.
    """
    rows, columns = image.shape[:2]
    scale = min(height / rows, width / columns)
    inside = max(1, int(columns * scale)), max(1, int(rows * scale))  # very narrow images, too
    canvas = np.full((height, width, 3), BAR, np.uint8)
    canvas[: inside[1], : inside[0]] = cv2.resize(image, inside, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32), scale


def _output(specs: tuple[TensorSpec, ...], name: str, count: int) -> tuple[str, int]:
    """Name of the output with `count` cells, and the number of classes."""
    boxes = [
        spec
        for spec in specs
        if len(spec.shape) == 3
        and spec.shape[1] == count
        and spec.shape[2] is not None
        and spec.shape[2] > _BOX_AND_OBJECTNESS
    ]
    if len(specs) == 1 and len(boxes) == 1:
        return boxes[0].name, int(boxes[0].shape[2] or 0) - _BOX_AND_OBJECTNESS
    raise EngineError(
        f"'{name}' cannot be used as a YOLOX detector: for its input size, expected one output "
        f"(N, {count}, 5 + classes), or MMDeploy's (N, boxes, 5) and (N, boxes); the file has "
        f"{', '.join(map(str, specs))}. Choose another model, or another export of it"
    )
