"""Looks at a camera's topic for some seconds, as the node would, and says what it saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.ros.colour import COLOUR, GREY, GREY_ADVICE, colour_of
from vitpose_ros.ros.diagnostics import DDS_ADVICE, LOST_SHARE, OLD_S
from vitpose_ros.ros.images import MAX_MEGAPIXELS, READERS, ImageError, ImageReader
from vitpose_ros.ros.offers import describe_offers
from vitpose_ros.ros.stamps import StampGate

SECTION = "Camera"
FIND_S = 5.0
"""Discovery takes up to this long, longer with LOCALHOST ranges than without."""

_KINDS = {
    "sensor_msgs/msg/Image": ("raw", Image),
    "sensor_msgs/msg/CompressedImage": ("compressed", CompressedImage),
}


@dataclass
class Seen:
    """What arrived on an image topic.

    Attributes
    ----------
    stamps_ns : of the images that could be used, in the order of arrival.
    ages_s : from the stamp to the arrival, by this machine's clock.
    lost : images that are missing between those that arrived, judged by their stamps.
    bytes : of the last image.
    what : size and encoding of the last image, for people.
    frame_id : of the last image.
    colours : what each of the images that could be used tells; see `ros.colour`.
    refused : the first reason why an image could not be used; "" while there is none.
    """

    stamps_ns: list[int] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    lost: int = 0
    bytes: int = 0
    what: str = ""
    frame_id: str = ""
    colours: list[str] = field(default_factory=list)
    refused: str = ""

    @property
    def rate(self) -> float | None:
        """Images per second of the camera's own clock, with those that were lost; None for fewer
        than two.
        """
        if len(self.stamps_ns) < 2:
            return None
        span_s = (self.stamps_ns[-1] - self.stamps_ns[0]) * 1e-9
        return (len(self.stamps_ns) - 1 + self.lost) / span_s if span_s > 0 else None

    @property
    def lost_share(self) -> float:
        """Share of the images that never arrived, 0 .. 1."""
        sent = len(self.stamps_ns) + self.lost
        return self.lost / sent if sent else 0.0


def check_camera(topic: str, seconds: float) -> list[Finding]:
    """Look at an image topic for some seconds.

    Parameters
    ----------
    topic : of sensor_msgs/Image or sensor_msgs/CompressedImage.
    seconds : how long, once a publisher is found.
    """
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = Node("vitpose_ros_doctor", context=context, enable_rosout=False)
    try:
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        return _check(node, executor, node.resolve_topic_name(topic), seconds)
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _check(node: Node, executor: Any, topic: str, seconds: float) -> list[Finding]:
    deadline_s = time.monotonic() + FIND_S
    while not (offers := node.get_publishers_info_by_topic(topic)):
        if time.monotonic() > deadline_s:
            wanted = "sensor_msgs/msg/Image"
            return [
                Finding(
                    SECTION,
                    topic,
                    Level.PROBLEM,
                    describe_offers(node, topic, wanted),
                    "start the camera, or name its topic; compare ROS_DOMAIN_ID and the discovery "
                    "range of both shells",
                )
            ]
        executor.spin_once(timeout_sec=0.1)
    kinds = sorted({offer.topic_type for offer in offers})
    usable = [kind for kind in kinds if kind in _KINDS]
    if len(kinds) != 1 or not usable:
        return [
            Finding(
                SECTION,
                topic,
                Level.PROBLEM,
                f"carries {' and '.join(kinds)}",
                f"name a topic of {' or '.join(_KINDS)}",
            )
        ]
    transport, message_class = _KINDS[usable[0]]
    seen = Seen()
    gate = StampGate()
    reader = READERS[transport](MAX_MEGAPIXELS, lambda remark: None)
    quality = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    infos: list[Any] = []
    node.create_subscription(
        message_class, topic, lambda message: _note(seen, gate, reader, message), quality
    )
    base = topic.removesuffix("/compressed")
    node.create_subscription(
        CameraInfo, f"{base.rpartition('/')[0]}/camera_info", infos.append, quality
    )
    end_s = time.monotonic() + seconds + FIND_S
    while time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.1)
        if seen.stamps_ns and end_s > time.monotonic() + seconds:
            end_s = time.monotonic() + seconds  # the time counts from the first image
    offers = node.get_publishers_info_by_topic(topic)  # now with the nodes' names
    offered = "; ".join(
        f"{offer.node_namespace.rstrip('/')}/{offer.node_name}, "
        f"{offer.qos_profile.reliability.name.lower()}, "
        f"{offer.qos_profile.durability.name.lower()}"
        for offer in offers
    )
    publishers = Finding(SECTION, topic, Level.OK, f"{kinds[0]} from {offered}")
    silence = describe_offers(node, topic, kinds[0])
    return [publishers, *findings_of(seen, silence), _calibration(infos)]


def _note(seen: Seen, gate: StampGate, reader: ImageReader, message: Any) -> None:
    """Take in one image, by the node's own rules for what can be used."""
    stamp = message.header.stamp
    stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    seen.frame_id = message.header.frame_id
    seen.bytes = len(message.data)
    if hasattr(message, "encoding"):
        seen.what = f"{message.width}x{message.height} {message.encoding}"
    else:
        seen.what = message.format
    try:
        reader.check(message)
        arrival = gate.check(stamp_ns)
        seen.colours.append(colour_of(reader.decode(message)))
    except ImageError as error:
        seen.refused = seen.refused or str(error)
        return
    seen.lost += arrival.lost
    seen.stamps_ns.append(stamp_ns)
    seen.ages_s.append((time.time_ns() - stamp_ns) * 1e-9)


