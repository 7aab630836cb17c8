"""Standard deviations of joints (`uv_std`): how many errors lie within one and within two of them.

Three kinds of hands, none of which was used to fit the numbers that the package has:

- scenes, RENDERED: the package's first-person scripts at 12 Hz through the whole pipeline, raw and
  smoothed joints (`balanced`), joints that are seen and joints that are hidden apart;
- any pose, RENDERED: single hands in poses and from viewpoints that the scripts do not have;
- photographs, REAL: the annotated hands of OneHand10K in ../shared/data (or VITPOSE_ROS_TEST_DATA),
  two hands with 35 joints in all, as far as the network finds them.

With --fit the numbers are fitted (on other seeds) and printed for
`vitpose_ros/keypoints/calibrations.py`.

JSON: per network {scenes_seen, scenes_hidden, scenes_seen_smoothed, scenes_hidden_smoothed,
any_pose_seen, any_pose_hidden, photographs, and held_0.083_s to held_0.5_s: joints that are
held for so long}, each {within_1, within_2, joints, unknown}.
Targets for scenes: within_1 0.60 to 0.76, within_2 0.90 to 0.98.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from _mediapipe_peer import data_folder
from common import machine, parser, report, write_json

from vitpose_ros.bench.uncertainty import (
    Clip,
    Coverage,
    Features,
    Joints,
    Reading,
    compared,
    coverage,
    fit,
    follow,
    held,
    joined,
    scene_joints,
)
from vitpose_ros.bench.uncertainty_plot import plot
from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import Models, load_networks
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.uncertainty import score_features, shape_features
from vitpose_ros.measure.networks import Networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.synthetic.motion import SCRIPTS
from vitpose_ros.train.regions import DETECTOR, jittered
from vitpose_ros.types import Crop, FloatArray, Frame

sys.path.append(str(Path(__file__).resolve().parents[1] / "training"))
import hand_samples
from backgrounds import make_backgrounds

SIDE_PX = hand_samples.SAMPLE_PX = 288  # as sharp as the backgrounds are

NETWORKS = ("mediapipe-hand-full", "mediapipe-hand-lite", "vitpose-tiny-synthetic")
FIT_SEEDS, FIT_POSES = (10, 11, 12, 13), 5
SEEDS, POSES = (20, 21, 22), 6
RATE_HZ = 12.0
SCENES_TO_POSES = 3.0
"""How much more the scenes count in a fit than the hands in any pose."""

PRESENT = 0.5
STILL_IMAGES = 5  # of a photograph, until the crop has settled


def any_pose(networks: Networks, count: int, seed: int, features: Features) -> Joints:
    """Single hands in crops like a detector's, then in the crop that their joints lead to."""
    rng = np.random.default_rng(seed)
    backgrounds = make_backgrounds(seed, 64)
    parts = []
    for sample in islice(hand_samples.free_hands(rng), count):
        clear = 1 - sample.image[..., 3:].astype(np.float32) / 255
        image = backgrounds[rng.integers(len(backgrounds))] * clear + sample.image[..., :3]
        uv = sample.uv.copy()
        if rng.random() < 0.5:
            image = image[:, ::-1]
            uv[:, 0] = SIDE_PX - 1 - uv[:, 0]
        image = np.clip(image + rng.normal(0, 2.5, image.shape), 0, 255).astype(np.uint8)
        region = hand_region(uv, 1.0)
        reading = None
        for first in (True, False):
            if region is None:
                break
            region = jittered(region, rng, DETECTOR) if first else region
            (hand,) = networks.hand_reader([Crop(image, region)])
            found = hand is not None and hand.presence >= PRESENT
            reading = Reading(hand, region.width, hand.uv) if hand is not None and found else None
            region = None if hand is None else hand.region
        if reading is not None:
            inside = (uv >= -0.5) & (uv < SIDE_PX - 0.5)
            state = np.where(inside.all(axis=1), np.where(sample.visible, 1, 2), 0)
            parts.append(compared(reading, uv, state == 1, state == 2, features))
    return joined(parts)


