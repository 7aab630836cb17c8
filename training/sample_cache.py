"""A folder of rendered samples, written once by several processes and read many times.

Each shard depends only on the seed and its own number, so neither the number of processes nor an
interruption affects the result.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from hand_samples import MARGIN, SAMPLE_PX, free_hands, scene_hands

SHARD = 256
"""Samples in one shard."""

HELD_OUT_SEED = 1_000_000
"""Scenes of this seed and above are never trained on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """The content of a cache.

    Attributes
    ----------
    seed : for all random choices.
    free_shards, scene_shards : number of shards of each kind.
    shard : samples per shard.
    sample_px, margin : of the samples; see `hand_samples`.
    """

    seed: int
    free_shards: int
    scene_shards: int
    shard: int = SHARD
    sample_px: int = SAMPLE_PX
    margin: float = MARGIN

    @property
    def count(self) -> int:
        """The total number of samples."""
        return (self.free_shards + self.scene_shards) * self.shard


@dataclass(frozen=True)
class Samples:
    """N samples, the images on disk; see `hand_samples.Sample`.

    Attributes
    ----------
    images : (N, SAMPLE_PX, SAMPLE_PX, 4) uint8.
    uv : (N, 21, 2) float32.
    visible : (N, 21) bool.
    """

    images: npt.NDArray[np.uint8]
    uv: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.uv)


def samples_of(folder: Path, recipe: Recipe, workers: int) -> Samples:
    """The samples of a recipe; missing ones are rendered.

    Raises
    ------
    ValueError : the folder has samples of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "recipe.json"
    if note.exists() and json.loads(note.read_text()) != asdict(recipe):
        raise ValueError(
            f"{folder} has samples of another recipe, {note.read_text().strip()}; give another "
            "--cache, or delete that folder"
        )
    _allocate(folder, recipe)
    note.write_text(json.dumps(asdict(recipe)) + "\n")
    shards = range(recipe.free_shards + recipe.scene_shards)
    todo = [(folder, recipe, i) for i in shards if not _mark(folder, i).exists()]
    started = time.monotonic()
    if workers > 1 and len(todo) > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done, _ in enumerate(pool.imap_unordered(_make, todo), 1):
                _report(done, len(todo), started)
    else:
        for done, job in enumerate(todo, 1):
            _make(job)
            _report(done, len(todo), started)
    return Samples(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _SHAPES))


_SHAPES: dict[str, tuple[tuple[int, ...], type]] = {
    "images": ((SAMPLE_PX, SAMPLE_PX, 4), np.uint8),
    "uv": ((21, 2), np.float32),
    "visible": ((21,), np.bool_),
}


def _mark(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:04d}.done"


def _allocate(folder: Path, recipe: Recipe) -> None:
    for name, (shape, dtype) in _SHAPES.items():
        path = folder / f"{name}.npy"
        if not path.exists():
            full = (recipe.count, *shape)
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=full).flush()


def _make(job: tuple[Path, Recipe, int]) -> None:
    folder, recipe, index = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng((recipe.seed, index))
    if index < recipe.free_shards:
        source = free_hands(rng)
    else:  # each shard has its own scenes, fewer than a thousand
        source = scene_hands(rng, recipe.seed + 1000 * (index - recipe.free_shards))
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _SHAPES]
    for row, sample in enumerate(islice(source, recipe.shard), index * recipe.shard):
        for array, value in zip(arrays, (sample.image, sample.uv, sample.visible), strict=True):
            array[row] = value
    for array in arrays:
        array.flush()
    _mark(folder, index).write_text(f"{os.getpid()}\n")


def _report(done: int, of: int, started: float) -> None:
    spent = time.monotonic() - started
    _log.info("rendered shard %d of %d, %.0f s", done, of, spent)
