"""The crops that the accuracy gate compares engines on: realistic ones, and extremes.

The user's own images are best. Without any, the gate uses rendered hands over a rendered table, for
bodies with a drawn figure in front of it: light, texture and edges resemble an image's, and a
trained hand network is confident there. A body network may not see a person in the figure; then
only outputs are compared, and the gate says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.agreement import sample_crops
from vitpose_ros.keypoints.codec import Codec
from vitpose_ros.keypoints.pixels import IMAGENET, Pixels
from vitpose_ros.keypoints.warp import (
    PADDING,
    box_region,
    crop_region,
    crop_to_image,
    cut_crops,
)
from vitpose_ros.layouts import Layout
from vitpose_ros.types import ByteArray, FloatArray, Region

LARGEST_SET = 32
"""The most images that are read from a folder: evenly spread in the order of their names."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_SCENES: tuple[tuple[str, int, float], ...] = (
    ("tour", 1, 2.0), ("tour", 2, 5.0), ("grasp", 3, 1.5), ("rotate", 4, 3.0),
)  # fmt: skip
"""Script, seed and time of the rendered images."""

_MIDDLE, _SPREAD = 118.0, 57.5
"""Mean and standard deviation of an image's grey levels, for noise that looks like one."""

_LIMBS = (  # of the drawn figure: from, to, half width; x, y as fractions of the image's height
    ((0.0, -0.12), (0.0, 0.12), 0.075),
    ((-0.07, -0.15), (-0.15, -0.02), 0.025), ((-0.15, -0.02), (-0.12, 0.12), 0.02),
    ((0.07, -0.15), (0.17, -0.06), 0.025), ((0.17, -0.06), (0.24, -0.16), 0.02),
    ((-0.04, 0.12), (-0.06, 0.28), 0.035), ((-0.06, 0.28), (-0.05, 0.43), 0.028),
    ((0.04, 0.12), (0.08, 0.28), 0.035), ((0.08, 0.28), (0.06, 0.43), 0.028),
)  # fmt: skip


def gate_crops(codec: Codec, layout: Layout, images: Path | None = None) -> FloatArray:
    """Crops for the gate, (N, 3, height, width) float32, normalised.

    Parameters
    ----------
    codec, layout : of the network.
    images : a folder of images that each show one person or hand and little else; None renders
        some.

    Raises
    ------
    EngineError : the folder has no readable image.
    """
    pairs, padding = (rendered(layout), PADDING) if images is None else (_read(images), 1.0)
    width, height = codec.input_size
    crops = np.empty((len(pairs), 3, height, width), np.float32)
    for crop, (image, region) in zip(crops, pairs, strict=True):
        shown = crop_region(region, codec.input_size, padding)
        matrices = crop_to_image([shown], codec.input_size, codec.udp)
        cut_crops(image, matrices, crop[None], codec.pixels)
    samples = sample_crops(codec.input_size)
    if codec.pixels != IMAGENET:
        grey = samples * np.float32(_SPREAD) + np.float32(_MIDDLE)
        scale, offset = (v[:, None, None] for v in (codec.pixels.scale, codec.pixels.offset))
        samples = (grey * scale + offset).astype(np.float32)
    return np.concatenate([crops, samples, _extremes(crops.shape[1:], codec.pixels)])


def _extremes(shape: Sequence[int], pixels: Pixels) -> FloatArray:
    """Black beside white, and a chessboard: the largest values and steps that a crop can have."""
    low, high = ((value * pixels.scale + pixels.offset)[:, None, None] for value in (0, 255))
    rows, columns = np.indices(shape[1:])
    halves = columns < shape[2] // 2
    squares = (rows // 16 + columns // 16) % 2 == 0
    return np.stack([np.where(mask, low, high) for mask in (halves, squares)]).astype(np.float32)


def _read(folder: Path) -> list[tuple[ByteArray, Region]]:
    """A folder's images, each with a region that covers it."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if len(paths) > LARGEST_SET:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, LARGEST_SET).astype(int)]
    images = [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR)) for path in paths]
    images = [image for image in images if image.ndim == 3]  # an unreadable file gives None
    if not images:
        raise EngineError(
            f"'{folder}' has no readable image; expected files of {', '.join(_SUFFIXES)}"
        )
    return [
        (image, box_region((0.0, 0.0, float(image.shape[1]), float(image.shape[0]))))
        for image in images
    ]


def rendered(layout: Layout, scenes: slice = slice(None)) -> list[tuple[ByteArray, Region]]:
    """Rendered hands, each with its region; for bodies, a figure in front of such a scene.

    Parameters
    ----------
    scenes : those of _SCENES to render.
    """
    from vitpose_ros.synthetic.scene import Scene  # only a gate needs the renderer

    pairs = []
    for script, seed, time_s in _SCENES[scenes]:
        rendering = Scene(script, seed).render(time_s)
        if layout.kind != "hand":
            pairs.append(_with_figure(rendering.image, seed))
            continue
        for hand in rendering.hands:
            low, high = hand.uv.min(axis=0), hand.uv.max(axis=0)
            (x, y), (across, down) = low.tolist(), (high - low).tolist()
            pairs.append((rendering.image, box_region((x, y, across, down))))
    return pairs


def _with_figure(image: ByteArray, seed: int) -> tuple[ByteArray, Region]:
    """The image with a figure of head, trunk and limbs in random clothes, and its region."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    canvas = image.copy()

    def at(point: tuple[float, float]) -> tuple[int, int]:
        return round(width / 2 + point[0] * height), round((0.5 + point[1]) * height)

    skin = tuple(int(value) for value in rng.uniform((90, 120, 160), (140, 180, 230)))
    clothes = [tuple(int(value) for value in rng.integers(20, 220, 3)) for _ in range(2)]
    for i, (start, end, half) in enumerate(_LIMBS):
        colour = clothes[1] if i >= 5 else skin if i in (2, 4) else clothes[0]
        cv2.line(canvas, at(start), at(end), colour, round(2 * half * height), cv2.LINE_AA)
    cv2.ellipse(canvas, (at((0.0, -0.27)), (0.11 * height, 0.15 * height), 0.0), skin, -1)
    for x in (-0.02, 0.02):
        cv2.circle(canvas, at((x, -0.285)), round(0.008 * height), (30, 30, 30), -1, cv2.LINE_AA)
    box = (width / 2 - 0.26 * height, 0.12 * height, 0.52 * height, 0.85 * height)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.8), np.uint8), box_region(box)
