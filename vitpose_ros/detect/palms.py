"""MediaPipe's palm detector: from windows of images to palms, and from a palm to the hand's region.

Constants are those of MediaPipe's graphs palm_detection_cpu and palm_detection_detection_to_roi.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.grey import TINTS, looks_grey, tint
from vitpose_ros.detect.ssd import SUPPRESSION_IOU, Detection, SsdDetector, SsdRecipe
from vitpose_ros.engines.base import Engine
from vitpose_ros.geometry import grow_square, iou, known_median, upright_rotation
from vitpose_ros.hand_geometry import large_enough, palm_size
from vitpose_ros.types import Crop, FloatArray, Region

INPUT_PX = 192
POINTS = 7
"""Points of a palm: the hand joints 0, 5, 9, 13, 17, 1, 2 (wrist, finger roots, thumb)."""

_RECIPE = SsdRecipe("palm", INPUT_PX, (8, 16, 16, 16), POINTS, signed=False)

Palm = Detection
"""A palm in an image; its points are those of `POINTS`."""

_SCALE, _SHIFT_Y = 2.6, -0.5
_WRIST_POINT, _MIDDLE_POINT = 0, 2
_JOINTS = [0, 5, 9, 13, 17, 1, 2]  # the hand joint of each point
_SAME_PALM = 0.4  # palm sizes
_EDGE = 0.01  # of a window: a palm this close to an inner edge is truncated


def anchors() -> npt.NDArray[np.float32]:
    """(2016, 2) anchor centres, x and y as fractions of the input, in the order of the outputs."""
    return _RECIPE.anchors()


class PalmDetector(SsdDetector):
    """Finds palms in square windows of images.

    Parameters
    ----------
    engine : runs the network: one input (N, 192, 192, 3), outputs (N, 2016, 18) and (N, 2016, 1).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name, _RECIPE)

    def __call__(self, crops: Sequence[Crop], threshold: float) -> list[list[Palm]]:
        """Find palms in windows of one or several images; see `SsdDetector.search`.

        Each window of a grey image is searched in every tint of `detect.grey`.
        """
        is_grey = {id(crop.image): looks_grey(crop.image) for crop in crops}
        grey = [i for i, crop in enumerate(crops) if is_grey[id(crop.image)]]
        if not grey:
            return self.search(crops, threshold)
        tints = [(i, shades) for shades in TINTS for i in grey]
        rows = [*grey, *range(len(crops), len(crops) + len(tints) - len(grey))]

        def colour(tensor: npt.NDArray[np.float32]) -> None:
            for row, (_, shades) in zip(rows, tints, strict=True):
                tint(tensor[row], shades)

        again = [crops[i] for i, _ in tints[len(grey) :]]
        found = self.search([*crops, *again], threshold, colour)
        palms = found[: len(crops)]
        for row, (i, _) in list(zip(rows, tints, strict=True))[len(grey) :]:
            palms[i] = _each_once([*palms[i], *found[row]])
        return palms


def _each_once(palms: Sequence[Palm]) -> list[Palm]:
    """Of overlapping palms, keep the one with the best score; best first."""
    kept: list[Palm] = []
    for palm in sorted(palms, key=lambda palm: -palm.score):
        if all(iou(palm.box, other.box) <= SUPPRESSION_IOU for other in kept):
            kept.append(palm)
    return kept


def palm_region(palm: Palm) -> Region | None:
    """The region of the hand that a palm belongs to; None if it is too small to read."""
    x, y, width, height = palm.box
    if not np.isfinite(palm.points).all() or not min(width, height) > 0:
        return None
    rotation = upright_rotation(palm.points[_WRIST_POINT], palm.points[_MIDDLE_POINT])
    region = Region(x + width / 2, y + height / 2, width, height, rotation, palm.score)
    return large_enough(grow_square(region, _SCALE, _SHIFT_Y))


def same_palm(palm: Palm, uv: FloatArray) -> bool:
    """Whether a detected palm belongs to a hand with these joints, (21, 2) px.

    Comparing regions does not work: a palm's region is smaller than that of the hand's joints.
    """
    apart = np.linalg.norm(palm.points - uv[_JOINTS], axis=1)
    return bool(known_median(apart) < _SAME_PALM * palm_size(uv))


def whole_in_window(palm: Palm, window: Region, width: int, height: int) -> bool:
    """Whether a palm does not touch the edges of its window, except at the edges of the image.

    Truncated palms are measured wrongly; an overlapping window shows them completely.
    """
    x, y, w, h = palm.box
    left, top = window.cx - window.width / 2, window.cy - window.height / 2
    right, bottom = left + window.width, top + window.height
    margin = _EDGE * window.width
    return (
        (x > left + margin or left <= 0)
        and (y > top + margin or top <= 0)
        and (x + w < right - margin or right >= width)
        and (y + h < bottom - margin or bottom >= height)
    )
