"""Watches a camera's topic for some seconds, like the node, and reports what arrived."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.ingest.camera_info import camera_model, is_rectified
from vitpose_ros.ingest.images import MAX_MEGAPIXELS, READERS, ImageError, ImageReader
from vitpose_ros.ingest.quoting import quoted
from vitpose_ros.ingest.stamps import StampGate
from vitpose_ros.ros.advice import Middleware, age_warning, loss_cause, loss_warning, lost_share
from vitpose_ros.ros.colour import COLOUR, GREY, GREY_ADVICE, colour_of
from vitpose_ros.ros.offers import Wanted, explain_silence
from vitpose_ros.ros.topics import camera_info_topic, subscribe

SECTION = "Camera"
FIND_S = 5.0
"""Discovery takes up to this long; it is slowest with ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST."""
CLOCK_TOLERANCE_S = 0.001
"""Best agreement of two machines' clocks: stamps ahead by less are not reported."""

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
    counts : "received", "lost" and the other counts of `advice.loss_cause`.
    what : size and encoding of the last image, as text.
    size : (width, height) of the last image that could be used, px; None while there is none.
    frame_id : of the last image.
    colours : what each of the images that could be used tells; see `ros.colour`.
    refused : the first reason why an image could not be used; "" while there is none.
    """

    stamps_ns: list[int] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    what: str = ""
    size: tuple[int, int] | None = None
    frame_id: str = ""
    colours: list[str] = field(default_factory=list)
    refused: str = ""

    @property
    def rate(self) -> float | None:
        """Images per second by their stamps, those that were lost included; None for fewer than two
        images.
        """
        if len(self.stamps_ns) < 2:
            return None
        span_s = (self.stamps_ns[-1] - self.stamps_ns[0]) * 1e-9
        return (len(self.stamps_ns) - 1 + self.counts["lost"]) / span_s if span_s > 0 else None


def check_camera(topic: str, seconds: float) -> list[Finding]:
    """Watch an image topic for some seconds.

    Parameters
    ----------
    topic : of sensor_msgs/Image or sensor_msgs/CompressedImage.
    seconds : how long, from the first image on.
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
            wanted = Wanted(topic, "sensor_msgs/msg/Image")
            return [
                Finding(
                    SECTION,
                    topic,
                    Level.PROBLEM,
                    explain_silence(node, wanted),
                    "start the camera, or give the name of its topic; compare ROS_DOMAIN_ID and "
                    "the discovery range of both shells",
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
                f"give the name of a topic of {' or '.join(_KINDS)}",
            )
        ]
    transport, message_class = _KINDS[usable[0]]
    seen = Seen()
    gate = StampGate()
    try:
        reader = READERS[transport](MAX_MEGAPIXELS, lambda remark: None)
    except ImportError as error:
        return [Finding(SECTION, topic, Level.PROBLEM, str(error), "or name a raw image topic")]
    infos: list[Any] = []
    subscribe(
        node,
        message_class,
        topic,
        lambda message, sequence: _note(seen, gate, reader, message, sequence),
        lost=lambda number: seen.counts.update({"reported lost": number}),
    )
    subscribe(node, CameraInfo, camera_info_topic(node, topic), lambda info, _: infos.append(info))
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
    if len(offers) > 1:
        publishers = Finding(
            SECTION,
            topic,
            Level.WARNING,
            f"{len(offers)} publishers of {kinds[0]}: {offered}",
            "their images are mixed: give each camera a topic of its own; a driver that was killed "
            "is listed for up to half a minute",
        )
    wanted = Wanted(topic, kinds[0], reported_lost=seen.counts["reported lost"])
    silence = explain_silence(node, wanted)
    return [publishers, *findings_of(seen, silence, topic), _calibration(infos, seen.size, topic)]


def _note(
    seen: Seen, gate: StampGate, reader: ImageReader, message: Any, sequence: int | None
) -> None:
    """Note one image, by the node's own rules for what can be used."""
    stamp = message.header.stamp
    stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    seen.frame_id = message.header.frame_id
    if hasattr(message, "encoding"):
        seen.what = f"{message.width}x{message.height} {quoted(message.encoding)}"
    else:
        seen.what = quoted(message.format)
    seen.counts["received"] += 1
    try:
        reader.check(message)
    except ImageError as error:
        gate.skip(sequence)
        seen.refused = seen.refused or str(error)
        return
    try:
        arrival = gate.check(stamp_ns, sequence)
        image = reader.decode(message)
    except ImageError as error:
        seen.refused = seen.refused or str(error)
        return
    seen.size = (image.shape[1], image.shape[0])
    seen.colours.append(colour_of(image))
    seen.counts.update(arrival.losses.counts())
    seen.stamps_ns.append(stamp_ns)
    seen.ages_s.append((time.time_ns() - stamp_ns) * 1e-9)


def findings_of(seen: Seen, silence: str, topic: str) -> list[Finding]:
    """The findings about the images that arrived.

    Parameters
    ----------
    seen : what arrived.
    silence : why nothing may have arrived, and what to do.
    topic : of the images.
    """
    if not seen.what:
        return [Finding(SECTION, "images", Level.PROBLEM, "none arrived", silence)]
    if not seen.stamps_ns:
        return [
            Finding(
                SECTION,
                "images",
                Level.PROBLEM,
                f"{seen.what}: none is usable: {seen.refused}",
                "the node refuses them, too: change the driver's settings",
            )
        ]
    found = []
    rate = seen.rate
    value = f"{seen.what}, {f'{rate:.1f} per second' if rate else 'a single one'}"
    value += f", frame {quoted(seen.frame_id)}"
    share = lost_share(seen.counts)
    if loss_warning(seen.counts, Middleware.here(), topic):
        found.append(
            Finding(
                SECTION,
                "images",
                Level.WARNING,
                f"{value}; {100 * share:.0f} % are lost before they arrive",
                loss_cause(seen.counts, Middleware.here(), topic),
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
                "the node does not use these: see the driver's settings",
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
                "the header's frame_id is empty: markers and 3D positions have no frame",
                "set the driver's frame id to the camera's optical frame",
            )
        )
    return found


def _age(ages_s: Sequence[float]) -> Finding:
    age_s = float(np.median(ages_s))
    value = f"{1e3 * age_s:.0f} ms from the stamp to the arrival (median)"
    remedy = age_warning(age_s + CLOCK_TOLERANCE_S, sim_time=False)
    if not remedy:
        return Finding(SECTION, "age", Level.OK, value)
    return Finding(SECTION, "age", Level.WARNING, value, remedy)


def _calibration(infos: Sequence[Any], size: tuple[int, int] | None, topic: str) -> Finding:
    """What camera_info tells about the camera of the images, by the node's own rules."""
    if not infos:
        return Finding(
            SECTION,
            "camera_info",
            Level.NOTE,
            "none arrived: markers are placed with an assumed field of view",
        )
    info = infos[-1]
    rectified = is_rectified("auto", topic)
    try:
        model = camera_model(info, size or (info.width, info.height), rectified)
    except ValueError as error:
        return Finding(
            SECTION,
            "camera_info",
            Level.NOTE,
            f"not used: {error}; markers are placed by an assumed field of view",
            "calibrate the camera at this resolution: ros2 run camera_calibration cameracalibrator",
        )
    lens = "rectified" if rectified else f"raw, {model.distortion_model}"
    value = f"focal length {model.fx:.0f} px; the image is taken as {lens}"
    return Finding(SECTION, "camera_info", Level.OK, value)
