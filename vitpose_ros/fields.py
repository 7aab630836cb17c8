"""The fields of our messages from results: one dictionary per message, without ROS.

The node turns them into rclpy's messages, the offline tool into records of a bag and rows of a
table. Array fields are numpy arrays of the message's own type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vitpose_ros.layouts import Layout
from vitpose_ros.types import Instance, View

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
