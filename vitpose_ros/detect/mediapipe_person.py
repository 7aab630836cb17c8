"""MediaPipe's person detector: from an image to persons with a circle around the body.

Constants are those of MediaPipe's graphs pose_detection_cpu and pose_detection_to_roi. The network
detects faces, and points of the bodies they belong to; its boxes are those of the faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vitpose_ros.detect.persons import MIN_IMAGE_PX, person_regions
from vitpose_ros.detect.ssd import Detection, SsdDetector, SsdRecipe
from vitpose_ros.engines.base import Engine
from vitpose_ros.geometry import letterbox_region, upright_rotation
from vitpose_ros.types import NO_ID, ByteArray, Crop, Region

INPUT_PX = 224
POINTS = 4
"""Points of a person: mid-hip; a point on the circle around the whole body, straight up from there;
mid-shoulder; a point on the circle around the upper body."""

_RECIPE = SsdRecipe("person", INPUT_PX, (8, 16, 32, 32, 32), POINTS, signed=True)
_HIPS, _CIRCLE = 0, 1
_BODY_SCALE = 1.25
_SAME_BODY = 0.5
_BOX_ASPECT = 0.75  # width over height of a body inside its circle


class MediaPipePersonDetector(SsdDetector):
    """Finds persons by their faces, if they are near enough to fill a good part of the image.

    Parameters
    ----------
    engine : runs the network: one input (N, 224, 224, 3), outputs (N, 2254, 12) and (N, 2254, 1).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name, _RECIPE)

    def __call__(self, image: ByteArray, threshold: float) -> list[Region]:
        """Find persons; see `detect.persons.PersonDetector`.

        The network has no output for the body's box. The region is the upright box around a 3:4
        rectangle that fits in the body's circle and is rotated like the body.
        """
        height, width = image.shape[:2]
        found = self.body_regions(image, threshold)
        corners = np.array([_corners(region) for region in found]).reshape(-1, 4)
        scores = np.array([region.score for region in found])
        return person_regions(corners, scores, width, height)

    def detect(self, image: ByteArray, threshold: float) -> list[Detection]:
        """Find persons with their points.

        Parameters
        ----------
        image : (H, W, 3) uint8, BGR.
        threshold : minimum score.

        Returns
        -------
        Persons, best first, each with the points of `POINTS`; empty if a side of the image is
        shorter than MIN_IMAGE_PX.
        """
        height, width = image.shape[:2]
        if min(width, height) < MIN_IMAGE_PX:
            return []
        return self.search([Crop(image, letterbox_region(width, height))], threshold)[0]

    def body_regions(self, image: ByteArray, threshold: float) -> list[Region]:
        """The rotated squares in which MediaPipe's body network reads the joints.

        Parameters
        ----------
        image, threshold : see `detect`.

        Returns
        -------
        Best first. If the centres of circles are closer than half the smaller radius, only the best
        is kept: suppression compares faces, so a body may have been detected twice.
        """
        regions: list[Region] = []
        for detection in self.detect(image, threshold):
            region = aligned_region(detection.points, detection.score)
            if region is not None and all(_apart(region, other) for other in regions):
                regions.append(region)
        return regions


def aligned_region(
    points: Sequence[Sequence[float]] | np.ndarray, score: float, track_id: int = NO_ID
) -> Region | None:
    """The rotated square around the body's circle, enlarged by a quarter.

    Source: MediaPipe's AlignmentPointsRectsCalculator and RectTransformationCalculator.

    Parameters
    ----------
    points : the circle's centre, and the point on it in the body's upward direction, px.
    score, track_id : of the region.

    Returns
    -------
    The region; None if the points are not finite, or coincide.
    """
    (x0, y0), (x1, y1) = points[_HIPS], points[_CIRCLE]
    radius = math.dist((x0, y0), (x1, y1))
    if not (math.isfinite(radius) and radius > 0):
        return None
    side = 2 * radius * _BODY_SCALE
    rotation = upright_rotation((x0, y0), (x1, y1))
    return Region(float(x0), float(y0), side, side, rotation, score, track_id)


def box_region(region: Region) -> Region:
    """The square in which MediaPipe's body network reads a body in the box of another detector:
    around its centre, a quarter larger than its long side, not rotated.

    MediaPipe has no rule for this. This one suits people who stand or sit; for the next image, the
    network itself provides the region.
    """
    side = _BODY_SCALE * max(region.width, region.height)
    return Region(region.cx, region.cy, side, side, 0.0, region.score, region.track_id)


def _corners(region: Region) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the upright box around a body inside its circle, px."""
    half_h = region.height / _BODY_SCALE / 2
    half_w = half_h * _BOX_ASPECT
    cos, sin = abs(math.cos(region.rotation_rad)), abs(math.sin(region.rotation_rad))
    x, y = cos * half_w + sin * half_h, sin * half_w + cos * half_h
    return region.cx - x, region.cy - y, region.cx + x, region.cy + y


def _apart(a: Region, b: Region) -> bool:
    radius = min(a.width, b.width) / _BODY_SCALE / 2
    return math.dist((a.cx, a.cy), (b.cx, b.cy)) >= _SAME_BODY * radius
