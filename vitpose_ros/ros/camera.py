"""What the package's own cameras share: pace, stamps, camera_info and the count of images.

Images are paced by steady time, so that a simulated clock that stands still does not stop them.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vitpose_ros.parameters.spec import START, ParameterSpec
from vitpose_ros.ros.declare import DeclaredParameters
from vitpose_ros.ros.messages import image_message
from vitpose_ros.ros.start import Going, StartError, run_node, spin

NS = 1_000_000_000
LATEST = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
DISCOVERY_S = 0.5
CLOCK_PATIENCE_S = 5.0
PUBLISHED = "published"
LEFT_OUT = "left out"
"""Keys of the camera's diagnostic status: images published, images left out for lack of time."""

COMMON_TABLE: Mapping[str, ParameterSpec] = {
    "frame_id": ParameterSpec(
        "camera_optical_frame", "Frame of the images: x right, y down, z forward.", changes=START
    ),
    "images": ParameterSpec(
        0, "End after this many images; 0 goes on.", low=0, high=2**31 - 1, changes=START
    ),
    "wait_for_subscribers": ParameterSpec(
        0,
        "Publish nothing until the image has this many subscribers.",
        low=0,
        high=16,
        changes=START,
    ),
}

Shot = TypeVar("Shot")


class CameraError(StartError):
    """The camera cannot deliver images; the text says why and what to do."""


@dataclass(frozen=True)
class Timed(Generic[Shot]):
    """A shot, and its time since the first one; None for one of a device, which is taken now."""

    shot: Shot
    time_ns: int | None = None


class CameraNode(Node, ABC, Generic[Shot]):
    """A camera that publishes image_raw.

    Subclasses define how to take a shot, and what else to publish.

    Attributes
    ----------
    left_out : images that were not taken because the one before took too long.

    Raises
    ------
    CameraError : a parameter does not fit.
    """

    def __init__(self, name: str, table: Mapping[str, ParameterSpec]) -> None:
        super().__init__(name)
        declared = DeclaredParameters(self, {**COMMON_TABLE, **table})
        if declared.problems:
            raise CameraError("; ".join(declared.problems.values()))
        self.values: dict[str, Any] = declared.values()
        self.left_out = 0
        self._published = 0
        self._image = self.create_publisher(Image, "image_raw", LATEST)
        self._info = self.create_publisher(CameraInfo, "camera_info", LATEST)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._second = self.create_timer(1.0, self.publish_status, clock=steady)
        self._stop = threading.Event()
        self._clock_checked = False

    @abstractmethod
    def take(self, not_before_ns: int) -> Timed[Shot] | None:
        """The next shot at or after that time since the first one, or None at the end."""

    @abstractmethod
    def publish(self, shot: Shot, header: Header) -> None:
        """Publish all that the camera gives for one shot."""

    def finish(self) -> None:
        """Release the source after the last image."""

    def run(self) -> None:
        """Take and publish until told to stop, or until the last image."""
        wanted, last = self.values["wait_for_subscribers"], self.values["images"]
        while self._image.get_subscription_count() < wanted and not self.stopped(0.02):
            pass
        if wanted:
            # The subscribers that we know may not know us yet and would miss a best-effort image.
            self.stopped(DISCOVERY_S)
        simulated = self.get_parameter("use_sim_time").value
        first_ns: int | None = None
        not_before_ns = 0
        while not self.stopped() and (not last or self._published < last):
            # Taken ahead of its time, so that the image's age does not include it.
            taken = self.take(not_before_ns)
            if taken is None:
                if not self.stopped():
                    self.get_logger().info("the source has ended")
                break
            if first_ns is None:
                first_ns, begin_ns = time.monotonic_ns(), self._now_ns()
            stamp_ns = self._now_ns()
            if taken.time_ns is not None:
                if self.stopped((first_ns + taken.time_ns - time.monotonic_ns()) / NS):
                    break
                stamp_ns = self._now_ns() if simulated else begin_ns + taken.time_ns
                not_before_ns = taken.time_ns + 1
            if simulated:
                self._check_clock(stamp_ns, time.monotonic_ns() - first_ns)
            stamp = Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)
            self.publish(taken.shot, Header(stamp=stamp, frame_id=self.values["frame_id"]))
            self._published += 1
            not_before_ns = max(not_before_ns, time.monotonic_ns() - first_ns)
        self.finish()

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _check_clock(self, stamp_ns: int, elapsed_ns: int) -> None:
        """Warn once if simulated time is requested and nobody publishes it."""
        if self._clock_checked or elapsed_ns < CLOCK_PATIENCE_S * NS:
            return
        self._clock_checked = True
        if stamp_ns == 0:
            self.get_logger().warning(
                "use_sim_time is true, but nothing is published on /clock, so that images are "
                "stamped 0 and nodes refuse them: play the bag with `ros2 bag play --clock`, or "
                "set use_sim_time to false"
            )

    def stopped(self, wait_s: float = 0.0) -> bool:
        """Whether the camera was told to stop, after at most that many seconds."""
        return self._stop.wait(max(0.0, wait_s))

    def stop(self) -> None:
        """End `run` after the image in progress."""
        self._stop.set()

    def publish_image(self, image: npt.NDArray, header: Header) -> None:
        """Publish a BGR image."""
        self._image.publish(image_message(header, image, "bgr8"))

    def publish_info(
        self, camera_matrix: npt.NDArray, size: tuple[int, int], header: Header
    ) -> None:
        """Publish the camera_info of an undistorted camera of (width, height) px."""
        k = camera_matrix.astype(float)
        self._info.publish(
            CameraInfo(
                header=header,
                width=size[0],
                height=size[1],
                distortion_model="plumb_bob",
                d=[0.0] * 5,
                k=k.ravel(),
                r=np.eye(3).ravel(),
                p=np.hstack([k, np.zeros((3, 1))]).ravel(),
            )
        )

    def publish_status(self) -> None:
        """Report the number of published images on /diagnostics."""
        status = DiagnosticStatus(
            level=DiagnosticStatus.OK,
            name=f"{self.get_fully_qualified_name()}: camera",
            message=f"{self._published} images published",
            values=[
                KeyValue(key=PUBLISHED, value=str(self._published)),
                KeyValue(key=LEFT_OUT, value=str(self.left_out)),
            ],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def run_camera(make: Callable[[], CameraNode[Any]], arguments: Sequence[str] | None) -> int:
    """The main program of a camera: run it until it is asked to end, or until its last image.

    Returns the process's exit code: 0; 1 if the camera failed; 2 if it could not start.
    """
    return run_node(make, arguments, _serve)


def _serve(camera: CameraNode[Any], going: Going) -> int:
    failures: list[Exception] = []

    def work() -> None:
        try:
            camera.run()
        except CameraError as error:
            failures.append(error)
            camera.get_logger().error(str(error))
        except Exception as error:  # noqa: BLE001 - reported here, and by the exit code
            failures.append(error)
            camera.get_logger().error(f"the camera failed: {error}\n{traceback.format_exc()}")

    thread = threading.Thread(target=work, name="camera", daemon=True)
    thread.start()
    with contextlib.suppress(KeyboardInterrupt):
        spin(camera, lambda: thread.is_alive() and going())
    camera.stop()
    thread.join(timeout=2.0)
    camera.publish_status()
    rclpy.spin_once(camera, timeout_sec=0.2)  # the last messages leave before their publishers do
    if camera.left_out:
        camera.get_logger().warning(
            f"{camera.left_out} images were left out because taking one takes longer than the time "
            "between two: lower the rate or the image size"
        )
    return 1 if failures else 0
