"""The depth image beside the node's colour image: subscribed, paired by stamp, and checked.

Pairing is the node's own (`ingest.pairing`), also where message_filters is installed: its
synchronizers wait for every topic, so that colour images without a depth image would be lost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vitpose_ros.ingest.camera_info import info_topic_beside, is_rectified
from vitpose_ros.ingest.depth import COMPRESSED_DEPTH, depth_camera, foreign, read_depth
from vitpose_ros.ingest.images import ImageError
from vitpose_ros.ingest.pairing import Paired, Pairing
from vitpose_ros.ingest.stamps import stamp_ns
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.ros.offers import publisher_names
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.topics import subscribe
from vitpose_ros.types import Depth, Frame

Forward = Callable[[Any, float, Any], None]


class DepthInput:
    """The depth topic of the node's own camera. Without one, images pass at once.

    Parameters
    ----------
    node : for its topics and its log.
    parameters : `depth_topic`.
    """

    def __init__(self, node: LifecycleNode, parameters: Parameters) -> None:
        self._node, self._parameters = node, parameters
        name = parameters.depth_topic
        self.topic = node.resolve_topic_name(name) if name else ""
        self._kind = CompressedImage if self.topic.endswith(COMPRESSED_DEPTH) else Image
        self._throttle = Throttle(period_s=30.0)
        self._restart()

    def _restart(self) -> None:
        self._pairing: Pairing[tuple[Any, float]] = Pairing(1 if self.topic else 0)
        self._counts: Counter[str] = Counter()
        self._came_s = time.monotonic()
        self._info: Any = None
        self._missing, self._refused, self._share = "", "", 0

    # --- the executor's thread

    def subscribe(self, forward: Forward) -> list[Subscription]:
        """Subscribe to depth and its camera_info.

        Parameters
        ----------
        forward : gets each colour message, when it was received, and its depth message or None.
        """
        self._forward = forward
        self._restart()
        if not self.topic:
            return []
        reliable = self._parameters.reliability == "reliable"
        depth = subscribe(self._node, self._kind, self.topic, self._on_depth, reliable)
        # Remapping rules may have changed the name once more.
        info = info_topic_beside(depth.topic_name.removesuffix(COMPRESSED_DEPTH))
        self._node.get_logger().info(
            f"depth: {depth.topic_name}, calibration on {info}; paired with colour by exact stamp, "
            "else by the nearest within half a period"
        )
        return [depth, subscribe(self._node, CameraInfo, info, self._on_info)]

    def take(self, message: Any, received_s: float) -> None:
        """Take a colour image. It is passed on with its depth image, as soon as that is there, and
        at the latest with the next colour image.
        """
        for paired in self._pairing.reference(stamp_ns(message), (message, received_s)):
            self._pass_on(paired)

    def _on_depth(self, message: Any, sequence: int | None) -> None:
        self._came_s = time.monotonic()
        self._counts["received"] += 1
        for paired in self._pairing.other(0, stamp_ns(message), (message, 0.0)):
            self._pass_on(paired)

    def _on_info(self, message: Any, sequence: int | None) -> None:
        self._info = message

    def _pass_on(self, paired: Paired[tuple[Any, float]]) -> None:
        depth = paired.others[0] if paired.others else None
        self._counts["wanted"] += 1
        self._counts["paired"] += depth is not None
        message, received_s = paired.reference
        self._forward(message, received_s, None if depth is None else depth[0])

    # --- the worker's thread

    def read(self, message: Any | None, frame: Frame, parameters: Parameters) -> Depth | None:
        """The depth image of a colour image; None if there is none that can be used.

        Parameters
        ----------
        message : of the depth topic, or None.
        frame : the colour image with its camera.
        parameters : in use for this image.
        """
        if message is None:
            return None
        if frame.camera is None:
            self._refuse(
                "camera",
                "the colour image has no camera_info that can be used, so that its rays are not "
                "known",
            )
            return None
        try:
            depth = read_depth(message, round(parameters.max_megapixels * 1e6))
        except ImageError as error:
            self._refuse(error.kind, str(error))
            return None
        rectified = is_rectified(parameters.image_rectified, self.topic)
        own = depth_camera(self._info, frame, rectified, parameters.input_mirrored)
        self._refused = foreign(depth, message.header.frame_id, frame, own)
        if self._refused:
            self._refuse("not the image's", self._refused)
            return None
        return depth

    def _refuse(self, kind: str, reason: str) -> None:
        self._refused = reason
        self._throttle.say(
            self._node.get_logger().warning,
            kind,
            f"{self.topic}: depth is not used, skeletons go on in 2D: {reason}",
        )

    # --- once a second

    def check(self, silence_timeout_s: float) -> None:
        """Log why depth is missing, once for each change."""
        if not self.topic:
            return
        recent, self._counts = self._counts, Counter()
        reason = ""
        if time.monotonic() - self._came_s > silence_timeout_s:
            reason = f"no image for {silence_timeout_s:g} s: {self._explain_silence()}"
        elif recent["received"] and recent["wanted"] > 1 and not recent["paired"]:
            reason = (
                "no depth image is within half a period of a colour image: synchronise them in the "
                "driver (RealSense: enable_sync:=true)"
            )
        elif recent["wanted"] <= 1:
            reason = self._missing  # no news yet
        if reason and reason != self._missing:
            self._node.get_logger().warning(f"{self.topic}: depth is missing: {reason}")
        if self._missing and not reason:
            self._node.get_logger().info(f"{self.topic}: depth is there again")
        self._missing = reason
        self._share = round(100 * recent["paired"] / max(recent["wanted"], 1))

    def _explain_silence(self) -> str:
        names = publisher_names(self._node, self.topic)
        if names:
            return (
                f"{', '.join(names)} publishes on it, but no {self._kind.__name__} arrives: see "
                f"`ros2 topic info -v {self.topic}`, and `ros2 topic hz {self.topic}`"
            )
        return (
            "nobody publishes on it: correct the parameter depth_topic, or switch aligned depth on "
            "in the driver (RealSense: align_depth.enable:=true)"
        )

    def details(self) -> dict[str, str]:
        """The state of depth, for diagnostics."""
        if not self.topic:
            return {}
        if self._missing:
            return {"depth": f"{self.topic}: missing: {self._missing}"}
        if self._refused:
            return {"depth": f"{self.topic}: not used: {self._refused}"}
        return {"depth": f"{self.topic}: {self._share} % of images paired"}
