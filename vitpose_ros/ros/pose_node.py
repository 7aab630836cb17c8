"""The node: a camera topic goes in, skeletons come out.

This module wires the life cycle, subscriptions, publishers and parameters. What happens to an image
is in processor.py, what is checked once a second in supervisor.py, the contents of messages in
messages.py, markers.py and diagnostics.py, the parameters in vitpose_ros/parameters.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from vitpose_ros.factory import load_pipeline
from vitpose_ros.ingest.images import READERS, ImageError, ImageReader
from vitpose_ros.ingest.stamps import StampGate, stamp_ns
from vitpose_ros.models.store import ModelStore
from vitpose_ros.msg import SkeletonArray, SkeletonLayoutArray
from vitpose_ros.parameters.table import TABLE, Parameters
from vitpose_ros.ros.camera_set import IMAGE_CLASSES, CameraSet
from vitpose_ros.ros.colour import UNKNOWN
from vitpose_ros.ros.declare import DeclaredParameters
from vitpose_ros.ros.flow import Flow
from vitpose_ros.ros.messages import layouts_message
from vitpose_ros.ros.processor import Arrival, Outputs, Processor
from vitpose_ros.ros.retargeting import Retargeting
from vitpose_ros.ros.start import run_node
from vitpose_ros.ros.supervisor import Supervisor
from vitpose_ros.ros.throttle import Throttle
from vitpose_ros.ros.topics import camera_info_topic, image_source, override_problems, subscribe
from vitpose_ros.ros.transitions import RefusalError, refuse_impossible_requests, reported
from vitpose_ros.ros.worker import Worker

LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
ADJUSTABLE = ("skeletons", "skeleton_markers", "~/debug_image")
"""Topics published by the node whose QoS may be overridden."""
STOP_S = 10.0
"""How long a deactivation waits for the current image."""


class PoseNode(LifecycleNode):
    """Hand and body skeletons from a camera topic.

    Subscribes to `image` (or `image`/compressed) and to its `camera_info`. Publishes
    `skeletons`, `skeleton_layouts` (latched), `skeleton_markers` and `~/debug_image` (both only
    while subscribed), and /diagnostics once a second. All parameters are in
    vitpose_ros/parameters.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("pose_node", **node_arguments)
        refuse_impossible_requests(self)
        self._declared = DeclaredParameters(self, TABLE)
        self._settings: Parameters = Parameters(**self._declared.values())
        self.add_on_set_parameters_callback(self._check_parameters)
        for name in self._declared.unknown():
            self.get_logger().warning(
                f"parameter '{name}' was given, but this node has no parameter of that name: "
                f"ros2 param list {self.get_fully_qualified_name()}"
            )
        self._processor: Processor | None = None
        self._worker: Worker[Arrival] | None = None
        self._gate = StampGate()
        self._phase = "unconfigured"
        self._reason = ""
        self._flow = Flow()
        self._throttle = Throttle(period_s=5.0)
        self._supervisor = Supervisor(self, self._flow)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._second = self.create_timer(1.0, self._on_second, clock=steady)
        self._outputs: list[Any] = []
        self._inputs: list[Any] = []

    @property
    def autostart(self) -> bool:
        """Whether the node configures and activates itself."""
        return self._settings.autostart

    # --- life cycle

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the models, create the publishers."""
        if self._declared.problems:
            raise RefusalError("; ".join(self._declared.problems.values()))
        self._settings = parameters = Parameters(**self._declared.values())
        if problem := parameters.problem():
            raise RefusalError(problem)
        self._check_overrides()
        begun = time.monotonic()
        choice = parameters.choice()
        if choice.reason:
            self.get_logger().info(choice.reason)
        bodies = "" if parameters.view == "egocentric" else f" and {choice.models.body_model}"
        self.get_logger().info(f"configuring: loading {choice.models.hand_model}{bodies}")
        self._publish_status("configuring")  # the executor is busy until it is done
        store = ModelStore(
            Path(parameters.models_dir).expanduser() if parameters.models_dir else None
        )
        pipeline = load_pipeline(
            store,
            models=choice.models,
            settings=parameters.settings(),
            view=parameters.view,
            threads=parameters.threads,
            topdown=choice.topdown,
            tell=self.get_logger().info,
        )
        loaded = time.monotonic()
        self.get_logger().info(
            f"configuring: loaded in {loaded - begun:.1f} s; running each network once"
        )
        pipeline.warm_up()  # here, where no robot waits for it
        outputs = Outputs(
            skeletons=self._publish_on(SkeletonArray, "skeletons", 10),
            markers=self._publish_on(MarkerArray, "skeleton_markers", 1),
            debug_image=self._publish_on(Image, "~/debug_image", 1),
            retargeting=Retargeting(self, parameters, self._publish_on),
        )
        layouts = self._publish_on(SkeletonLayoutArray, "skeleton_layouts", LATCHED)
        layouts.publish(layouts_message(pipeline.layouts))
        cameras = CameraSet(self, pipeline, parameters, self._publish_on)
        self._processor = Processor(self, pipeline, cameras, parameters, outputs, self._flow)
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
        """Subscribe to the camera and start to process its images."""
        assert self._processor is not None
        assert self._worker is None  # its handle is kept until its thread has ended
        source = image_source(self, self._settings.image_transport)
        image_class = IMAGE_CLASSES[source.transport]
        reader = self._image_reader(source.transport)
        self._gate = StampGate()
        self._worker = Worker(self._processor, name="pose_worker")
        reliable = self._settings.reliability == "reliable"
        lost = self._supervisor.reported_lost
        images = subscribe(self, image_class, source.image, self._on_image, reliable, lost)
        self._inputs.append(images)
        topic = images.topic_name  # remapping rules may have changed the name once more
        infos = subscribe(self, CameraInfo, camera_info_topic(self, topic), self._on_camera_info)
        self._inputs += [infos, *self._processor.subscribe(self._put)]
        self._processor.start(reader, topic, infos.topic_name)
        self._supervisor.start(topic, f"sensor_msgs/msg/{image_class.__name__}", reliable)
        self._become("active")
        self.get_logger().info(
            f"active: waiting for images on {topic} ({image_class.__name__}), calibration on "
            f"{infos.topic_name}"
        )
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop processing and unsubscribe from the camera."""
        self._stop()
        self._become("inactive")
        self.get_logger().info("inactive: no images are processed; the models stay loaded")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release models and topics; every parameter may change after this."""
        self._release()
        self._become("unconfigured")
        self.get_logger().info("unconfigured: models and topics are released")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything. No transition leads out of this state."""
        self._unsubscribe()  # also while the worker hangs, which _release refuses
        self._become("finalized")
        self._release()
        self.get_logger().info("shut down: models and topics are released")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error outside our own code: unconfigured, ready to be configured again."""
        self._release()
        self._become("unconfigured")
        return TransitionCallbackReturn.SUCCESS

    def refuse(self, reason: str) -> None:
        """Report why a transition was not made, in the log and in diagnostics."""
        self._reason = reason.splitlines()[0]
        command = f"ros2 lifecycle set {self.get_fully_qualified_name()}"
        remedies = {
            "unconfigured": f"{command} configure, then: {command} activate",
            "inactive": f"{command} activate",
        }
        if self._phase in remedies:
            advice = f"The node is not active. Once this is corrected: {remedies[self._phase]}"
        else:
            advice = f"The node is still {self._phase}."
        self.get_logger().error(f"{reason}\n{advice}")

    def undo(self, transition: str) -> None:
        """Release what a transition that failed halfway had already acquired."""
        if transition == "configure":
            self._release()
        elif transition == "activate":
            self._stop()

    def _check_overrides(self) -> None:
        """Refuse QoS overrides that would have no effect."""
        topics = [self.resolve_topic_name(topic) for topic in ADJUSTABLE]
        if problems := override_problems(self._declared.given(), topics):
            raise RefusalError("; ".join(problems))

    def _become(self, state: str) -> None:
        self._phase, self._reason = state, ""

    def _image_reader(self, transport: str) -> ImageReader:
        try:
            return READERS[transport](self._settings.max_megapixels, self.get_logger().warning)
        except ImportError as error:
            raise RefusalError(str(error)) from error

    def _publish_on(self, kind: type, topic: str, qos: QoSProfile | int) -> Any:
        kinds = [QoSPolicyKind.RELIABILITY, QoSPolicyKind.DEPTH] if topic in ADJUSTABLE else []
        options = QoSOverridingOptions(kinds)
        publisher = self.create_publisher(kind, topic, qos, qos_overriding_options=options)
        self._outputs.append(publisher)
        return publisher

    def _unsubscribe(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []

    def _stop(self) -> None:
        """Stop the worker, then unsubscribe.

        While its thread hangs in the pipeline this is refused, and the node stays as it is: a
        second worker would enter the same pipeline.
        """
        if self._worker is not None and not self._worker.stop(STOP_S):
            raise RefusalError(
                f"the current image has not finished for {self._worker.busy_s:.0f} s; the node "
                "continues with it. Try again later, or end the process"
            )
        self._worker = None
        self._unsubscribe()

    def _release(self) -> None:
        self._stop()
        for publisher in self._outputs:
            self.destroy_publisher(publisher)
        self._outputs = []
        self._processor = None

    def destroy_node(self) -> None:
        """Stop the worker before its publishers are destroyed."""
        self._unsubscribe()
        try:
            self._stop()
        except RefusalError as refusal:  # the process ends all the same
            self.get_logger().error(str(refusal))
        super().destroy_node()

    # --- parameters

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """Whether these changes can be made. Changes nothing: another callback may refuse them."""
        changed, reason = self._declared.preview(changes, configured=self._processor is not None)
        if changed is None:
            return SetParametersResult(successful=False, reason=reason)
        problem = Parameters(**changed).problem()
        return SetParametersResult(successful=not problem, reason=problem)

    # Humble has no callback for changes that were made; every distribution comes through these two.

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set parameters, all or none, and use them from the next image on."""
        result = super().set_parameters_atomically(parameter_list)
        if result.successful:
            self._declared.accept(parameter_list)
            self._settings = Parameters(**self._declared.values())
            if self._processor is not None:
                self._processor.parameters = self._settings
            if remark := self._settings.without_effect([p.name for p in parameter_list]):
                self.get_logger().info(remark)
        return result

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set parameters one by one."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    # --- images

    def _on_camera_info(self, message: CameraInfo, sequence: int | None) -> None:
        if self._processor is not None:
            self._processor.calibration.take(message)

    def _on_image(self, message: Any, sequence: int | None) -> None:
        """Refuse an image that cannot be used; leave the others to the worker."""
        received_s = time.perf_counter()
        worker, processor = self._worker, self._processor
        if worker is None or processor is None:
            return
        self._supervisor.received(message)
        try:
            processor.images.check(message)
        except ImageError as error:
            self._gate.skip(sequence)
            processor.reject(error)
            return
        try:
            arrival = self._gate.check(stamp_ns(message), sequence)
        except ImageError as error:
            processor.reject(error)
            return
        self._flow.count_losses(arrival.losses)
        if arrival.went_back:
            self._throttle.say(
                self.get_logger().warning,
                "time went back",
                f"{processor.topic}: time went back (a bag that starts again?): tracking restarts",
            )
        self._supervisor.check_worker(worker, processor.cameras.reset)
        processor.depth.take(message, received_s)

    def _put(self, *arrived: Any) -> None:
        if self._worker is not None and self._worker.put(Arrival(*arrived)):
            self._flow.count("skipped")

    # --- once a second

    def _on_second(self) -> None:
        worker, processor = self._worker, self._processor
        if self._phase == "active" and worker is not None and processor is not None:
            self._supervisor.check_worker(worker, processor.cameras.reset)
            processor.check(self._settings.silence_timeout)
            self._supervisor.check(self._settings.silence_timeout, worker.busy_s)
        self._publish_status(self._phase)

    def _publish_status(self, state: str) -> None:
        unloaded = {
            "models": "not loaded",
            "engine": "not loaded",
            "smoothing": self._settings.smoothing_text,
            "image colour": UNKNOWN,
            "camera_info": "not subscribed",
        }
        details = self._processor.details() if self._processor else unloaded
        self._supervisor.publish(state, self._reason, details)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until the process is asked to end."""
    return run_node(PoseNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
