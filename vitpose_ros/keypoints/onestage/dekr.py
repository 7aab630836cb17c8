"""DEKR (Geng et al., CVPR 2021), by its authors' lib/core and MMPose's codec SPR.

Both give, at a quarter of the input's size, a heatmap per joint and one of persons' centres, and at
each centre the offsets of the joints. The authors' offsets point from the joint to the centre,
MMPose's from the centre to the joint. Nothing in a file tells them apart, but its heatmaps do: in
each image, the direction counts in which the joints lie on their own heatmaps. In the other, their
scores are near 0.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.engines.base import Tensors
from vitpose_ros.keypoints.onestage.base import (
    Array,
    Format,
    Persons,
    Placed,
    Signature,
    size_of,
    tensor_of,
)
from vitpose_ros.keypoints.pixels import IMAGENET
from vitpose_ros.types import ByteArray

_STRIDE = 4
_POOLED = 5
_MIN_CENTRE = 0.01
_MAX_SEEDS = 400
"""The authors take 30. This limits the time for centre maps that are noise."""

_WORTH_SUPPRESSING = 0.05
"""Seeds with a lower score are dropped before duplicates are looked for."""


def dekr(signature: Signature) -> Format | None:
    """Heatmaps (N, K + 1, H / 4, W / 4), the centres' last, and offsets (N, 2 K, H / 4, W / 4)."""
    joints, source = signature.joints, signature.image_input()
    width, height = signature.size
    if source is None or len(signature.inputs) != 1 or len(signature.outputs) != 2:
        return None
    if width % _STRIDE or height % _STRIDE:
        return None
    place = height // _STRIDE, width // _STRIDE
    maps = [spec.name for spec in signature.outputs if spec.fits((joints + 1, *place))]
    offsets = [spec.name for spec in signature.outputs if spec.fits((2 * joints, *place))]
    if len(maps) != 1 or len(offsets) != 1 or maps == offsets:
        return None

    def prepare(image: ByteArray) -> Placed:
        columns, rows = size_of(image)
        scale = min(width / columns, height / rows)
        left, top = (width - columns * scale) / 2, (height - rows * scale) / 2
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        canvas = cv2.warpAffine(image, matrix, signature.size, flags=cv2.INTER_LINEAR)
        tensor = tensor_of(np.asarray(canvas, np.uint8), IMAGENET)
        return Placed({source: tensor}, (columns, rows), (scale, scale), (left, top))

    def read(outputs: Tensors, placed: Placed) -> Persons:
        heat = outputs[maps[0]][0].astype(np.float64)
        xy, centre = _seeds(heat[-1])
        x, y = xy.T
        away = outputs[offsets[0]][0].reshape(joints, 2, *place)[:, :, y, x].transpose(2, 0, 1)
        tried = []
        for towards_joint in (-1.0, 1.0):
            points = xy[:, None] + towards_joint * away
            joint_score = _at(heat[:-1], points)
            score = np.minimum(centre * np.nan_to_num(joint_score).mean(axis=1), 1.0)
            tried.append((points, joint_score, score))
        points, joint_score, score = max(tried, key=lambda each: each[2].sum())
        persons = Persons.of(placed.to_image(points * _STRIDE), joint_score, score)
        return persons.pick(score >= _WORTH_SUPPRESSING).distinct_poses(signature.layout.sigmas)

    return Format("DEKR", prepare, read)


def _seeds(centres: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """Peaks of the centres' map: (M, 2) whole x and y, and (M,) their height; highest first."""
    centres = np.where(np.isfinite(centres), centres, 0.0)
    pooled = cv2.dilate(centres, np.ones((_POOLED, _POOLED), np.uint8))
    y, x = np.nonzero((centres == pooled) & (centres > _MIN_CENTRE))
    best = np.argsort(-centres[y, x], kind="stable")[:_MAX_SEEDS]
    y, x = y[best], x[best]
    return np.stack([x, y], axis=1), centres[y, x]


def _at(maps: Array, points: Array) -> Array:
    """Each joint's own map (K, H, W) at points (M, K, 2), between its pixels; beyond the border,
    the border's value. NaN for points or maps that are not finite.
    """
    height, width = maps.shape[1:]
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=2))
    x, y = np.moveaxis(np.where(known[..., None], points, 0.0), 2, 0)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    k, fx, fy = np.arange(len(maps)), x - left, y - top
    above = maps[k, top, left] * (1 - fx) + maps[k, top, right] * fx
    below = maps[k, bottom, left] * (1 - fx) + maps[k, bottom, right] * fx
    value = above * (1 - fy) + below * fy
    return np.where(known & np.isfinite(value), np.clip(value, 0.0, 1.0), np.nan)
