"""The interface of one-stage formats, and what they share.

A one-stage network finds persons and their joints in one pass over the whole image. A format is a
pair of functions: from an image to the network's input, and from its outputs to persons in pixels
of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.nms import greedy_nms
from vitpose_ros.engines.base import Tensors, TensorSpec
from vitpose_ros.keypoints.pixels import Pixels
from vitpose_ros.layouts import Layout
from vitpose_ros.oks import oks_with
from vitpose_ros.types import ByteArray, FloatArray

Array = npt.NDArray[np.float64]
Size = tuple[int, int]

SUPPRESSION_IOU = 0.65
"""RTMO's own limit of box overlap; files whose graph suppresses duplicates lose nothing by it."""

SUPPRESSION_OKS = 0.7
"""Two seeds whose poses are more similar than this are one person's."""

_BAR = 114


@dataclass(frozen=True)
class Persons:
    """P persons with K joints each, in pixels of the image.

    Attributes
    ----------
    uv : (P, K, 2); NaN where the network's numbers are not finite.
    joint_score : (P, K), 0 .. 1; None from networks that give none.
    score : (P,) 0 .. 1.
    corners : (P, 4) x0, y0, x1, y1 of each person's box; NaN from networks that give none.
    std : (P, K) standard deviation of u and of v, px; NaN from networks that give none.
    """

    uv: Array
    joint_score: Array | None
    score: Array
    corners: Array
    std: Array

    @classmethod
    def of(
        cls,
        uv: npt.NDArray,
        joint_score: npt.NDArray | None,
        score: npt.NDArray,
        corners: npt.NDArray | None = None,
        std: npt.NDArray | None = None,
    ) -> Persons:
        """Persons in double precision; boxes and `std` are unknown unless given."""
        return cls(
            np.asarray(uv, np.float64),
            None if joint_score is None else np.asarray(joint_score, np.float64),
            np.asarray(score, np.float64),
            np.full((len(uv), 4), np.nan) if corners is None else np.asarray(corners, np.float64),
            np.full(uv.shape[:2], np.nan) if std is None else np.asarray(std, np.float64),
        )

    def pick(self, kept: npt.NDArray) -> Persons:
        """Some of the persons, by index or mask."""
        return Persons(
            self.uv[kept],
            None if self.joint_score is None else self.joint_score[kept],
            self.score[kept],
            self.corners[kept],
            self.std[kept],
        )

    def distinct_poses(self, sigmas: Sequence[float]) -> Persons:
        """The best of persons whose joints are too similar, best first; overlapping boxes do not
        matter.
        """
        rest = self.pick(np.isfinite(self.score))
        rest = rest.pick(np.argsort(-rest.score, kind="stable"))
        known = np.isfinite(rest.uv)
        sides = np.where(known, rest.uv, -np.inf).max(axis=1, initial=-np.inf)
        sides -= np.where(known, rest.uv, np.inf).min(axis=1, initial=np.inf)
        areas = np.maximum(np.nan_to_num(sides, neginf=0.0).prod(axis=1), 1.0)
        order, kept = np.arange(len(areas)), []
        while order.size:
            best, order = order[0], order[1:]
            kept.append(best)
            mean = (areas[best] + areas[order]) / 2
            alike = oks_with(rest.uv[best], rest.uv[order], mean, sigmas) > SUPPRESSION_OKS
            order = order[~alike]  # NaN, of persons without a common joint, compares false
        return rest.pick(np.array(kept, np.intp))

    def distinct(self) -> Persons:
        """The best of persons whose boxes overlap, best first."""
        sound = self.pick(np.isfinite(self.score) & np.isfinite(self.corners).all(axis=1))
        return sound.pick(greedy_nms(sound.corners, sound.score, SUPPRESSION_IOU))


