"""The search for small hands: which parts of an image to look at when the whole frame shows no
hand.

The palm detector sees 192x192 pixels. A hand of 100 px in an image of 1920 is 10 px there, and is
missed; in a square tile of 720 px it is 27 px. Tiles overlap, so that each hand lies whole in one
of them.
"""

from __future__ import annotations

import math
from functools import lru_cache

from vitpose_ros.detect.palms import INPUT_PX, Palm
from vitpose_ros.types import Region

_SIDES = (1.0, 2.0 / 3.0)  # of the image's short side
_OVERLAP = 1.0 / 3.0  # of a tile: the largest hand that lies whole in a tile wherever it is
_LOST_SIDE = 3.0  # of the lost hand's region
_LOST_LOOKS = 12  # at 30 images a second, 0.8 s of every other look
_EDGE = 0.01  # of a tile: a palm that comes this close to an inner edge is cut by it


@lru_cache(maxsize=8)
def tiles(width: int, height: int) -> tuple[Region, ...]:
    """Overlapping square tiles of an image of that size, px: large ones first, then smaller ones.

    Sides that bring nothing are left out: those of the whole frame, and those below the detector's
    own 192 px.
    """
    found = []
    for fraction in _SIDES:
        side = fraction * min(width, height)
        if side < INPUT_PX or side >= max(width, height):
            continue
        found += [
            Region(x + side / 2, y + side / 2, side, side)
            for y in _starts(height, side)
            for x in _starts(width, side)
        ]
    return tuple(found)


def _starts(length: int, side: float) -> list[float]:
    """Where tiles begin along a length, evenly spread, with at least the overlap."""
    steps = math.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-9)
    return (
        [step * (length - side) / steps for step in range(steps + 1)]
        if steps > 0
        else [(length - side) / 2]
    )


def whole_in_tile(palm: Palm, tile: Region, width: int, height: int) -> bool:
    """Whether a palm lies clear of those edges of its tile that are not the image's own.

    A palm that is cut is a wrong palm; an overlapping tile shows it whole.
    """
    x, y, w, h = palm.box
    left, top = tile.cx - tile.width / 2, tile.cy - tile.height / 2
    right, bottom = left + tile.width, top + tile.height
    margin = _EDGE * tile.width
    return (
        (x > left + margin or left <= 0)
        and (y > top + margin or top <= 0)
        and (x + w < right - margin or right >= width)
        and (y + h < bottom - margin or bottom >= height)
    )


class TileSearch:
    """Which tiles are next: all in turn, and every other look around a hand that was just lost."""

    def __init__(self) -> None:
        self._next = 0
        self._lost: list[tuple[Region, int]] = []

    def reset(self) -> None:
        """Forget lost hands and begin with the first tile."""
        self._next = 0
        self._lost.clear()

    def lost(self, region: Region) -> None:
        """A hand that was followed in this region has gone: look there first."""
        self._lost.append((region, _LOST_LOOKS))

    def next_tiles(self, width: int, height: int, count: int) -> list[Region]:
        """The next tiles to look at, at most `count`; fewer when the image has no more."""
        chosen: list[Region] = []
        if self._lost:
            region, looks = self._lost.pop(0)
            if looks > 1:
                self._lost.append((region, looks - 1))
            if looks % 2 == 0:
                chosen.append(_around(region, width, height))
        turn = tiles(width, height)
        for _ in range(min(count - len(chosen), len(turn))):
            chosen.append(turn[self._next % len(turn)])
            self._next += 1
        return chosen


def _around(region: Region, width: int, height: int) -> Region:
    """A square tile around a region, inside the image where that is large enough."""
    side = min(max(_LOST_SIDE * region.width, float(INPUT_PX)), float(min(width, height)))
    cx = min(max(region.cx, side / 2), width - side / 2)
    cy = min(max(region.cy, side / 2), height - side / 2)
    return Region(cx, cy, side, side)
