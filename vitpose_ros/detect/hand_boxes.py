"""Hands from a detector by boxes, with or without classes for left and right.

A box does not tell how a hand is rotated. A hand model that was trained on upright crops reads it
as MMPose does, in a square a quarter larger than the box. A model that needs the hand to point up
(MediaPipe's) first reads it in four directions, in a larger square; see `measure.aiming`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitpose_ros.detect.boxes import BoxDetector, Boxes
from vitpose_ros.detect.nms import greedy_nms
from vitpose_ros.detect.ssd import Detection
from vitpose_ros.geometry import iou
from vitpose_ros.hand_geometry import joints_box, large_enough
from vitpose_ros.types import Crop, FloatArray, Region

UPRIGHT_SCALE = 1.25
"""Side of the crop over the box's longer side: MMPose's padding."""

TURNED_SCALE = 1.75
"""The same for a model that reads in four directions. Of 1.25, 1.5, 1.75, 2 and 2.5, MediaPipe's
model found the most joints of real, rotated hands with this one."""

SUPPRESSION_IOU = 0.5
"""Boxes of a left and a right hand with a larger overlap are one hand."""

_SAME_HAND = 0.4
_NO_POINTS = np.empty((0, 2))


@dataclass(frozen=True)
class HandBox(Detection):
    """A hand's box, without points.

    Attributes
    ----------
    right : probability of a right hand, 0 .. 1; NaN from a detector that does not tell sides.
    """

    right: float = math.nan


class HandBoxes:
    """Finds hands in windows of images.

    Parameters
    ----------
    detector : with one class, hands; or with two, left and right hands.
    """

    def __init__(self, detector: BoxDetector) -> None:
        self.name = detector.name
        self.tells_sides = len(detector.classes) > 1
        self._detector = detector

    def __call__(self, crops: Sequence[Crop], threshold: float) -> list[list[HandBox]]:
        """Find hands in windows of one or several images.

        Parameters
        ----------
        crops : square windows. Their parts inside the image are searched, each once.
        threshold : minimum score.

        Returns
        -------
        For each window its hands, best first, px of the image.
        """
        searched: dict[tuple[int, int, int, int, int], list[HandBox]] = {}
        found: list[list[HandBox]] = []
        for crop in crops:
            x0, y0, x1, y1 = _inside(crop)
            key = id(crop.image), x0, y0, x1, y1
            if key in searched or x1 <= x0 or y1 <= y0:
                found.append([])
                continue
            part = np.ascontiguousarray(crop.image[y0:y1, x0:x1])
            searched[key] = self._hands(self._detector.boxes(part, threshold), x0, y0)
            found.append(searched[key])
        return found

    def _hands(self, boxes: Boxes, x0: int, y0: int) -> list[HandBox]:
        best = boxes.scores.max(axis=1, initial=0.0)
        hands = []
        for n in greedy_nms(boxes.corners, best, SUPPRESSION_IOU).tolist():
            x, y, right, bottom = boxes.corners[n].astype(np.float64).tolist()
            side = math.nan
            if self.tells_sides:
                left_score, right_score = boxes.scores[n].astype(np.float64).tolist()
                side = (1.0 + right_score - left_score) / 2
            box = x + x0, y + y0, right - x, bottom - y
            hands.append(HandBox(box, _NO_POINTS, float(best[n]), side))
        return hands


def box_region(hand: HandBox, turned: bool) -> Region | None:
    """The upright square in which to read a hand first; None if it is too small.

    Parameters
    ----------
    turned : whether the hand model needs crops in which the hand points up.
    """
    x, y, width, height = hand.box
    side = (TURNED_SCALE if turned else UPRIGHT_SCALE) * max(width, height)
    return large_enough(Region(x + width / 2, y + height / 2, side, side, 0.0, hand.score))


def same_box(hand: HandBox, uv: FloatArray) -> bool:
    """Whether a detected box shows the hand with these joints, (21, 2) px."""
    return iou(hand.box, joints_box(uv)) > _SAME_HAND


def _inside(crop: Crop) -> tuple[int, int, int, int]:
    """The pixels of the image that a window shows: x0, y0, and the ends x1, y1."""
    (height, width), region = crop.image.shape[:2], crop.region
    x0, x1 = region.cx - region.width / 2, region.cx + region.width / 2
    y0, y1 = region.cy - region.height / 2, region.cy + region.height / 2
    return (
        max(round(x0), 0),
        max(round(y0), 0),
        min(round(x1), width),
        min(round(y1), height),
    )