@dataclass(frozen=True)
class Placed:
    """An image in the network's input.

    Attributes
    ----------
    tensors : the network's inputs by name.
    scale, offset : a point p of the input lies at (p - offset) / scale in the image, px.
    size : (width, height) of the image, px.
    """

    tensors: Mapping[str, FloatArray]
    size: Size
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def to_image(self, points: npt.NDArray) -> Array:
        """Points (..., 2) of the input, in pixels of the image."""
        return np.asarray((points.astype(np.float64) - self.offset) / self.scale)

    def corners_to_image(self, corners: npt.NDArray) -> Array:
        """Boxes (N, 4) x0, y0, x1, y1 of the input, in pixels of the image."""
        return self.to_image(corners.reshape(-1, 2, 2)).reshape(-1, 4)


@dataclass(frozen=True)
class Format:
    """How a network is fed and read.

    Attributes
    ----------
    title : for display.
    prepare : from an image (H, W, 3) BGR to the network's input.
    read : from the outputs, and how the image was placed, to persons with any score.
    classes : the number of classes, where it follows from the layout.
    """

    title: str
    prepare: Callable[[ByteArray], Placed]
    read: Callable[[Tensors, Placed], Persons]
    classes: int | None = None


@dataclass(frozen=True)
class Signature:
    """A network's inputs and outputs, and what its catalogue entry says.

    Attributes
    ----------
    inputs, outputs : of the network.
    layout : of its joints.
    size : (width, height) of the input, px.
    person : class number of persons in networks with classes.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layout: Layout
    size: Size
    person: int = 0
    by_name: dict[str, TensorSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {spec.name: spec for spec in self.outputs})

    @property
    def joints(self) -> int:
        """The number of joints."""
        return len(self.layout)

    def image_input(self, channels_last: bool = False) -> str | None:
        """The name of the input that takes the image, if it has that order of axes and size."""
        width, height = self.size
        shape = (height, width, 3) if channels_last else (3, height, width)
        fitting = [spec.name for spec in self.inputs if spec.fits(shape)]
        return fitting[0] if len(fitting) == 1 else None

    def only_output(self, *shape: int | None) -> str | None:
        """The name of the network's only output, if it has this shape behind the batch."""
        if len(self.outputs) == len(self.inputs) == 1 and self.outputs[0].fits(shape):
            return self.outputs[0].name
        return None


def size_of(image: ByteArray) -> Size:
    """(width, height), px."""
    return int(image.shape[1]), int(image.shape[0])


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -100.0, 100.0))))


def stretched(image: ByteArray, size: Size) -> ByteArray:
    """The image stretched to the input's size."""
    smaller = image.shape[1] > size[0] or image.shape[0] > size[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def tensor_of(image: ByteArray, pixels: Pixels) -> FloatArray:
    """An image of the input's size as the network reads it: (1, 3, H, W)."""
    return np.ascontiguousarray(pixels.of_image(image).transpose(2, 0, 1)[None], np.float32)


def boxed(
    image: ByteArray, size: Size, bar: int, centred: bool
) -> tuple[ByteArray, float, tuple[int, int]]:
    """The image scaled into the input's size, padded; its scale, and its top left corner."""
    (width, height), (columns, rows) = size, size_of(image)
    scale = min(width / columns, height / rows)
    inside = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = ((width - inside[0]) // 2, (height - inside[1]) // 2) if centred else (0, 0)
    canvas = np.full((height, width, 3), bar, np.uint8)
    canvas[top : top + inside[1], left : left + inside[0]] = cv2.resize(
        image, inside, interpolation=cv2.INTER_LINEAR
    )
    return canvas, scale, (left, top)


def letterboxed(source: str, image: ByteArray, size: Size, centred: bool) -> Placed:
    """The image scaled into grey bars, BGR 0 .. 255, for the input named `source`."""
    canvas, scale, offset = boxed(image, size, _BAR, centred)
    tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32)
    return Placed({source: tensor}, size_of(image), (scale, scale), offset)


def rgb_letterboxed(source: str, size: Size) -> Callable[[ByteArray], Placed]:
    """Ultralytics' input: centred in grey, RGB 0 .. 1."""

    def prepare(image: ByteArray) -> Placed:
        placed = letterboxed(source, image, size, centred=True)
        pixels = placed.tensors[source][:, ::-1] / np.float32(255)
        tensors = {source: np.ascontiguousarray(pixels, np.float32)}
        return Placed(tensors, placed.size, placed.scale, placed.offset)

    return prepare
