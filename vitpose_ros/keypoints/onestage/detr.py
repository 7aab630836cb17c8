"""RF-DETR's keypoint model, by rfdetr's models/postprocess.py and utilities/keypoints.py; and
DETRPose, by its tools/deployment/export_onnx.py and src/models/detrpose/postprocesses.py.
"""

from __future__ import annotations

import numpy as np

from vitpose_ros.engines.base import Tensors
from vitpose_ros.keypoints.onestage.base import (
    Array,
    Format,
    Persons,
    Placed,
    Signature,
    Size,
    sigmoid,
    size_of,
    stretched,
    tensor_of,
)
from vitpose_ros.keypoints.pixels import IMAGENET, PIXELS
from vitpose_ros.types import ByteArray

RF_COLUMNS = 7
"""x, y, the logit of being findable, one unused, log l11, l21, log l22."""

IMAGE_SIZE = "orig_target_sizes"
"""DETRPose's input for the image's width and height, px."""

_RF_NAMES = ("dets", "labels", "keypoints")
_POSE_NAMES = ("scores", "labels", "keypoints")


def rf_detr(signature: Signature) -> Format | None:
    """The whole image stretched; boxes, logits, and joints as fractions with their precision."""
    joints, source = signature.joints, signature.image_input()
    specs = [signature.by_name.get(name) for name in _RF_NAMES]
    if source is None or len(signature.outputs) != 3 or None in specs:
        return None
    boxes, labels, keypoints = (spec for spec in specs if spec is not None)
    slots = keypoints.shape[2] if len(keypoints.shape) == 4 else None
    if (
        slots is None
        or slots % joints
        or not boxes.fits((None, 4))
        or not labels.fits((None, None))
        or (keypoints.shape[3] or 0) < RF_COLUMNS
    ):
        return None
    # One slot of joints per class. A first slot without joints stands for the background.
    person = slots // joints - 1

    def prepare(image: ByteArray) -> Placed:
        tensor = tensor_of(stretched(image, signature.size), IMAGENET)
        return Placed({source: tensor}, size_of(image))

    def read(outputs: Tensors, placed: Placed) -> Persons:
        centre, size = np.split(outputs["dets"][0].astype(np.float64), 2, axis=1)
        points = outputs["keypoints"][0, :, person * joints :].astype(np.float64)
        width, height = placed.size
        return Persons.of(
            points[..., :2] * (width, height),
            sigmoid(points[..., 2]),
            sigmoid(outputs["labels"][0, :, person].astype(np.float64)),
            np.concatenate([centre - size / 2, centre + size / 2], axis=1)
            * (width, height, width, height),
            _precision_to_std(points[..., 4:7], placed.size),
        )

    return Format("RF-DETR keypoint", prepare, read)


def detrpose(signature: Signature) -> Format | None:
    """The whole image stretched, pixels 0 .. 1, and its size; scores, labels, and joints in pixels
    of the image, best first. All classes share one set of joints, so labels are not looked at, as
    in the authors' own tools. Joints have no scores.
    """
    source = signature.image_input()
    sizes = next((spec for spec in signature.inputs if spec.name == IMAGE_SIZE), None)
    specs = [signature.by_name.get(name) for name in _POSE_NAMES]
    if source is None or sizes is None or not sizes.fits((2,)) or None in specs:
        return None
    scores, labels, keypoints = (spec for spec in specs if spec is not None)
    if (
        len(signature.inputs) != 2
        or len(signature.outputs) != 3
        or not scores.fits((None,))
        or not labels.fits((None,))
        or not keypoints.fits((None, signature.joints, 2))
    ):
        return None

    def prepare(image: ByteArray) -> Placed:
        size = size_of(image)
        tensor = tensor_of(stretched(image, signature.size), PIXELS["rgb01"])
        return Placed({source: tensor, IMAGE_SIZE: np.array([size], np.float32)}, size)

    def read(outputs: Tensors, placed: Placed) -> Persons:
        score, uv = outputs["scores"][0], outputs["keypoints"][0]
        return Persons.of(uv, None, score)

    return Format("DETRPose", prepare, read)


def _precision_to_std(columns: Array, size: Size) -> Array:
    """(M, K) px, from the Cholesky factor L of the inverse covariance of x / width and y / height:
    log l11, l21, log l22. The mean of both axes' variances counts.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        l11, l21, l22 = np.exp(columns[..., 0]), columns[..., 1], np.exp(columns[..., 2])
        determinant = np.square(l11 * l22)
        u = (np.square(l21) + np.square(l22)) / determinant * size[0] ** 2
        v = np.square(l11) / determinant * size[1] ** 2
        std: Array = np.sqrt((u + v) / 2)
    std[~np.isfinite(std)] = np.nan
    return std
