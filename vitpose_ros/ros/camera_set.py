"""The cameras of the node: its own, and others of the same scene whose places are known."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vitpose_ros.ingest.camera_info import COMPRESSED, Calibration, info_topic_beside
from vitpose_ros.ingest.extrinsics import read_extrinsics
from vitpose_ros.ingest.images import READERS, ImageError
from vitpose_ros.ingest.pairing import Paired, Pairing
from vitpose_ros.ingest.stamps import StampGate, stamp_ns
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.pipeline import Pipeline, Result
from vitpose_ros.rig import Rig
from vitpose_ros.ros.messages import skeleton_array_message
from vitpose_ros.ros.offers import Wanted, explain_silence
from vitpose_ros.ros.target_frame import TargetFrame
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.topics import subscribe
from vitpose_ros.ros.transitions import RefusalError
from vitpose_ros.transform import Transform
from vitpose_ros.types import Frame

IMAGE_CLASSES = {"raw": Image, "compressed": CompressedImage}
APART_S = 5.0
"""Cameras that see something, but never the same, for this long are reported."""

PublishOn = Callable[[type, str, int], Publisher]


class OtherCamera:
    """A camera beside the node's own one: its topics, its calibration, and what came from it.

    Parameters
    ----------
    node : for its log.
    number : 2 for the first one; its skeletons are published on camera_2/skeletons.
    topic : of its images, resolved.
    transport : "raw" or "compressed".
    publish_on : creates a publisher.
    """

    def __init__(
        self,
        node: LifecycleNode,
        number: int,
        topic: str,
        transport: str,
        publish_on: PublishOn,
    ) -> None:
        log = node.get_logger()
        self.number, self.topic, self.transport = number, topic, transport
        self.calibration = Calibration(log.info, log.warning)
        self.skeletons = publish_on(SkeletonArray, f"camera_{number}/skeletons", 10)
        self.counts: Counter[str] = Counter()
        self.gate = StampGate()
        self.reader: Any = None
        self.frame_id, self.came_s, self.left_out = "", 0.0, ""
        self.apart_ns = 0


class CameraSet:
    """All cameras of the node, with a pipeline each, and their images by stamp.

    Without other cameras it adds nothing: each image is processed by itself, at once.

    Parameters
    ----------
    node : for its topics and its log.
    pipeline : of the node's own camera; the others share its networks.
    parameters : `other_cameras`, `extrinsics` and `target_frame`.
    publish_on : creates a publisher.

    Attributes
    ----------
    target : the frame of metric coordinates.

    Raises
    ------
    RefusalError : the parameters cannot be used; the text says why.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: Pipeline,
        parameters: Parameters,
        publish_on: PublishOn,
    ) -> None:
        self._node, self._parameters = node, parameters
        self._throttle = Throttle(period_s=5.0)
        self.target = TargetFrame(node, parameters.target_frame)
        sources = [
            _source(node.resolve_topic_name(topic), parameters.image_transport)
            for topic in parameters.other_cameras.split()
        ]
        own, _ = _source(node.resolve_topic_name("image"), parameters.image_transport)
        topics = [own, *(topic for topic, _ in sources)]
        if twice := [topic for topic in topics if topics.count(topic) > 1]:
            raise RefusalError(
                f"parameter 'other_cameras': {twice[0]} is named twice; `image` is the first "
                "camera, and other_cameras names the others"
            )
        self._poses: Mapping[str, Transform] = _poses(parameters) if sources else {}
        self._others = [
            OtherCamera(node, number, topic, transport, publish_on)
            for number, (topic, transport) in enumerate(sources, start=2)
        ]
        self._pipelines = (
            pipeline,
            *(Pipeline(pipeline.networks, pipeline.settings, parameters.view) for _ in sources),
        )
        self._rig = Rig(self._pipelines) if sources else None
        self._found: list[tuple[OtherCamera, Any, Frame, Result]] = []
        self._restart()

    def _restart(self) -> None:
        self._pairing: Pairing[tuple[Any, float, Any]] = Pairing(len(self._others))
        self._began_s = time.monotonic()
        self._shared = (0, 0)
        self._apart_since_ns: int | None = None
        self._apart_s = 0.0
        self._placeless: set[str] = set()
        self._reference_frame = ""

    # --- the executor's thread

    def subscribe(
        self, put: Callable[[Any, float, Any, tuple[Any, ...]], None]
    ) -> list[Subscription]:
        """Subscribe to the other cameras, and to TF where it is needed.

        Parameters
        ----------
        put : gets the message of the node's own camera, when it was received, its depth message or
            None, and the messages of the other cameras, as soon as they are complete.
        """
        self._restart()
        self._put = put
        subscriptions = self.target.subscribe()
        for index, camera in enumerate(self._others):
            camera.reader = READERS[camera.transport](
                self._parameters.max_megapixels, self._node.get_logger().warning
            )
            camera.gate, camera.counts, camera.left_out = StampGate(), Counter(), ""
            camera.came_s = self._began_s

            def on_image(message: Any, sequence: int | None, index: int = index) -> None:
                self._on_image(index, message)

            def on_info(message: Any, sequence: int | None, index: int = index) -> None:
                self._others[index].calibration.take(message)

            reliable = self._parameters.reliability == "reliable"
            kind = IMAGE_CLASSES[camera.transport]
            images = subscribe(self._node, kind, camera.topic, on_image, reliable)
            info = info_topic_beside(camera.topic)
            camera.calibration.start(info, camera.topic)
            subscriptions += [images, subscribe(self._node, CameraInfo, info, on_info)]
        return subscriptions

    def take(self, message: Any, received_s: float, depth: Any | None = None) -> None:
        """Take an image of the node's own camera, and its depth image."""
        self._deliver(self._pairing.reference(stamp_ns(message), (message, received_s, depth)))

    def _on_image(self, index: int, message: Any) -> None:
        camera = self._others[index]
        camera.counts["received"] += 1
        camera.came_s = time.monotonic()
        try:
            camera.reader.check(message)
            camera.gate.check(stamp_ns(message))
        except ImageError as error:
            self._reject(camera, error)
            return
        self._deliver(self._pairing.other(index, stamp_ns(message), (message, 0.0, None)))

    def _deliver(self, ready: Sequence[Paired[tuple[Any, float, Any]]]) -> None:
        for paired in ready:
            for camera, apart_ns in zip(self._others, paired.apart_ns, strict=True):
                camera.counts["wanted"] += 1
                if apart_ns is not None:
                    camera.counts["paired"] += 1
                    camera.apart_ns = apart_ns
            others = tuple(None if other is None else other[0] for other in paired.others)
            self._put(*paired.reference, others)

    def _reject(self, camera: OtherCamera, error: ImageError) -> None:
        camera.counts["rejected"] += 1
        self._throttle.say(
            self._node.get_logger().warning,
            f"{camera.number} {error.kind}",
            f"{camera.topic}: image not used: {error}",
        )

    # --- the worker's thread

    def find(self, frame: Frame, others: Sequence[Any | None], parameters: Parameters) -> Result:
        """What is in an image of the node's own camera, with what the other cameras add. Their own
        results wait for `publish`.

        Parameters
        ----------
        frame : the image.
        others : the messages of the other cameras, as from `take`.
        parameters : in use for this image.
        """
        if self._rig is None:
            return self._pipelines[0](frame)
        self._reference_frame = frame.frame_id
        frames: list[Frame | None] = [self._placed(frame)]
        for camera, message in zip(self._others, others, strict=True):
            frames.append(None if message is None else self._frame(camera, message, parameters))
        first, *rest = self._rig(frames)
        self._found = [
            (camera, message, seen, result)
            for camera, message, seen, result in zip(
                self._others, others, frames[1:], rest, strict=True
            )
            if seen is not None and result is not None
        ]
        seeing = sum(bool(r.instances) for r in (first, *rest) if r is not None)
        self._note(frame.stamp_ns, seeing)
        assert first is not None  # it has an image
        return first

    def publish(self, parameters: Parameters, received_s: float) -> None:
        """Publish what the other cameras saw at the last call of `find`."""
        for camera, message, frame, result in self._found:
            skeletons = skeleton_array_message(
                message.header,
                (frame.width, frame.height),
                result.instances,
                result.models,
                result.reset,
                result.view,
                parameters.smoothing_text,
                parameters.prediction_horizon,
                self.target.name or None,
            )
            skeletons.processing_time = time.perf_counter() - received_s
            camera.skeletons.publish(skeletons)
        self._found = []

    def update(self, parameters: Parameters) -> None:
        """Use other settings from the next image on."""
        for pipeline in self._pipelines:
            pipeline.update(parameters.settings())

    def reset(self) -> None:
        """Restart tracking at the next image of each camera."""
        for pipeline in self._pipelines:
            pipeline.reset()

    def _frame(self, camera: OtherCamera, message: Any, parameters: Parameters) -> Frame | None:
        try:
            image = camera.reader.decode(message)
        except ImageError as error:
            self._reject(camera, error)
            return None
        camera.frame_id = message.header.frame_id
        size = image.shape[1], image.shape[0]
        model = camera.calibration.model_for(
            size, parameters.image_rectified, parameters.input_mirrored
        )
        to_target = self.target.at(camera.frame_id, stamp_ns(message))
        frame = Frame(image, stamp_ns(message), camera.frame_id, model, to_target=to_target)
        return self._placed(frame)

    def _placed(self, frame: Frame) -> Frame:
        """The frame with the place of its camera: from the file, else from TF."""
        if not self._poses:
            return replace(frame, to_rig=frame.to_target)
        pose = self._poses.get(frame.frame_id)
        if pose is None and frame.frame_id not in self._placeless:
            self._placeless.add(frame.frame_id)
            self._node.get_logger().warning(
                f"the extrinsics have no camera with the frame_id '{frame.frame_id}', so its "
                f"images are not used for triangulation; they have {', '.join(self._poses)}"
            )
        return replace(frame, to_rig=pose)

    def _note(self, now_ns: int, seeing: int) -> None:
        """Note for how long cameras have seen something, but nothing in common."""
        assert self._rig is not None
        shared = self._rig.shared
        self._shared = shared.triangulated, shared.objects
        if shared.triangulated or seeing < 2:
            self._apart_since_ns = None
        elif self._apart_since_ns is None or now_ns < self._apart_since_ns:
            self._apart_since_ns = now_ns
        self._apart_s = 1e-9 * (now_ns - (self._apart_since_ns or now_ns))

    # --- once a second

    def check(self, silence_timeout_s: float) -> None:
        """Log which cameras are left out, and why, once for each change."""
        now_s = time.monotonic()
        for camera in self._others:
            recent, camera.counts = camera.counts, Counter()
            reason = ""
            if now_s - camera.came_s > silence_timeout_s:
                kind = f"sensor_msgs/msg/{IMAGE_CLASSES[camera.transport].__name__}"
                reliable = self._parameters.reliability == "reliable"
                wanted = Wanted(camera.topic, kind, reliable, camera.came_s > self._began_s)
                reason = f"no image for {silence_timeout_s:g} s: "
                reason += explain_silence(self._node, wanted)
            elif recent["received"] and recent["wanted"] > 1 and not recent["paired"]:
                reason = (
                    "none of its images is within half a period of one of the node's own camera: "
                    "let one clock stamp both, or trigger them together"
                )
            elif recent["received"] > 1 and camera.calibration.state == "none received":
                reason = (
                    f"no camera_info on {info_topic_beside(camera.topic)}: without it, its rays "
                    "are not known"
                )
            else:
                waited = not recent["received"] or recent["wanted"] <= 1
                if waited and camera.left_out:
                    reason = camera.left_out  # no news yet
            if reason and not camera.left_out:
                self._node.get_logger().warning(f"{camera.topic} is left out: {reason}")
            if camera.left_out and not reason:
                self._node.get_logger().info(f"{camera.topic} takes part again")
            camera.left_out = reason
            camera.counts["share"] = round(100 * recent["paired"] / max(recent["wanted"], 1))
        if self._apart_s > APART_S:
            self._throttle.say(
                self._node.get_logger().warning,
                "apart",
                "two or more cameras see hands or bodies, but none is the same in two of them for "
                f"{self._apart_s:.0f} s: either they look at different places, or the "
                "extrinsics, camera_info or stamps of a camera are wrong",
            )

    def details(self) -> dict[str, str]:
        """The state of the other cameras, for diagnostics."""
        values = {
            f"camera {camera.number}": f"{camera.topic}: "
            + (
                f"left out: {camera.left_out}"
                if camera.left_out
                else f"{camera.counts['share']} % of images paired, stamps "
                f"{1e-6 * camera.apart_ns:.1f} ms apart, camera_info {camera.calibration.state}"
            )
            for camera in self._others
        }
        if self.target.name:
            values["target_frame"] = self.target.state
        if self._rig is not None:
            values["triangulated"] = f"{self._shared[0]} of {self._shared[1]} hands and bodies"
        return values


def _source(topic: str, transport: str) -> tuple[str, str]:
    """The topic to subscribe to, and the transport."""
    if topic.endswith(COMPRESSED):
        return topic, "compressed"
    return (topic + COMPRESSED, transport) if transport == "compressed" else (topic, "raw")


def _poses(parameters: Parameters) -> Mapping[str, Transform]:
    """The poses of the file; none where TF gives them."""
    if not parameters.extrinsics and parameters.target_frame:
        return {}
    if not parameters.extrinsics:
        raise RefusalError(
            "parameter 'other_cameras' needs to know where the cameras are: set 'extrinsics' to a "
            "YAML file with their poses (docs/3d.md has an example), or 'target_frame' to a frame "
            "that TF connects with all of them"
        )
    try:
        return read_extrinsics(Path(parameters.extrinsics).expanduser())
    except ValueError as error:
        raise RefusalError(f"parameter 'extrinsics': {error}") from error