def findings_of(seen: Seen, silence: str) -> list[Finding]:
    """What there is to say about the images that arrived.

    Parameters
    ----------
    seen : what arrived.
    silence : why nothing may have arrived, with what to do.
    """
    if not seen.what:
        return [Finding(SECTION, "images", Level.PROBLEM, "none arrived", silence)]
    if not seen.stamps_ns:
        return [
            Finding(
                SECTION,
                "images",
                Level.PROBLEM,
                f"{seen.what}: none can be used: {seen.refused}",
                "the node refuses them as well: change the driver's settings",
            )
        ]
    found = []
    rate = seen.rate
    value = f"{seen.what}, {f'{rate:.1f} per second' if rate else 'a single one'}"
    value += f", frame '{seen.frame_id}'"
    if seen.lost_share > LOST_SHARE:
        found.append(
            Finding(
                SECTION,
                "images",
                Level.WARNING,
                f"{value}; {100 * seen.lost_share:.0f} % are lost before they arrive",
                DDS_ADVICE,
            )
        )
    else:
        found.append(Finding(SECTION, "images", Level.OK, value))
    if seen.refused:
        found.append(
            Finding(
                SECTION,
                "unusable images",
                Level.WARNING,
                seen.refused,
                "the node leaves these out: look at the driver",
            )
        )
    if GREY in seen.colours and COLOUR not in seen.colours:
        found.append(Finding(SECTION, "colour", Level.WARNING, "the images are grey", GREY_ADVICE))
    found.append(_age(seen.ages_s))
    if not seen.frame_id:
        found.append(
            Finding(
                SECTION,
                "frame",
                Level.WARNING,
                "the header's frame_id is empty: markers and 3D positions have no place",
                "set the driver's frame id to the camera's optical frame",
            )
        )
    return found


def _age(ages_s: Sequence[float]) -> Finding:
    age_s = float(np.median(ages_s))
    value = f"{1e3 * age_s:.0f} ms from the stamp to the arrival (median)"
    if -0.001 <= age_s <= OLD_S:
        return Finding(SECTION, "age", Level.OK, value)
    return Finding(
        SECTION,
        "age",
        Level.WARNING,
        value,
        "set the clocks of both machines by PTP or NTP; a bag needs ros2 bag play --clock and "
        "use_sim_time",
    )


def _calibration(infos: Sequence[Any]) -> Finding:
    if not infos:
        return Finding(
            SECTION, "camera_info", Level.NOTE, "none arrived beside it: markers use a guess"
        )
    if infos[-1].k[0] > 0:
        return Finding(
            SECTION, "camera_info", Level.OK, f"calibrated, focal length {infos[-1].k[0]:.0f} px"
        )
    return Finding(SECTION, "camera_info", Level.NOTE, "not calibrated: markers use a guess")
