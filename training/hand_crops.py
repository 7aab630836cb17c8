"""Training crops: samples cropped as the package does, with random backgrounds, light and optics.

Regions, UDP warp, normalisation and heatmaps are those of `vitpose_ros.keypoints`. Everything else
is augmentation that the network has to learn to ignore.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from hand_samples import SAMPLE_PX, own_region
from sample_cache import Samples

from vitpose_ros.geometry import apply_affine
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.warp import crop_to_image, cut_crops
from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.synthetic import setting
from vitpose_ros.synthetic.effects import smear_kernel
from vitpose_ros.types import ByteArray, FloatArray, Region

BACKGROUNDS = 256
"""How many of them a run uses."""

_BACKGROUND_PX = 288


@dataclass(frozen=True)
class Batch:
    """N crops and their targets.

    Attributes
    ----------
    pixels : (N, 3, height, width) float32, the network's input.
    xy : (N, 21, 2) float64, px, the joints in the crop; NaN without a hand.
    weight : (N, 21) float32, 0 for joints outside the crop, else 1.
    visible : (N, 21) bool.
    """

    pixels: FloatArray
    xy: npt.NDArray[np.float64]
    weight: FloatArray
    visible: npt.NDArray[np.bool_]

    def palm_px(self) -> npt.NDArray[np.float64]:
        """(N,) distance from the wrist to the middle knuckle in the crop, px."""
        return np.linalg.norm(self.xy[:, MIDDLE_MCP] - self.xy[:, WRIST], axis=1)


def jittered(
    region: Region, rng: np.random.Generator, scale: float, shift: float, turn_deg: float
) -> Region:
    """A region with random errors of the given standard deviations.

    Parameters
    ----------
    scale : of the logarithm of the size.
    shift : in sides of the region.
    turn_deg : of the angle.
    """
    side = region.width * float(np.exp(rng.normal(0.0, scale)))
    dx, dy = rng.normal(0.0, shift, 2) * region.width
    rotation = region.rotation_rad + float(np.radians(rng.normal(0.0, turn_deg)))
    return replace(
        region,
        cx=region.cx + float(dx),
        cy=region.cy + float(dy),
        width=side,
        height=side,
        rotation_rad=rotation,
    )


def detector_like(region: Region, rng: np.random.Generator) -> Region:
    """A region as a palm detector or the last frame's joints would give it."""
    return jittered(region, rng, scale=0.08, shift=0.04, turn_deg=8.0)


def upright_box(uv: FloatArray, rotation_rad: float, padding: float) -> Region:
    """The square around joints, rotated by an angle: an upright box for a hand in any direction."""
    cos, sin = np.cos(rotation_rad), np.sin(rotation_rad)
    turned = uv @ np.array(((cos, -sin), (sin, cos)))
    low, high = turned.min(axis=0), turned.max(axis=0)
    middle = np.array(((cos, -sin), (sin, cos))) @ ((low + high) / 2)
    side = float((high - low).max()) * padding
    return Region(float(middle[0]), float(middle[1]), side, side, rotation_rad)


def training_region(uv: FloatArray, rng: np.random.Generator) -> Region:
    """A region for training: mostly like the package's own, some upright boxes."""
    if rng.random() < 0.8:
        return jittered(own_region(), rng, scale=0.13, shift=0.06, turn_deg=14.0)
    turn = rng.uniform(-np.pi, np.pi) if rng.random() < 0.6 else rng.normal(0.0, 0.7)
    box = upright_box(uv, float(turn), padding=float(rng.uniform(1.4, 1.9)))
    return jittered(box, rng, scale=0.08, shift=0.05, turn_deg=0.0)


