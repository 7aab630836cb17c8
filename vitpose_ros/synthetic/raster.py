"""A triangle rasteriser with a depth buffer in NumPy, for meshes with triangles of a few pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fragments:
    """The P pixels covered by triangles, each with the nearest triangle.

    Attributes
    ----------
    pixel : (P,) index into the flattened image.
    face : (P,) index of the triangle.
    weights : (P, 3) float32, perspective-correct weights of the triangle's corners.
    depth_m : (P,) float32, metres along the optical axis.
    """

    pixel: npt.NDArray[np.integer]
    face: npt.NDArray[np.integer]
    weights: npt.NDArray[np.float32]
    depth_m: npt.NDArray[np.float32]


def rasterise(
    uv: npt.NDArray[np.float32],
    inverse_z: npt.NDArray[np.float32],
    faces: npt.NDArray[np.int64],
    inverse_depth: npt.NDArray[np.float32],
) -> Fragments:
    """Draw the triangles that face the camera, and update a buffer of inverse depth in place.

    Parameters
    ----------
    uv : (V, 2) float32, px.
    inverse_z : (V,) float32, 1/m. Triangles with a vertex of 0 or less, at or behind the camera,
        are not drawn.
    faces : (F, 3) vertex indices; front faces are clockwise in the image.
    inverse_depth : (H, W) float32, 1/m, 0 where no surface is. Existing surfaces occlude.
    """
    height, width = inverse_depth.shape
    u, v = np.ascontiguousarray(uv[:, 0]), np.ascontiguousarray(uv[:, 1])
    # Culling first, with little data: about half of a closed mesh faces away.
    a, b, c = faces[:, 0], faces[:, 1], faces[:, 2]
    ua, va = u[a], v[a]
    abu, abv, acu, acv = u[b] - ua, v[b] - va, u[c] - ua, v[c] - va
    area = abu * acv - abv * acu
    front = np.flatnonzero(area > 1e-6)
    a, b, c = a[front], b[front], c[front]
    ua, va, abu, abv, acu, acv = (
        ua[front],
        va[front],
        abu[front],
        abv[front],
        acu[front],
        acv[front],
    )
    near_a, near_b, near_c = inverse_z[a], inverse_z[b], inverse_z[c]
    left = np.ceil(ua + np.minimum(np.minimum(abu, acu), 0))
    right = np.floor(ua + np.maximum(np.maximum(abu, acu), 0))
    top = np.ceil(va + np.minimum(np.minimum(abv, acv), 0))
    bottom = np.floor(va + np.maximum(np.maximum(abv, acv), 0))
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    right, bottom = np.minimum(right, width - 1), np.minimum(bottom, height - 1)
    shown = np.flatnonzero(
        (left <= right) & (top <= bottom) & (np.minimum(np.minimum(near_a, near_b), near_c) > 0)
    )
    # From far to near, so that near triangles overwrite far ones.
    shown = shown[np.argsort((near_a + near_b + near_c)[shown])]
    ua, va, abu, abv, acu, acv = (x[shown] for x in (ua, va, abu, abv, acu, acv))
    near_a, near_b, near_c = near_a[shown], near_b[shown], near_c[shown]
    index = front[shown]
    left, right, top, bottom = (x[shown].astype(np.int32) for x in (left, right, top, bottom))
    columns, rows = right - left + 1, bottom - top + 1

    # Barycentric coordinates are affine in the pixel: b = b_0 + b_x x + b_y y, measured from the
    # first pixel of the triangle's box.
    scale = np.float32(1.0) / area[index]
    b_x, b_y = acv * scale, -acu * scale
    c_x, c_y = -abv * scale, abu * scale
    b_0 = (left - ua) * b_x + (top - va) * b_y
    c_0 = (left - ua) * c_x + (top - va) * c_y

    # One entry per row of each triangle's box, then one per pixel.
    row_face = np.repeat(np.arange(len(index), dtype=np.int32), rows)
    row_in_face = _counted(rows)
    row_b = (b_0[row_face] + row_in_face * b_y[row_face]).astype(np.float32)
    row_c = (c_0[row_face] + row_in_face * c_y[row_face]).astype(np.float32)
    row_b_x, row_c_x = b_x[row_face], c_x[row_face]
    first, last = _span(row_b, row_c, row_b_x, row_c_x, columns[row_face])
    count = np.maximum(last - first + 1, 0)
    row_b += first.astype(np.float32) * row_b_x
    row_c += first.astype(np.float32) * row_c_x
    row_pixel = (top[row_face] + row_in_face) * np.int32(width) + left[row_face] + first
    step = _counted(count)
    face = np.repeat(row_face, count)
    pixel = np.repeat(row_pixel, count) + step
    across = step.astype(np.float32)
    along_b = np.repeat(row_b, count) + across * b_x[face]
    along_c = np.repeat(row_c, count) + across * c_x[face]
    value = near_a[face] + along_b * (near_b - near_a)[face] + along_c * (near_c - near_a)[face]

    buffer = inverse_depth.reshape(-1)
    alive = np.flatnonzero(value > buffer[pixel])
    winner = np.full(buffer.shape, -1, np.int64)
    value = value.astype(buffer.dtype, copy=False)  # else the loop below might never end
    # An assignment keeps only the last value per pixel: repeat until no fragment is nearer.
    while alive.size:
        buffer[pixel[alive]] = value[alive]
        winner[pixel[alive]] = alive
        alive = alive[value[alive] > buffer[pixel[alive]]]
    kept = winner[winner >= 0]
    face, value = face[kept], value[kept]
    weight_b, weight_c = along_b[kept] * near_b[face], along_c[kept] * near_c[face]
    weights = np.empty((len(kept), 3), np.float32)
    weights[:, 1] = weight_b / value
    weights[:, 2] = weight_c / value
    weights[:, 0] = 1.0 - weights[:, 1] - weights[:, 2]
    return Fragments(pixel[kept], index[face], weights, 1.0 / value)


def _counted(counts: npt.NDArray) -> npt.NDArray[np.int32]:
    """The ranges 0 .. n - 1 for all counts n, concatenated."""
    ends = np.cumsum(counts, dtype=np.int32)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int32) - np.repeat(ends - counts.astype(np.int32), counts)


def _span(
    b: npt.NDArray,
    c: npt.NDArray,
    b_x: npt.NDArray,
    c_x: npt.NDArray,
    columns: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """First and last column of each row inside its triangle: b >= 0, c >= 0 and b + c <= 1."""
    lowest = np.zeros_like(b)
    highest = (columns - 1).astype(b.dtype)
    for value, slope in ((b, b_x), (c, c_x), (1.0 - b - c, -(b_x + c_x))):
        # A slope of exactly 0 becomes a tiny one, which moves the edge far outside.
        zero = -value / np.where(slope == 0, np.float32(1e-20), slope)
        rising = slope >= 0
        np.maximum(lowest, np.where(rising, zero, 0), out=lowest)
        np.minimum(highest, np.where(rising, highest, zero), out=highest)
    # The tolerance keeps pixels on the common edge of two triangles.
    first = np.ceil(np.minimum(lowest, columns) - 1e-4).astype(np.int32)
    last = np.floor(np.maximum(highest, -1.0) + 1e-4).astype(np.int32)
    return first, last
