"""The images that a network is tried on: the user's, or a rendered one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.detect.factory import load_hand_detector, load_person_detector
from vitpose_ros.detect.hand_boxes import UPRIGHT_SCALE
from vitpose_ros.detect.palms import PalmDetector, palm_region
from vitpose_ros.engines.base import EngineError
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.hand_geometry import hand_region, joints_box
from vitpose_ros.keypoints.gate_crops import rendered
from vitpose_ros.keypoints.warp import box_region
from vitpose_ros.layouts import COCO17
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.types import ByteArray, Crop, Region

PERSON_DETECTOR, HAND_DETECTOR = "mediapipe-person", "mediapipe-palm-full"
"""They find the crops in a user's image, where they are in the store."""

_THRESHOLD = 0.5
_SCENE = ("tour", 1, 2.0)  # script, seed and time
_FIGURE = slice(3, 4)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Sample:
    """An image to try networks on.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    source : what it is, for people.
    rendered : whether it is rendered: a network that was trained on photographs may find nothing.
    regions : around persons without padding, or upright squares around hands.
    turned : squares around the same hands, turned so that they point up.
    """

    image: ByteArray
    source: str
    rendered: bool
    regions: tuple[Region, ...]
    turned: tuple[Region, ...] = ()


def load_sample(
    task: str, path: Path | None, box: Box | None, store: ModelStore, tell: Callable[[str], None]
) -> Sample:
    """The image for a task.

    Parameters
    ----------
    path : of the user's image; None for a rendered one.
    box : around the person or hand in it, (x, y, width, height) px; None to find it, or to take
        the whole image where the detector is not in the store.

    Raises
    ------
    ModelError : the image cannot be read.
    """
    hands = task.startswith("hand")
    if path is None:
        if box is not None:
            raise ModelError("--box is for an image of your own: give --image as well.")
        return _rendered_hands() if hands else _rendered_figure()
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ModelError(f"the image {path} cannot be read; expected a JPEG, PNG or BMP file.")
    picture = np.asarray(image, np.uint8)
    if box is not None:
        return _boxed(picture, path.name, box, hands)
    height, width = picture.shape[:2]
    whole = _boxed(picture, path.name, (0.0, 0.0, float(width), float(height)), hands)
    if task.endswith("_detector"):
        return whole
    name = HAND_DETECTOR if hands else PERSON_DETECTOR
    try:
        found = _hands_in(picture, store) if hands else _persons_in(picture, store)
    except (ModelError, EngineError):
        tell(f"crop: the whole image, since '{name}' is not in the store; --box X,Y,W,H gives one")
        return whole
    if not found[0]:
        tell(f"crop: the whole image, since '{name}' found nothing in it; --box X,Y,W,H gives one")
        return whole
    tell(f"crop: as '{name}' found it; --box X,Y,W,H gives another")
    return Sample(picture, path.name, False, *found)


def _boxed(image: ByteArray, source: str, box: Box, hands: bool) -> Sample:
    region = box_region(box)
    if not hands:
        return Sample(image, source, False, (region,))
    square = _square(box)
    return Sample(image, source, False, (square,), (square,))


def _persons_in(image: ByteArray, store: ModelStore) -> tuple[tuple[Region, ...]]:
    return (tuple(load_person_detector(store, PERSON_DETECTOR)(image, _THRESHOLD)[:1]),)


def _hands_in(image: ByteArray, store: ModelStore) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    detector = load_hand_detector(store, HAND_DETECTOR)
    assert isinstance(detector, PalmDetector)
    window = letterbox_region(image.shape[1], image.shape[0])
    palms = detector([Crop(image, window)], _THRESHOLD)[0]
    turned = tuple(r for palm in palms[:2] if (r := palm_region(palm)) is not None)
    upright = tuple(Region(r.cx, r.cy, r.width, r.height, 0.0, r.score) for r in turned)
    return upright, turned


@functools.cache
def _rendered_figure() -> Sample:
    ((image, region),) = rendered(COCO17, _FIGURE)
    return Sample(image, "a drawn figure", True, (region,))


@functools.cache
def _rendered_hands() -> Sample:
    from vitpose_ros.synthetic.scene import Scene  # only this needs the renderer

    script, seed, time_s = _SCENE
    rendering = Scene(script, seed).render(time_s)
    upright = tuple(_square(joints_box(hand.uv)) for hand in rendering.hands)
    turned = tuple(r for hand in rendering.hands if (r := hand_region(hand.uv, 1.0)) is not None)
    return Sample(rendering.image, "rendered hands", True, upright, turned)


def _square(box: Box) -> Region:
    x, y, width, height = box
    side = UPRIGHT_SCALE * max(width, height)
    return Region(x + width / 2, y + height / 2, side, side)
