"""The node: a camera topic goes in, skeletons come out.

This module wires: subscriptions, the worker thread, publishers and the life cycle. What is in a
message is decided in messages.py, markers.py and diagnostics.py, what a parameter may be in
parameters.py, what a hand is in the core.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from vitpose_ros.draw import draw_instances
from vitpose_ros.load import load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray, SkeletonLayoutArray
from vitpose_ros.pipeline import Pipeline, Result
from vitpose_ros.ros.declare import DeclaredParameters
from vitpose_ros.ros.diagnostics import node_status
from vitpose_ros.ros.flow import Flow
from vitpose_ros.ros.images import TRANSPORTS, ImageError
from vitpose_ros.ros.markers import Intrinsics, marker_array
from vitpose_ros.ros.messages import image_message, layouts_message, skeleton_array_message
from vitpose_ros.ros.offers import describe_offers
from vitpose_ros.ros.parameters import TABLE, Parameters
from vitpose_ros.ros.stamps import StampGate
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.transitions import RefusalError, reported
from vitpose_ros.ros.worker import Worker
from vitpose_ros.types import Frame

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
IMAGE_CLASSES = {"raw": Image, "compressed": CompressedImage}


@dataclass(frozen=True)
class _Arrival:
    """An image on its way through the node."""

    message: Any
    received_s: float


class PoseNode(LifecycleNode):
    """Hand skeletons from a camera topic.

    Subscribes to `image` (or `image`/compressed) and to the `camera_info` beside it. Publishes
    `skeletons`, `skeleton_layouts` (latched), `skeleton_markers` and `~/debug_image` (both only
    while subscribed), and /diagnostics once a second. All parameters are in parameters.py.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("pose_node", **node_arguments)
        self._declared = DeclaredParameters(self, TABLE)
        self._settings: Parameters = Parameters(**self._declared.values())
        self._applied: Parameters | None = None
        self.add_on_set_parameters_callback(self._on_set_parameters)
        for name in self._declared.unknown():
            self.get_logger().warning(
                f"parameter '{name}' was given, but this node has none of that name: "
                f"ros2 param list {self.get_fully_qualified_name()}"
            )
        self._pipeline: Pipeline | None = None
        self._worker: Worker[_Arrival] | None = None
        self._phase = "unconfigured"
        self._reason = ""
        self._flow = Flow()
        self._throttle = Throttle(period_s=5.0)
        self._intrinsics: Intrinsics | None = None
        self._last_image_s = 0.0
        self._silent = False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._second = self.create_timer(1.0, self._on_second)
        self._outputs: list[Any] = []
        self._inputs: list[Any] = []
        self._image_topic = ""

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._settings.autostart

    # --- life cycle

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take up the parameters, load the models, create the publishers."""
        if self._declared.problems:
            raise RefusalError("; ".join(self._declared.problems.values()))
        self._settings = parameters = Parameters(**self._declared.values())
        if problem := parameters.problem():
            raise RefusalError(problem)
        begun = time.monotonic()
        store = ModelStore(
            Path(parameters.models_dir).expanduser() if parameters.models_dir else None
        )
        pipeline = load_pipeline(
            store,
            models=parameters.models(),
            settings=parameters.settings(),
            view=parameters.view,
            threads=parameters.threads,
            topdown=parameters.topdown(),
            tell=self.get_logger().info,
        )
        pipeline.warm_up()  # here, where no robot waits for it
        self._pipeline, self._applied = pipeline, parameters
        self._skeletons = self._publish_on(SkeletonArray, "skeletons", 10)
        self._layouts = self._publish_on(SkeletonLayoutArray, "skeleton_layouts", LATCHED)
        self._markers = self._publish_on(MarkerArray, "skeleton_markers", 1)
        self._debug_image = self._publish_on(Image, "~/debug_image", 1)
        self._layouts.publish(layouts_message(pipeline.layouts))
        if remark := parameters.without_effect(TABLE):
            self.get_logger().warning(remark)
        self._become("inactive")
        self.get_logger().info(
            f"configured in {time.monotonic() - begun:.1f} s: "
            f"{', '.join(pipeline.models)} on {pipeline.engine}"
        )
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera and start to work."""
        transport = TRANSPORTS[self._settings.image_transport]
        image_class = IMAGE_CLASSES[self._settings.image_transport]
        self._transport, self._gate = transport, StampGate()
        base = self.resolve_topic_name("image")
        self._image_topic = base + transport.topic_suffix
        assert self._pipeline is not None
        self._pipeline.reset()
        self._intrinsics = None
        self._last_image_s, self._silent = time.monotonic(), False
        self._flow.restart(time.monotonic())
        self._worker = Worker(self._work, name="pose_worker")
        self._listen_to(image_class, self._image_topic, self._on_image)
        camera_info = f"{base.rpartition('/')[0]}/camera_info"
        self._listen_to(CameraInfo, camera_info, self._on_camera_info)
        self._become("active")
        self.get_logger().info(f"active: waiting for images on {self._image_topic}")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to work and let go of the camera."""
        self._stop()
        self._become("inactive")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of models and topics; parameters may change after this."""
        self._release()
        self._become("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        self._release()
        self._become("finalized")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error outside our own code: unconfigured, ready to be configured again."""
        self._release()
        self._become("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def refuse(self, reason: str) -> None:
        """Say why the node does not go on, in the log and in diagnostics."""
        self._reason = reason.splitlines()[0]
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        remedies = {
            "unconfigured": f"{command} configure, then: {command} activate",
            "inactive": f"{command} activate",
        }
        if self._phase in remedies:
            advice = f"The node is not active. When this is mended: {remedies[self._phase]}"
        else:
            advice = f"The node is still {self._phase}."
        self.get_logger().error(f"{reason}\n{advice}")

    def undo(self, transition: str) -> None:
        """Let go of what a transition that failed halfway had already taken up."""
        if transition == "configure":
            self._release()
        elif transition == "activate":
            self._stop()

    def _become(self, state: str) -> None:
        self._phase, self._reason = state, ""

    def _publish_on(self, kind: type, topic: str, qos: QoSProfile | int) -> Any:
        self._outputs.append(self.create_publisher(kind, topic, qos))
        return self._outputs[-1]

    def _listen_to(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._inputs.append(self.create_subscription(kind, topic, callback, NEWEST))

    def _stop(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop():
            raise RefusalError("the image in work did not end within 10 s; try again")

    def _release(self) -> None:
        self._stop()
        for publisher in self._outputs:
            self.destroy_publisher(publisher)
        self._outputs = []
        self._pipeline = None

    def destroy_node(self) -> None:
        """Stop the worker before its publishers go."""
        try:
            self._stop()
        except RefusalError as refusal:  # the process ends all the same
            self.get_logger().error(str(refusal))
        super().destroy_node()

    # --- parameters

    def _on_set_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        changed, reason = self._declared.preview(changes, configured=self._pipeline is not None)
        if changed is None:
            return SetParametersResult(successful=False, reason=reason)
        parameters = Parameters(**changed)
        if problem := parameters.problem():
            return SetParametersResult(successful=False, reason=problem)
        self._declared.accept(changes)
        self._settings = parameters  # the worker takes it up with the next image
        if remark := self._settings.without_effect([change.name for change in changes]):
            self.get_logger().info(remark)
        return SetParametersResult(successful=True)

    # --- images

    def _on_camera_info(self, message: CameraInfo) -> None:
        if message.k[0] > 0.0 and message.k[4] > 0.0:  # an uncalibrated camera publishes zeros
            self._intrinsics = Intrinsics(message.k[0], message.k[4], message.k[2], message.k[5])

    def _on_image(self, message: Any) -> None:
        """Refuse what can be seen to be unusable; else leave it to the worker."""
        received_s = time.perf_counter()
        self._flow.count("received")
        if self._silent:
            silence_s = time.monotonic() - self._last_image_s
            self.get_logger().info(f"{self._image_topic}: images again, after {silence_s:.1f} s")
        self._last_image_s, self._silent = time.monotonic(), False
        try:
            self._transport.check(message)
            arrival = self._gate.check(_stamp_ns(message))
        except ImageError as error:
            self._reject(error)
            return
        self._flow.count("lost", arrival.lost)
        if arrival.went_back:
            self.get_logger().warning(
                f"{self._image_topic}: time went back (a bag that starts again?): "
                "tracking starts anew"
            )
        if self._worker is not None and self._worker.put(_Arrival(message, received_s)):
            self._flow.count("skipped")

    def _reject(self, error: ImageError) -> None:
        self._flow.count(f"rejected: {error.kind}")
        self._throttle.say(
            self.get_logger().warning, error.kind, f"{self._image_topic}: image not used: {error}"
        )

    def _work(self, arrival: _Arrival) -> None:
        """One image, on the worker's thread."""
        try:
            self._process(arrival)
        except ImageError as error:
            self._reject(error)
        except Exception as error:  # noqa: BLE001 - one bad image must not end the others
            if not self.context.ok():
                return  # the process is ending, and with it the publishers
            self._flow.count("failed")
            self._throttle.say(
                self.get_logger().error,
                type(error).__name__,
                f"{self._image_topic}: an image failed: {error}\n{traceback.format_exc()}"
                "Tracking starts anew with the next image.",
            )
            if self._pipeline is not None:
                self._pipeline.reset()

    def _process(self, arrival: _Arrival) -> None:
        pipeline, parameters = self._pipeline, self._settings
        assert pipeline is not None
        if parameters is not self._applied:
            self._apply(parameters, pipeline)
        message = arrival.message
        frame = Frame(self._transport.decode(message), _stamp_ns(message))
        begun_s = time.perf_counter()
        result = pipeline(frame)
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
        )
        skeletons.processing_time = time.perf_counter() - arrival.received_s
        self._skeletons.publish(skeletons)
        processing_s = time.perf_counter() - arrival.received_s
        age_s = 1e-9 * (self.get_clock().now().nanoseconds - frame.stamp_ns)
        self._flow.processed(age_s, inference_s, processing_s - inference_s)
        self._publish_views(message, frame, result, parameters)

    def _apply(self, parameters: Parameters, pipeline: Pipeline) -> None:
        """Take over what was changed while the node runs, from the image in work on."""
        pipeline.update(parameters.settings())
        before, self._applied = self._applied, parameters
        if before is not None and before.smoothing_text != parameters.smoothing_text:
            self.get_logger().info(
                f"smoothing: {parameters.smoothing_text} (before: {before.smoothing_text})"
            )

    def _publish_views(
        self, message: Any, frame: Frame, result: Result, parameters: Parameters
    ) -> None:
        """What people look at, only while somebody does."""
        if self._markers.get_subscription_count() > 0:
            intrinsics = self._intrinsics or Intrinsics.guess(frame.width, frame.height)
            self._markers.publish(
                marker_array(
                    message.header, result.instances, intrinsics, parameters.marker_distance
                )
            )
        if self._debug_image.get_subscription_count() > 0:
            drawn = draw_instances(frame.image.copy(), result.instances)
            self._debug_image.publish(image_message(message.header, drawn, "bgr8"))

    # --- diagnostics

    def _on_second(self) -> None:
        now_s = time.monotonic()
        waiting = self._phase == "active" and not self._silent
        if waiting and now_s - self._last_image_s > self._settings.silence_timeout:
            self._silent = True
            kind = IMAGE_CLASSES[self._settings.image_transport].__name__
            offers = describe_offers(self, self._image_topic, f"sensor_msgs/msg/{kind}")
            self.get_logger().warning(
                f"{self._image_topic}: no image for {self._settings.silence_timeout:g} s: {offers}"
            )
        status = node_status(
            name=self.get_fully_qualified_name(),
            hardware_id=self._image_topic or self.resolve_topic_name("image"),
            state=self._phase,
            reason=self._reason,
            flow=self._flow.report(now_s),
            details={
                "models": ", ".join(self._pipeline.models) if self._pipeline else "not loaded",
                "engine": self._pipeline.engine if self._pipeline else "not loaded",
                "smoothing": self._settings.smoothing_text,
            },
            silent=self._silent,
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until it is told to end."""
    rclpy.init(args=list(arguments) if arguments is not None else None)
    node = PoseNode()
    try:
        if node.autostart and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:  # rclpy's own, where Ctrl-C came in the middle of a transition
        if node.context.ok():
            raise
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
