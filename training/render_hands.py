"""Renders hands with their true joints, as a data set for `vitpose_ros train`.

    python training/render_hands.py OUT [--hands 25600] [--workers 2]

OUT gets coco.json and a folder of pictures for every 256 hands. Each picture shows a hand on one
half and none on the other. Folders differ in people, rooms and light, so that a part of them can be
held out. After an interruption, run the same command to continue: each folder depends on the seed
and its own number only.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from backgrounds import make_backgrounds, over
from hand_samples import SAMPLE_PX, Sample, free_hands, scene_hands

from vitpose_ros.layouts import HAND21
from vitpose_ros.types import ByteArray

FOLDER = 256
"""Hands in one folder."""

FREE = 0.66
"""The share of folders with free hands; the others have hands of scenes."""

HELD_OUT_SEED = 1_000_000
"""Scenes of this seed and above are never trained on."""

WIDTH = 2 * SAMPLE_PX
_BACKGROUNDS = 64  # per folder
_SECOND = 0.15  # the share of free hands with another hand behind them

_log = logging.getLogger("render_hands")


def render(out: Path, hands: int, seed: int, workers: int) -> Path:
    """Render a data set, or what is missing of it.

    Parameters
    ----------
    out : the folder.
    hands : at least how many; whole folders are rendered.
    seed : for all random choices.
    workers : processes.

    Returns
    -------
    The path of coco.json.

    Raises
    ------
    ValueError : the folder has another data set.
    """
    count = -(-hands // FOLDER)
    recipe = {"folders": count, "seed": seed, "hands_per_folder": FOLDER, "free": FREE}
    note = out / "recipe.json"
    out.mkdir(parents=True, exist_ok=True)
    if note.exists() and json.loads(note.read_text()) != recipe:
        raise ValueError(
            f"{out} has another data set, {note.read_text().strip()}; give another folder, or "
            "delete that one"
        )
    note.write_text(json.dumps(recipe) + "\n")
    todo = [(out, i, count, seed) for i in range(count) if not _labels(out, i).exists()]
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(min(workers, max(len(todo), 1))) as pool:
        for done, _ in enumerate(pool.imap_unordered(_make, todo), 1):
            spent = time.monotonic() - started
            _log.info("rendered folder %d of %d, %.0f s", done, len(todo), spent)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i in range(count):
        for row in json.loads(_labels(out, i).read_text()):
            images.append(
                {
                    "id": len(images),
                    "file_name": row["image"],
                    "width": WIDTH,
                    "height": SAMPLE_PX,
                }
            )
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": images[-1]["id"],
                    "category_id": 1,
                    "keypoints": row["keypoints"],
                    "bbox": row["bbox"],
                }
            )
    category = {"id": 1, "name": HAND21.name, "keypoints": list(HAND21.joints)}
    part, path = out / ".coco.json.part", out / "coco.json"
    content = {"images": images, "annotations": annotations, "categories": [category]}
    part.write_text(json.dumps(content) + "\n")
    os.replace(part, path)
    return path


def _labels(out: Path, folder: int) -> Path:
    return out / f"{folder:04d}" / "labels.json"


def _make(job: tuple[Path, int, int, int]) -> None:
    """Render one folder under another name, then give it its own."""
    out, index, count, seed = job
    cv2.setNumThreads(1)
    final, part = out / f"{index:04d}", out / f".{index:04d}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    rng = np.random.default_rng((seed, index))
    free = index < round(FREE * count)
    backgrounds = make_backgrounds(seed + index, _BACKGROUNDS)
    # Each folder has its own scenes, fewer than a thousand.
    source = free_hands(rng) if free else scene_hands(rng, seed + 1000 * index)
    rows = []
    for number, (sample, behind) in enumerate(islice(_pairs(source, rng), FOLDER)):
        image, uv = picture(sample, behind if free else None, backgrounds, rng)
        name = f"{number:03d}.jpg"
        cv2.imwrite(str(part / name), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        inside = ((uv >= -0.5) & (uv < (WIDTH - 0.5, SAMPLE_PX - 0.5))).all(axis=1)
        joints = np.hstack([uv, np.where(inside, 2, 0)[:, None]])
        low, side = uv.min(axis=0), np.ptp(uv, axis=0)
        rows.append(
            {
                "image": f"{final.name}/{name}",
                "keypoints": [round(value, 3) for value in joints.ravel().tolist()],
                "bbox": [round(value, 3) for value in (*low.tolist(), *side.tolist())],
            }
        )
    (part / "labels.json").write_text(json.dumps(rows) + "\n")
    os.replace(part, final)


def _pairs(
    source: Iterator[Sample], rng: np.random.Generator
) -> Iterator[tuple[Sample, Sample | None]]:
    """Each sample, now and then with the one before it, to stand behind it."""
    before = None
    for sample in source:
        yield sample, before if rng.random() < _SECOND else None
        before = sample


def picture(
    sample: Sample, behind: Sample | None, backgrounds: ByteArray, rng: np.random.Generator
) -> tuple[ByteArray, np.ndarray]:
    """A picture with the sample on one half, and its joints, (21, 2) px.

    Parameters
    ----------
    sample : the hand; half of them are mirrored.
    behind : another hand, which is partly covered; None for none.
    backgrounds : from `make_backgrounds`.
    """
    wide = cv2.resize(backgrounds[rng.integers(len(backgrounds))], (WIDTH, 288))
    top = int(rng.integers(288 - SAMPLE_PX))
    image = np.ascontiguousarray(wide[top : top + SAMPLE_PX], np.uint8)
    left = int(rng.integers(2)) * SAMPLE_PX
    half = image[:, left : left + SAMPLE_PX]
    if behind is not None:
        shift = np.eye(2, 3)
        shift[:, 2] = rng.uniform(-0.45, 0.45, 2) * SAMPLE_PX
        half = over(half, np.asarray(cv2.warpAffine(behind.image, shift, (SAMPLE_PX,) * 2)))
    half, uv = over(half, sample.image), sample.uv.astype(np.float64)
    if rng.random() < 0.5:
        half = np.ascontiguousarray(half[:, ::-1])
        uv[:, 0] = SAMPLE_PX - 1 - uv[:, 0]
    image[:, left : left + SAMPLE_PX] = half
    uv[:, 0] += left
    return image, uv


def main() -> int:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="the folder")
    parser.add_argument("--hands", type=int, default=25_600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    try:
        render(given.out, given.hands, given.seed, given.workers)
    except ValueError as error:
        _log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
