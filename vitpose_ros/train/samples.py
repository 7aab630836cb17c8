"""Samples: a picture of each object, cut once and read many times.

A sample shows what the network's crop around the object shows, enlarged by MARGIN, so that
misplaced crops can be cut from it, too. Samples are stored uncompressed and read through a memory
map: 0.12 MB per hand at 128x128 px, 0.38 MB per person at 192x256.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import Box, intersection
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.images import read_images
from vitpose_ros.train.labels import Label, Labels
from vitpose_ros.train.regions import shown_region, to_crop
from vitpose_ros.types import Region

MARGIN = 1.6
"""How much more than the crop a sample shows."""

_RECIPE = "recipe.json"
_TRIES = 20  # to find a place without an object


@dataclass(frozen=True)
class Recipe:
    """What samples were cut from, and how.

    Attributes
    ----------
    labels : SHA-256 of the labels' files, and of what of them is used.
    layout, size : of the network; size is (width, height), px.
    empty : samples without an object, as a share of those with one.
    seed : of the places without an object.
    """

    labels: str
    layout: str
    size: Size
    empty: float
    seed: int
    margin: float = MARGIN


@dataclass(frozen=True)
class Samples:
    """N samples, the pictures on disk.

    Attributes
    ----------
    images : (N, height, width, 3) uint8, BGR.
    uv : (N, K, 2) float32, px of the sample; NaN where not labelled. All NaN without an object.
    std_px : (N, K) float32, px of the sample.
    area : (N,) float32, px^2 of the sample, the object's size for OKS; 0 without an object.
    size : (width, height) of the network's input, px.
    """

    images: npt.NDArray[np.uint8]
    uv: npt.NDArray[np.float32]
    std_px: npt.NDArray[np.float32]
    area: npt.NDArray[np.float32]
    size: Size

    def __len__(self) -> int:
        return len(self.uv)

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a sample shows no object."""
        return self.area == 0

    @property
    def own(self) -> Region:
        """What the crop without errors shows of a sample."""
        height, width = self.images.shape[1:3]
        return Region(
            (width - 1) / 2, (height - 1) / 2, (width - 1) / MARGIN, (height - 1) / MARGIN
        )


def sample_size(size: Size) -> Size:
    """The size of the samples for a network's input, px."""
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def cut_samples(
    folder: Path,
    labels: Labels,
    images: Path | None,
    size: Size,
    empty: float,
    seed: int,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Samples:
    """The samples of labels; cut if the folder does not have them yet.

    Parameters
    ----------
    folder : where they are kept.
    labels, images : see `read_images`.
    size : of the network's input.
    empty : samples without an object, as a share of those with one; they are cut from the same
        images, where nothing is labelled.
    seed : of their places.
    tell : called with the number of images done.

    Raises
    ------
    TrainError : an image is missing, or the disk is too small.
    """
    used = json.dumps([[labels.images[one.image].name, one.uv.tolist()] for one in labels.labels])
    digest = hashlib.sha256((labels.digest + used).encode()).hexdigest()
    recipe = Recipe(digest, labels.layout.name, size, empty, seed)
    known = json.loads(json.dumps(asdict(recipe)))
    note = folder / _RECIPE
    if not note.is_file() or json.loads(note.read_text()) != known:
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            _cut(part, labels, images, recipe, tell)
            (part / _RECIPE).write_text(json.dumps(known) + "\n", encoding="utf-8")
            os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return _open(folder, size)


def _open(folder: Path, size: Size) -> Samples:
    images = np.load(folder / "images.npy", mmap_mode="r")
    uv, std_px, area = (np.load(folder / f"{name}.npy") for name in ("uv", "std_px", "area"))
    return Samples(images, uv, std_px, area, size)


def _cut(
    folder: Path,
    labels: Labels,
    images: Path | None,
    recipe: Recipe,
    tell: Callable[[int, int], None],
) -> None:
    width, height = sample_size(recipe.size)
    empties = round(recipe.empty * len(labels.labels))
    count = len(labels.labels) + empties
    needed, free = count * width * height * 3, shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise TrainError(
            f"the samples need {needed / 1e9:.1f} GB in {folder.parent}, but {free / 1e9:.1f} GB "
            "are free there; choose another folder with --out, or fewer labels"
        )
    shape = (count, height, width, 3)
    pictures = np.lib.format.open_memmap(
        folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape
    )
    joints = len(labels.layout)
    uv = np.full((count, joints, 2), np.nan, np.float32)
    std_px, area = np.zeros((count, joints), np.float32), np.zeros(count, np.float32)
    of_image: dict[int, list[int]] = {}
    for row, label in enumerate(labels.labels):
        of_image.setdefault(label.image, []).append(row)
    rng = np.random.default_rng((recipe.seed, 17))
    places = np.sort(rng.integers(len(labels.labels), size=empties))
    chosen = {labels.labels[i].image: 0 for i in places}
    for i in places:
        chosen[labels.labels[i].image] += 1
    last = len(labels.labels)
    for done, (index, image) in enumerate(read_images(labels, images), 1):
        for row in of_image.get(index, ()):
            label = labels.labels[row]
            shown = _enlarged(shown_region(label, labels.layout, recipe.size))
            matrix, inside = to_crop(shown, (width, height), label.uv)
            scale = (width - 1) / shown.width
            pictures[row] = _warp(image, matrix, (width, height))
            uv[row], std_px[row] = inside, label.std_px * scale
            area[row] = max(label.area * scale**2, 1.0)
        for _ in range(chosen.get(index, 0)):
            like = labels.labels[int(rng.integers(len(labels.labels)))]
            region = _nothing(image.shape, labels.images[index].boxes, like, labels, rng, recipe)
            if region is not None:
                matrix, _ = to_crop(_enlarged(region), (width, height), np.zeros((1, 2)))
                pictures[last] = _warp(image, matrix, (width, height))
                last += 1
        tell(done, len(labels.images))
    pictures.flush()
    del pictures
    if last < count:  # not every image had room
        _shorten(folder / "images.npy", last)
    for name, values in (("uv", uv), ("std_px", std_px), ("area", area)):
        np.save(folder / f"{name}.npy", values[:last])


def _shorten(path: Path, count: int) -> None:
    """Keep the first pictures of a file."""
    pictures = np.load(path, mmap_mode="r")
    part = path.with_suffix(".part")
    kept = np.lib.format.open_memmap(
        part, mode="w+", dtype=pictures.dtype, shape=(count, *pictures.shape[1:])
    )
    for start in range(0, count, 256):
        kept[start : start + 256] = pictures[start : min(start + 256, count)]
    kept.flush()
    os.replace(part, path)


def _enlarged(shown: Region) -> Region:
    return replace(shown, width=shown.width * MARGIN, height=shown.height * MARGIN)


def _warp(image: npt.NDArray, matrix: npt.NDArray, size: Size) -> npt.NDArray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags))


def _nothing(
    shape: tuple[int, ...],
    boxes: tuple[Box, ...],
    like: Label,
    labels: Labels,
    rng: np.random.Generator,
    recipe: Recipe,
) -> Region | None:
    """A region as large as that of a label, somewhere in the image, that touches no object."""
    height, width = shape[:2]
    region = shown_region(like, labels.layout, recipe.size)
    half = np.array((region.width, region.height)) / 2
    for _ in range(_TRIES):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        around = (cx - half[0], cy - half[1], 2 * half[0], 2 * half[1])
        if all(intersection(around, box) == 0 for box in boxes):
            return replace(region, cx=float(cx), cy=float(cy))
    return None
