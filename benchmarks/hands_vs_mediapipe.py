"""Hands: this package against MediaPipe's Hands API (0.10.21), with the same images and weights.

Static mode: each image is processed independently, without this package's search for small hands,
so that both run the same steps. Reported are the distances of the joints, as a fraction of the palm
(wrist to middle finger's MCP joint), and how often both report the same side. Images: rendered
ones, and real ones from VITPOSE_ROS_TEST_DATA or ../shared/data if available.

Tracking mode: a rendered clip with two hands and known joints. Both process a few frames in turn,
so that other load on the machine affects both alike.

One hand missing: the same on a real clip that shows one hand (`real/forearm.mp4` of the test data),
where both search each image for the second one.

Small hands: hands of about 100 px in images of 1920x1080, static mode.

MediaPipe needs NumPy below 2, so it runs in an environment of its own, created on first use.

JSON: median_difference_palm, same_side, speed_ratio (without smoothing, which MediaPipe does not
have for hands), speed_ratio_smoothed, detection_ratio, speed_ratio_missing (None without the clip),
and the rows of the tables.
Targets: at most 0.01, 1.0, at least 1.5, at least 1.0, at least 1.3.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from _mediapipe_peer import MEDIAPIPE, MediaPipe, data_folder, mediapipe_python, real_images
from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.synthetic.scene import Rendering, Scene
from vitpose_ros.types import ByteArray, Frame, Side
from vitpose_ros.video import VideoFile

WORKER = "_mediapipe_hands.py"
REAL_IMAGES = ("onehand10k_9.jpg", "onehand10k_784.jpg")
COMPLEXITY = {"full": 1, "lite": 0}
RATE_HZ = 30
TURN_FRAMES, WARM_UP = 15, 3
FOUND_WITHIN_PALM = 0.5  # a true hand is found if the median joint error is below half a palm
SMOOTHINGS = ("none", "balanced")


@dataclass
class Hands:
    """Results of one side: per image, the hands as ((21, 2) px, side), and the time taken."""

    found: list[list[tuple[npt.NDArray[Any], Side]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def extend(self, other: Hands) -> None:
        """Append the results for further images."""
        self.found += other.found
        self.seconds += other.seconds


class HandsPeer(MediaPipe):
    """MediaPipe's Hands API."""

    def __call__(self, images: Sequence[ByteArray], static: bool, kind: str) -> Hands:
        """Find the hands in BGR images, with the networks "full" or "lite"."""
        answer = self.find(images, static=static, complexity=COMPLEXITY[kind])
        hands = Hands([[] for _ in images], list(answer["seconds"]))
        # The API assumes mirrored input, ours is not: its "Left" is a right hand.
        for frame, uv, label in zip(answer["frame"], answer["uv"], answer["label"], strict=True):
            hands.found[frame].append((uv, Side.RIGHT if label == "Left" else Side.LEFT))
        return hands


def ours(pipeline: Pipeline, images: Sequence[ByteArray], first: int = 0) -> Hands:
    """Find the hands in BGR images at 30 Hz; `first` is the number of the first image."""
    hands = Hands()
    for number, image in enumerate(images, start=first):
        frame = Frame(image, 1 + round(number * 1e9 / RATE_HZ))
        start = time.perf_counter()
        result = pipeline(frame)
        hands.seconds.append(time.perf_counter() - start)
        # MediaPipe's hands come from this image alone: neither smoothed nor predicted.
        hands.found.append([(i.raw.uv, i.side) for i in result.instances if not i.is_lost])
    return hands


def palm_px(uv: npt.NDArray[Any]) -> float:
    """Return a hand's size: wrist to the middle finger's MCP joint."""
    return float(np.linalg.norm(uv[0] - uv[9]))


