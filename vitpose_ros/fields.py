"""The fields of our messages from results, one dictionary per message, and results from fields.

The node turns them into rclpy's messages, the offline tool into records of a bag and rows of a
table. Array fields are NumPy arrays of the message's own type. Nothing here needs ROS.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, View, ZSource

KINDS = {"body": 1, "hand": 2, "animal": 3}
"""Skeleton.kind by a layout's kind."""


def skeleton_fields(instance: Instance) -> dict[str, Any]:
    """The fields of vitpose_ros/Skeleton."""
    now, raw = instance.keypoints, instance.raw
    return {
        "kind": KINDS[instance.layout.kind],
        "side": int(instance.side),
        "side_score": float(instance.side_score),
        "track_id": instance.track_id,
        "parent_id": instance.parent_id,
        "track_state": int(instance.track_state),
        "track_age": float(instance.track_age_s),
        "layout": instance.layout.name,
        "model": instance.model,
        "score": float(instance.score),
        "box": np.array(now.box(), np.float32),
        "state": now.state,
        "raw_state": raw.state,
        "corrected": now.corrected,
        "joint_score": now.score,
        "u": now.uv[:, 0],
        "v": now.uv[:, 1],
        "raw_u": raw.uv[:, 0],
        "raw_v": raw.uv[:, 1],
        "uv_std": now.uv_std,
        "x": now.xyz[:, 0],
        "y": now.xyz[:, 1],
        "z": now.xyz[:, 2],
        "raw_x": raw.xyz[:, 0],
        "raw_y": raw.xyz[:, 1],
        "raw_z": raw.xyz[:, 2],
        "xyz_std": now.xyz_std,
        "z_source": now.z_source,
        "shape_x": now.shape_xyz[:, 0],
        "shape_y": now.shape_xyz[:, 1],
        "shape_z": now.shape_xyz[:, 2],
        "raw_shape_x": raw.shape_xyz[:, 0],
        "raw_shape_y": raw.shape_xyz[:, 1],
        "raw_shape_z": raw.shape_xyz[:, 2],
    }


def instance_from_fields(message: Any, layout: Layout) -> Instance:
    """An Instance from a Skeleton message, or anything with its fields: the inverse of
    `skeleton_fields`.

    The message has scores, standard deviations and depth sources only once, for the smoothed
    joints. The raw joints get the same, where they are known; a PREDICTED joint's standard
    deviation is not that of its raw joint.

    Parameters
    ----------
    message : rclpy's or rosbags' message, or a row of a table.
    layout : of its joints.

    Raises
    ------
    ValueError : the arrays do not fit the layout, or contradict each other.
    """
    score = np.array(message.joint_score, np.float32)
    state, raw_state = np.array(message.state, np.uint8), np.array(message.raw_state, np.uint8)
    uv_std = np.array(message.uv_std, np.float32)
    raw_has_none = (raw_state == JointState.ABSENT) | (state == JointState.PREDICTED)
    raw_xyz = _points(message.raw_x, message.raw_y, message.raw_z)
    xyz_std = np.array(message.xyz_std, np.float32)
    z_source = np.array(message.z_source, np.uint8)
    # Where smoothing gave up a joint's metres, the message does not tell the raw one's source.
    raw_unknown = np.isnan(raw_xyz).any(axis=1) | (z_source == ZSource.NONE)
    raw_xyz[raw_unknown] = np.nan
    return Instance(
        keypoints=Keypoints(
            layout=layout,
            uv=_points(message.u, message.v),
            score=score,
            state=state,
            xyz=_points(message.x, message.y, message.z),
            z_source=z_source,
            xyz_std=xyz_std,
            shape_xyz=_points(message.shape_x, message.shape_y, message.shape_z),
            corrected=np.array(message.corrected, np.uint8),
            uv_std=uv_std,
        ),
        raw=Keypoints(
            layout=layout,
            uv=_points(message.raw_u, message.raw_v),
            score=np.where(raw_state == JointState.ABSENT, 0, score).astype(np.float32),
            state=raw_state,
            xyz=raw_xyz,
            z_source=np.where(raw_unknown, ZSource.NONE, z_source).astype(np.uint8),
            xyz_std=np.where(raw_unknown, np.float32(np.nan), xyz_std),
            shape_xyz=_points(message.raw_shape_x, message.raw_shape_y, message.raw_shape_z),
            uv_std=np.where(raw_has_none, np.float32(np.nan), uv_std),
        ),
        score=message.score,
        model=message.model,
        side=Side(message.side),
        side_score=message.side_score,
        track_id=message.track_id,
        parent_id=message.parent_id,
        track_state=TrackState(message.track_state),
        track_age_s=message.track_age,
    )


def _points(*coordinates: Iterable[float]) -> npt.NDArray[np.float32]:
    return np.stack([np.array(values, np.float32) for values in coordinates], axis=1)


def skeleton_array_fields(
    image_size: tuple[int, int],
    models: Iterable[str],
    reset: bool = False,
    view: View = View.EGOCENTRIC,
    smoothing: str = "none",
    horizon_s: float = 0.0,
) -> dict[str, Any]:
    """The fields of vitpose_ros/SkeletonArray but header, image_frame_id, skeletons and
    processing_time.

    Parameters
    ----------
    image_size : (width, height) in px.
    models : names of the networks that ran on this image.
    reset : whether tracking restarted at this image.
    view : how the image was searched.
    smoothing : the preset, or the filter with its numbers.
    horizon_s : how far beyond the header's stamp the joints were extrapolated.
    """
    return {
        "image_width": image_size[0],
        "image_height": image_size[1],
        "models": list(models),
        "view": int(view),
        "smoothing": smoothing,
        "prediction_horizon": horizon_s,
        "reset": reset,
    }


def layout_fields(layout: Layout) -> dict[str, Any]:
    """The fields of vitpose_ros/SkeletonLayout: joints, bones and symmetries."""
    return {
        "name": layout.name,
        "kind": KINDS[layout.kind],
        "joints": list(layout.joints),
        "edge_from": np.array([a for a, _ in layout.edges], np.uint16),
        "edge_to": np.array([b for _, b in layout.edges], np.uint16),
        "flip_left": np.array([left for left, _ in layout.flip_pairs], np.uint16),
        "flip_right": np.array([right for _, right in layout.flip_pairs], np.uint16),
        "sigma": np.array(layout.sigmas, np.float32),
    }


def layout_from_fields(message: Any) -> Layout:
    """A Layout from a SkeletonLayout message, or anything with its fields: the inverse of
    `layout_fields`. A layout of this package is returned as the object in `layouts.LAYOUTS`.

    Raises
    ------
    ValueError : the fields contradict each other.
    """
    joints = tuple(message.joints)
    known = LAYOUTS.get(message.name)
    if known is not None and known.joints == joints:
        return known
    kinds = {number: kind for kind, number in KINDS.items()}
    return Layout(
        message.name,
        kinds.get(int(message.kind), "unknown"),
        joints,
        _pairs(message.edge_from, message.edge_to),
        _pairs(message.flip_left, message.flip_right),
        tuple(float("nan") if sigma is None else float(sigma) for sigma in message.sigma),
    )


def _pairs(first: Iterable[int], second: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in zip(first, second, strict=True))
