"""The types of bags, for rosbags: ROS 2's own and this package's."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from vitpose_ros.models.files import shipped
from vitpose_ros.offline.errors import missing_library

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
LOG = "rcl_interfaces/msg/Log"
SKELETON = "vitpose_ros/msg/Skeleton"
SKELETON_ARRAY = "vitpose_ros/msg/SkeletonArray"
LAYOUT_ARRAY = "vitpose_ros/msg/SkeletonLayoutArray"

_MESSAGES = ("Skeleton", "SkeletonArray", "SkeletonLayout", "SkeletonLayoutArray")


@lru_cache(maxsize=1)
def typestore() -> Any:
    """A rosbags type store that knows the common interfaces and this package's messages.

    Raises
    ------
    OfflineError : rosbags is not installed.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise missing_library(error) from error
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict[str, Any] = {}
    for name in _MESSAGES:
        text = shipped("msg", f"{name}.msg").read_text(encoding="utf-8")
        types |= get_types_from_msg(text, f"vitpose_ros/msg/{name}")
    store.register(types)
    return store
