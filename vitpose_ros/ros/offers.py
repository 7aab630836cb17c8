"""Who offers what on a topic that stays silent, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from vitpose_ros.ros.advice import Middleware

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@dataclass(frozen=True)
class Wanted:
    """What a subscription asks for, and what it has got.

    Attributes
    ----------
    topic : fully qualified, as subscribed to.
    kind : its message type, e.g. "sensor_msgs/msg/Image".
    reliable : whether it asks for reliable delivery.
    came : whether images have come.
    reported_lost : how many images the middleware has reported as lost.
    """

    topic: str
    kind: str
    reliable: bool = False
    came: bool = False
    reported_lost: int = 0


def publisher_names(node: Node, topic: str) -> list[str]:
    """The nodes that publish on a topic, with their namespaces, sorted."""
    return sorted(_full_name(offer) for offer in node.get_publishers_info_by_topic(topic))


def explain_silence(node: Node, wanted: Wanted) -> str:
    """Why no image arrives, and who publishes what on the topic; or, if nobody does, which image
    topics there are.

    Parameters
    ----------
    node : whose view of the graph is asked.
    wanted : what the node asks for.
    """
    offers = node.get_publishers_info_by_topic(wanted.topic)
    if not offers:
        if wanted.came:
            return "its publisher is gone: the driver, or the bag, has ended"
        return _other_topics(node)
    listed = "; ".join(
        f"{_full_name(offer)} publishes {offer.topic_type} "
        f"({offer.qos_profile.reliability.name.lower()}, "
        f"{offer.qos_profile.durability.name.lower()})"
        for offer in offers
    )
    fitting = [offer for offer in offers if offer.topic_type == wanted.kind]
    if not fitting:
        return (
            f"{listed}; this node wants {wanted.kind}: set its parameter image_transport, or remap "
            "its topic 'image'"
        )
    if wanted.came:
        return (
            f"{listed}; it has stopped sending: a camera that stalled or was unplugged, or a bag "
            "that is paused. See the driver's log"
        )
    best_effort = ReliabilityPolicy.BEST_EFFORT
    if wanted.reliable and all(o.qos_profile.reliability == best_effort for o in fitting):
        return (
            f"{listed}; this node asks for reliable delivery, which a best-effort publisher does "
            "not give: set its parameter reliability to best_effort"
        )
    if wanted.reported_lost:
        return (
            f"{listed}; {wanted.reported_lost} images were lost in transport: "
            f"{Middleware.here().advice()}"
        )
    return (
        f"{listed}; either it sends no images (see its log, and `ros2 topic hz {wanted.topic}`), "
        f"or all are lost in transport, as large ones can be: {Middleware.here().advice()}"
    )


def _other_topics(node: Node) -> str:
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


def _full_name(offer: Any) -> str:
    return f"{offer.node_namespace.rstrip('/')}/{offer.node_name}"
