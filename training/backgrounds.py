"""Backgrounds for rendered hands: noise at all scales, patches, lines, tables."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.synthetic import setting
from vitpose_ros.types import ByteArray, FloatArray

_BACKGROUND_PX = 288


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


def over(below: ByteArray, hand: ByteArray) -> ByteArray:
    """Draw an image with alpha over another one."""
    clear = cv2.cvtColor(255 - hand[:, :, 3], cv2.COLOR_GRAY2BGR)
    colour = np.ascontiguousarray(hand[:, :, :3])
    return cv2.add(colour, cv2.multiply(below, clear, scale=1 / 255))  # type: ignore[return-value]
