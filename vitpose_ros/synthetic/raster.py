"""Triangles to pixels with a depth buffer, in NumPy: for meshes whose triangles are a few pixels in size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fragments:
    """The P pixels that some triangle covers, each with the nearest one.

    Attributes
    ----------
    pixel : (P,) index into the flattened image.
    face : (P,) row of the triangle in the array that was drawn.
    weights : (P, 3) float32, perspective-correct weights of the triangle's corners.
    depth_m : (P,) float32, metres along the optical axis.
    """

    pixel: npt.NDArray[np.int64]
    face: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    depth_m: npt.NDArray[np.float32]


def rasterise(
    uv: npt.NDArray[np.float32],
    inverse_z: npt.NDArray[np.float32],
    faces: npt.NDArray[np.int64],
    inverse_depth: npt.NDArray[np.float32],
) -> Fragments:
    """Draw the triangles that face the camera into a buffer of inverse depth, which is updated in place.

    Parameters
    ----------
    uv : (V, 2) float32, px.
    inverse_z : (V,) float32, 1/m; a corner at or behind the camera has 0 or less, and its triangles are not drawn.
    faces : (F, 3) vertex indices; front faces run clockwise in the image.
    inverse_depth : (H, W) float32, 1/m, 0 where nothing is; what is already there hides what is behind it.
    """
    height, width = inverse_depth.shape
    nearness = inverse_z[faces]
    corner = uv[faces]
    a, ab, ac = corner[:, 0], corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    low = np.ceil(corner.min(axis=1))
    high = np.floor(corner.max(axis=1))
    drawn = (area > 1e-6) & (nearness.min(axis=1) > 0)
    drawn &= (low[:, 0] <= high[:, 0]) & (low[:, 1] <= high[:, 1])
    drawn &= (high >= 0).all(axis=1) & (low[:, 0] < width) & (low[:, 1] < height)
    index = np.flatnonzero(drawn)
    index = index[
        np.argsort(nearness[index].sum(axis=1), kind="stable")
    ]  # far ones first, so that near ones overwrite them

    a, ab, ac, area, nearness = a[index], ab[index], ac[index], area[index], nearness[index]
    low = np.maximum(low[index], 0).astype(np.int32)
    high = np.minimum(high[index], (width - 1, height - 1)).astype(np.int32)
    columns, rows = high[:, 0] - low[:, 0] + 1, high[:, 1] - low[:, 1] + 1

    # Barycentric coordinates are affine in the pixel: b = b0 + bx x + by y, measured from the box's own corner.
    scale = 1.0 / area
    b_x, b_y = ac[:, 1] * scale, -ac[:, 0] * scale
    c_x, c_y = -ab[:, 1] * scale, ab[:, 0] * scale
    start = low - a
    b_0 = start[:, 0] * b_x + start[:, 1] * b_y
    c_0 = start[:, 0] * c_x + start[:, 1] * c_y

    # One entry per row of each triangle's box, then one per pixel.
    row_face = np.repeat(np.arange(len(index)), rows)
    row_in_face = np.arange(len(row_face)) - np.repeat(np.cumsum(rows) - rows, rows)
    row_b = b_0[row_face] + row_in_face * b_y[row_face]
    row_c = c_0[row_face] + row_in_face * c_y[row_face]
    first, last = _span(row_b, row_c, b_x[row_face], c_x[row_face], columns[row_face])
    count = np.maximum(last - first + 1, 0)
    row_pixel = (low[row_face, 1] + row_in_face) * width + low[row_face, 0] + first
    entry = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
    face = row_face[entry]
    x = (step + first[entry]).astype(np.float32)
    b = (row_b[entry] + x * b_x[face]).astype(np.float32)
    c = (row_c[entry] + x * c_x[face]).astype(np.float32)
    pixel = row_pixel[entry] + step
    near_a = nearness[:, 0][face]
    near_b, near_c = nearness[:, 1][face], nearness[:, 2][face]
    value = near_a + b * (near_b - near_a) + c * (near_c - near_a)

    buffer = inverse_depth.reshape(-1)
    alive = np.flatnonzero(value > buffer[pixel])
    winner = np.full(buffer.shape, -1, np.int64)
    while alive.size:  # an assignment keeps its last value only, so repeat until no fragment is nearer than what was kept
        buffer[pixel[alive]] = value[alive]
        winner[pixel[alive]] = alive
        alive = alive[value[alive] > buffer[pixel[alive]]]
    kept = winner[winner >= 0]
    b, c, face, value = b[kept], c[kept], face[kept], value[kept]
    weights = (
        np.stack([(1.0 - b - c) * near_a[kept], b * near_b[kept], c * near_c[kept]], axis=1)
        / value[:, None]
    )
    return Fragments(
        pixel[kept], index[face], weights.astype(np.float32), (1.0 / value).astype(np.float32)
    )


def _span(b, c, b_x, c_x, columns):  # type: ignore[no-untyped-def]
    """First and last column of each row inside its triangle: b >= 0, c >= 0 and b + c <= 1 hold between them."""
    lowest = np.zeros_like(b)
    highest = (columns - 1).astype(b.dtype)
    for value, slope in ((b, b_x), (c, c_x), (1.0 - b - c, -(b_x + c_x))):
        with np.errstate(divide="ignore", invalid="ignore"):
            zero = -value / slope
        np.maximum(lowest, zero, out=lowest, where=slope > 0)
        np.minimum(highest, zero, out=highest, where=slope < 0)
        highest = np.where((slope == 0) & (value < 0), -1.0, highest)
    # A hair of tolerance, so that a pixel on the border of two triangles is not lost between them.
    first = np.ceil(np.minimum(lowest, columns) - 1e-4).astype(np.int64)
    last = np.floor(np.maximum(highest, -1.0) + 1e-4).astype(np.int64)
    return np.maximum(first, 0), np.minimum(last, columns - 1)