def photographs(networks: Networks, features: Features) -> Joints | None:
    """The annotated real hands that the network finds; None for none."""
    parts = []
    for image, true in annotated():
        frames = [Frame(image, 1 + i * 33_000_000) for i in range(STILL_IMAGES)]
        known = np.asarray(np.isfinite(true).all(axis=1))
        for reading in follow(networks, frames)[-1]:
            apart = np.linalg.norm(reading.hand.uv - true, axis=1)[known]
            if np.median(apart) < 0.25 * reading.side_px:
                parts.append(compared(reading, true, known, ~known, features))
    return joined(parts) if parts else None


def annotated() -> Iterator[tuple[npt.NDArray[np.uint8], FloatArray]]:
    """Real images with a hand's (21, 2) annotated joints, px; NaN where there is no annotation."""
    path = data_folder() / "onehand10k.json"
    if not path.is_file():
        print(f"no photographs: {path} is missing; set VITPOSE_ROS_TEST_DATA to a folder with it")
        return
    content = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for hand in content["annotations"]:
        image = cv2.imread(str(path.parent / names[hand["image_id"]]))
        joints = np.array(hand["keypoints"], np.float32).reshape(21, 3)
        if image is not None:
            true = np.where(joints[:, 2:] > 0, joints[:, :2], np.nan).astype(np.float32)
            yield image.astype(np.uint8, copy=False), true


def figures(
    scenes: Joints, clips: Sequence[Clip], poses: Joints, real: Joints | None
) -> dict[str, Coverage]:
    """The coverage of every kind of joints."""
    found = {
        "scenes_seen": coverage(scenes.error, scenes.std, scenes.seen),
        "scenes_hidden": coverage(scenes.error, scenes.std, scenes.hidden),
        "scenes_seen_smoothed": coverage(scenes.smoothed, scenes.std, scenes.seen),
        "scenes_hidden_smoothed": coverage(scenes.smoothed, scenes.std, scenes.hidden),
        "any_pose_seen": coverage(poses.error, poses.std, poses.seen),
        "any_pose_hidden": coverage(poses.error, poses.std, poses.hidden),
    }
    for time_s, row in held(clips, RATE_HZ).items():
        found[f"held_{time_s:g}_s"] = row
    if real is not None:
        found["photographs"] = coverage(real.error, real.std, real.seen)
    return found


def networks_and_features(name: str) -> tuple[Networks, Features]:
    """A hand network on one thread, and the features of its uncertainty."""
    try:
        networks = load_networks(ModelStore(), Models(hand_model=name), threads=1)
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    mediapipe = isinstance(networks.hand_reader, HandLandmarks)
    return networks, shape_features if mediapipe else score_features


def main() -> None:
    """Measure or fit, print the tables, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--models", nargs="+", default=list(NETWORKS), metavar="NAME")
    arguments.add_argument("--seeds", type=int, nargs="+", metavar="N", help="of the scenes")
    arguments.add_argument("--poses", type=int, default=1500, help="hands in any pose (1500)")
    arguments.add_argument("--fit", action="store_true", help="print calibrations instead")
    arguments.add_argument("--plot", type=Path, metavar="FILE", help="draw the calibration")
    options = arguments.parse_args()
    tell: Callable[[str], None] = partial(print, flush=True)
    seeds = options.seeds or (FIT_SEEDS if options.fit else SEEDS)
    everything: dict[str, dict[str, Any]] = {}
    drawn: dict[str, Joints] = {}
    for name in options.models:
        networks, features = networks_and_features(name)
        scenes, clips = scene_joints(networks, SCRIPTS[1:], seeds, RATE_HZ, features, tell)
        poses = any_pose(networks, options.poses, FIT_POSES if options.fit else POSES, features)
        if options.fit:
            calibration = fit([(SCENES_TO_POSES, scenes), (1.0, poses)])
            print(f"{name!r}: {calibration},")
            continue
        found = figures(scenes, clips, poses, photographs(networks, features))
        report(
            f"{name}: share of the errors of u and v, scenes {list(seeds)} ({machine()})",
            ("", *asdict(next(iter(found.values())))),
            [[kind, *asdict(row).values()] for kind, row in found.items()],
        )
        everything[name] = {kind: asdict(row) for kind, row in found.items()}
        drawn[name] = scenes
    if options.plot and drawn:
        plot(drawn, options.plot)
    if not options.fit:
        write_json(options.json, everything)


if __name__ == "__main__":
    main()
