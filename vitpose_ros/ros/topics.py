"""Which topics the node listens to, how it subscribes, and which QoS overrides it accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from vitpose_ros.ingest.camera_info import COMPRESSED, info_topic_beside

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import (
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

PREFIX = "qos_overrides."


@dataclass(frozen=True)
class Source:
    """Where the images come from.

    Attributes
    ----------
    transport : "raw" or "compressed".
    image : the name to subscribe to; remapping rules may still change it.
    """

    transport: str
    image: str


def image_source(node: Node, transport: str) -> Source:
    """The image topic of a node whose topic `image` may be remapped.

    A topic that ends in /compressed carries compressed images, whatever `transport` says.

    Parameters
    ----------
    node : whose remapping rules apply.
    transport : as the parameter image_transport.
    """
    topic = node.resolve_topic_name("image")
    if topic.endswith(COMPRESSED):
        return Source("compressed", "image")
    if transport == "compressed":
        return Source("compressed", topic + COMPRESSED)
    return Source("raw", "image")


def camera_info_topic(node: Node, image: str) -> str:
    """The camera_info topic that belongs to an image topic: the one in the same namespace, unless
    the node's topic `camera_info` is remapped.

    Parameters
    ----------
    node : whose remapping rules apply.
    image : the subscribed image topic, fully qualified.
    """
    own = "camera_info"
    if node.resolve_topic_name(own) != node.resolve_topic_name(own, only_expand=True):
        return own
    return info_topic_beside(image)


def subscribe(
    node: Node,
    kind: type,
    topic: str,
    callback: Callable[[Any, int | None], None],
    reliable: bool = False,
    lost: Callable[[int], None] = lambda number: None,
) -> Subscription:
    """Subscribe to the newest message only.

    Parameters
    ----------
    node : that subscribes.
    kind : the message class.
    topic : its name; remapping rules apply.
    callback : gets each message, and the publisher's sequence number of it, or None where rclpy
        (Humble) or the middleware gives none.
    reliable : whether to ask for reliable delivery instead of best effort.
    lost : gets the number of messages that the middleware reports as lost, if it does.
    """

    def with_info(message: Any, info: Mapping[str, Any]) -> None:
        callback(message, info.get("publication_sequence_number"))

    def without_info(message: Any) -> None:
        callback(message, None)

    def on_lost(event: Any) -> None:
        lost(event.total_count_change)

    informed = hasattr(Subscription, "CallbackType")
    on_message: Callable[..., None] = with_info if informed else without_info
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    newest = QoSProfile(depth=1, reliability=reliability)
    events = SubscriptionEventCallbacks(message_lost=on_lost)
    try:
        return node.create_subscription(kind, topic, on_message, newest, event_callbacks=events)
    except UnsupportedEventTypeError:
        return node.create_subscription(kind, topic, on_message, newest)


def override_problems(given: Mapping[str, Any], publishers: Iterable[str]) -> list[str]:
    """Why QoS overrides cannot be used: one sentence for each that would have no effect.

    Parameters
    ----------
    given : parameter overrides of the node, by name.
    publishers : fully qualified topics whose reliability and depth may be overridden.
    """
    reliability = ("reliable", "best_effort")
    accepted: dict[str, tuple[str, ...] | None] = {}
    for topic in publishers:
        accepted[f"{PREFIX}{topic}.publisher.reliability"] = reliability
        accepted[f"{PREFIX}{topic}.publisher.depth"] = None
    problems = []
    for name in sorted(name for name in given if name.startswith(PREFIX)):
        value = given[name]
        if name not in accepted:
            problems.append(
                f"the QoS override '{name}' has no effect on this node. Accepted are "
                f"{', '.join(sorted(accepted))}; for the image subscription, set the parameter "
                "'reliability'"
            )
            continue
        choices = accepted[name]
        if choices is not None and value not in choices:
            expected = " or ".join(choices)
        elif choices is None and (type(value) is not int or value < 1):
            expected = "a whole number from 1"
        else:
            continue
        problems.append(f"the QoS override '{name}' is {value!r}; accepted is {expected}")
    return problems
