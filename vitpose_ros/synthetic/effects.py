"""Shadows on the table and motion blur."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray, FloatArray

_SHADOW_STEP = 4  # soft shadows need only a quarter of the resolution
_SHADOW_DEPTH = 0.42
_SHORTEST_SMEAR_PX = 1.2
_LONGEST_SMEAR_PX = 31

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in px; x1 and y1 are exclusive."""


def box_around(u: npt.NDArray, v: npt.NDArray, margin: int, width: int, height: int) -> Box:
    """The bounding box of pixels, widened by a margin and clipped to the image; possibly empty."""
    if not len(u):
        return 0, 0, 0, 0
    x0, x1 = max(int(u.min()) - margin, 0), min(int(u.max()) + margin + 1, width)
    y0, y1 = max(int(v.min()) - margin, 0), min(int(v.max()) + margin + 1, height)
    return x0, y0, max(x1, x0), max(y1, y0)


def union(a: Box, b: Box) -> Box:
    """The bounding box of two boxes, either of which may be empty."""
    if a[0] == a[2] or a[1] == a[3]:
        return b
    if b[0] == b[2] or b[1] == b[3]:
        return a
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def cast_shadows(
    image: ByteArray,
    points: FloatArray,
    up: FloatArray,
    table: float,
    to_sun: FloatArray,
    camera: npt.NDArray[np.float64],
) -> Box:
    """Darken the table below a cloud of points, in place, and return the changed box.

    Parameters
    ----------
    points : (N, 3), metres in the optical frame, a few millimetres apart.
    up, table : the table is the plane of points whose product with `up` equals `table`.
    to_sun : direction to the light, optical frame.
    """
    height, width = image.shape[:2]
    above = (points @ up - np.float32(table)) / np.float32(up @ to_sun)
    on_table = points - above[:, None] * to_sun
    z = on_table[:, 2]
    seen = np.flatnonzero(z > 0.05)
    scale = np.float32(camera[0, 0] / _SHADOW_STEP) / z[seen]
    u = on_table[seen, 0] * scale + np.float32(camera[0, 2] / _SHADOW_STEP)
    v = on_table[seen, 1] * scale + np.float32(camera[1, 2] / _SHADOW_STEP)
    columns, rows = -(-width // _SHADOW_STEP), -(-height // _SHADOW_STEP)
    inside = (u >= 0) & (v >= 0) & (u < columns) & (v < rows)
    if not inside.any():
        return 0, 0, 0, 0
    mask = np.zeros((rows, columns), np.uint8)
    mask[v[inside].astype(np.int32), u[inside].astype(np.int32)] = 255
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    mask = cv2.GaussianBlur(mask, (0, 0), 2.2)
    x, y, w, h = cv2.boundingRect(mask)
    part = mask[y : y + h, x : x + w]
    light: npt.NDArray = cv2.convertScaleAbs(part, alpha=-_SHADOW_DEPTH, beta=255.0)
    x0, y0 = x * _SHADOW_STEP, y * _SHADOW_STEP
    x1, y1 = min(x0 + w * _SHADOW_STEP, width), min(y0 + h * _SHADOW_STEP, height)
    large = (w * _SHADOW_STEP, h * _SHADOW_STEP)
    light = cv2.resize(light, large, interpolation=cv2.INTER_LINEAR)[: y1 - y0, : x1 - x0]
    light = cv2.cvtColor(light, cv2.COLOR_GRAY2BGR)
    image[y0:y1, x0:x1] = cv2.multiply(image[y0:y1, x0:x1], light, scale=1 / 255.0)
    return x0, y0, x1, y1


def smear_kernel(motion_px: npt.NDArray[np.float64]) -> FloatArray | None:
    """The kernel of linear motion blur by (2,) px; None if the motion is too short to see."""
    length = float(np.hypot(*motion_px))
    if length < _SHORTEST_SMEAR_PX:
        return None
    length = min(length, float(_LONGEST_SMEAR_PX - 2))
    direction = np.asarray(motion_px) / np.hypot(*motion_px)
    half = math.ceil(length / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for offset in np.linspace(-length / 2, length / 2, 4 * half + 1):
        u, v = direction * offset + half
        u0, v0 = int(u), int(v)
        for du, dv in ((0, 0), (1, 0), (0, 1), (1, 1)):
            if u0 + du <= 2 * half and v0 + dv <= 2 * half:
                kernel[v0 + dv, u0 + du] += (1 - abs(u - u0 - du)) * (1 - abs(v - v0 - dv))
    return kernel / kernel.sum()


def lay_smeared(image: ByteArray, pixel: npt.NDArray, colour: ByteArray, kernel: FloatArray) -> Box:
    """Draw pixels with motion blur over an image, in place, and return the changed box.

    Parameters
    ----------
    pixel : (P,) indices into the flattened image.
    colour : (P, 3) uint8, BGR.
    """
    height, width = image.shape[:2]
    v, u = np.divmod(pixel, width)
    x0, y0, x1, y1 = box = box_around(u, v, kernel.shape[0] // 2 + 1, width, height)
    layer: npt.NDArray = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
    layer[v - y0, u - x0, :3] = colour
    layer[v - y0, u - x0, 3] = 255
    layer = cv2.filter2D(layer, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    clear = cv2.cvtColor(255 - layer[:, :, 3], cv2.COLOR_GRAY2BGR)
    below = cv2.multiply(image[y0:y1, x0:x1], clear, scale=1 / 255.0)
    image[y0:y1, x0:x1] = cv2.add(below, np.ascontiguousarray(layer[:, :, :3]))
    return box