def make_backgrounds(seed: int, count: int) -> ByteArray:
    """(count, 288, 288, 3) backgrounds: noise at all scales, patches, lines, tables."""
    rng = np.random.default_rng((seed, 404))
    pictures = np.empty((count, _BACKGROUND_PX, _BACKGROUND_PX, 3), np.uint8)
    for i in range(count):
        kind = i % 4
        if kind == 0:
            pictures[i] = _table(rng)
            continue
        picture = np.full((_BACKGROUND_PX, _BACKGROUND_PX, 3), rng.uniform(20, 230, 3), np.float32)
        for cells in rng.integers(2, 96, 3):
            grain: npt.NDArray = rng.normal(0, 1, (cells, cells, 3 if rng.random() < 0.5 else 1))
            grain = cv2.resize(
                grain.astype(np.float32), (_BACKGROUND_PX,) * 2, interpolation=cv2.INTER_CUBIC
            )
            grain = grain.reshape(_BACKGROUND_PX, _BACKGROUND_PX, -1)
            picture += grain * np.float32(rng.uniform(2, 35))
        for _ in range(int(rng.integers(0, 14)) if kind > 1 else 0):
            _draw_thing(picture, rng)
        pictures[i] = np.clip(picture, 0, 255)
    return pictures


def _table(rng: np.random.Generator) -> ByteArray:
    rotation = setting.camera_rotation(float(rng.uniform(35, 60)))
    camera = np.array(((300.0, 0, 144), (0, 300.0, 144), (0, 0, 1)))
    light = setting.make_light(rng)
    size = (_BACKGROUND_PX, _BACKGROUND_PX)
    return setting.background(camera, rotation, np.zeros(3), *size, light, rng)[0]


