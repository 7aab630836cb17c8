"""The hands of an episode as arrays: one row per hand and image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21
from vitpose_ros.smooth.scale import object_size
from vitpose_ros.types import Correction, Instance, JointState

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

JOINTS = len(HAND21)

ENOUGH = (JOINTS + 1) // 2
"""A hand counts as measured in an image if at least this many of its joints were."""


@dataclass(frozen=True)
class Images:
    """The images of an episode.

    Attributes
    ----------
    stamp_ns : (T,) int64.
    reset : (T,) bool, tracking restarted at this image.
    size : (T, 2) width and height, px.
    """

    stamp_ns: npt.NDArray[np.int64]
    reset: Mask
    size: Array

    def __len__(self) -> int:
        return len(self.stamp_ns)

    def pick(self, indices: Indices) -> Images:
        """The images with these indices."""
        return Images(self.stamp_ns[indices], self.reset[indices], self.size[indices])

    @property
    def time_s(self) -> Array:
        """(T,) since the first image, s; where stamps go back, no time passes."""
        steps = np.maximum(np.diff(self.stamp_ns, prepend=self.stamp_ns[:1]), 0)
        return np.asarray(np.cumsum(steps) * 1e-9, np.float64)


@dataclass(frozen=True)
class Hands:
    """Hands in the order of their images.

    Attributes
    ----------
    image : (N,) index of the image.
    side : (N,) values of Side.
    track : (N,) track_id.
    measured : (N,) at least ENOUGH joints were measured in this image; otherwise the hand is only
        predicted.
    uv : (N, 21, 2) px, as published.
    raw_uv : (N, 21, 2) px, as measured in this image; NaN where a joint was not, and where its
        measurement was rejected as an outlier.
    raw_xyz, raw_shape : (N, 21, 3) m, likewise: in the camera's frame, and the network's own shape.
    rejected : (N,) number of joints whose measurement was rejected.
    palm_px : (N,) size of the palm, px; NaN if unknown.
    """

    image: Indices
    side: npt.NDArray[np.uint8]
    track: npt.NDArray[np.int64]
    measured: Mask
    uv: Array
    raw_uv: Array
    raw_xyz: Array
    raw_shape: Array
    rejected: Indices
    palm_px: Array

    def __len__(self) -> int:
        return len(self.image)

    def pick(self, rows: npt.NDArray) -> Hands:
        """The rows with these indices, or those of a mask."""
        return Hands(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def moved(self, new: Indices) -> Hands:
        """The same hands in images that are numbered otherwise: image i becomes new[i]."""
        return replace(self, image=new[self.image])


def hands_of(images: Sequence[Sequence[Instance]]) -> Hands:
    """The hands among the skeletons of every image; bodies and animals are left out."""
    found = [
        (index, one)
        for index, skeletons in enumerate(images)
        for one in skeletons
        if one.layout is HAND21
    ]
    count = len(found)
    uv = np.full((count, JOINTS, 2), np.nan)
    raw_uv, raw_xyz = uv.copy(), np.full((count, JOINTS, 3), np.nan)
    raw_shape = raw_xyz.copy()
    measured, rejected = np.zeros(count, bool), np.zeros(count, np.intp)
    for row, (_, one) in enumerate(found):
        here = one.raw.state >= JointState.OCCLUDED
        outlier = here & ((one.keypoints.corrected & Correction.OUTLIER) > 0)
        measured[row] = here.sum() >= ENOUGH and not one.is_lost
        rejected[row] = outlier.sum()
        believed = here & ~outlier
        uv[row] = one.keypoints.uv
        raw_uv[row, believed] = one.raw.uv[believed]
        raw_xyz[row, believed] = one.raw.xyz[believed]
        raw_shape[row, believed] = one.raw.shape_xyz[believed]
    return Hands(
        image=np.array([index for index, _ in found], np.intp),
        side=np.array([one.side for _, one in found], np.uint8),
        track=np.array([one.track_id for _, one in found], np.int64),
        measured=measured,
        uv=uv,
        raw_uv=raw_uv,
        raw_xyz=raw_xyz,
        raw_shape=raw_shape,
        rejected=rejected,
        palm_px=object_size(HAND21, raw_uv),
    )
