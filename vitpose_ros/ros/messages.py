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

from vitpose_ros.fields import (
    instance_from_fields,
    layout_fields,
    skeleton_array_fields,
    skeleton_fields,
)
from vitpose_ros.layouts import Layout, get_layout
from vitpose_ros.msg import Skeleton, SkeletonArray, SkeletonLayout, SkeletonLayoutArray
from vitpose_ros.types import Instance, View

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
    """An Instance from a published skeleton; see `fields.instance_from_fields`.

    Raises
    ------
    ValueError : the layout is unknown, or the arrays do not fit it.
    """
    return instance_from_fields(message, get_layout(message.layout))


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
