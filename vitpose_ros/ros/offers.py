"""What others offer on a topic that stays silent, in words for the person who has to mend it."""

from __future__ import annotations

from rclpy.node import Node

from vitpose_ros.ros.diagnostics import DDS_ADVICE

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def describe_offers(node: Node, topic: str, wanted_type: str) -> str:
    """Who publishes on `topic`, with type and QoS; or, when nobody does, which image topics there
    are.

    Parameters
    ----------
    node : whose view of the graph is asked.
    topic : the fully qualified topic.
    wanted_type : the type that the node subscribes to, e.g. "sensor_msgs/msg/Image".
    """
    offers = node.get_publishers_info_by_topic(topic)
    if offers:
        listed = "; ".join(
            f"{offer.node_namespace.rstrip('/')}/{offer.node_name} publishes {offer.topic_type} "
            f"({offer.qos_profile.reliability.name.lower()}, "
            f"{offer.qos_profile.durability.name.lower()})"
            for offer in offers
        )
        if all(offer.topic_type != wanted_type for offer in offers):
            return (
                f"{listed}; this node wants {wanted_type}: set its parameter image_transport, or "
                "remap its topic "
                "'image'"
            )
        return (
            f"{listed}; its images are not sent, or are lost on the way, as large ones are with "
            "default DDS settings: "
            f"{DDS_ADVICE}"
        )
    images = sorted(
        f"{name} ({kind})"
        for name, kinds in node.get_topic_names_and_types()
        for kind in kinds
        if kind in IMAGE_TYPES and _published_by_others(node, name)
    )
    if not images:
        return (
            "nobody publishes on it, and there is no image topic at all: "
            "is the camera's driver running?"
        )
    return (
        f"nobody publishes on it; image topics are {', '.join(images)}: "
        "remap this node's topic 'image'"
    )


def _published_by_others(node: Node, topic: str) -> bool:
    return any(
        (offer.node_name, offer.node_namespace) != (node.get_name(), node.get_namespace())
        for offer in node.get_publishers_info_by_topic(topic)
    )
