"""Where the hand detector looks: the whole image, and windows for small and very large hands.

MediaPipe's palm detector has an input of 192x192 pixels. A hand of 100 px in an image 1920 px wide
shrinks to 10 px, and is missed; in a square tile of 720 px it has 27 px. Tiles overlap, so that
each hand lies completely in one of them.

The detector also misses hands that fill the image, because it was trained on hands with
surroundings. A window larger than the image shows such a hand with a border.

The detector takes most of an image's time. While a hand is followed and none was just lost, the
whole image and the windows take turns: the search for a hand that may not be there costs half. In
third person the detector looks at intervals: `tracker.LOOK_S`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from vitpose_ros.geometry import letterbox_region
from vitpose_ros.types import Region

LOST_SEARCH_S, MOST_LOST = 1.0, 8
"""The surroundings of a lost hand are searched for this time; at most the latest MOST_LOST."""

_DETECTOR_PX = 192  # the palm detector's input: a smaller tile has no more detail

_SIDES = (1.0, 2.0 / 3.0)  # of the image's short side
_OVERLAP = 1.0 / 3.0  # of a tile: size of the largest hand that is complete in some tile anywhere
_WIDE = 2.0  # of the image's long side: leaves a border around a hand that fills the image
_LOST_SIDE = 3.0  # of the lost hand's region
_LOST_LOOKS = 12  # at 30 Hz, 0.8 s with a search every other image


@dataclass(frozen=True)
class _LostPlace:
    """Where and when a hand was lost, and how many searches of this place remain."""

    region: Region
    stamp_ns: int
    looks: int


@lru_cache(maxsize=8)
def tiles(width: int, height: int) -> tuple[Region, ...]:
    """Overlapping square tiles of an image of this size (px), large ones first, without tiles that
    are as large as the image or smaller than the detector's input.
    """
    found = []
    for fraction in _SIDES:
        side = fraction * min(width, height)
        if side < _DETECTOR_PX or side >= max(width, height):
            continue
        found += [
            Region(x + side / 2, y + side / 2, side, side)
            for y in _starts(height, side)
            for x in _starts(width, side)
        ]
    return tuple(found)


def search_windows(width: int, height: int) -> tuple[Region, ...]:
    """The windows to search in an image of this size (px) besides the whole: its tiles, and a
    square that is larger than the image.
    """
    side = _WIDE * max(width, height)
    return (*tiles(width, height), Region(width / 2, height / 2, side, side))


def _starts(length: int, side: float) -> list[float]:
    """Where tiles start along a length: evenly spaced, with at least the required overlap."""
    steps = math.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-9)
    return (
        [step * (length - side) / steps for step in range(steps + 1)]
        if steps > 0
        else [(length - side) / 2]
    )


class TileSearch:
    """Schedules the windows: all in rotation, and in every other search of them the surroundings of
    a hand that was just lost.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget lost hands and start with the first tile."""
        self._next = 0
        self._lost: list[_LostPlace] = []
        self._whole_was_last = False
        self._planned = self._next, self._lost, self._whole_was_last

    def lost(self, region: Region, stamp_ns: int) -> None:
        """Report that a tracked hand was lost in this region: search there first."""
        self._lost = [*self._lost, _LostPlace(region, stamp_ns, _LOST_LOOKS)][-MOST_LOST:]

    def windows(
        self, width: int, height: int, count: int, stamp_ns: int, followed: bool = False
    ) -> tuple[Region, ...]:
        """Where to look next. The answer does not change until `advance`.

        Parameters
        ----------
        width, height : of the image, px.
        count : the most windows besides the whole image.
        stamp_ns : the image's time.
        followed : whether a hand is followed: then the whole image and the windows take turns,
            unless a hand of no body was just lost.
        """
        self._lost = [one for one in self._lost if stamp_ns - one.stamp_ns <= LOST_SEARCH_S * 1e9]
        whole, in_turn = letterbox_region(width, height), followed and not self._lost
        if in_turn and not self._whole_was_last:
            self._planned = self._next, self._lost, True
            return (whole,)
        chosen: list[Region] = []
        lost, start = list(self._lost), self._next
        if lost:
            place = lost.pop(0)
            if place.looks > 1:
                lost.append(replace(place, looks=place.looks - 1))
            if place.looks % 2 == 0:
                chosen.append(_around(place.region, width, height))
        turn = search_windows(width, height)
        more = min(count - len(chosen), len(turn))
        chosen += [turn[(start + i) % len(turn)] for i in range(more)]
        self._planned = start + more, lost, not in_turn
        return tuple(chosen) if in_turn else (whole, *chosen)

    def advance(self) -> None:
        """Report that the windows returned last were searched."""
        self._next, self._lost, self._whole_was_last = self._planned


def _around(region: Region, width: int, height: int) -> Region:
    """A square tile around a region, inside the image if that is large enough."""
    side = min(max(_LOST_SIDE * region.width, float(_DETECTOR_PX)), float(min(width, height)))
    cx = min(max(region.cx, side / 2), width - side / 2)
    cy = min(max(region.cy, side / 2), height - side / 2)
    return Region(cx, cy, side, side)
