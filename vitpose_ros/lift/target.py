"""Metric results in the target frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.transform import Transform
from vitpose_ros.types import FloatArray, Instance, Keypoints, ZSource


def in_target_frame(transform: Transform | None, instances: Sequence[Instance]) -> list[Instance]:
    """The same instances with xyz and shape_xyz in another frame.

    Parameters
    ----------
    transform : from the frame of the instances; None leaves them as they are. Where it is unknown,
        metres become unknown, too: points of another frame than the header names are wrong.
    instances : with raw joints as lifted.
    """
    if transform is None:
        return list(instances)
    return [
        i if i.is_lost else replace(i, keypoints=moved, raw=moved)
        for i in instances
        for moved in (_moved(transform, i.raw),)
    ]


def _moved(transform: Transform, joints: Keypoints) -> Keypoints:
    def single(values: np.ndarray) -> FloatArray:
        return np.asarray(values, np.float32)

    known = transform.known
    return replace(
        joints,
        xyz=single(transform.points(joints.xyz)),
        shape_xyz=single(transform.directions(joints.shape_xyz)),
        z_source=joints.z_source if known else np.full_like(joints.z_source, ZSource.NONE),
        xyz_std=joints.xyz_std if known else np.full_like(joints.xyz_std, np.nan),
    )
