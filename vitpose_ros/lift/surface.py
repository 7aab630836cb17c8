"""The surface that a depth image shows at each joint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import Depth

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NEAREST_M, FARTHEST_M = 0.1, 10.0
"""Depths beyond these are not believed: what depth cameras for hands and rooms measure."""

_SAMPLES = 9  # along each side of a window: enough for a median, at any image size
_LEAST_SHARE, _LEAST_COUNT = 0.3, 3
_SLAB_M, _SLAB_SHARE = 0.012, 0.01  # thickness of a surface: its slope, and noise that grows with z
_NOISE_M, _NOISE_SHARE = 0.002, 0.004


@dataclass(frozen=True)
class Surface:
    """Depths along the camera's axis.

    Attributes
    ----------
    depth_m : (K,); NaN where nothing was measured.
    std_m : (K,); NaN with it.
    """

    depth_m: Array
    std_m: Array


def typical_depth_m(depth: Depth, uv: Array) -> float:
    """The median depth at the joints' own pixels, m; NaN if none is measured there.

    Parameters
    ----------
    uv : (K, 2) px; NaN and pixels outside the image are left out.
    """
    values = _sampled(depth, uv[:, None])
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def nearest_surface(depth: Depth, uv: Array, radius_px: Array) -> Surface:
    """The nearest surface around each joint.

    In a disc around the joint, it is the nearest slab of depths that holds at least 30 % of those
    measured, and its depth is their median. So background beside a finger does not count, and
    neither do the flying pixels that depth cameras put between the two: they are few, and spread
    out.

    Parameters
    ----------
    depth : of the image.
    uv : (K, 2) px; NaN for joints to leave out.
    radius_px : (K,) of the disc.
    """
    radius_px = np.maximum(radius_px, 1.0)
    values = np.sort(_sampled(depth, uv[:, None] + _disc() * radius_px[:, None, None]), axis=1)
    count = np.isfinite(values).sum(axis=1)
    need = np.maximum(np.ceil(_LEAST_SHARE * count), _LEAST_COUNT).astype(np.intp)
    places = np.arange(values.shape[1])
    last = np.minimum(places + need[:, None] - 1, values.shape[1] - 1)
    thick = _SLAB_M + _SLAB_SHARE * values
    with np.errstate(invalid="ignore"):
        dense = np.take_along_axis(values, last, axis=1) - values <= thick
    dense &= places + need[:, None] <= count[:, None]
    first = dense.argmax(axis=1)
    rows = np.arange(len(values))
    near = values[rows, first]
    with np.errstate(invalid="ignore"):
        within = (values >= near[:, None]) & (values <= (near + thick[rows, first])[:, None])
    middle = first + np.maximum(within.sum(axis=1) - 1, 0) // 2
    found = np.where(dense.any(axis=1), values[rows, middle], np.nan)
    spread = values[rows, np.minimum(middle + within.sum(axis=1) // 4, len(places) - 1)] - found
    std = np.hypot(_NOISE_M + _NOISE_SHARE * found, np.where(np.isnan(spread), 0.0, spread))
    return Surface(found, np.where(np.isnan(found), np.nan, std))


def _sampled(depth: Depth, uv: Array) -> Array:
    """(K, S) depths at pixels (K, S, 2), m; NaN outside the image and where none is measured."""
    height, width = depth.image.shape
    pixels = np.where(np.isnan(uv), -9.0, uv + 0.5).clip(-9.0, 1e6).astype(np.intp)
    column, row = pixels[..., 0], pixels[..., 1]
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    values = depth.metres(np.where(inside, row, 0), np.where(inside, column, 0))
    with np.errstate(invalid="ignore"):
        good = inside & (values >= NEAREST_M) & (values <= FARTHEST_M)
    return np.where(good, values, np.nan).astype(np.float64)


@lru_cache(maxsize=1)
def _disc() -> Array:
    """(S, 2) points of the unit disc, on a grid."""
    line = np.linspace(-1.0, 1.0, _SAMPLES)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return grid[np.hypot(*grid.T) <= 1.0 + 1e-9]
