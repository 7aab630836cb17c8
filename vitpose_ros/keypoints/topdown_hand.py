"""Reads hands with a top-down model (ViTPose, RTMPose). Such a model scores each joint, but outputs
neither the probability of a hand nor its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.keypoints.uncertainty import HandUncertainty, with_uncertainty
from vitpose_ros.layouts import HAND21
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.types import Crop, JointState, Keypoints


class TopDownHands:
    """Measures the joints of hands with a top-down model.

    The presence of a hand is the median score of its joints.

    Parameters
    ----------
    model : with the layout hand21.
    turned : whether the model was trained on crops rotated so that the hand points up; otherwise
        crops are upright.
    uncertainty : of its joints; None if it is not known.

    Raises
    ------
    EngineError : the model has another layout.
    """

    tells_presence = False

    def __init__(
        self, model: TopDown, turned: bool, uncertainty: HandUncertainty | None = None
    ) -> None:
        if model.layout is not HAND21:
            raise EngineError(
                f"'{model.name}' has the layout '{model.layout.name}'; a hand model needs "
                f"'{HAND21.name}'. Choose another model"
            )
        self.name, self.engine = model.name, model.engine
        self._model = model
        self.turned = turned
        self._uncertainty = uncertainty

    def __call__(self, crops: Sequence[Crop]) -> list[HandMeasurement | None]:
        """Measure the joints in each crop.

        Parameters
        ----------
        crops : rotated squares around hands, padded.

        Returns
        -------
        One measurement for each crop, in their order; None if no joint was found.
        """
        if not self.turned:
            crops = [replace(c, region=replace(c.region, rotation_rad=0.0)) for c in crops]
        hands = [_measurement(keypoints) for keypoints in self._model(crops)]
        return with_uncertainty(hands, crops, self._uncertainty)


def _measurement(keypoints: Keypoints) -> HandMeasurement | None:
    if (keypoints.state == JointState.ABSENT).all():
        return None
    return HandMeasurement(
        uv=keypoints.uv,
        score=keypoints.score,
        supported=keypoints.state == JointState.MEASURED,
        shape_xyz=keypoints.shape_xyz,
        presence=float(np.clip(np.median(keypoints.score), 0.0, 1.0)),
        right=float("nan"),
    )
