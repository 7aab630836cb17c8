"""MediaPipe's hand landmark network: from crops to 21 joints each.

Constants are those of MediaPipe's graph hand_landmark_cpu. The network has an input of 224x224
pixels of the rotated region. It outputs joints in these pixels, the probabilities of a hand and of
a right hand, and joints in metres around the hand's centre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.geometry import apply_affine, crop_rgb, region_to_image
from vitpose_ros.keypoints.uncertainty import hand_uncertainty, with_uncertainty
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.types import Crop, FloatArray, Region

INPUT_PX = 224
JOINTS = 21

_OUTPUT_SIZES = (3 * JOINTS, 1, 1, 3 * JOINTS)
"""Sizes of the outputs, in order: joints in px, presence, handedness, joints in metres."""


class HandLandmarks:
    """Measures the joints of hands.

    Parameters
    ----------
    engine : runs the network: one input (N, 224, 224, 3); outputs in this order (N, 63), (N, 1),
        (N, 1), (N, 63).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    turned = True
    tells_presence = True

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.engine = engine.name
        self._engine = engine
        self._uncertainty = hand_uncertainty(name)
        _check(engine, name)

    def __call__(self, crops: Sequence[Crop]) -> list[HandMeasurement | None]:
        """Measure the joints in each crop.

        Parameters
        ----------
        crops : rotated squares around hands; edge pixels are repeated beyond the image.

        Returns
        -------
        One measurement for each crop, in their order, px of its image; None if an output is not
        finite.
        """
        if not crops:
            return []
        tensor = np.empty((len(crops), INPUT_PX, INPUT_PX, 3), np.float32)
        for crop, target in zip(crops, tensor, strict=True):
            crop_rgb(crop.image, crop.region, target)
        outputs = self._engine.run({self._engine.inputs[0].name: tensor})
        joints, presence, handedness, world = (outputs[spec.name] for spec in self._engine.outputs)
        hands = [
            _measurement(
                crop.region, joints[i], float(presence[i, 0]), float(handedness[i, 0]), world[i]
            )
            for i, crop in enumerate(crops)
        ]
        return with_uncertainty(hands, crops, self._uncertainty)


def _measurement(
    region: Region, joints: FloatArray, presence: float, handedness: float, world: FloatArray
) -> HandMeasurement | None:
    """From the crop to the image.

    The joints in metres have x right, y down and z away from the camera in the rotated crop:
    rotated back about z, their axes are those of the optical frame.
    """
    if not all(np.isfinite(value).all() for value in (joints, world, presence, handedness)):
        return None
    uv = apply_affine(
        region_to_image(region, (INPUT_PX, INPUT_PX)), joints.reshape(JOINTS, 3)[:, :2]
    )
    cos, sin = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return HandMeasurement(
        uv=uv.astype(np.float32),
        score=np.full(JOINTS, np.nan, np.float32),  # it gives no scores per joint
        supported=np.ones(JOINTS, np.bool_),
        shape_xyz=(world.reshape(JOINTS, 3) @ turn.T).astype(np.float32),
        presence=min(max(presence, 0.0), 1.0),
        right=min(max(handedness, 0.0), 1.0),
    )


def _check(engine: Engine, name: str) -> None:
    inputs = [spec.shape[1:] for spec in engine.inputs]
    outputs = [spec.shape[1:] for spec in engine.outputs]
    if inputs != [(INPUT_PX, INPUT_PX, 3)] or outputs != [(size,) for size in _OUTPUT_SIZES]:
        found = ", ".join(map(str, (*engine.inputs, *engine.outputs)))
        wanted = ", ".join(f"(N, {size})" for size in _OUTPUT_SIZES)
        raise EngineError(
            f"'{name}' is not MediaPipe's hand landmark network: expected one input "
            f"(N, {INPUT_PX}, {INPUT_PX}, 3) and the outputs {wanted}; the file has {found}"
        )
