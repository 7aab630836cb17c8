"""Cuts crops out of samples as the package does in use, and disturbs them for training.

Regions, warp, normalisation and heatmaps are those of `vitpose_ros.keypoints`. Everything else is
augmentation that the network has to learn to ignore.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.warp import cut_crops
from vitpose_ros.layouts import Layout
from vitpose_ros.synthetic.effects import smear_kernel
from vitpose_ros.train.regions import (
    NONE,
    Errors,
    jittered,
    random_region,
    to_crop,
    training_errors,
    use_errors,
)
from vitpose_ros.train.samples import Samples
from vitpose_ros.types import ByteArray, FloatArray

_SAME = np.array(((1.0, 0, 0), (0, 1.0, 0)))[None]


@dataclass(frozen=True)
class Batch:
    """N crops and what the network should say of them.

    Attributes
    ----------
    pixels : (N, 3, height, width) float32, the network's input.
    xy : (N, K, 2) float64, px, the joints in the crop; NaN where not labelled.
    weight : (N, K) float32, how much a joint counts: 0 for joints that are not labelled or lie
        outside the crop, 1 for exact labels, less for uncertain ones; 1 for all joints of a crop
        without an object.
    area : (N,) float64, px^2 of the crop, for OKS; 0 without an object.
    """

    pixels: FloatArray
    xy: npt.NDArray[np.float64]
    weight: FloatArray
    area: npt.NDArray[np.float64]


def make_codec(size: tuple[int, int]) -> HeatmapCodec:
    """The codec of a ViTPose with this input, (width, height) px."""
    return HeatmapCodec(size, (size[0] // 4, size[1] // 4))


def label_weight(
    xy: npt.NDArray, std_px: npt.NDArray, codec: HeatmapCodec
) -> npt.NDArray[np.float32]:
    """How much each joint counts; see `Batch.weight`.

    A label with a standard deviation as large as the heatmap's peak is wide counts half.

    Parameters
    ----------
    xy : (..., K, 2), px of the crop.
    std_px : (..., K), px of the crop.
    codec : of the network.
    """
    with np.errstate(invalid="ignore"):
        inside = ((xy >= -0.5) & (xy < np.array(codec.input_size) - 0.5)).all(axis=-1)
    width_px = codec.sigma * float(codec.px_per_map_px.mean())
    return np.asarray(inside / (1.0 + (std_px / width_px) ** 2), np.float32)


def mirrored(
    image: ByteArray, xy: npt.NDArray, std_px: npt.NDArray, order: tuple[int, ...]
) -> tuple[ByteArray, npt.NDArray, npt.NDArray]:
    """A mirrored crop, (K, 2) joints and (K,) deviations: left joints become right ones.

    Parameters
    ----------
    order : each joint's counterpart; see `Layout.flip_permutation`.
    """
    index = list(order)
    turned = xy[index].copy()
    turned[:, 0] = image.shape[1] - 1 - turned[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), turned, std_px[index]


class CropMaker:
    """Makes batches from samples.

    Parameters
    ----------
    samples, layout : the source.
    """

    def __init__(self, samples: Samples, layout: Layout) -> None:
        self._samples, self.codec = samples, make_codec(samples.size)
        self._order = layout.flip_permutation()
        self._size = samples.size
        self._errors, self._use = training_errors(layout), use_errors(layout)

    def training(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Crops of these samples, with all augmentations."""
        return self._batch(rows, rng, self._errors, disturbed=True)

    def held_out(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Crops of these samples as the package would cut them, undisturbed."""
        return self._batch(rows, rng, self._use, disturbed=False)

    def _batch(
        self, rows: npt.NDArray[np.int64], rng: np.random.Generator, errors: Errors, disturbed: bool
    ) -> Batch:
        width, height = self._size
        joints = self._samples.uv.shape[1]
        pixels = np.empty((len(rows), 3, height, width), np.float32)
        xy, area = np.empty((len(rows), joints, 2)), np.empty(len(rows))
        weight = np.ones((len(rows), joints), np.float32)
        for i, row in enumerate(rows):
            image, xy[i], std_px, area[i] = self._crop(int(row), rng, errors, disturbed)
            cut_crops(image, _SAME, pixels[i : i + 1])
            if area[i]:
                weight[i] = label_weight(xy[i], std_px, self.codec)
        return Batch(pixels, xy, weight, area)

    def _crop(
        self, row: int, rng: np.random.Generator, errors: Errors, disturbed: bool
    ) -> tuple[ByteArray, npt.NDArray, npt.NDArray, float]:
        own, uv = self._samples.own, self._samples.uv[row]
        std_px = self._samples.std_px[row]
        if disturbed:
            region = random_region(own, uv, rng, errors, self._size)
        else:
            region = own if errors is NONE else jittered(own, rng, errors)
        matrix, xy = to_crop(region, self._size, uv)
        image = self._warp(row, matrix)
        scale = (self._size[0] - 1) / region.width
        if disturbed and rng.random() < 0.5:
            image, xy, std_px = mirrored(image, xy, std_px, self._order)
        if disturbed:
            image = self._disturbed(image, rng)
        return image, xy, std_px * scale, float(self._samples.area[row]) * scale**2

    def _warp(self, row: int, matrix: npt.NDArray) -> ByteArray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(self._samples.images[row], matrix, self._size, flags=flags)
        return np.asarray(image, np.uint8)

    def _disturbed(self, image: npt.NDArray, rng: np.random.Generator) -> ByteArray:
        width, height = self._size
        if rng.random() < 0.3:
            self._occlude(image, rng)
        if rng.random() < 0.12:
            _end_frame(image, rng)
        if rng.random() < 0.2:
            factor = rng.uniform(0.3, 0.8)
            small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.3:
            image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.4)))
        if rng.random() < 0.15:
            kernel = smear_kernel(rng.normal(0, 4.0, 2))
            if kernel is not None:
                image = cv2.filter2D(image, -1, kernel)
        image = cv2.LUT(image, _tone_curves(rng))
        if rng.random() < 0.05:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if rng.random() < 0.5:
            grain = np.empty(image.shape, np.int16)
            cv2.setRNGSeed(int(rng.integers(2**31)))
            cv2.randn(grain, 0, float(rng.uniform(1, 12)))  # type: ignore[call-overload]
            image = cv2.add(image, grain, dtype=cv2.CV_8U)
        return np.asarray(image, np.uint8)

    def _occlude(self, image: ByteArray, rng: np.random.Generator) -> None:
        """Draw an occluder over the object, in place: with the texture of another sample."""
        mask = np.zeros(image.shape[:2], np.uint8)
        side = min(self._size)
        centre = rng.uniform(0.1, 0.9, 2) * self._size
        if rng.random() < 0.5:
            corners = centre + rng.normal(0, 0.13 * side, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(mask, [cv2.convexHull(corners.astype(np.int32))], 255)
        else:
            end = centre + rng.normal(0, 0.5 * side, 2)
            points = [tuple(int(c) for c in point) for point in (centre, end)]
            cv2.line(mask, points[0], points[1], 255, int(rng.uniform(0.02, 0.12) * side) or 1)
        other = self._samples.images[int(rng.integers(len(self._samples)))]
        height, width = image.shape[:2]
        y = int(rng.integers(other.shape[0] - height + 1))
        x = int(rng.integers(other.shape[1] - width + 1))
        texture = np.ascontiguousarray(other[y : y + height, x : x + width][::-1])
        cv2.copyTo(texture, mask, image)


def _end_frame(image: ByteArray, rng: np.random.Generator) -> None:
    """Draw the edge of the camera's image in place: black beyond it."""
    height, width = image.shape[:2]
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5) * width
    along = np.array((np.cos(angle), np.sin(angle)))
    across = np.array((-along[1], along[0]))
    start = np.array((width, height)) / 2 + along * reach
    ends = [start - across * 999, start + across * 999]
    far = [*ends, ends[1] + along * 999, ends[0] + along * 999]
    cv2.fillPoly(image, [np.array(far, np.int32)], (0, 0, 0))


def _tone_curves(rng: np.random.Generator) -> ByteArray:
    """(1, 256, 3) a lookup table for exposure, contrast, gamma and colour cast."""
    level = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.2))
    gain = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    curve = level * gain + rng.normal(0, 0.05)
    return np.clip(curve * 255, 0, 255).astype(np.uint8)[None]
