"""Hands by a top-down model (ViTPose, RTMPose): it knows joints and how sure it is of each, but
neither whether a region holds a hand at all, nor whose side it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import ByteArray, Crop, JointState, Keypoints, Region


class TopDownHands:
    """Finds the joints of hands with a top-down model of the layout hand21.

    The presence of a hand is taken from the joints: the median of their scores.

    Parameters
    ----------
    model : gives hand21.
    turned : whether the model was trained on crops in which the hand points up; otherwise regions
        are looked at upright.

    Raises
    ------
    EngineError : when the model gives another layout.
    """

    def __init__(self, model: TopDown, turned: bool) -> None:
        if model.layout is not HAND21:
            raise EngineError(
                f"'{model.name}' gives the layout '{model.layout.name}'; a hand model must give "
                f"'{HAND21.name}'"
            )
        self.name, self.engine = model.name, model.engine
        self.turn_rad = 0.0  # of these, nobody measured yet that two looks are better
        self._model = model
        self._turned = turned

    def __call__(self, image: ByteArray, regions: Sequence[Region]) -> list[HandEstimate | None]:
        """Find the joints in each region.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        regions : turned squares around hands, padded.

        Returns
        -------
        One estimate for each region, in their order; None where no joint was found.
        """
        looked_at = [r if self._turned else replace(r, rotation_rad=0.0) for r in regions]
        crops = [Crop(image, region) for region in looked_at]
        return [_estimate(keypoints) for keypoints in self._model(crops)]


def _estimate(keypoints: Keypoints) -> HandEstimate | None:
    if (keypoints.state == JointState.ABSENT).all():
        return None
    return HandEstimate(
        uv=keypoints.uv,
        score=keypoints.score,
        seen=keypoints.state == JointState.VISIBLE,
        shape_xyz=keypoints.shape_xyz,
        presence=float(np.clip(np.median(keypoints.score), 0.0, 1.0)),
        right=float("nan"),
    )
