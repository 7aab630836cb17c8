"""Variants of a clip that do not change whose hands are in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vitpose_ros.bench.real.scene import RealHand, RealImage
from vitpose_ros.types import Side

Look = Callable[[RealImage], RealImage]

DIM, BLUR_PX, SMALL = 0.5, 2.0, 0.5


def mirrored(seen: RealImage) -> RealImage:
    """The mirror image: a left hand is a right one."""
    width = seen.image.shape[1]
    other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}

    def turned(hand: RealHand) -> RealHand:
        uv = np.stack((width - 1 - hand.uv[:, 0], hand.uv[:, 1]), axis=1)
        return replace(hand, side=other[hand.side], uv=uv)

    unknown = tuple((width - 1 - x, y, radius) for x, y, radius in seen.unknown)
    hands = tuple(map(turned, seen.hands))
    return RealImage(np.ascontiguousarray(seen.image[:, ::-1]), hands, unknown)


def dimmed(seen: RealImage) -> RealImage:
    """Half as bright."""
    return replace(seen, image=np.asarray(cv2.convertScaleAbs(seen.image, alpha=DIM)))


def blurred(seen: RealImage) -> RealImage:
    """Out of focus."""
    return replace(seen, image=np.asarray(cv2.GaussianBlur(seen.image, (0, 0), BLUR_PX)))


def smaller(seen: RealImage) -> RealImage:
    """Half as large."""
    image = cv2.resize(seen.image, None, fx=SMALL, fy=SMALL, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]

    def shrunk(hand: RealHand) -> RealHand:
        uv = ((hand.uv + 0.5) * SMALL - 0.5).astype(np.float32)
        return replace(hand, uv=uv, width=width, height=height)

    unknown = tuple((SMALL * x, SMALL * y, SMALL * radius) for x, y, radius in seen.unknown)
    return RealImage(np.asarray(image, np.uint8), tuple(map(shrunk, seen.hands)), unknown)


@dataclass(frozen=True)
class Variant:
    """A variant of a clip.

    Attributes
    ----------
    name : for tables.
    look : applied to each image, if given.
    step : 1 for every image, 2 for every second one; -1 for all of them in reverse.
    start : share of the clip to skip at its beginning.
    """

    name: str
    look: Look | None = None
    step: int = 1
    start: float = 0.0

    def __call__(self, clip: Sequence[RealImage]) -> Iterator[tuple[int, RealImage]]:
        """Its images, each with its distance from the first one, in images of the clip."""
        numbers = range(round(self.start * len(clip)), len(clip))[:: self.step]
        for i in numbers:
            yield abs(i - numbers[0]), clip[i] if self.look is None else self.look(clip[i])


VARIANTS = (
    Variant("as filmed"),
    Variant("mirrored", mirrored),
    Variant("reversed", step=-1),
    Variant("mirrored, reversed", mirrored, step=-1),
    Variant("every 2nd", step=2),
    Variant("every 3rd", step=3),
    Variant("mirrored, every 2nd", mirrored, step=2),
    Variant("half as bright", dimmed),
    Variant("blurred", blurred),
    Variant("smaller", smaller),
    Variant("from the middle", start=0.5),
    Variant("mirrored, from a third", mirrored, start=1 / 3),
)