def distances(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the distance of each of the 21 joints, px."""
    return np.asarray(np.linalg.norm(a - b, axis=1), np.float64)


def compare(name: str, reference: Hands, own: Hands) -> tuple[list[Any], list[float], list[bool]]:
    """Compare two results: return a table row, joint distances in palms, and equality of sides."""
    differences: list[float] = []
    sides: list[bool] = []
    for theirs, mine in zip(reference.found, own.found, strict=True):
        for uv, side in theirs:
            near = min(mine, key=lambda hand: float(distances(hand[0], uv).sum()), default=None)
            if near is not None and np.median(distances(near[0], uv)) < palm_px(uv):
                differences += list(distances(near[0], uv) / palm_px(uv))
                sides.append(near[1] == side)
    row = [
        name,
        len(own.found),
        sum(map(len, reference.found)),
        sum(map(len, own.found)),
        len(sides),
        float(np.median(differences)) if differences else None,
        float(np.quantile(differences, 0.95)) if differences else None,
        float(np.mean(sides)) if sides else None,
    ]
    return row, differences, sides


def against_truth(name: str, hands: Hands, clip: Sequence[Rendering]) -> dict[str, Any]:
    """Return detection rate, side accuracy and error for the hands that are completely in view."""
    true, errors, sides = 0, [], []
    for rendering, found in zip(clip, hands.found, strict=True):
        for hand in (h for h in rendering.hands if h.in_view):
            true += 1
            near = min(found, key=lambda f: float(distances(f[0], hand.uv).sum()), default=None)
            error = (
                np.inf if near is None else np.median(distances(near[0], hand.uv)) / hand.palm_px
            )
            if near is not None and error < FOUND_WITHIN_PALM:
                errors.append(float(error))
                sides.append(near[1] == hand.side)
    milliseconds = 1e3 * np.array(hands.seconds)
    return {
        "name": name,
        "ms_median": float(np.median(milliseconds)),
        "ms_p95": float(np.quantile(milliseconds, 0.95)),
        "detection_rate": len(errors) / max(true, 1),
        "side_accuracy": float(np.mean(sides)) if sides else None,
        "error_palm_median": float(np.median(errors)) if errors else None,
    }


def real_hands() -> list[ByteArray]:
    """Return the available hand images of the test data, and their mirror images."""
    found = real_images(REAL_IMAGES)
    return [np.ascontiguousarray(i) for image in found for i in (image, image[:, ::-1])]


def small_hands(images: Sequence[Rendering], seed: int = 0) -> list[tuple[ByteArray, npt.NDArray]]:
    """Paste rendered hands, 100 px long, into images of 1920x1080; return these and the joints."""
    rng = np.random.default_rng(seed)
    pasted = []
    for rendering in images:
        hand = next((h for h in rendering.hands if h.in_view), None)
        if hand is None:
            continue
        (x0, y0), (x1, y1) = hand.uv.min(axis=0), hand.uv.max(axis=0)
        scale = 100 / max(x1 - x0, y1 - y0)
        patch = cv2.resize(rendering.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.full((1080, 1920, 3), 110, np.uint8)
        canvas += rng.integers(0, 12, canvas.shape, np.uint8)
        x, y = rng.integers(0, 1920 - patch.shape[1]), rng.integers(0, 1080 - patch.shape[0])
        canvas[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
        pasted.append((canvas, (hand.uv + 0.5) * scale - 0.5 + (x, y)))
    return pasted


def static_rows(
    reference: HandsPeer, store: ModelStore, kinds: Sequence[str], rendered: Sequence[Rendering]
) -> tuple[list[list[Any]], float, float]:
    """Compare in static mode: return table rows, and the full networks' distance and same sides."""
    sets = {"rendered": [r.image for r in rendered], "real": real_hands()}
    rows: list[list[Any]] = []
    differences: list[float] = []
    sides: list[bool] = []
    for kind in kinds:
        pipeline = load(store, kind, HandSettings(static=True, search=False))
        for name, images in sets.items():
            if images:
                theirs = reference(images, True, kind)
                row, apart, same = compare(f"{name}, {kind}", theirs, ours(pipeline, images))
                rows.append(row)
                if kind == "full":
                    differences += apart
                    sides += same
    return rows, float(np.median(differences)), float(np.mean(sides))


def tracking_rows(
    reference: HandsPeer, store: ModelStore, kinds: Sequence[str], clip: Sequence[Rendering]
) -> list[dict[str, Any]]:
    """Run both over the clip in turns. For each kind, return MediaPipe's row, then this package's
    without smoothing (MediaPipe does not smooth hands) and with its default smoothing.
    """
    rows = []
    images = [rendering.image for rendering in clip]
    for kind in kinds:
        pipelines = [load(store, kind, HandSettings(), PRESETS[name]) for name in SMOOTHINGS]
        theirs, mine = Hands(), [Hands() for _ in pipelines]
        for start in range(0, len(images), TURN_FRAMES):
            turn = images[start : start + TURN_FRAMES]
            theirs.extend(reference(turn, False, kind))
            for hands, pipeline in zip(mine, pipelines, strict=True):
                hands.extend(ours(pipeline, turn, start))
        rows.append(against_truth(f"MediaPipe, {kind}", theirs, clip))
        for hands, name in zip(mine, SMOOTHINGS, strict=True):
            rows.append(against_truth(f"vitpose_ros, {kind}, smoothing {name}", hands, clip))
    return rows


def missing_rows(
    reference: HandsPeer, store: ModelStore, images: Sequence[ByteArray]
) -> list[list[Any]]:
    """Run both over a clip with one hand, in turns: name, share of images with a hand, times in ms.
    The first images of each turn do not count.
    """
    pipeline = load(store, "full", HandSettings())
    theirs, mine = Hands(), Hands()
    for start in range(0, len(images), TURN_FRAMES):
        turn = images[start : start + TURN_FRAMES]
        for hands, answer in (
            (theirs, reference(turn, False, "full")),
            (mine, ours(pipeline, turn, start)),
        ):
            hands.extend(Hands(answer.found[WARM_UP:], answer.seconds[WARM_UP:]))
    rows: list[list[Any]] = []
    for name, hands in (("MediaPipe", theirs), ("vitpose_ros", mine)):
        milliseconds = 1e3 * np.array(hands.seconds)
        found = float(np.mean([bool(one) for one in hands.found]))
        rows.append([name, found, float(np.mean(milliseconds)), float(np.median(milliseconds))])
    return rows


def real_clip() -> list[ByteArray]:
    """Return the images of the real clip; none where it is missing."""
    path = data_folder() / "real" / "forearm.mp4"
    if not path.is_file():
        print(f"No rows for a missing hand: there is no {path}; set VITPOSE_ROS_TEST_DATA")
        return []
    film, images = VideoFile(str(path)), []
    while film.grab() is not None:
        image = film.decode()
        if image is not None:
            images.append(image)
    film.close()
    return images


def small_rows(
    reference: HandsPeer, store: ModelStore, rendered: Sequence[Rendering]
) -> list[list[Any]]:
    """Measure the share of small hands that each finds."""
    pasted = small_hands(rendered)
    images = [image for image, _ in pasted]
    results = {
        "MediaPipe": reference(images, True, "full"),
        "vitpose_ros, search off": ours(
            load(store, "full", HandSettings(static=True, search=False)), images
        ),
        "vitpose_ros": ours(load(store, "full", HandSettings(static=True)), images),
    }
    rows: list[list[Any]] = []
    for name, hands in results.items():
        hits = [
            any(
                np.median(distances(uv, truth)) < FOUND_WITHIN_PALM * palm_px(truth)
                for uv, _ in found
            )
            for found, (_, truth) in zip(hands.found, pasted, strict=True)
        ]
        milliseconds = 1e3 * float(np.median(hands.seconds))
        rows.append([name, len(images), float(np.mean(hits)), milliseconds])
    return rows


def load(
    store: ModelStore,
    kind: str,
    settings: HandSettings,
    smoothing: SmoothingSettings = PRESETS["none"],
) -> Pipeline:
    """Return a pipeline with the networks "full" or "lite"."""
    models = Models(hand_detector=f"mediapipe-palm-{kind}", hand_model=f"mediapipe-hand-{kind}")
    return load_pipeline(store, models, Settings(settings, smoothing=smoothing))


def main() -> None:
    """Measure, print the tables, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--venv", type=Path, metavar="DIR", help="an environment with " + MEDIAPIPE
    )
    arguments.add_argument("--frames", type=int, default=300, help="frames of the clip (300)")
    arguments.add_argument("--images", type=int, default=60, help="rendered static images (60)")
    options = arguments.parse_args()

    store = ModelStore()
    try:
        load(store, "full", HandSettings())
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    kinds = ["full"]
    try:
        load(store, "lite", HandSettings())
        kinds.append("lite")
    except (ModelError, EngineError) as error:
        print(f"No rows for 'lite': {error}")
    python = mediapipe_python(options.venv)

    print("Rendering ...", flush=True)
    scenes = [Scene(script="tour", seed=seed) for seed in range(4)]
    step = [scene.duration_s * len(scenes) / options.images for scene in scenes]
    rendered = [scenes[i % 4].render(i // 4 * step[i % 4]) for i in range(options.images)]
    clip = [scenes[0].render(i / RATE_HZ) for i in range(options.frames)]

    with tempfile.TemporaryDirectory() as folder:
        reference = HandsPeer(python, WORKER, Path(folder))
        parity, median, same_side = static_rows(reference, store, kinds, rendered)
        tracking = tracking_rows(reference, store, kinds, clip)
        small = small_rows(reference, store, rendered)
        film = real_clip()
        missing = missing_rows(reference, store, film) if film else []
        reference.close()

    report(
        f"Static mode: vitpose_ros against MediaPipe ({machine()}); difference in palm sizes",
        ("images", "number", "MediaPipe's hands", "ours", "both", "median", "p95", "same side"),
        parity,
    )
    columns = ("ms_median", "ms_p95", "detection_rate", "side_accuracy", "error_palm_median")
    report(
        f"Tracking mode: {options.frames} rendered frames of 640x480, two hands, in turns",
        ("", "ms median", "ms p95", "detection rate", "side accuracy", "error (palms)"),
        [[row["name"], *(row[column] for column in columns)] for row in tracking],
    )
    report(
        "Small hands: 100 px in images of 1920x1080, static mode",
        ("", "images", "found", "ms median"),
        small,
    )
    report(
        "One hand missing: a real clip with one hand, in turns",
        ("", "a hand found", "ms mean", "ms median"),
        missing,
    )
    figures = {
        "median_difference_palm": median,
        "same_side": same_side,
        "speed_ratio": tracking[0]["ms_median"] / tracking[1]["ms_median"],
        "speed_ratio_smoothed": tracking[0]["ms_median"] / tracking[2]["ms_median"],
        "detection_ratio": tracking[1]["detection_rate"] / tracking[0]["detection_rate"],
        "speed_ratio_missing": missing[0][2] / missing[1][2] if missing else None,
    }
    report("Figures", ("", "value"), list(figures.items()))
    write_json(options.json, {**figures, "static": parity, "tracking": tracking, "small": small})


if __name__ == "__main__":
    main()
