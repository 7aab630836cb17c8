"""How far off a hand's joints are likely to be, from what its network says in one image.

    log(std of u, and of v / side of the crop) = the joint's own constant + weights . features

The features need no second run of a network. The constants and weights are fitted for each network
on rendered hands, whose joints are known (`benchmarks/uncertainty.py`; docs/uncertainty.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.calibrations import CALIBRATIONS
from vitpose_ros.layouts import (
    FINGERS,
    HAND21,
    INDEX_MCP,
    MIDDLE_MCP,
    PINKY_MCP,
    RING_MCP,
    WRIST,
)
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.types import Crop, FloatArray

Array = npt.NDArray[np.float64]

_BONES = (*HAND21.edges, (WRIST, MIDDLE_MCP), (WRIST, RING_MCP))
_STARTS, _ENDS = (np.array(joints, np.intp) for joints in zip(*_BONES, strict=True))
_TOUCHES = (np.arange(21)[:, None] == _STARTS) | (np.arange(21)[:, None] == _ENDS)
"""(21, B), which bones end at which joint."""

_TIPS = [HAND21.index(f"{finger}_tip") for finger in FINGERS[1:]]

_FLESH_M, _BEHIND_M = 0.010, 0.030
"""Half a finger's thickness; and how far behind a bone a joint is hidden with certainty."""

_APART = 0.02
"""A common distance between the joints and the shape laid over them, in sides of the crop."""

_HAND_M = 0.09
"""A palm, the unit in which a hand is more or less open."""


@dataclass(frozen=True)
class HandUncertainty:
    """The uncertainty of one network's joints.

    Attributes
    ----------
    features : (21, F) float64 from a measurement and the side of its crop, px.
    joints : (21,) a constant for each joint.
    weights : (F,) of the features.
    """

    features: Callable[[HandMeasurement, float], Array]
    joints: Array
    weights: Array

    def __call__(self, hand: HandMeasurement, side_px: float) -> FloatArray:
        """(21,) float32, px: the standard deviation of u and of v; NaN where a feature is unknown.

        Parameters
        ----------
        hand : what the network measured.
        side_px : the longer side of its crop, px of the image.
        """
        log = self.joints + self.features(hand, side_px) @ self.weights
        return (side_px * np.exp(log)).astype(np.float32)


def hand_uncertainty(network: str) -> HandUncertainty | None:
    """The uncertainty of a hand network, by its name in the model catalogue; None for a network
    that was never compared with true joints.
    """
    numbers = CALIBRATIONS.get(network)
    if numbers is None:
        return None
    features = score_features if len(numbers.weights) == len(SCORE_FEATURES) else shape_features
    return HandUncertainty(features, np.array(numbers.joints), np.array(numbers.weights))


def with_uncertainty(
    hands: Sequence[HandMeasurement | None],
    crops: Sequence[Crop],
    uncertainty: HandUncertainty | None,
) -> list[HandMeasurement | None]:
    """The same measurements with `uv_std`; unchanged if the uncertainty is not known."""
    if uncertainty is None:
        return list(hands)
    return [
        hand
        if hand is None
        else replace(hand, uv_std=uncertainty(hand, max(crop.region.width, crop.region.height)))
        for hand, crop in zip(hands, crops, strict=True)
    ]


SCORE_FEATURES = ("log score", "log median score")


def score_features(hand: HandMeasurement, side_px: float) -> Array:
    """(21, 2) of networks that score joints: the score of the joint, and the median of all."""
    del side_px
    with np.errstate(divide="ignore"):
        log = np.log(np.where(hand.score > 0, hand.score, np.nan).astype(np.float64))
    return np.stack([log, np.broadcast_to(np.nanmedian(log), log.shape)], axis=1)


SHAPE_FEATURES = ("doubt", "openness", "disagreement", "view", "view |view|", "cover")


def shape_features(hand: HandMeasurement, side_px: float) -> Array:
    """(21, 6) of networks that score the hand alone and give its shape in metres.

    - doubt: log(1 - presence).
    - openness: distance of the fingertips from the wrist, in palms. Fists are read badly.
    - disagreement: log of the mean distance between the joints in the image and the shape, laid
      over them as well as a turn, a shift and a scale allow; in 2 % of the crop's side. Both are
      outputs of one network, and they differ where it is unsure.
    - view: how squarely the camera sees the back (1) or the palm (-1) of a hand whose side is
      certain; 0 where it sees the edge, or the side is not certain.
    - cover: per joint, how far it lies behind another bone of the shape, 0 to 1.
    """
    shape = hand.shape_xyz.astype(np.float64)
    doubt = np.log(np.clip(1.0 - hand.presence, 1e-3, 1.0))
    openness = np.linalg.norm(shape[_TIPS] - shape[WRIST], axis=1).mean() / _HAND_M
    apart = np.log(np.clip(_disagreement(hand.uv, shape) / side_px / _APART, 0.25, 10.0))
    palm = np.cross(shape[INDEX_MCP] - shape[WRIST], shape[PINKY_MCP] - shape[WRIST])
    view = (2.0 * hand.right - 1.0) * palm[2] / max(float(np.linalg.norm(palm)), 1e-12)
    of_hand = np.array((doubt, openness, apart, view, view * abs(view)))
    return np.column_stack([np.broadcast_to(of_hand, (21, len(of_hand))), cover(shape)])


def _disagreement(uv: FloatArray, shape: Array) -> float:
    """Mean distance of the joints from the shape laid over them, px; NaN where a joint is unknown.

    Points of the image are complex numbers here, so that one factor is a turn and a scale.
    """
    image = uv[:, 0].astype(np.float64) + 1j * uv[:, 1]
    flat = shape[:, 0] + 1j * shape[:, 1]
    image, flat = image - image.mean(), flat - flat.mean()
    spread = np.vdot(flat, flat).real
    factor = np.vdot(flat, image) / spread if spread > 0 else 0.0
    return float(np.abs(image - factor * flat).mean())


def cover(shape: npt.NDArray) -> Array:
    """How far each joint is hidden by the hand itself.

    Parameters
    ----------
    shape : (21, 3), metres, z away from the camera, which is far away along z.

    Returns
    -------
    (21,) 0 to 1: 1 for a joint right behind another bone, by 3 cm or more.
    """
    joints = shape.astype(np.float64)
    start, bone = joints[_STARTS], joints[_ENDS] - joints[_STARTS]
    along = bone[:, :2]
    from_start = joints[:, None, :2] - start[:, :2]
    length2 = np.maximum((along * along).sum(axis=1), 1e-12)
    share = np.clip((from_start * along).sum(axis=2) / length2, 0.0, 1.0)
    nearest = start + share[..., None] * bone
    beside = joints[:, None] - nearest
    hidden = np.exp(-0.5 * (beside[..., :2] ** 2).sum(axis=2) / _FLESH_M**2)
    hidden *= np.clip(beside[..., 2] / _BEHIND_M, 0.0, 1.0)
    return np.asarray(np.where(_TOUCHES, 0.0, hidden).max(axis=1))
