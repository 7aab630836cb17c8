"""From an image message to published skeletons: what runs on the worker's thread."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from vitpose_ros.draw import draw_instances
from vitpose_ros.ingest.camera_info import Calibration
from vitpose_ros.ingest.images import ImageError, ImageReader
from vitpose_ros.ingest.stamps import stamp_ns
from vitpose_ros.measure.exchanged import hand_if_exchanged
from vitpose_ros.parameters.table import Parameters
from vitpose_ros.pipeline import Pipeline, Result
from vitpose_ros.ros.advice import restart_cause
from vitpose_ros.ros.camera_set import CameraSet
from vitpose_ros.ros.colour import COLOUR, EXCHANGED, ColourWatch, ExchangeWatch
from vitpose_ros.ros.depth_input import DepthInput
from vitpose_ros.ros.flow import Flow
from vitpose_ros.ros.markers import marker_array
from vitpose_ros.ros.messages import image_message, skeleton_array_message
from vitpose_ros.ros.retargeting import Retargeting
from vitpose_ros.ros.start import ASKED_TO_END
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.types import Frame


@dataclass(frozen=True)
class Arrival:
    """An image message, when it was received, by time.perf_counter, its depth message, and those of
    the node's other cameras from the same moment; None where there is none.
    """

    message: Any
    received_s: float
    depth: Any | None = None
    others: tuple[Any | None, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """The publishers of what is found in an image."""

    skeletons: Publisher
    markers: Publisher
    debug_image: Publisher
    retargeting: Retargeting


class Processor:
    """Runs the pipeline on one image at a time and publishes the result.

    Parameters
    ----------
    node : for its clock and its log.
    pipeline : finds the instances.
    cameras : all cameras, with their pipelines.
    parameters : in use at the start.
    outputs : where results go.
    flow : counts and times of the images.

    Attributes
    ----------
    pipeline, cameras : as given.
    parameters : set by the node when somebody changes them; taken up with the next image.
    calibration : what camera_info tells about the camera.
    depth : the depth image beside the camera's image.
    images, topic : the reader of the messages, and where they come from; set by the node when it
        subscribes.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: Pipeline,
        cameras: CameraSet,
        parameters: Parameters,
        outputs: Outputs,
        flow: Flow,
    ) -> None:
        self.pipeline, self.cameras, self.parameters = pipeline, cameras, parameters
        log = node.get_logger()
        self.calibration = Calibration(log.info, log.warning)
        self.depth = DepthInput(node, parameters)
        self.images: ImageReader
        self.topic = ""
        self._node, self._outputs, self._flow = node, outputs, flow
        self._watch_colours()
        self._applied = parameters
        self._throttle = Throttle(period_s=5.0)
        self._before: tuple[int, tuple[int, int]] | None = None
        self._began_s, self._told = 0.0, False
        self._drawn: MarkerArray | None = None

    def start(self, images: ImageReader, topic: str, camera_info: str) -> None:
        """Prepare for the images of a topic, which have nothing to do with earlier ones.

        Parameters
        ----------
        images : reads the messages.
        topic, camera_info : resolved names.
        """
        self.images, self.topic = images, topic
        self._watch_colours()
        self.calibration.start(camera_info, topic)
        self._before = self._drawn = None
        self._began_s, self._told = time.monotonic(), False
        self.cameras.reset()

    def subscribe(self, put: Callable[..., None]) -> list[Subscription]:
        """Subscribe to what comes beside the camera's images: depth, TF, other cameras.

        Parameters
        ----------
        put : gets the fields of each `Arrival`.
        """
        return [*self.cameras.subscribe(put), *self.depth.subscribe(self.cameras.take)]

    def check(self, silence_timeout_s: float) -> None:
        """Once a second: log what is missing for joints in metres, once for each change."""
        self.cameras.check(silence_timeout_s)
        self.depth.check(silence_timeout_s)
        wanted = self.parameters.depth_topic or self.parameters.hand_size > 0
        missing = self.calibration.state == "none received"
        if wanted and missing and not self._told:
            self._told = time.monotonic() - self._began_s > silence_timeout_s
            if self._told:
                self._warn(
                    "joints get no metres, because no camera_info arrives on "
                    f"{self.calibration.topic}: let the driver publish it, or remap 'camera_info'"
                )

    def details(self) -> dict[str, str]:
        """What is in use, and how the cameras are, for diagnostics."""
        return {
            "models": ", ".join(self.pipeline.models),
            "engine": self.pipeline.engine,
            "smoothing": self.parameters.smoothing_text,
            "image colour": EXCHANGED if self._exchanged.suspected else self._colours.state,
            "camera_info": self.calibration.state,
            **self.depth.details(),
            **self.cameras.details(),
        }

    def _watch_colours(self) -> None:
        networks = self.pipeline.networks
        self._colours = ColourWatch(self._warn)
        self._exchanged = ExchangeWatch(partial(hand_if_exchanged, networks), self._warn)

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(f"{self.topic}: {text}")

    def reject(self, error: ImageError) -> None:
        """Count an image that cannot be used, and log why."""
        self._flow.count(f"rejected: {error.kind}")
        self._throttle.say(
            self._node.get_logger().warning, error.kind, f"{self.topic}: image not used: {error}"
        )

    def __call__(self, arrival: Arrival) -> None:
        """Process one image. An error is logged, counted, and ends with this image."""
        try:
            self._process(arrival)
        except ImageError as error:
            self.reject(error)
        except Exception as error:  # noqa: BLE001 - one bad image must not affect the others
            if ASKED_TO_END.is_set():
                return  # the process is ending, and its publishers are gone
            self._flow.count("failed")
            self._throttle.say(
                self._node.get_logger().error,
                type(error).__name__,
                f"{self.topic}: an image failed: {error}\n{traceback.format_exc()}"
                "Tracking restarts with the next image.",
            )
            self.cameras.reset()

    def _process(self, arrival: Arrival) -> None:
        parameters = self.parameters
        if parameters is not self._applied:
            self._apply(parameters)
        message = arrival.message
        image = self.images.decode(message)
        self._colours.look(image)
        camera = self.calibration.model_for(
            (image.shape[1], image.shape[0]), parameters.image_rectified, parameters.input_mirrored
        )
        frame = Frame(image, stamp_ns(message), message.header.frame_id, camera)
        target = self.cameras.target
        frame = replace(
            frame,
            depth=self.depth.read(arrival.depth, frame, parameters),
            to_target=target.at(frame.frame_id, frame.stamp_ns),
        )
        begun_s = time.perf_counter()
        result = self.cameras.find(frame, arrival.others, parameters)
        inference_s = time.perf_counter() - begun_s
        skeletons = skeleton_array_message(
            message.header,
            (frame.width, frame.height),
            result.instances,
            result.models,
            result.reset,
            result.view,
            parameters.smoothing_text,
            parameters.prediction_horizon,
            target.name or None,
        )
        skeletons.processing_time = time.perf_counter() - arrival.received_s
        self._outputs.skeletons.publish(skeletons)
        self.cameras.publish(parameters, arrival.received_s)
        processing_s = time.perf_counter() - arrival.received_s
        now_ns = self._node.get_clock().now().nanoseconds  # 0 before the first message on /clock
        age_s = 1e-9 * (now_ns - frame.stamp_ns) if now_ns else None
        self._flow.processed(age_s, inference_s, processing_s - inference_s)
        self._outputs.retargeting.publish(skeletons.header, frame.stamp_ns, result, parameters)
        self._count_restart(frame, result)
        if self._colours.state == COLOUR:
            self._exchanged.look(image, frame.stamp_ns, bool(result.instances))
        self._publish_views(skeletons.header, message.header, frame, result, parameters)

    def _count_restart(self, frame: Frame, result: Result) -> None:
        """Count why tracking restarted at this image; the first image needs no reason."""
        now = (frame.stamp_ns, (frame.width, frame.height))
        before, self._before = self._before, now
        if result.reset and before is not None:
            self._flow.count("restarts")
            self._flow.count(f"restarts: {restart_cause(before, now)}")

    def _apply(self, parameters: Parameters) -> None:
        """Use parameters that were changed while the node runs, from this image on."""
        self.cameras.update(parameters)
        before, self._applied = self._applied, parameters
        if before.smoothing_text != parameters.smoothing_text:
            self._node.get_logger().info(
                f"smoothing: {parameters.smoothing_text} (before: {before.smoothing_text})"
            )

    def _publish_views(
        self,
        header: Header,
        image_header: Header,
        frame: Frame,
        result: Result,
        parameters: Parameters,
    ) -> None:
        """Publish what people look at, but only while somebody subscribes."""
        if self._outputs.markers.get_subscription_count() > 0:
            self._drawn = marker_array(
                header, result.instances, frame, parameters.marker_distance, self._drawn
            )
            self._outputs.markers.publish(self._drawn)
        else:
            self._drawn = None
        if self._outputs.debug_image.get_subscription_count() > 0:
            drawn = draw_instances(frame.image.copy(), result.instances)
            self._outputs.debug_image.publish(image_message(image_header, drawn, "bgr8"))
