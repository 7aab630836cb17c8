"""Object sizes: the unit of speeds and distances in smoothing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import INDEX_MCP, PINKY_MCP, WRIST, Layout

Array = npt.NDArray[np.float64]

_BOX_SHARE = 1 / 3
"""A torso is about a third of the long side of the box around a body."""

# How many times longer the trunk, from shoulder to hip, is than each distance. From the joint
# distances of an adult: shoulders 0.36 m, hips 0.22 m, trunk 0.50 m.
_TRUNK = (
    ("left_shoulder", "left_hip", 1.0),
    ("right_shoulder", "right_hip", 1.0),
    ("left_shoulder", "right_shoulder", 1.4),
    ("left_hip", "right_hip", 2.3),
)
_PALM = ((WRIST, INDEX_MCP, 1.0), (INDEX_MCP, PINKY_MCP, 1.0), (PINKY_MCP, WRIST, 1.0))


def object_size(layout: Layout, points: npt.NDArray) -> Array:
    """The size of each object.

    Of a hand it is the longest side of the palm's triangle (wrist, index and little finger's MCP);
    MediaPipe takes the same for the distance between hands. Of a body or an animal it is the length
    of the trunk, which is also told by shoulders or hips alone; where neither is known, a third of
    the long side of the box around its joints. The longest of several distances is taken, since
    what points at the camera looks short.

    Parameters
    ----------
    layout : of the K joints.
    points : (N, K, D), px or metres, D 2 or 3; NaN where a joint is not known.

    Returns
    -------
    (N,) in the unit of the points; NaN where too little is known, and where all joints lie on one
    spot.
    """
    starts, ends, factors = _distances(layout)
    # One plain array after the other: reductions over the last axis are slow where it is short.
    squared = np.zeros((len(points), len(starts)))
    for axis in range(points.shape[2]):
        values = points[:, :, axis].astype(np.float64)
        squared += (values[:, ends] - values[:, starts]) ** 2
    size = np.fmax.reduce(np.sqrt(squared) * factors, axis=1)
    unknown = np.isnan(size)
    if layout.kind != "hand" and unknown.any():
        size[unknown] = _BOX_SHARE * _long_side(points[unknown])
    return np.where(size > 0, size, np.nan)


def root_joints(layout: Layout) -> list[int]:
    """The joints that move only with the object as a whole: those of the palm or the trunk."""
    starts, ends, _ = _distances(layout)
    return sorted({*starts.tolist(), *ends.tolist()})


def _long_side(points: npt.NDArray) -> Array:
    extent = np.fmax.reduce(points, axis=1) - np.fmin.reduce(points, axis=1)
    return np.fmax.reduce(extent.astype(np.float64), axis=1)


@lru_cache(maxsize=32)
def _distances(
    layout: Layout,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    if layout.kind == "hand":
        table = list(_PALM)
    else:
        table = [
            (layout.index(start), layout.index(end), factor)
            for start, end, factor in _TRUNK
            if start in layout.joints and end in layout.joints
        ]
    starts, ends, factors = zip(*table, strict=True)
    return np.array(starts, np.intp), np.array(ends, np.intp), np.array(factors, np.float64)
