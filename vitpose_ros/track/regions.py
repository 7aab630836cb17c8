"""The crops of tracks, smoothed over time: a trembling crop makes joints tremble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.filters import OneEuro
from vitpose_ros.types import Region

_MIN_CUTOFF_HZ, _BETA, _D_CUTOFF_HZ = 0.6, 1.5, 3.0


class SteadyRegions:
    """A One-Euro filter over the regions of tracks.

    It filters three points: the centre, and the middles of two adjacent sides relative to it. Size
    and rotation then need neither logarithms nor unwrapping, and all speeds are in object sizes.
    """

    def __init__(self) -> None:
        self._filter = OneEuro(_MIN_CUTOFF_HZ, _BETA, _D_CUTOFF_HZ)
        self._ids: list[int] = []

    def __call__(
        self,
        stamp_ns: int,
        ids: Sequence[int],
        regions: Sequence[Region],
        sizes: Sequence[float],
    ) -> list[Region]:
        """The regions of an image, smoothed, with the ids of their tracks.

        Parameters
        ----------
        stamp_ns : of the image.
        ids : of the tracks; new ones begin, missing ones end.
        regions, sizes : of the objects, px.
        """
        ids = list(ids)
        if ids != self._ids:
            rows = [self._ids.index(i) if i in self._ids else -1 for i in ids]
            self._filter.take(np.array(rows, np.intp))
            self._ids = ids
        if not regions:
            return []
        points = np.array([_points(region) for region in regions])
        every = np.ones(points.shape[:2], bool)
        scale = np.maximum(np.asarray(sizes, float), 1.0)
        steady = self._filter.step(points, every, stamp_ns * 1e-9, scale)
        found = zip(steady.tolist(), ids, regions, strict=True)
        return [_region(points, track_id, region) for points, track_id, region in found]


def _points(region: Region) -> list[tuple[float, float]]:
    cos, sin = math.cos(region.rotation_rad) / 2, math.sin(region.rotation_rad) / 2
    width, height = region.width, region.height
    return [(region.cx, region.cy), (cos * width, sin * width), (-sin * height, cos * height)]


def _region(points: list[list[float]], track_id: int, given: Region) -> Region:
    (cx, cy), (ax, ay), (bx, by) = points
    width, height = 2 * math.hypot(ax, ay), 2 * math.hypot(bx, by)
    if not (width > 0 and height > 0):  # it turned by half a circle in one step
        return replace(given, track_id=track_id)
    # The sides may no longer be exactly perpendicular: average both.
    rotation = math.atan2(ay - bx, ax + by)
    return Region(cx, cy, width, height, rotation, given.score, track_id)
