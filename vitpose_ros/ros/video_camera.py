"""A video file or a camera device as an image topic, for trying the package without a driver.

A robot's camera should have its own driver: this one knows no calibration, and stamps a device's
images when they have been read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
from std_msgs.msg import Header

from vitpose_ros.ros.camera import NS, CameraError, CameraNode, run_camera
from vitpose_ros.ros.declare import START, ParameterSpec
from vitpose_ros.types import ByteArray

TABLE: Mapping[str, ParameterSpec] = {
    "source": ParameterSpec("", "A video file, or a device such as /dev/video0.", changes=START),
    "loop": ParameterSpec(False, "Begin a file again when it ends.", changes=START),
}


class VideoCamera(CameraNode[ByteArray]):
    """Publishes image_raw from a file, at the file's own rate, or from a device, at the device's.

    Raises
    ------
    CameraError : when the source cannot be opened.
    """

    def __init__(self) -> None:
        super().__init__("video_camera", TABLE)
        source = self.values["source"]
        self._device = Path(source).is_char_device()
        if not self._device and not Path(source).is_file():
            raise CameraError(
                f"video_camera: there is no file or device '{source}'; give the parameter "
                "'source' a video file or a device such as /dev/video0"
            )
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise CameraError(
                f"video_camera: OpenCV cannot open '{source}'; accepted are video files that it "
                "can decode (try: "
                "ffmpeg -i IN -c:v libx264 OUT.mp4) and capture devices that you may read (group "
                "'video')"
            )
        if not self._device:
            rate = self._capture.get(cv2.CAP_PROP_FPS)
            self.period_ns = round(NS / rate) if 0.1 <= rate <= 1000.0 else NS // 30
        self._taken_to_ns = 0

    def take(self, time_ns: int) -> ByteArray | None:
        """The next image; of a file the one of that time, so that a slow machine leaves images out
        instead of lagging.
        """
        while self._taken_to_ns < time_ns and self._capture.grab():
            self._taken_to_ns += self.period_ns
        good, image = self._capture.read()
        if not good and self.values["loop"] and not self._device:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            good, image = self._capture.read()
        self._taken_to_ns += self.period_ns
        return image if good else None  # type: ignore[return-value]

    def publish(self, shot: ByteArray, header: Header) -> None:
        """Only the image: nothing is known of the lens."""
        self.publish_image(shot, header)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the camera until it is told to end, or until its last image."""
    return run_camera(VideoCamera, arguments)


if __name__ == "__main__":
    sys.exit(main())
