"""RTMO, and the shapes of Ultralytics' pose exports.

Sources: Lu et al., RTMO, CVPR 2024, and MMPose's and MMDeploy's files; Ultralytics' documented
output shapes.
"""

from __future__ import annotations

import numpy as np

from vitpose_ros.engines.base import Tensors
from vitpose_ros.keypoints.onestage.base import (
    Format,
    Persons,
    Placed,
    Signature,
    Size,
    letterboxed,
    rgb_letterboxed,
)
from vitpose_ros.types import ByteArray

_STRIDES = (8, 16, 32)


def rtmo(signature: Signature) -> Format | None:
    """Dets (N, M, 5) and keypoints (N, M, K, 3), in pixels of the input."""
    joints, source = signature.joints, signature.image_input()
    dets, keypoints = (signature.by_name.get(name) for name in ("dets", "keypoints"))
    if (
        source is None
        or dets is None
        or keypoints is None
        or len(signature.outputs) != 2
        or not dets.fits((None, 5))
        or not keypoints.fits((None, joints, 3))
    ):
        return None

    def prepare(image: ByteArray) -> Placed:
        return letterboxed(source, image, signature.size, centred=False)

    def read(outputs: Tensors, placed: Placed) -> Persons:
        boxes, points = outputs["dets"][0], outputs["keypoints"][0]
        return Persons.of(
            placed.to_image(points[..., :2]),
            points[..., 2],
            boxes[:, 4],
            placed.corners_to_image(boxes[:, :4]),
        ).distinct()

    return Format("RTMO", prepare, read)


def yolo_pose(signature: Signature) -> Format | None:
    """YOLOv8 and YOLO11: (N, 4 + classes + 3 K, cells), or its transpose."""
    source, cells = signature.image_input(), _cells(signature.size)
    if source is None or cells is None or len(signature.outputs) != 1:
        return None
    joints, (spec,) = signature.joints, signature.outputs
    rows_first = spec.fits((cells, None))
    if not rows_first and not spec.fits((None, cells)):
        return None
    columns = spec.shape[2 if rows_first else 1]
    classes = -1 if columns is None else columns - 4 - 3 * joints
    if not signature.person < classes:
        return None

    def read(outputs: Tensors, placed: Placed) -> Persons:
        rows = outputs[spec.name][0]
        rows = rows if rows_first else rows.T
        centre, size = rows[:, :2], rows[:, 2:4]
        own = rows[:, 4 : 4 + classes]
        likely = own[:, signature.person] >= _WORTH_SUPPRESSING
        likely &= own.argmax(axis=1) == signature.person
        rows, own, centre, size = rows[likely], own[likely], centre[likely], size[likely]
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        points = rows[:, 4 + classes :].reshape(-1, joints, 3)
        return Persons.of(
            placed.to_image(points[..., :2]),
            points[..., 2],
            own[:, signature.person],
            placed.corners_to_image(corners),
        ).distinct()

    return Format("YOLOv8/11-pose", rgb_letterboxed(source, signature.size), read, classes)


def yolo26_pose(signature: Signature) -> Format | None:
    """YOLO26: (N, M, 6 + 3 K): corners, score, class, joints; without duplicates."""
    joints, source = signature.joints, signature.image_input()
    output = signature.only_output(None, 6 + 3 * joints)
    if source is None or output is None:
        return None
    cells = signature.outputs[0].shape[1]
    if cells is not None and cells == _cells(signature.size):  # a class more, one row per cell
        return None

    def read(outputs: Tensors, placed: Placed) -> Persons:
        rows = outputs[output][0]
        rows = rows[rows[:, 5] == signature.person]
        points = rows[:, 6:].reshape(-1, joints, 3)
        return Persons.of(
            placed.to_image(points[..., :2]),
            points[..., 2],
            rows[:, 4],
            placed.corners_to_image(rows[:, :4]),
        )

    return Format("YOLO26-pose", rgb_letterboxed(source, signature.size), read)


_WORTH_SUPPRESSING = 0.05
"""Of thousands of cells, those with a lower score are dropped before duplicates are looked for."""


def _cells(size: Size) -> int | None:
    """The number of cells of a YOLO network for an input size; None if it is not divisible."""
    width, height = size
    if width % _STRIDES[-1] or height % _STRIDES[-1]:
        return None
    return sum((width // stride) * (height // stride) for stride in _STRIDES)
