"""Messages from results: pure builders, one per message. Nothing here holds a node, a clock or a
publisher.
"""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vitpose_ros.fields import layout_fields, skeleton_array_fields, skeleton_fields
from vitpose_ros.layouts import Layout, get_layout
from vitpose_ros.msg import Skeleton, SkeletonArray, SkeletonLayout, SkeletonLayoutArray
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, View, ZSource

_TYPE_CODES = {"float32": "f", "uint8": "B", "uint16": "H"}


def _converted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with arrays of a type that no distribution's rclpy checks by element."""
    return {
        name: _array(value) if isinstance(value, np.ndarray) else value
        for name, value in fields.items()
    }


def _array(values: npt.NDArray) -> array.array:
    out = array.array(_TYPE_CODES[values.dtype.name])
    out.frombytes(np.ascontiguousarray(values).tobytes())
    return out


def skeleton_message(instance: Instance) -> Skeleton:
    """One skeleton of a SkeletonArray."""
    fields = skeleton_fields(instance)
    box = fields.pop("box")  # of fixed length: rclpy wants numpy's array
    return Skeleton(box=box, **_converted(fields))


def instance_from_message(message: Skeleton) -> Instance:
    """An Instance from a published skeleton: the inverse of skeleton_message.

    The message has scores, standard deviations and depth sources only once, for the smoothed
    joints. The raw joints get the same, where they are known; a PREDICTED joint's standard
    deviation is not that of its raw joint.

    Raises
    ------
    ValueError : the layout is unknown, or the arrays do not fit it.
    """
    layout = get_layout(message.layout)
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


def skeleton_array_message(
    header: Header,
    image_size: tuple[int, int],
    instances: Iterable[Instance],
    models: Iterable[str],
    reset: bool = False,
    view: View = View.EGOCENTRIC,
    smoothing: str = "none",
    horizon_s: float = 0.0,
    frame_id: str | None = None,
) -> SkeletonArray:
    """All skeletons of one image.

    Parameters
    ----------
    header : the image's own header.
    image_size : (width, height) in px.
    instances : the skeletons found in the image.
    models : names of the networks that ran on this image.
    reset : whether tracking restarted at this image.
    view : how the image was searched.
    smoothing : the preset, or the filter with its numbers.
    horizon_s : how far beyond the header's stamp the joints were extrapolated.
    frame_id : the frame of metric coordinates; None for that of the image.
    """
    return SkeletonArray(
        header=Header(
            stamp=header.stamp, frame_id=header.frame_id if frame_id is None else frame_id
        ),
        image_frame_id=header.frame_id,
        skeletons=[skeleton_message(instance) for instance in instances],
        **skeleton_array_fields(image_size, models, reset, view, smoothing, horizon_s),
    )


def layout_message(layout: Layout) -> SkeletonLayout:
    """The joints, bones and symmetries of a layout."""
    return SkeletonLayout(**_converted(layout_fields(layout)))


def layouts_message(layouts: Iterable[Layout]) -> SkeletonLayoutArray:
    """The latched message with every layout in use."""
    return SkeletonLayoutArray(layouts=[layout_message(layout) for layout in layouts])


def image_message(header: Header, image: npt.NDArray, encoding: str) -> Image:
    """A sensor_msgs/Image from an array, in the fastest way common to all distributions' rclpy.

    Parameters
    ----------
    header : used as it is.
    image : (H, W) or (H, W, C), of the type that `encoding` names.
    encoding : e.g. "bgr8", "32FC1".
    """
    image = np.ascontiguousarray(image)
    message = Image(
        header=header,
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        step=image.strides[0],
        is_bigendian=0,
    )
    data = array.array("B")
    data.frombytes(image.data.cast("B"))
    message.data = data
    return message
