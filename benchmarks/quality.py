"""What the default thresholds of `vitpose_ros report` come from: a real hand, read by the package's
own networks, as it is and altered in ways whose effect is known. Needs ../shared/data/real (or
VITPOSE_ROS_TEST_DATA).

- The figures of the report on `forearm.mp4` as it is, with every second and third image, mirrored,
  darker, and blurred: none but blur may be flagged.
- The spread of bone lengths, from both real recordings, and with noise of a known size added to
  each joint.
- The blur of the hand's images, and with motion and defocus of a known size added.

JSON: `variants`, the report's figures and verdict by name; `bones`, spread by noise in palms;
`blur`, share of blurred hands and the median by kind and size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _mediapipe_peer import data_folder
from common import parser, report, write_json

from vitpose_ros.factory import load_networks
from vitpose_ros.measure import Networks
from vitpose_ros.models.store import ModelStore
from vitpose_ros.offline.files import VideoSource
from vitpose_ros.offline.recording import annotate
from vitpose_ros.offline.source import Losses, Shot
from vitpose_ros.parameters.file import load_parameters
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.quality.blur import hand_blur
from vitpose_ros.quality.hands import JOINTS, Hands, Images, hands_of
from vitpose_ros.quality.judge import judge
from vitpose_ros.quality.measure import BLURRED, Looked, measure
from vitpose_ros.quality.motion import bones, steps
from vitpose_ros.quality.thresholds import Thresholds
from vitpose_ros.types import ByteArray, Frame, Side

EVERY = 10
"""Blur is measured on every tenth image."""

PALM_M = 0.09

NOISE_PALMS = (0.0, 0.02, 0.05, 0.1)
MOTION_PALMS = (0.0, 0.04, 0.08, 0.12, 0.16, 0.25)
DEFOCUS_PALMS = (0.01, 0.02, 0.04)


class Frames:
    """Images in memory, as a recording."""

    def __init__(self, images: Sequence[ByteArray], stamps_ns: Sequence[int]) -> None:
        self._images, self._stamps = images, stamps_ns
        self.losses = Losses()
        self.expected: int | None = len(images)

    def __iter__(self) -> Iterator[Shot]:
        """Every image."""
        for number, (image, stamp_ns) in enumerate(zip(self._images, self._stamps, strict=True)):
            yield Shot(Frame(image, stamp_ns), stamp_ns, str(number))

    def close(self) -> None:
        """Nothing is held."""


def motion(image: ByteArray, length_px: float, angle_rad: float) -> ByteArray:
    """The image of a camera that moves by this while its shutter is open."""
    side = int(np.ceil(length_px)) | 1
    kernel, middle = np.zeros((side, side), np.float32), side // 2
    for along in np.linspace(-length_px / 2, length_px / 2, 8 * side):
        x, y = middle + along * np.cos(angle_rad), middle + along * np.sin(angle_rad)
        kernel[int(np.clip(round(y), 0, side - 1)), int(np.clip(round(x), 0, side - 1))] += 1
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def defocus(image: ByteArray, sigma_px: float) -> ByteArray:
    """A Gaussian blur."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.uint8)


def read(
    networks: Networks, images: Sequence[ByteArray], stamps_ns: Sequence[int]
) -> tuple[Images, Hands]:
    """What annotate finds."""
    parameters = load_parameters(None)

    def pipeline(settings: Settings) -> Pipeline:
        return Pipeline(networks, settings, parameters.view)

    found = annotate(Frames(images, stamps_ns), pipeline, parameters).images
    return (
        Images(
            np.array([one.stamp_ns for one in found], np.int64),
            np.array([one.reset for one in found], bool),
            np.array([one.size for one in found], np.float64),
        ),
        hands_of([one.instances for one in found]),
    )


def figures(seen: Images, hands: Hands, images: Sequence[ByteArray]) -> dict[str, Any]:
    """The report's figures of a variant."""
    blur = [
        hand_blur(images[image], uv) for image, uv in zip(hands.image, hands.uv, strict=True)
    ]
    looked = Looked(np.array(blur, np.float64), np.full(len(hands), np.nan))
    found = measure(seen, hands, looked)
    moved = steps(hands, seen)
    result = judge(found, Thresholds())
    checks = {(one["name"], one["hand"]): one["value"] for one in result["checks"]}
    (hand,) = result["judged"]
    return {
        "verdict": result["verdict"],
        "hand": hand,
        "coverage": checks["coverage", hand],
        "speed_palms_s": float(np.nanmax(moved.speed)),
        "joint_palms": float(np.nanmax(moved.apart)),
        "jumps": found["jumps"]["count"],
        "outliers": checks["outliers", None],
        "bone_spread": checks["bone_spread", None],
        "blurred": checks["blurred", None],
        "reasons": result["reasons"],
    }


