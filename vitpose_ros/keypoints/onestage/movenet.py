"""MoveNet MultiPose, by its model card."""

from __future__ import annotations

import cv2
import numpy as np

from vitpose_ros.engines.base import Tensors
from vitpose_ros.keypoints.onestage.base import Format, Persons, Placed, Signature, boxed, size_of
from vitpose_ros.types import ByteArray


def movenet(signature: Signature) -> Format | None:
    """MoveNet MultiPose: pixels 0 .. 255; y before x; positions as fractions of the input."""
    joints, source = signature.joints, signature.image_input(channels_last=True)
    output = signature.only_output(None, 5 + 3 * joints)
    if source is None or output is None:
        return None
    extent = np.array(signature.size, np.float64)

    def prepare(image: ByteArray) -> Placed:
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        canvas, scale, _ = boxed(rgb, signature.size, bar=0, centred=False)  # type: ignore[arg-type]
        return Placed({source: canvas[None].astype(np.float32)}, size_of(image), (scale, scale))

    def read(outputs: Tensors, placed: Placed) -> Persons:
        rows = outputs[output][0]
        points = rows[:, : 3 * joints].reshape(-1, joints, 3)
        corners = rows[:, 3 * joints : 3 * joints + 4].reshape(-1, 2, 2)
        return Persons.of(
            placed.to_image(points[..., 1::-1] * extent),
            points[..., 2],
            rows[:, -1],
            placed.to_image(corners[..., ::-1] * extent).reshape(-1, 4),
        )

    return Format("MoveNet MultiPose", prepare, read)