def _draw_thing(picture: FloatArray, rng: np.random.Generator) -> None:
    """Draw a polygon, an ellipse or a finger-like bar of one colour, sometimes skin."""
    skin = rng.uniform(0.35, 1.1) * np.array((140.0, 165.0, 215.0))
    colour = (skin if rng.random() < 0.35 else rng.uniform(0, 255, 3)).tolist()
    centre = rng.uniform(0, _BACKGROUND_PX, 2)
    kind = rng.integers(3)
    if kind == 0:
        corners = centre + rng.normal(0, 45, (int(rng.integers(3, 6)), 2))
        cv2.fillPoly(picture, [corners.astype(np.int32)], colour)
    elif kind == 1:
        axes = tuple(int(a) for a in rng.uniform(5, 60, 2))
        middle = tuple(int(c) for c in centre)
        cv2.ellipse(picture, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        end = centre + rng.normal(0, 70, 2)
        points = [tuple(int(c) for c in point) for point in (centre, end)]
        cv2.line(picture, points[0], points[1], colour, int(rng.integers(2, 30)))


class CropMaker:
    """Makes batches from samples.

    Parameters
    ----------
    samples : the source.
    codec : the network's codec, which has the input's size.
    backgrounds : (B, 288, 288, 3), from `make_backgrounds`.
    """

    def __init__(self, samples: Samples, codec: HeatmapCodec, backgrounds: ByteArray) -> None:
        self._samples, self._codec, self._backgrounds = samples, codec, backgrounds
        self._size = codec.input_size

    def training(self, count: int, rng: np.random.Generator, empty: float = 0.0) -> Batch:
        """Random hands with all augmentations, and a share of crops without a hand."""
        rows = rng.integers(len(self._samples), size=count)
        batch = self._batch(rows, rng, disturbed=True)
        same = np.array(((1.0, 0, 0), (0, 1.0, 0)))[None]
        for i in range(round(empty * count)):
            image = self._disturbed(self._background(rng), rng)
            cut_crops(image, same, batch.pixels[i : i + 1])
            batch.xy[i], batch.weight[i], batch.visible[i] = np.nan, 1.0, False
        return batch

    def held_out(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Given hands in regions like a detector's, over a background, without augmentation."""
        return self._batch(rows, rng, disturbed=False)

    def _batch(
        self, rows: npt.NDArray[np.int64], rng: np.random.Generator, disturbed: bool
    ) -> Batch:
        width, height = self._size
        pixels = np.empty((len(rows), 3, height, width), np.float32)
        xy = np.empty((len(rows), 21, 2))
        same = np.array(((1.0, 0, 0), (0, 1.0, 0)))
        for i, row in enumerate(rows):
            image, xy[i] = self._crop(int(row), rng, disturbed)
            cut_crops(image, same[None], pixels[i : i + 1])
        inside = ((xy >= -0.5) & (xy < np.array(self._size) - 0.5)).all(axis=2)
        return Batch(pixels, xy, np.asarray(inside, np.float32), self._samples.visible[rows])

    def _crop(
        self, row: int, rng: np.random.Generator, disturbed: bool
    ) -> tuple[ByteArray, npt.NDArray[np.float64]]:
        uv = self._samples.uv[row]
        region = training_region(uv, rng) if disturbed else detector_like(own_region(), rng)
        matrix = crop_to_image([region], self._size, self._codec.udp)[0]
        hand = self._warp(row, matrix)
        xy = apply_affine(np.asarray(cv2.invertAffineTransform(matrix), np.float64), uv)
        if rng.random() < 0.5:  # the other hand
            hand = np.ascontiguousarray(hand[:, ::-1])
            xy[:, 0] = self._size[0] - 1 - xy[:, 0]
        image = self._background(rng)
        if disturbed and rng.random() < 0.15:
            other = matrix.copy()
            other[:, 2] += rng.uniform(-0.45, 0.45, 2) * SAMPLE_PX
            image = _over(image, self._warp(int(rng.integers(len(self._samples))), other))
        image = _over(image, hand)
        if disturbed:
            image = self._disturbed(image, rng)
        return image, xy

    def _warp(self, row: int, matrix: npt.NDArray[np.float64]) -> ByteArray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(  # type: ignore[return-value]
            self._samples.images[row], matrix, self._size, flags=flags
        )

    def _background(self, rng: np.random.Generator) -> ByteArray:
        picture = self._backgrounds[rng.integers(len(self._backgrounds))]
        width, height = self._size
        x, y = rng.integers(0, _BACKGROUND_PX - max(width, height), 2)
        part = picture[y : y + height, x : x + width]
        if width == height and rng.random() < 0.5:
            part = part.swapaxes(0, 1)
        return np.ascontiguousarray(part[:: rng.choice((-1, 1))])

    def _disturbed(self, image: npt.NDArray, rng: np.random.Generator) -> ByteArray:
        width, height = self._size
        if rng.random() < 0.3:
            self._occlude(image, rng)
        if rng.random() < 0.12:  # the edge of the frame, black outside
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5) * width
            along = np.array((np.cos(angle), np.sin(angle)))
            across = np.array((-along[1], along[0]))
            start = np.array((width, height)) / 2 + along * reach
            ends = [start - across * 999, start + across * 999]
            far = [*ends, ends[1] + along * 999, ends[0] + along * 999]
            cv2.fillPoly(image, [np.array(far, np.int32)], (0, 0, 0))
        if rng.random() < 0.2:
            factor = rng.uniform(0.3, 0.8)
            small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, self._size, interpolation=cv2.INTER_LINEAR)
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
        """Draw an occluder over the hand, in place."""
        mask = np.zeros(image.shape[:2], np.uint8)
        side = min(self._size)
        centre = rng.uniform(0.1, 0.9, 2) * self._size
        if rng.random() < 0.5:
            corners = centre + rng.normal(0, 0.13 * side, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(mask, [cv2.convexHull(corners.astype(np.int32))], 255)
        else:
            end = centre + rng.normal(0, 0.5 * side, 2)
            points = [tuple(int(c) for c in point) for point in (centre, end)]
            cv2.line(mask, points[0], points[1], 255, int(rng.uniform(0.02, 0.12) * side))
        cv2.copyTo(self._background(rng), mask, image)


def _over(below: ByteArray, hand: ByteArray) -> ByteArray:
    """Draw an image with alpha over another one."""
    clear = cv2.cvtColor(255 - hand[:, :, 3], cv2.COLOR_GRAY2BGR)
    colour = np.ascontiguousarray(hand[:, :, :3])
    return cv2.add(colour, cv2.multiply(below, clear, scale=1 / 255))  # type: ignore[return-value]


def _tone_curves(rng: np.random.Generator) -> ByteArray:
    """(1, 256, 3) a lookup table for exposure, contrast, gamma and colour cast."""
    level = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.2))
    gain = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    curve = level * gain + rng.normal(0, 0.05)
    return np.clip(curve * 255, 0, 255).astype(np.uint8)[None]
