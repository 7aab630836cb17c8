"""Watches a running pose node from outside: rate, latency, error against ground truth, and a video
of the result.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from vitpose_ros.draw import draw_caption, draw_instances
from vitpose_ros.evaluate import HandScore
from vitpose_ros.ingest.images import MAX_MEGAPIXELS, READERS
from vitpose_ros.magnifier import Magnifier
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.ros.camera import LEFT_OUT, PUBLISHED
from vitpose_ros.ros.film import Film
from vitpose_ros.ros.messages import instance_from_message
from vitpose_ros.ros.steadiness import Steadiness
from vitpose_ros.types import Instance, JointState, TrackState

_KEPT = 60  # images and ground truths that wait for their skeletons
_RECENT_S = 2.0  # window of the live rate


class Monitor(Node):
    """Subscribes to the topics of a camera and of a pose node.

    Parameters
    ----------
    camera : namespace of the camera's topics.
    film : where overlays go, or None.

    Attributes
    ----------
    score : hands against ground truth, where the camera publishes it. Hands that were not seen in
        an image do not count, even if the node still predicts them.
    steadiness : how much smoother than the networks' own joints the published ones are, and by how
        much they lag.
    latencies_s : from each image's stamp to the arrival of its skeletons.
    published, left_out : the camera's counts.
    node_counts, node_status, node_failed, engine : from the node's diagnostic status.
    """

    def __init__(self, camera: str, film: Film | None) -> None:
        super().__init__("demo_monitor")
        self.score, self.steadiness = HandScore(), Steadiness()
        self.smoothing = ""
        self.latencies_s: list[float] = []
        self.hands_now = 0
        self.node_counts: Counter[str] = Counter()
        self.node_status, self.node_failed, self.engine = "", False, ""
        self.published, self.left_out = 0, 0
        self.last_image_s = time.monotonic()
        self._film, self._magnifier = film, Magnifier()
        self._reader = READERS["raw"](MAX_MEGAPIXELS, self.get_logger().warning)
        self._images: dict[int, Any] = {}
        self._unfilmed: dict[int, list[Instance]] = {}
        self._truths: dict[int, SkeletonArray] = {}
        self._unpaired: dict[int, SkeletonArray] = {}
        self._arrivals: deque[float] = deque()
        newest = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 10)
        self.create_subscription(SkeletonArray, f"{camera}/true_skeletons", self._on_truth, 10)
        self.create_subscription(Image, f"{camera}/image_raw", self._on_image, newest)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def rate(self) -> float:
        """Skeleton messages per second, over the last two seconds."""
        now_s = time.monotonic()
        while self._arrivals and now_s - self._arrivals[0] > _RECENT_S:
            self._arrivals.popleft()
        return len(self._arrivals) / _RECENT_S

    def latency_ms(self, percentile: float, last: int = 0) -> float | None:
        """A percentile of all latencies, or of the last ones; None before the first."""
        values = self.latencies_s[-last:]
        return 1e3 * float(np.percentile(values, percentile)) if values else None

    def _on_image(self, message: Image) -> None:
        self.last_image_s = time.monotonic()
        found = self._unfilmed.pop(_stamp_ns(message), None)
        if found is not None:  # its skeletons came first
            self._show(message, found)
        elif self._film is not None:
            _keep(self._images, _stamp_ns(message), message)

    def _on_truth(self, message: SkeletonArray) -> None:
        stamp_ns = _stamp_ns(message)
        _keep(self._truths, stamp_ns, message)
        found = self._unpaired.pop(stamp_ns, None)
        if found is not None:
            self._compare(found, message)

    def _on_skeletons(self, message: SkeletonArray) -> None:
        stamp_ns = _stamp_ns(message)
        self.latencies_s.append(1e-9 * (self.get_clock().now().nanoseconds - stamp_ns))
        self._arrivals.append(time.monotonic())
        instances = [instance_from_message(skeleton) for skeleton in message.skeletons]
        self.hands_now = len(_live(instances))
        self.smoothing = message.smoothing
        self.steadiness.add_found(stamp_ns, instances)
        self._magnifier.add(stamp_ns, instances)
        truth = self._truths.get(stamp_ns)
        if truth is not None:
            self._compare(message, truth)
        else:
            _keep(self._unpaired, stamp_ns, message)
        image = self._images.pop(stamp_ns, None)
        if image is not None:
            self._show(image, instances)
        else:
            _keep(self._unfilmed, stamp_ns, instances)

    def _show(self, image: Image, instances: list[Instance]) -> None:
        """Add an image and what was found in it to the film."""
        if self._film is None:
            return
        plain = self._reader.decode(image)
        drawn = draw_instances(plain.copy(), instances)
        caption = f"{self.rate:.0f} Hz, {1e3 * self.latencies_s[-1]:.0f} ms"
        draw_caption(self._magnifier.draw(drawn, plain), [caption])
        self._film.add(_stamp_ns(image), drawn, instances)

    def _compare(self, found: SkeletonArray, truth: SkeletonArray) -> None:
        true = [instance_from_message(skeleton) for skeleton in truth.skeletons]
        every = [instance_from_message(skeleton) for skeleton in found.skeletons]
        hands = _live(every)
        self.steadiness.add_truth(_stamp_ns(found), true, hands)
        self.score.add(
            [hand.keypoints.uv for hand in true],
            [hand.side for hand in true],
            [should_be_found(hand, found.image_width, found.image_height) for hand in true],
            [hand.keypoints.uv for hand in hands],
            [hand.side for hand in hands],
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if PUBLISHED in values:
                self.published, self.left_out = int(values[PUBLISHED]), int(values[LEFT_OUT])
            elif "received" in values:
                self.node_status, self.engine = status.message, values["engine"]
                refused = status.level == DiagnosticStatus.ERROR
                self.node_failed = refused and values["state"] != "active"
                self.node_counts = Counter(
                    {key: int(value) for key, value in values.items() if value.isdecimal()}
                )


def _live(instances: list[Instance]) -> list[Instance]:
    """Those that were seen in the image, without predicted ones."""
    return [one for one in instances if one.track_state != TrackState.LOST]


def should_be_found(hand: Instance, width: int, height: int) -> bool:
    """Whether a true hand is wholly in view: every joint inside the image, and at least half of
    them visible.
    """
    u, v = hand.keypoints.uv.T
    inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    seen = hand.keypoints.state >= JointState.MEASURED
    return bool(inside.all() and 2 * seen.sum() >= len(seen))


def _keep(store: dict[int, Any], stamp_ns: int, message: Any) -> None:
    """Store a message under its stamp, and drop the oldest."""
    store[stamp_ns] = message
    while len(store) > _KEPT:
        store.pop(next(iter(store)))


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