def in_metres(path: Path) -> Hands:
    """MediaPipe's own joints of a real hand."""
    with np.load(path) as content:
        xyz = content["xyz_m"].astype(np.float64)
    count = len(xyz)
    flat = xyz[..., :2]
    return Hands(
        image=np.arange(count),
        side=np.full(count, Side.RIGHT, np.uint8),
        track=np.zeros(count, np.int64),
        measured=np.ones(count, bool),
        uv=flat,
        raw_uv=flat,
        raw_xyz=np.full((count, JOINTS, 3), np.nan),
        raw_shape=xyz,
        rejected=np.zeros(count, np.intp),
        palm_px=np.full(count, PALM_M),
    )


def noisy_spread(hands: Hands, noise_palms: float) -> float:
    """The spread of bones with noise added to each joint."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 1.0, hands.raw_shape.shape) * noise_palms * PALM_M
    found = bones(replace(hands, raw_shape=hands.raw_shape + noise))
    assert found is not None
    return found.spread


def blur_of(
    images: Sequence[ByteArray], hands: Hands, change: Callable[[ByteArray, float], ByteArray]
) -> dict[str, float]:
    """Blur of some hands after a change of their images; it is given the palm's size in px."""
    values = [
        hand_blur(change(images[hands.image[row]], hands.palm_px[row]), hands.uv[row])
        for row in range(0, len(hands), EVERY)
    ]
    return {
        "median": float(np.median(values)),
        "blurred": float(np.mean(np.array(values) > BLURRED)),
    }


def main() -> int:
    """Print the tables; 1 if an honest variant is flagged."""
    options = parser(__doc__).parse_args()
    folder = data_folder() / "real"
    video = folder / "forearm.mp4"
    if not video.is_file():
        print(f"no {video}: set VITPOSE_ROS_TEST_DATA to the folder of the test data")
        return 1
    shots = list(VideoSource(video, 50.0))
    images = [shot.frame.image for shot in shots]
    stamps = [shot.frame.stamp_ns for shot in shots]
    networks = load_networks(ModelStore())
    _, hands = read(networks, images, stamps)
    palm_px = float(np.median(hands.palm_px))
    variants: dict[str, tuple[list[ByteArray], list[int]]] = {
        "as it is": (images, stamps),
        "every 2nd image": (images[::2], stamps[::2]),
        "every 3rd image": (images[::3], stamps[::3]),
        "mirrored": ([np.ascontiguousarray(one[:, ::-1]) for one in images], stamps),
        "a third of the light": ([one // 3 for one in images], stamps),
        "motion blur, 0.16 palms": ([motion(one, 0.16 * palm_px, 0.0) for one in images], stamps),
    }
    found = {
        name: figures(*read(networks, *variant), variant[0]) for name, variant in variants.items()
    }
    columns = ("verdict", "hand", "coverage", "speed_palms_s", "joint_palms", "jumps", "outliers")
    report(
        f"Report on forearm.mp4 (real, palm {palm_px:.0f} px)",
        ["variant", *columns, "bone_spread", "blurred"],
        [
            [name, *(row[key] for key in (*columns, "bone_spread", "blurred"))]
            for name, row in found.items()
        ],
    )
    metres = in_metres(folder / "hand_joints.npz")
    spreads = {
        str(noise): [noisy_spread(hands, noise), noisy_spread(metres, noise)]
        for noise in NOISE_PALMS
    }
    report(
        "Spread of bone lengths, with noise on each joint",
        ["noise, palms", "forearm.mp4", "hand_joints.npz"],
        [[name, *row] for name, row in spreads.items()],
    )
    blurs = {
        f"motion {size:g}, {degrees} deg": blur_of(
            images,
            hands,
            lambda image, palm, size=size, degrees=degrees: (  # type: ignore[misc]
                motion(image, size * palm, np.radians(degrees)) if size else image
            ),
        )
        for size in MOTION_PALMS
        for degrees in ((0, 45, 90) if size else (0,))
    }
    blurs |= {
        f"defocus {size:g}": blur_of(
            images,
            hands,
            lambda image, palm, size=size: defocus(image, size * palm),  # type: ignore[misc]
        )
        for size in DEFOCUS_PALMS
    }
    report(
        f"Blur of the hand's images (limit {BLURRED})",
        ["added, palms", "median", "share above the limit"],
        [[name, row["median"], row["blurred"]] for name, row in blurs.items()],
    )
    write_json(options.json, {"variants": found, "bones": spreads, "blur": blurs})
    honest = [row for name, row in found.items() if "blur" not in name]
    return int(any(row["verdict"] != "accept" for row in honest))


if __name__ == "__main__":
    sys.exit(main())
