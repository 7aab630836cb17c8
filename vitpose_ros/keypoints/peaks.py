"""Subpixel positions of heatmap maxima, besides DARK's (`keypoints.heatmap`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import FloatArray

Indices = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]


def quarter(maps: FloatArray, n: Indices, k: Indices, x: Indices, y: Indices) -> Places:
    """A quarter of a pixel from the maximum towards its higher neighbour, along each axis; the
    recipe of SimpleBaseline and HRNet. Maxima in the two outermost rows and columns stay.

    Parameters
    ----------
    maps : (N, K, H, W).
    n, k, x, y : (M,) integers: crop, joint, and the position of the map's maximum.

    Returns
    -------
    (M, 2) float64, heatmap px.
    """
    height, width = maps.shape[2:]
    inner = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    u, v = np.clip(x, 1, width - 2), np.clip(y, 1, height - 2)
    dx = maps[n, k, v, u + 1] - maps[n, k, v, u - 1]
    dy = maps[n, k, v + 1, u] - maps[n, k, v - 1, u]
    step = 0.25 * np.sign(np.stack([dx, dy], axis=1).astype(np.float64))
    return np.asarray(np.stack([x, y], axis=1) + step * inner[:, None])


def integral(
    maps: FloatArray, n: Indices, k: Indices, x: Indices, y: Indices, radius: int
) -> Places:
    """The mean position of the values around the maximum.

    AlphaPose takes the mean over the whole map. That is exact over a quiet background only: values
    of 0.0025 everywhere move a joint near the border by ten pixels. So the mean is taken over a
    square around the maximum, which shrinks along an axis where it would leave the map: a square
    that is cut on one side would pull the mean to the other.

    Parameters
    ----------
    maps : (N, K, H, W); values below 0 count as 0.
    n, k, x, y : as for `quarter`.
    radius : half the square's side, heatmap px.

    Returns
    -------
    (M, 2) float64, heatmap px.
    """
    height, width = maps.shape[2:]
    steps = np.arange(-radius, radius + 1)
    across, down = (
        np.abs(steps) <= np.minimum(place, size - 1 - place)[:, None]
        for place, size in ((x, width), (y, height))
    )
    columns = np.clip(x[:, None] + steps, 0, width - 1)
    rows = np.clip(y[:, None] + steps, 0, height - 1)
    values = maps[n[:, None, None], k[:, None, None], rows[:, :, None], columns[:, None, :]]
    weights = np.maximum(values, 0).astype(np.float64) * (down[:, :, None] & across[:, None, :])
    total = weights.sum(axis=(1, 2))
    offset = np.stack([weights.sum(axis=1) @ steps, weights.sum(axis=2) @ steps], axis=1)
    return np.asarray(np.stack([x, y], axis=1) + offset / total[:, None])
