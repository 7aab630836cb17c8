"""What the package's own cameras share: pace, stamps, camera_info and the count of published
images.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vitpose_ros.ros.declare import START, DeclaredParameters, ParameterSpec
from vitpose_ros.ros.messages import image_message

NS = 1_000_000_000
LATEST = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
DISCOVERY_S = 0.5
PUBLISHED = "published"
LEFT_OUT = "left out"
"""Keys of the camera's diagnostic status: images published, and images for which there was no
time.
"""

COMMON_TABLE: Mapping[str, ParameterSpec] = {
    "frame_id": ParameterSpec(
        "camera_optical_frame", "Frame of the images: x right, y down, z forward.", changes=START
    ),
    "images": ParameterSpec(
        0, "End after this many images; 0 goes on.", low=0, high=2**31 - 1, changes=START
    ),
    "wait_for_subscribers": ParameterSpec(
        0, "Publish nothing before so many subscribe to the image.", low=0, high=16, changes=START
    ),
}

Shot = TypeVar("Shot")


class CameraError(RuntimeError):
    """The camera cannot deliver images; the text says why and what to do."""


class CameraNode(Node, ABC, Generic[Shot]):
    """A camera that publishes image_raw and whatever its kind adds.

    A kind of camera says how a shot is taken, how long the time between two is, and what is
    published of it.

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
        self.period_ns = 0
        """Time from image to image; 0 where a device sets the pace."""
        self.left_out = 0
        """Images that were not taken since the one before took too long."""
        self._published = 0
        self._image = self.create_publisher(Image, "image_raw", LATEST)
        self._info = self.create_publisher(CameraInfo, "camera_info", LATEST)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._second = self.create_timer(1.0, self.publish_status)
        self._stop = threading.Event()

    @abstractmethod
    def take(self, time_ns: int) -> Shot | None:
        """The image of that time since the first one, or None at the end of the recording."""

    @abstractmethod
    def publish(self, shot: Shot, header: Header) -> None:
        """Publish all that the camera gives for one shot."""

    def run(self) -> None:
        """Take and publish until told to stop, or until the last image."""
        wanted, last = self.values["wait_for_subscribers"], self.values["images"]
        while self._image.get_subscription_count() < wanted and not self._stop.wait(0.02):
            pass
        if wanted:
            # A subscriber that we know does not know us yet: a best-effort image would miss it.
            self._stop.wait(DISCOVERY_S)
        begin_ns = self.get_clock().now().nanoseconds + self.period_ns
        time_ns = 0
        while not self._stop.is_set() and (not last or self._published < last):
            # Taken ahead of its time, so that what taking costs is not in the image's age.
            shot = self.take(time_ns)
            if shot is None:
                self.get_logger().info("the source has ended")
                return
            if self.period_ns:
                stamp_ns = begin_ns + time_ns
                time.sleep(max(0, stamp_ns - self.get_clock().now().nanoseconds) / NS)
            else:
                stamp_ns = self.get_clock().now().nanoseconds
            stamp = Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)
            self.publish(shot, Header(stamp=stamp, frame_id=self.values["frame_id"]))
            self._published += 1
            if self.period_ns:
                behind = max(0, self.get_clock().now().nanoseconds - stamp_ns) // self.period_ns
                self.left_out += behind
                time_ns += (1 + behind) * self.period_ns

    def stop(self) -> None:
        """End `run` after the image in work."""
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
        """Say on /diagnostics how many images were published."""
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
    """The main program of a camera: run it until it is told to end, or until its last image.

    Returns the process's exit code: 0; 1 when the camera failed; 2 when it could not be made.
    """
    # rclpy's own handlers would take the publishers away while an image is being published.
    rclpy.init(
        args=list(arguments) if arguments is not None else None,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # a script's `camera &` would ignore the first
        signal.signal(number, signal.default_int_handler)
    try:
        camera = make()
    except (CameraError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        rclpy.try_shutdown()
        return 2
    failures: list[Exception] = []

    def work() -> None:
        try:
            camera.run()
        except Exception as error:  # noqa: BLE001 - reported here, and by the exit code
            failures.append(error)
            camera.get_logger().error(f"the camera failed: {error}\n{traceback.format_exc()}")

    thread = threading.Thread(target=work, name="camera", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            rclpy.spin_once(camera, timeout_sec=0.1)
    except KeyboardInterrupt:
        camera.stop()
        thread.join(timeout=2.0)
    camera.publish_status()
    rclpy.spin_once(camera, timeout_sec=0.2)  # the last messages leave before their publishers do
    if camera.left_out:
        camera.get_logger().warning(
            f"{camera.left_out} images were left out, since taking one takes longer than the time "
            "between two: ask for a lower rate or a smaller image"
        )
    camera.destroy_node()
    rclpy.try_shutdown()
    return 1 if failures else 0
