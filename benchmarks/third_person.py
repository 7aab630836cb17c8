"""Hands of people of whom no more is in view, in third person: with the hand detector, and without.

Real photographs (VITPOSE_ROS_TEST_DATA or ../shared/data), each shown for a second at 30 Hz, and
mirrored. Hands were marked by eye or by the data's annotators.

- cut off: windows of photographs in which only hands and arms of a person are left; one shows a
  whole person beside the hand of another; and first-person photographs.
- complete: photographs of whole persons, as they are, half and twice as large, and dark.

A true hand is found if a published hand's middle lies on it in the last image. A published hand on
no true one is false. With and without the detector, images take turns, so that other load on the
machine affects both alike; the cost is that of complete photographs.

JSON: per part {hands, found, found_without, false, false_without}; time_ratio, of the means.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from _mediapipe_peer import data_folder
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_networks
from vitpose_ros.geometry import known_median
from vitpose_ros.layouts import HAND21
from vitpose_ros.measure import Networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.types import ByteArray, Frame

RATE_HZ, IMAGES, WARM_UP = 30, 30, 3
SHORT_SIDE_PX = 480  # of windows, after enlarging

Circle = tuple[float, float, float]

PLAYERS, SKIER, FACE, CLOSE = (
    "people_demo.jpg",
    "000000000785.jpg",
    "onehand10k_9.jpg",
    "onehand10k_784.jpg",
)
HANDS: dict[str, tuple[Circle, ...]] = {
    PLAYERS: (
        (75, 165, 45),
        (497, 362, 35),
        (560, 220, 32),
        (625, 208, 25),
        (768, 297, 40),
        (828, 360, 45),
    ),
    SKIER: ((294, 186, 25),),
    FACE: ((112, 180, 80),),
    CLOSE: ((240, 500, 200),),
    "real/ego_aea_0.jpg": ((710, 1260, 130),),
    "real/ego_aea_1.jpg": ((893, 1269, 130),),
    "real/ego_aea_2.jpg": ((1035, 1295, 130),),
    "real/ego_gen2_0.jpg": ((945, 1364, 180), (1842, 719, 150)),
    "real/ego_gen2_1.jpg": ((1042, 1206, 180), (1851, 755, 150)),
    "real/ego_gen2_2.jpg": ((1077, 1106, 180), (1760, 838, 150)),
}
"""(x, y, radius) px of each hand in a photograph."""

WINDOWS: tuple[tuple[str, tuple[int, int, int, int] | None], ...] = (
    (PLAYERS, (20, 110, 180, 120)),
    (PLAYERS, (400, 290, 140, 130)),
    (PLAYERS, (715, 240, 150, 160)),
    (PLAYERS, (505, 165, 120, 110)),
    (PLAYERS, (0, 0, 805, 641)),
    (FACE, (50, 95, 140, 263)),
    *((name, None) for name in HANDS if name not in (PLAYERS, SKIER, FACE)),
)
"""(x, y, width, height) px; None for the whole photograph."""

COMPLETE = (PLAYERS, SKIER, FACE)


@dataclass(frozen=True)
class Shown:
    """An image with its true hands, (x, y, radius) px each."""

    image: ByteArray
    hands: tuple[Circle, ...]

    def scaled(self, scale: float) -> Shown:
        """The same, larger by a factor."""
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(self.image, None, fx=scale, fy=scale, interpolation=how)
        hands = tuple((scale * x, scale * y, scale * r) for x, y, r in self.hands)
        return Shown(np.asarray(image, np.uint8), hands)

    def mirrored(self) -> Shown:
        """The same, mirrored."""
        width = self.image.shape[1]
        hands = tuple((width - 1 - x, y, r) for x, y, r in self.hands)
        return Shown(np.ascontiguousarray(self.image[:, ::-1]), hands)


def photograph(name: str, window: tuple[int, int, int, int] | None = None) -> Shown | None:
    """Return a photograph or a window of it; None where it is missing."""
    image = cv2.imread(str(data_folder() / name))
    if image is None:
        return None
    height, width = image.shape[:2]
    x0, y0, w, h = window or (0, 0, width, height)
    hands = [(x - x0, y - y0, r) for x, y, r in HANDS[name]]
    inside = tuple((x, y, r) for x, y, r in hands if 0 <= x < w and 0 <= y < h)
    return Shown(np.asarray(image[y0 : y0 + h, x0 : x0 + w], np.uint8), inside)


def cut_off() -> Iterator[Shown]:
    """Yield what shows only hands and arms of a person."""
    for name, window in WINDOWS:
        shown = photograph(name, window)
        if shown is not None:
            enlarged = shown.scaled(max(SHORT_SIDE_PX / min(shown.image.shape[:2]), 1.0))
            yield from (enlarged, enlarged.mirrored())


def complete() -> Iterator[Shown]:
    """Yield photographs of whole persons."""
    for name in COMPLETE:
        shown = photograph(name)
        if shown is None:
            continue
        dark = replace(shown, image=(0.4 * shown.image).astype(np.uint8))
        for variant in (shown, shown.scaled(0.5), shown.scaled(2.0), dark):
            yield from (variant, variant.mirrored())


@dataclass
class Count:
    """Counts over images, and the time of those after the first WARM_UP."""

    hands: int = 0
    found: int = 0
    false: int = 0
    time_s: float = 0.0
    images: int = 0


def show(networks: Sequence[Networks], shown: Shown, counts: Sequence[Count]) -> None:
    """Show an image for a second to a pipeline of each set of networks, in turns."""
    pipelines = [Pipeline(each, view="third_person") for each in networks]
    for i in range(IMAGES):
        frame = Frame(shown.image, 10**18 + round(i * 1e9 / RATE_HZ))
        for pipeline, count in zip(pipelines, counts, strict=True):
            begun_s = time.perf_counter()
            result = pipeline(frame)
            if i >= WARM_UP:
                count.time_s += time.perf_counter() - begun_s
                count.images += 1
            if i < IMAGES - 1:
                continue
            hands = [h for h in result.instances if h.layout is HAND21 and not h.is_lost]
            middles = [known_median(hand.raw.uv.T) for hand in hands]
            on = [
                {n for n, (x, y, r) in enumerate(shown.hands) if np.hypot(u - x, v - y) <= r}
                for u, v in middles
            ]
            count.hands += len(shown.hands)
            count.found += len(set().union(*on))
            count.false += sum(not each for each in on)


def main() -> None:
    """Measure, print the table, write the figures."""
    options = parser(__doc__).parse_args()
    try:
        networks = load_networks(ModelStore(), view="third_person", threads=1)
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    both = networks, replace(networks, hand_detector=None)
    figures: dict[str, object] = {}
    rows = []
    for part, images in (("cut off", cut_off()), ("complete", complete())):
        counts = Count(), Count()
        for shown in images:
            show(both, shown, counts)
        new, old = counts
        if not new.images:
            raise SystemExit(f"{data_folder()} has no photographs; set VITPOSE_ROS_TEST_DATA")
        row = {
            "hands": new.hands,
            "found": new.found,
            "found_without": old.found,
            "false": new.false,
            "false_without": old.false,
        }
        figures[part] = row
        times = [1e3 * count.time_s / count.images for count in counts]
        figures["time_ratio"] = times[0] / times[1]
        rows.append([part, *row.values(), *times, figures["time_ratio"]])
    columns = ("", "hands", "found", "without", "false", "without", "ms", "without", "ratio")
    report(f"Hands in third person, with the detector and without ({machine()})", columns, rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
