"""The filmed hand, cut out image by image with its joints, and the background photographs.

The material is split in halves, one for tuning and one for reporting. They share neither images of
the clip nor photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.types import ByteArray, FloatArray

CLIP = "forearm.mp4"
"""A right forearm and hand in front of a wall, 310 images at 30 Hz."""

SPRITE_SCALE = 0.6
"""Scale of the cut-outs, relative to the clip."""

JointsReader = Callable[[ByteArray], Sequence[FloatArray]]
"""Returns the joints, (21, 2) px, of each hand in a single BGR image."""

_SKIN_A, _SKIN_B = 133, 131  # OpenCV's 8-bit Lab: redder and yellower than the wall
_FEATHER_PX = 1.2
_MARGIN_PX = 8


@dataclass(frozen=True)
class Part:
    """One half of the material.

    Attributes
    ----------
    name : "tune" or "report".
    clip : first image of the clip, and the one after the last.
    grounds : background photographs, each with its part without hands (x, y, width, height), px.
    """

    name: str
    clip: tuple[int, int]
    grounds: tuple[tuple[str, tuple[int, int, int, int]], ...]


PARTS = {
    "tune": Part("tune", (0, 155), (("ego_aea_7.jpg", (230, 200, 950, 1000)),)),
    "report": Part(
        "report",
        (155, 310),
        (
            ("ego_adt_0.jpg", (230, 80, 950, 700)),
            ("ego_gen2_0.jpg", (60, 60, 1300, 1100)),
        ),
    ),
}


@dataclass(frozen=True)
class Sprite:
    """A right hand and forearm, cut out of one image.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    alpha : (H, W) uint8, 255 where the hand covers what is behind it.
    uv : (21, 2) float32, px: the hand model's joints in the whole image, read as a single image.
    """

    image: ByteArray
    alpha: ByteArray
    uv: FloatArray


@dataclass(frozen=True)
class Material:
    """The images from which the scenes of a part are composed.

    Attributes
    ----------
    sprites : of the clip's images, in their order.
    grounds : (H, W, 3) uint8, BGR.
    """

    sprites: tuple[Sprite, ...]
    grounds: tuple[ByteArray, ...]


def load_material(folder: Path, part: str, read: JointsReader) -> Material:
    """Load the clip and the photographs of a part, and cut the hands out.

    Parameters
    ----------
    folder : contains the clip and the photographs.
    part : a key of PARTS.
    read : the hand model. Images in which it does not find exactly one hand are skipped.

    Raises
    ------
    BenchError : a file is missing or cannot be read.
    """
    chosen = PARTS[part]
    sprites = []
    for image in _clip_images(folder / CLIP, *chosen.clip):
        found = read(image)
        if len(found) == 1:
            sprites.append(cut_out(image, found[0]))
    if not sprites:
        raise BenchError(f"{folder / CLIP}: the hand model found no hand in this clip")
    grounds = []
    for name, (x, y, width, height) in chosen.grounds:
        photograph = cv2.imread(str(folder / name))
        if photograph is None:
            raise BenchError(f"{folder / name} is missing, or not an image")
        grounds.append(np.ascontiguousarray(photograph[y : y + height, x : x + width], np.uint8))
    return Material(tuple(sprites), tuple(grounds))


def cut_out(image: ByteArray, uv: FloatArray) -> Sprite:
    """The hand and forearm of an image: its largest patch of skin.

    Parameters
    ----------
    image : (H, W, 3) uint8, BGR; the arm comes from below.
    uv : (21, 2) px, its joints.
    """
    skin = _largest_patch(_skin(image))
    rows, columns = np.flatnonzero(skin.any(axis=1)), np.flatnonzero(skin.any(axis=0))
    x0, x1 = max(int(columns[0]) - _MARGIN_PX, 0), int(columns[-1]) + _MARGIN_PX + 1
    y0, y1 = max(int(rows[0]) - _MARGIN_PX, 0), int(rows[-1]) + 1
    alpha = cv2.GaussianBlur(skin[y0:y1, x0:x1] * np.uint8(255), (0, 0), _FEATHER_PX)
    # The arm ends at the image's edge: fade it out instead of a straight cut.
    fade = np.clip((alpha.shape[0] - np.arange(alpha.shape[0])) / 40.0, 0.0, 1.0)
    alpha = (alpha * fade[:, None]).astype(np.uint8)
    return Sprite(
        _scaled(image[y0:y1, x0:x1]),
        _scaled(alpha),
        ((uv - (x0, y0) + 0.5) * SPRITE_SCALE - 0.5).astype(np.float32),
    )


def _scaled(image: ByteArray) -> ByteArray:
    scale = SPRITE_SCALE
    return np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def _clip_images(path: Path, first: int, end: int) -> list[ByteArray]:
    video = cv2.VideoCapture(str(path))
    images = []
    for number in range(end):
        read, image = video.read()
        if not read:
            break
        if number >= first:
            images.append(np.asarray(image, np.uint8))
    video.release()
    if len(images) < end - first:
        raise BenchError(
            f"{path}: expected at least {end} images, got {len(images) and first + len(images)}; "
            "the file is missing, damaged, or a different one"
        )
    return images


def _skin(image: ByteArray) -> npt.NDArray[np.uint8]:
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    skin = ((lab[..., 1] > _SKIN_A) & (lab[..., 2] > _SKIN_B)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(skin, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)))


def _largest_patch(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        raise BenchError("no skin found in an image of the clip")
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return (labels == largest).astype(np.uint8)
