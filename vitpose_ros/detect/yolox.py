"""Person detectors of the YOLOX family.

Pre- and post-processing follow the authors' repository (Ge et al., 2021; yolox/data, demo and
utils): BGR 0 .. 255, the image scaled into the top left of the input and padded with grey 114;
grids of stride 8, 16 and 32, with an offset and a log size for the box of each cell; score =
objectness * class; non-maximum suppression among boxes whose best class is the person.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.nms import greedy_nms
from vitpose_ros.detect.persons import image_input, person_regions
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.types import ByteArray, FloatArray, Region

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


class YoloxDetector:
    """Finds persons with a YOLOX network.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, H, W) with sides divisible by 32. Accepted outputs:
        one (N, cells, 5 + classes), where a run on a blank image shows whether the graph decodes
        the boxes; or MMDeploy's (N, boxes, 5) with classes (N, boxes), already suppressed.
    name : the network's name in the model catalogue.
    size : (width, height) of the input, for a network that accepts any size.
    person_class : class index of persons: 0 in COCO and in networks with a single class.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        size: tuple[int, int] | None = None,
        person_class: int = 0,
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
        self._person = person_class
        self._cells, self._strides = cells(self._width, self._height)
        self._boxes, self._classes, classes = _outputs(engine.outputs, name, len(self._cells))
        if classes is not None and not 0 <= person_class < classes:
            raise EngineError(
                f"'{name}': person_class: expected 0 to {classes - 1} for its {classes} classes, "
                f"got {person_class}; correct its catalogue entry"
            )
        self.form = Form.SUPPRESSED if self._classes else self._form_of_blank()

    def __call__(self, image: ByteArray, threshold: float) -> list[Region]:
        """Find persons; see `detect.persons.PersonDetector`."""
        tensor, scale = letterbox(image, self._width, self._height)
        outputs = self._engine.run({self._input: tensor})
        rows = outputs[self._boxes][0]
        if self.form is Form.SUPPRESSED:
            corners, scores = rows[:, :4], rows[:, 4]
            kept = np.flatnonzero((outputs[self._classes][0] == self._person) & _sound(rows))
            kept = kept[scores[kept] >= threshold]
        else:
            corners, scores = self._decode(rows)
            kept = np.flatnonzero(scores >= threshold)  # NaN compares false
            kept = kept[greedy_nms(corners[kept], scores[kept], SUPPRESSION_IOU)]
        height, width = image.shape[:2]
        return person_regions(corners[kept] / scale, scores[kept], width, height)

    def _decode(self, rows: FloatArray) -> tuple[npt.NDArray, npt.NDArray]:
        """Corners in input pixels, and person scores: NaN if the box shows something else."""
        centre, size = rows[:, :2], rows[:, 2:4]
        if self.form is Form.RAW:
            with np.errstate(over="ignore"):  # infinite boxes are dropped below
                centre = (centre + self._cells) * self._strides
                size = np.exp(size) * self._strides
        classes = rows[:, _BOX_AND_OBJECTNESS:]
        scores = rows[:, 4] * classes[:, self._person]
        person = classes.argmax(axis=1) == self._person
        sound = _sound(rows) & np.isfinite(size).all(axis=1) & (size > 0).all(axis=1)
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        return corners, np.where(person & sound, scores, np.nan)

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


def _sound(rows: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows are finite."""
    return np.asarray(np.isfinite(rows).all(axis=1), np.bool_)


def _outputs(specs: tuple[TensorSpec, ...], name: str, count: int) -> tuple[str, str, int | None]:
    """Names of the outputs for boxes and for classes ("" if they share one), and the number of
    classes (None if the shape does not give it).
    """
    boxes = [
        spec
        for spec in specs
        if len(spec.shape) == 3
        and spec.shape[1] == count
        and spec.shape[2] is not None
        and spec.shape[2] > _BOX_AND_OBJECTNESS
    ]
    if len(specs) == 1 and len(boxes) == 1:
        return boxes[0].name, "", int(boxes[0].shape[2] or 0) - _BOX_AND_OBJECTNESS
    suppressed = [spec for spec in specs if len(spec.shape) == 3 and spec.shape[2] == 5]
    classes = [spec for spec in specs if len(spec.shape) == 2]
    if len(specs) == 2 and len(suppressed) == 1 and len(classes) == 1:
        return suppressed[0].name, classes[0].name, None
    raise EngineError(
        f"'{name}' cannot be used as a YOLOX detector: for its input size, expected one output "
        f"(N, {count}, 5 + classes), or MMDeploy's (N, boxes, 5) and (N, boxes); the file has "
        f"{', '.join(map(str, specs))}. Choose another model, or another export of it"
    )
