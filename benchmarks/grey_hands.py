"""Hands found on real photographs: in colour, in grey as they are, and in grey with the tint.

The default pipeline finds the hands of each photograph in colour, each image by itself. Windows are
cut around each hand (seeded; two to six palm lengths wide, the hand anywhere near the middle), so
that a photograph counts several times. In each window the pipeline looks for hands in colour, in
grey (luma in all three channels) with the tint of `detect.grey` switched off, and in grey as the
package does it. A hand is found when the median joint lies within half a palm length of the one
found in the whole photograph. Shares are of the windows; 'test' sets had no part in the choice of
the tint.

The photographs are those of the tests: the folder VITPOSE_ROS_TEST_DATA, else ../shared/data beside
the checkout. They are not part of the package.

JSON: colour, grey_before, grey_after: shares over all test windows, 0 .. 1; tuned: the same for
those with which the tint was chosen; sets: the same and the number of windows for each set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from common import machine, parser, report, write_json

from vitpose_ros.factory import load_pipeline
from vitpose_ros.hand_geometry import palm_size
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import ByteArray, FloatArray, Frame

TUNED = {
    "film, first half": [f"real/forearm.mp4#{n}" for n in range(0, 155, 12)],
    "onehand10k_784": ["onehand10k_784.jpg"],
    "ego_aea": [f"real/ego_aea_{n}.jpg" for n in range(3)],
    "people_demo": ["people_demo.jpg"],
}
TEST = {
    "film, second half": [f"real/forearm.mp4#{n}" for n in range(155, 310, 12)],
    "onehand10k_9": ["onehand10k_9.jpg"],
    "ego_adt": [f"real/ego_adt_{n}.jpg" for n in range(3)],
    "ego_gen2": [f"real/ego_gen2_{n}.jpg" for n in range(3)],
    "COCO 785": ["000000000785.jpg"],
}
WINDOWS = {"film, first half": 2, "film, second half": 2}  # per hand; else MORE_WINDOWS
MORE_WINDOWS = 12
FOUND_PALMS = 0.5


@dataclass
class Shares:
    """Windows of a set, and in how many of them the hand was found."""

    windows: int = 0
    found: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("colour", "grey_before", "grey_after"), 0)
    )

    def figures(self) -> dict[str, float]:
        """Shares by kind, and the number of windows."""
        shares = {kind: count / max(1, self.windows) for kind, count in self.found.items()}
        return {**shares, "windows": self.windows}


def read(folder: Path, name: str) -> ByteArray:
    """A photograph, or an image of a film by its number behind '#'."""
    file, _, number = name.partition("#")
    if not number:
        image = cv2.imread(str(folder / file))
    else:
        film = cv2.VideoCapture(str(folder / file))
        for _ in range(int(number) + 1):
            _, image = film.read()
    if image is None:
        raise SystemExit(f"no image {folder / name}; set VITPOSE_ROS_TEST_DATA to the folder")
    return np.asarray(image, np.uint8)


def hands(pipeline: Pipeline, image: ByteArray) -> list[FloatArray]:
    """The joints of each hand in an image, px."""
    found = pipeline(Frame(np.ascontiguousarray(image), 1)).instances
    return [instance.keypoints.uv for instance in found]


def windows(
    uv: FloatArray, image: ByteArray, count: int, rng: np.random.Generator
) -> Iterator[tuple[ByteArray, FloatArray]]:
    """Parts of an image around a hand, and the hand's joints there."""
    height, width = image.shape[:2]
    middle, palm = np.nanmean(uv, axis=0), palm_size(uv)
    for _ in range(count):
        side = palm * rng.uniform(2.5, 7.0)
        x0, y0 = middle + rng.uniform(-0.2, 0.2, 2) * side - side / 2
        left, top = round(max(0.0, x0)), round(max(0.0, y0))
        right, bottom = round(min(width, x0 + side)), round(min(height, y0 + side))
        yield image[top:bottom, left:right], uv - (left, top)


def sees(pipeline: Pipeline, image: ByteArray, uv: FloatArray) -> bool:
    """Whether the pipeline finds that hand."""
    near = FOUND_PALMS * palm_size(uv)
    return any(
        np.nanmedian(np.linalg.norm(found - uv, axis=1)) < near for found in hands(pipeline, image)
    )


def measure(folder: Path, sets: dict[str, list[str]], pipeline: Pipeline) -> dict[str, Shares]:
    """The shares of each set."""
    rng = np.random.default_rng(5)
    result = {}
    for name, files in sets.items():
        shares = result[name] = Shares()
        for file in files:
            image = read(folder, file)
            for uv in hands(pipeline, image):
                count = WINDOWS.get(name, MORE_WINDOWS)
                for window, joints in windows(uv, image, count, rng):
                    grey = cv2.cvtColor(
                        cv2.cvtColor(window, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR
                    )
                    shares.windows += 1
                    shares.found["colour"] += sees(pipeline, window, joints)
                    with mock.patch("vitpose_ros.detect.palms.looks_grey", return_value=False):
                        shares.found["grey_before"] += sees(pipeline, np.asarray(grey), joints)
                    shares.found["grey_after"] += sees(pipeline, np.asarray(grey), joints)
    return result


def together(sets: dict[str, Shares]) -> Shares:
    """All windows of several sets."""
    total = Shares(sum(one.windows for one in sets.values()))
    for kind in total.found:
        total.found[kind] = sum(one.found[kind] for one in sets.values())
    return total


def main() -> None:
    """Measure, show, and write."""
    arguments = parser(__doc__).parse_args()
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VITPOSE_ROS_TEST_DATA", beside))
    settings = Settings(hands=HandSettings(static=True, max_hands=16))
    pipeline = load_pipeline(ModelStore(), settings=settings)
    tuned, test = (measure(folder, sets, pipeline) for sets in (TUNED, TEST))
    rows = {
        **{f"tuned: {name}": shares for name, shares in tuned.items()},
        "tuned, together": together(tuned),
        **{f"test: {name}": shares for name, shares in test.items()},
        "test, together": together(test),
    }
    report(
        f"hands found on real photographs, share of the windows ({machine()})",
        ("", "windows", "colour", "grey, no tint", "grey"),
        [
            (name, figures["windows"], *list(figures.values())[:3])
            for name, figures in ((name, shares.figures()) for name, shares in rows.items())
        ],
    )
    write_json(
        arguments.json,
        {
            **together(test).figures(),
            "tuned": together(tuned).figures(),
            "sets": {name: shares.figures() for name, shares in rows.items()},
        },
    )


if __name__ == "__main__":
    main()
