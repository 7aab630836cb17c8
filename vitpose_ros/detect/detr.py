"""Detectors of the DETR family (RT-DETR, D-FINE, RF-DETR), of persons or hands.

Pre- and post-processing follow the models' processors in transformers (RTDetrImageProcessor, for
models trained with focal loss) and RF-DETR's own export: the whole image is stretched to the input
size, RGB 0 .. 1; scores are the sigmoid of each query's logits; boxes are centre and size as
fractions of the image. There is one query per object, so no suppression is needed.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from vitpose_ros.detect.boxes import BoxDetector, Boxes, ChooseClasses, coco_person
from vitpose_ros.detect.persons import image_input
from vitpose_ros.engines.base import Engine, EngineError, TensorSpec
from vitpose_ros.types import ByteArray, FloatArray

Normalise = Literal["none", "imagenet"]

_SOFTMAX_CLASSES = 92
_BOX_NAMES = ("pred_boxes", "dets")
_LOGIT_NAMES = ("logits", "pred_logits", "labels")
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


class DetrDetector(BoxDetector):
    """Finds boxes with a network of the DETR family.

    Parameters
    ----------
    engine : runs the network: one input (N, 3, H, W); outputs boxes (N, queries, 4) and logits
        (N, queries, classes), in any order. They are identified by name (pred_boxes and logits, or
        RF-DETR's dets and labels), otherwise by shape. Other outputs are ignored.
    name : the network's name in the model catalogue.
    size : (width, height) of the input, for a network that accepts any size.
    normalise : "none" for pixels 0 .. 1 (RT-DETR, D-FINE), "imagenet" for ImageNet's mean and
        standard deviation (RF-DETR).
    classes : which classes to look for; by default persons in COCO.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        size: tuple[int, int] | None = None,
        normalise: Normalise = "none",
        classes: ChooseClasses = coco_person,
    ) -> None:
        if normalise not in ("none", "imagenet"):
            raise EngineError(
                f"'{name}': normalise: expected 'none' or 'imagenet', got {normalise!r}"
            )
        self.name = name
        self._engine = engine
        self._imagenet = normalise == "imagenet"
        self._input, self._width, self._height = image_input(engine.inputs, name, size)
        self._boxes, self._logits, count = _outputs(engine.outputs, name)
        if count == _SOFTMAX_CLASSES:
            raise EngineError(
                f"'{name}' has {count} classes, like the original DETR, whose softmax scores "
                "include a no-object class. Choose an RT-DETR, D-FINE or RF-DETR instead"
            )
        self.classes = classes(count, name)

    def boxes(self, image: ByteArray, threshold: float) -> Boxes:
        """See `BoxDetector`."""
        outputs = self._engine.run({self._input: self._prepared(image)})
        boxes, logits = outputs[self._boxes][0], outputs[self._logits][0][:, list(self.classes)]
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -100.0, 100.0)))
        sound = np.isfinite(boxes).all(axis=1)
        kept = np.flatnonzero((scores.max(axis=1) >= threshold) & sound)  # NaN compares false
        centre, size = boxes[kept, :2], boxes[kept, 2:]
        height, width = image.shape[:2]
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        return Boxes(corners * (width, height, width, height), scores[kept])

    def _prepared(self, image: ByteArray) -> FloatArray:
        """(1, 3, H, W) float32 RGB."""
        stretched = stretch(image, self._width, self._height)
        pixels = cv2.cvtColor(stretched, cv2.COLOR_BGR2RGB).astype(np.float32) / np.float32(255)
        if self._imagenet:
            pixels = (pixels - _MEAN) / _STD
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def stretch(image: ByteArray, width: int, height: int) -> ByteArray:
    """Resize the whole image; its aspect ratio is not kept.

    Downscaling uses area averaging, because the networks were trained on images resized with
    antialiasing, which OpenCV's bilinear interpolation lacks.
    """
    smaller = image.shape[1] > width or image.shape[0] > height
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how)  # type: ignore[return-value]


def _outputs(specs: tuple[TensorSpec, ...], name: str) -> tuple[str, str, int | None]:
    """Names of the outputs for boxes and logits, and the number of classes (None if the shape does
    not give it).

    Names take precedence over shapes: with four classes, both outputs have the same shape.
    """
    flat = [spec for spec in specs if len(spec.shape) == 3]
    boxes = next((spec for spec in flat if spec.name in _BOX_NAMES), None)
    logits = next((spec for spec in flat if spec.name in _LOGIT_NAMES), None)
    if boxes is None and logits is None and len(flat) == 2:
        fours = [spec for spec in flat if spec.shape[2] == 4]
        if len(fours) == 1:
            boxes = fours[0]
            logits = next(spec for spec in flat if spec is not boxes)
    if (
        boxes is None
        or logits is None
        or boxes.shape[2] not in (4, None)
        or len({boxes.shape[1], logits.shape[1]} - {None}) > 1
    ):
        raise EngineError(
            f"'{name}' cannot be used as a DETR detector: expected the outputs pred_boxes (N, "
            "queries, 4) and logits (N, queries, classes), or dets and labels with these shapes; "
            f"the file has {', '.join(map(str, specs))}. Export it without post-processing"
        )
    return boxes.name, logits.name, logits.shape[2]
