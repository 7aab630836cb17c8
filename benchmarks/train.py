"""`vitpose_ros train` on what `vitpose_ros annotate` found, RENDERED hands, on this machine.

The start is a tiny network that has seen few people for a short time: trained from scratch on the
truth of FEW scenes. It is then trained on MANY other scenes, once on annotate's own output
(MediaPipe's networks), once on the exact truth of the same images. All are measured on HELD scenes,
other people in other rooms, against the truth, in the package's crops and on its CPU engine.

The truth shows what the pseudo labels cost. Beside them stands the annotator itself: what it found
in the images that were learned from, against their truth.

JSON: {start, annotated, truth, shipped}, each {error_percent, p95_percent, ap}, per cent of the
palm; {annotator: {error_percent, p95_percent, share}}, share of the true hands; {ratio: annotated
over start}; {minutes: {render, annotate, start, annotated, truth, total}}; {images, labels}.
Target: ratio at most 0.7, within 10 minutes on two cores. It needs torch:

    tools/workspace.py run --with test,test-convert -- python benchmarks/train.py
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import machine, parser, report, write_json

from vitpose_ros.cli.main import main as command
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.evaluate import match_hands
from vitpose_ros.layouts import HAND21
from vitpose_ros.models.files import STORE_ENVIRONMENT
from vitpose_ros.models.store import ModelStore, default_root
from vitpose_ros.synthetic.scene import SCRIPTS, Scene
from vitpose_ros.train.labels import read_labels
from vitpose_ros.train.loop import evaluate_with
from vitpose_ros.train.samples import cut_samples

FEW, MANY, HELD = range(400, 403), range(420, 434), range(460, 467)
"""Seeds of the scenes: people, rooms, light and motion."""

SIZE = (480, 360)
IMAGES = {"few": 16, "many": 18, "held": 8}
EPOCHS = {"start": 24, "annotated": 14, "truth": 14}
INPUT = (128, 128)
LABELLED_INSIDE = 12
"""Joints of a hand that have to be in the image, for it to count."""


def render(jobs: Sequence[tuple[Path, int, int]]) -> None:
    """Write recordings, by all cores: of each a folder, the scene's seed and how many images."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        pool.starmap(_render, jobs, chunksize=1)


