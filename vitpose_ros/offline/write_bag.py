"""A bag of skeletons, or the input's bag with them added. rosbag2's mcap format, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.fields import layout_fields, skeleton_array_fields, skeleton_fields
from vitpose_ros.offline.bag import Bag
from vitpose_ros.offline.bag_types import LAYOUT_ARRAY, SKELETON_ARRAY, typestore
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.recording import Annotated, Annotation

SKELETONS, LAYOUTS = "/skeletons", "/skeleton_layouts"
"""The topics, named as the node's in the root namespace."""

_NS = 1_000_000_000


def write_bag(path: Path, annotation: Annotation, copied: Bag | None = None) -> None:
    """Write a bag.

    Parameters
    ----------
    path : a folder that does not exist.
    annotation : what was found; every image gets a SkeletonArray at the time at which the image was
        recorded.
    copied : a bag whose messages are copied, too.

    Raises
    ------
    OfflineError : the bag to copy has a topic of the same name, or one whose type has no
        definition.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    store = typestore()
    # Version 8 of the description: Humble's rosbag2 reads its QoS profiles.
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        copies = {} if copied is None else _copied_topics(copied, writer, store)
        layouts = writer.add_connection(
            LAYOUTS, LAYOUT_ARRAY, typestore=store, offered_qos_profiles=[_qos(1, latched=True)]
        )
        skeletons = writer.add_connection(
            SKELETONS, SKELETON_ARRAY, typestore=store, offered_qos_profiles=[_qos(10)]
        )
        messages = _messages(annotation, store)
        first_ns = annotation.images[0].log_ns
        writer.write(layouts, first_ns, _layouts(annotation, store))
        if copied is None:
            for log_ns, data in messages:
                writer.write(skeletons, log_ns, data)
            return
        waiting = next(messages, None)
        for connection, log_ns, raw in copied.messages():
            while waiting is not None and waiting[0] < log_ns:
                writer.write(skeletons, *waiting)
                waiting = next(messages, None)
            writer.write(copies[id(connection)], log_ns, raw)
        while waiting is not None:
            writer.write(skeletons, *waiting)
            waiting = next(messages, None)


def _messages(annotation: Annotation, store: Any) -> Iterator[tuple[int, memoryview]]:
    """The recording's time and the serialized SkeletonArray of every image."""
    for image in annotation.images:
        message = _skeleton_array(annotation, image, store.types)
        yield image.log_ns, store.serialize_cdr(message, SKELETON_ARRAY)


def _skeleton_array(annotation: Annotation, image: Annotated, types: Any) -> Any:
    stamp = types["builtin_interfaces/msg/Time"](
        sec=image.stamp_ns // _NS, nanosec=image.stamp_ns % _NS
    )
    skeleton = types["vitpose_ros/msg/Skeleton"]
    fields = skeleton_array_fields(
        image.size,
        image.models,
        image.reset,
        image.view,
        annotation.smoothing,
        annotation.horizon_s,
    )
    return types[SKELETON_ARRAY](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=image.frame_id),
        image_frame_id=image.frame_id,
        processing_time=float("nan"),  # nobody waited for it
        skeletons=[skeleton(**_arrays(skeleton_fields(one))) for one in image.instances],
        **fields,
    )


def _layouts(annotation: Annotation, store: Any) -> memoryview:
    layout = store.types["vitpose_ros/msg/SkeletonLayout"]
    message = store.types[LAYOUT_ARRAY](
        layouts=[layout(**_arrays(layout_fields(one))) for one in annotation.layouts]
    )
    data: memoryview = store.serialize_cdr(message, LAYOUT_ARRAY)
    return data


def _arrays(fields: dict[str, Any]) -> dict[str, Any]:
    """Arrays as one block of memory each, which is what is serialized."""
    return {
        name: np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
        for name, value in fields.items()
    }


def _copied_topics(bag: Bag, writer: Any, store: Any) -> dict[int, Any]:
    """The writer's connection for each of the bag's."""
    copies: dict[int, Any] = {}
    made: dict[tuple[str, str], Any] = {}
    for topic in bag.topics:
        if topic.topic in (SKELETONS, LAYOUTS):
            raise OfflineError(
                f"{bag.path} has a topic {topic.topic} already: leave out --with-input"
            )
        key = (topic.topic, topic.msgtype)
        if key not in made:
            known = topic.msgtype in store.fielddefs
            if not (topic.msgdef.data and topic.digest) and not known:
                raise OfflineError(
                    f"{bag.path} does not hold the definition of {topic.msgtype} ({topic.topic}), "
                    "which an mcap file needs: leave out --with-input"
                )
            described = (
                {"msgdef": topic.msgdef.data, "rihs01": topic.digest}
                if topic.msgdef.data and topic.digest
                else {"typestore": store}
            )
            made[key] = writer.add_connection(
                *key, offered_qos_profiles=topic.ext.offered_qos_profiles, **described
            )
        copies[id(topic)] = made[key]
    return copies


def _qos(depth: int, latched: bool = False) -> Any:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(2147483647, 4294967295)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        avoid_ros_namespace_conventions=False,
    )
