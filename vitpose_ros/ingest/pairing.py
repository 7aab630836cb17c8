"""Which images of several cameras belong together, by their stamps.

Pure Python: no ROS, no clock. message_filters' synchronizers wait for every topic. Here a camera
that is late delays the others by at most one image of the reference camera, and a silent one does
not delay them at all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

FIRST_PERIOD_NS = 33_333_333
"""The reference camera's period until two of its images tell it."""

STEPS = 9
"""The period is the median of this many steps, so that lost images do not count."""

ALIVE_PERIODS = 2.5
"""A camera may miss one image and is still waited for."""

KEPT = 4
"""Images of each other camera that can still be paired."""


@dataclass(frozen=True)
class Paired(Generic[Item]):
    """An image of the reference camera, and those of the other cameras from the same moment.

    Attributes
    ----------
    reference : the image.
    others : one for each other camera; None where none is near enough.
    apart_ns : for each other camera, its stamp minus the reference's; None where none is near.
    """

    reference: Item
    others: tuple[Item | None, ...]
    apart_ns: tuple[int | None, ...]


class Pairing(Generic[Item]):
    """Pairs the images of a reference camera with those of other cameras.

    An image of another camera fits if it has the same stamp, else if it is the nearest and within
    half a period of the reference camera. A reference image waits until every other camera that is
    alive has an image with this stamp or a later one, and never longer than the next reference
    image. A camera is alive if its last image is at most ALIVE_PERIODS older than the reference.
    Each image is used once.

    Parameters
    ----------
    others : number of other cameras.
    """

    def __init__(self, others: int) -> None:
        self._images: list[deque[tuple[int, Item]]] = [deque(maxlen=KEPT) for _ in range(others)]
        self._last_ns: list[int | None] = [None] * others
        self._waiting: tuple[int, Item] | None = None
        self._before_ns: int | None = None
        self._steps_ns: deque[int] = deque(maxlen=STEPS)
        self._period_ns = FIRST_PERIOD_NS

    def reference(self, stamp_ns: int, item: Item) -> list[Paired[Item]]:
        """Take an image of the reference camera.

        Returns what is ready now: the image that was still waiting, then this one.
        """
        ready = [] if self._waiting is None else [self._pair(*self._waiting)]
        self._waiting = None
        if self._before_ns is not None:
            step_ns = stamp_ns - self._before_ns
            if step_ns <= 0:  # time went back
                self._forget()
            else:
                self._steps_ns.append(step_ns)
                self._period_ns = sorted(self._steps_ns)[len(self._steps_ns) // 2]
        self._before_ns = stamp_ns
        if self._complete(stamp_ns):
            return [*ready, self._pair(stamp_ns, item)]
        self._waiting = stamp_ns, item
        return ready

    def other(self, number: int, stamp_ns: int, item: Item) -> list[Paired[Item]]:
        """Take an image of another camera. Returns the waiting image, if it is complete now."""
        last_ns = self._last_ns[number]
        if last_ns is not None and stamp_ns < last_ns:  # time went back
            self._images[number].clear()
        self._images[number].append((stamp_ns, item))
        self._last_ns[number] = stamp_ns
        if self._waiting is None or not self._complete(self._waiting[0]):
            return []
        stamp_ns, item = self._waiting
        self._waiting = None
        return [self._pair(stamp_ns, item)]

    def rest(self) -> list[Paired[Item]]:
        """At the end of a recording: the image that is still waiting."""
        waiting, self._waiting = self._waiting, None
        return [] if waiting is None else [self._pair(*waiting)]

    def _complete(self, stamp_ns: int) -> bool:
        for last_ns in self._last_ns:
            alive = last_ns is not None and stamp_ns - last_ns <= ALIVE_PERIODS * self._period_ns
            if alive and last_ns is not None and last_ns < stamp_ns:
                return False
        return True

    def _pair(self, stamp_ns: int, item: Item) -> Paired[Item]:
        chosen: list[Item | None] = []
        apart: list[int | None] = []
        for images in self._images:
            near = min(images, key=lambda one: abs(one[0] - stamp_ns), default=None)
            if near is None or 2 * abs(near[0] - stamp_ns) > self._period_ns:
                chosen.append(None)
                apart.append(None)
                continue
            while images and images[0][0] <= near[0]:
                images.popleft()
            chosen.append(near[1])
            apart.append(near[0] - stamp_ns)
        return Paired(item, tuple(chosen), tuple(apart))

    def _forget(self) -> None:
        for images in self._images:
            images.clear()
        self._last_ns = [None] * len(self._images)