def _render(place: Path, seed: int, count: int) -> None:
    """Images with their times, and the truth as coco.json."""
    cv2.setNumThreads(1)
    scene = Scene(SCRIPTS[seed % (len(SCRIPTS) - 1)], seed, width=SIZE[0], height=SIZE[1])
    place.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i in range(count):
        time_ns = round(i * scene.duration_s / count * 1e9)
        drawn = scene.render(time_ns * 1e-9)
        name = f"{1_700_000_000_000_000_000 + time_ns}.png"
        cv2.imwrite(str(place / name), drawn.image)
        size = {"width": SIZE[0], "height": SIZE[1]}
        images.append({"id": i, "file_name": name, "stamp_ns": time_ns, **size})
        for hand in drawn.hands:
            if hand.inside.sum() >= LABELLED_INSIDE:
                shown = np.where(hand.inside, 2, 0)[:, None]
                joints = np.hstack([np.where(shown > 0, hand.uv, 0), shown])
                low, side = hand.uv.min(axis=0), np.ptp(hand.uv, axis=0)
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": i,
                        "category_id": 1,
                        "keypoints": joints.ravel().tolist(),
                        "bbox": [*low.tolist(), *side.tolist()],
                    }
                )
    category = {"id": 1, "name": HAND21.name, "keypoints": list(HAND21.joints)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (place / "coco.json").write_text(json.dumps(content))


def run(*words: object) -> None:
    """Run a command of the package; its own output only if it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command([*map(str, words)])
    if code:
        raise SystemExit(f"vitpose_ros {words[0]} failed:\n{said.getvalue()}")


def annotator(truth: Path, annotated: Path) -> dict[str, float]:
    """What annotate found against the truth, in the same images."""
    true, found = read_labels([truth]), read_labels([annotated])
    by_image: dict[tuple[str, str], tuple[list, list]] = {}
    for labels, part in ((true, 0), (found, 1)):
        for label in labels.labels:
            image = labels.images[label.image]
            key = str(labels.files[image.file].below), image.name
            by_image.setdefault(key, ([], []))[part].append(label.uv)
    errors, hands = [], 0
    for ours, theirs in by_image.values():
        hands += len(ours)
        errors += [matched for _, _, matched in match_hands(ours, theirs)]
    known = np.concatenate(errors)
    known = 100 * known[np.isfinite(known)]
    return {
        "error_percent": float(np.median(known)),
        "p95_percent": float(np.percentile(known, 95)),
        "share": len(errors) / hands,
    }


def main() -> None:
    """Render, annotate, train, measure and report."""
    options = parser(__doc__)
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep everything there")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(given.keep or Path(temporary))
    write_json(given.json, figures)
    rows = [
        [
            name,
            figures[name]["error_percent"],
            figures[name]["p95_percent"],
            figures[name].get("ap"),
        ]
        for name in ("start", "annotated", "truth", "shipped", "annotator")
    ]
    report(
        f"Hands of other people, RENDERED, % of the palm ({machine()})",
        ("", "median", "95th percentile", "AP"),
        rows,
    )
    minutes = ", ".join(f"{name} {value:.1f}" for name, value in figures["minutes"].items())
    print(f"\nannotated over start: {figures['ratio']:.2f}; minutes: {minutes}")


def measure(folder: Path) -> dict[str, Any]:
    """All figures; everything is made in a folder."""
    pulled, minutes = default_root(), {}
    began_s = last_s = time.monotonic()

    def done(name: str) -> None:
        nonlocal last_s
        minutes[name] = (time.monotonic() - last_s) / 60
        last_s = time.monotonic()
        print(f"{name}: {minutes[name]:.1f} min", file=sys.stderr, flush=True)

    parts = (("few", FEW), ("many", MANY), ("held", HELD))
    render([(folder / n / str(seed), seed, IMAGES[n]) for n, seeds in parts for seed in seeds])
    done("render")
    run("annotate", folder / "many", "-o", folder / "found", "--write", "coco", "--quiet")
    done("annotate")
    store = folder / "models"
    shared = ("--batch", 32, "--quiet", "--store", store)
    train = ("train", *shared, "--val", folder / "held", "--out")
    run(*train, folder / "start", "--data", folder / "few", "--from", "scratch",
        "--epochs", EPOCHS["start"])  # fmt: skip
    done("start")
    for name, data in (("annotated", "found"), ("truth", "many")):
        # Judged by annotate's labels, too: only a renderer knows the truth.
        run("train", *shared, "--out", folder / name, "--data", folder / data,
            "--images", folder / "many", "--from", folder / "start" / "checkpoint",
            "--lr", 1.5e-3, "--epochs", EPOCHS[name])  # fmt: skip
        done(name)
    labels = read_labels([folder / "held"])
    samples = cut_samples(folder / "measured", labels, None, INPUT, 0.0, 0)
    figures: dict[str, Any] = {}
    for name in ("start", "annotated", "truth", "shipped"):
        models = ModelStore(pulled if name == "shipped" else store)
        engine = OpenVinoEngine(
            models.get("vitpose-tiny-synthetic" if name == "shipped" else name).path
        )

        def heatmaps(pixels: np.ndarray, engine: OpenVinoEngine = engine) -> np.ndarray:
            return engine.run({engine.inputs[0].name: pixels})["heatmaps"]

        found = evaluate_with(heatmaps, samples, HAND21).plain()
        figures[name] = {key: found[key] for key in ("error_percent", "p95_percent", "ap")}
    figures["annotator"] = annotator(folder / "many", folder / "found")
    figures["ratio"] = figures["annotated"]["error_percent"] / figures["start"]["error_percent"]
    figures["minutes"] = {**minutes, "total": (time.monotonic() - began_s) / 60}
    figures["images"] = len(MANY) * IMAGES["many"]
    figures["labels"] = len(read_labels([folder / "found"]).labels)
    return figures


if __name__ == "__main__":
    os.environ.setdefault(STORE_ENVIRONMENT, str(default_root()))
    main()
