"""First-person photographs as they are: a window wanders over them, so that hands leave and return.

Each row of photographs was taken within half a second. They are shown to and fro, each one for a
while, since so few images are no clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.real.material import JointsReader
from vitpose_ros.bench.real.scene import HEIGHT, RATE_HZ, WIDTH, RealHand, RealImage
from vitpose_ros.types import ByteArray, FloatArray, Side

SHOWN_S = 0.5
"""For how long each photograph is shown at a time."""

Circle = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """Photographs of one row, and what was seen in them by eye.

    Attributes
    ----------
    name : without number and suffix.
    hands : for each photograph, a point (x, y) on each hand, px, in an order that stays; None for
        one that is not in it. Its joints are what the hand model reads there.
    sides : of these hands.
    unknown : (x, y, radius) px: hands that the models hardly read, in gloves.
    middle, width : of the windows, on average; px.
    wander : how far windows go to each side, px.
    """

    name: str
    hands: tuple[tuple[tuple[float, float] | None, ...], ...]
    sides: tuple[Side, ...]
    unknown: tuple[Circle, ...]
    middle: tuple[float, float]
    width: float
    wander: tuple[float, float]


ROWS = {
    "tune": (
        Row(
            "ego_aea",
            (((710, 1260),), ((893, 1269),), ((1035, 1295),), *[(None,)] * 5),
            (Side.LEFT,),
            (),
            (760, 1080),
            880,
            (260, 120),
        ),
    ),
    "report": (
        Row(
            "ego_adt",
            ((), (), ()),
            (),
            ((550, 1060, 170), (1160, 1090, 190)),  # in gloves; between them only salad servers
            (860, 1050),
            920,
            (150, 90),
        ),
        Row(
            "ego_gen2",
            (
                ((945, 1364), (1842, 719)),
                ((1042, 1206), (1851, 755)),
                ((1077, 1106), (1760, 838)),
            ),
            (Side.LEFT, Side.RIGHT),
            (),
            (1330, 980),
            1240,
            (420, 160),
        ),
    ),
}
"""By the name of the part, as `material.PARTS`."""


class WindowScene:
    """A window over a row of photographs.

    Parameters
    ----------
    folder : of the photographs.
    row : which ones.
    read : reads all hands of a photograph; see `material.JointsReader`.
    seed : for the window's way.

    Raises
    ------
    BenchError : a photograph is missing, or the hand model does not find a hand where it is.
    """

    def __init__(self, folder: Path, row: Row, read: JointsReader, seed: int) -> None:
        self._row = row
        self._images = [_photograph(folder / f"{row.name}_{i}.jpg") for i in range(len(row.hands))]
        self._joints = [
            _joints(image, places, read, f"{row.name}_{i}.jpg")
            for i, (image, places) in enumerate(zip(self._images, row.hands, strict=True))
        ]
        rng = np.random.default_rng(seed)
        self._hertz, self._phase = rng.uniform(0.1, 0.4, 3), rng.uniform(0, 2 * np.pi, 3)

    def __len__(self) -> int:
        return round(max(4 * len(self._images) - 4, 8) * SHOWN_S * RATE_HZ)

    def render(self, number: int) -> RealImage:
        """Image `number` of the scene."""
        count, row = len(self._images), self._row
        at = int(number / RATE_HZ / SHOWN_S) % (2 * count - 2)
        at = min(at, 2 * count - 2 - at)
        image = self._images[at]
        wave = np.sin(2 * np.pi * self._hertz * number / RATE_HZ + self._phase)
        width = row.width * (1 + 0.1 * wave[2])
        zoom = WIDTH / width
        size = np.array((width, HEIGHT / zoom))
        corner = np.asarray(row.middle) + wave[:2] * row.wander - size / 2
        corner = np.clip(corner, 0, np.array((image.shape[1], image.shape[0])) - size)
        matrix = np.hstack((np.eye(2) * zoom, (-zoom * corner)[:, None]))
        seen = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        shown = []
        for side, uv in zip(row.sides, self._joints[at], strict=True):
            far = np.full((21, 2), -1e4, np.float32)  # not in this photograph
            moved = far if uv is None else ((uv - corner) * zoom).astype(np.float32)
            shown.append(RealHand(side, moved, np.zeros(21, np.bool_), WIDTH, HEIGHT))
        unknown = tuple(
            (float((x - corner[0]) * zoom), float((y - corner[1]) * zoom), r * zoom)
            for x, y, r in row.unknown
        )
        return RealImage(np.asarray(seen, np.uint8), tuple(shown), unknown)


def _photograph(path: Path) -> ByteArray:
    image = cv2.imread(str(path))
    if image is None:
        raise BenchError(f"{path} is missing, or not an image")
    return np.asarray(image, np.uint8)


def _joints(
    image: ByteArray,
    places: Sequence[tuple[float, float] | None],
    read: JointsReader,
    name: str,
) -> list[FloatArray | None]:
    """The joints of the hand at each place; None where there is none."""
    found = read(image) if any(places) else []
    joints: list[FloatArray | None] = []
    for place in places:
        if place is None:
            joints.append(None)
            continue
        near = min(found, key=lambda uv: _distance(uv, place), default=None)
        if near is None or _distance(near, place) > np.ptp(near, axis=0).max():
            raise BenchError(f"{name}: the hand model finds no hand at {place}")
        joints.append(near)
    return joints


def _distance(uv: FloatArray, place: tuple[float, float]) -> float:
    return float(np.linalg.norm(np.median(uv, axis=0) - place))
