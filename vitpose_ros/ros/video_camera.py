"""A video file or a camera device as an image topic, for trying the package without a driver.

Use a driver for a robot's camera: this program knows no calibration, and stamps a device's images
when it has read them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from std_msgs.msg import Header

from vitpose_ros.parameters.spec import START, ParameterSpec
from vitpose_ros.ros.camera import CameraError, CameraNode, Timed, run_camera
from vitpose_ros.types import ByteArray
from vitpose_ros.video import VideoDevice, VideoError, VideoFile

TABLE: Mapping[str, ParameterSpec] = {
    "source": ParameterSpec("", "A video file, or a device such as /dev/video0.", changes=START),
    "loop": ParameterSpec(False, "Play a file again when it ends.", changes=START),
}


class VideoCamera(CameraNode[ByteArray]):
    """Publishes image_raw from a file, with the times in the file, or from a device, at its rate.

    Raises
    ------
    CameraError : the source cannot be opened.
    """

    def __init__(self) -> None:
        super().__init__("video_camera", TABLE)
        self._source: str = self.values["source"]
        device = Path(self._source).is_char_device()
        if not device and not Path(self._source).is_file():
            raise CameraError(
                f"there is no file or device '{self._source}'; give the parameter "
                "'source' a video file or a device such as /dev/video0"
            )
        self._file: VideoFile | None = None
        self._device: VideoDevice | None = None
        try:
            if device:
                warn = self.get_logger().warning
                self._device = VideoDevice(self._source, wait=self.stopped, tell=warn)
            else:
                self._file = VideoFile(self._source)
        except VideoError as error:
            raise CameraError(str(error)) from error
        self._begin_ns, self._next_ns = 0, 0
        self._usable, self._damaged = 0, 0

    def take(self, not_before_ns: int) -> Timed[ByteArray] | None:
        """The next image; of a file the first one at or after that time, so that a slow machine
        leaves images out and does not fall behind.
        """
        try:
            if self._device is not None:
                image = self._device.read()
                return None if image is None else Timed(image)
            while (taken := self._take_from_file(not_before_ns)) is None:
                if not self._usable:
                    raise CameraError(f"no frame of '{self._source}' can be decoded")
                if not self.values["loop"]:
                    return None
                self._play_again()
        except VideoError as error:
            raise CameraError(str(error)) from error
        return taken

    def _take_from_file(self, not_before_ns: int) -> Timed[ByteArray] | None:
        assert self._file is not None
        while (time_ns := self._file.grab()) is not None:
            time_ns += self._begin_ns
            self._next_ns = time_ns + self._file.period_ns
            if time_ns < not_before_ns:
                self._usable += 1
                self.left_out += 1
            elif (image := self._file.decode()) is not None:
                self._usable += 1
                return Timed(image, time_ns)
        return None

    def _play_again(self) -> None:
        assert self._file is not None
        self._file.close()
        self._damaged += self._file.damaged
        self._file = VideoFile(self._source)
        self._begin_ns, self._usable = self._next_ns, 0

    def finish(self) -> None:
        """Report damaged frames and close the source."""
        if self._device is not None:
            self._device.close()
        if self._file is not None:
            self._damaged += self._file.damaged
            self._file.close()
        if self._damaged:
            self.get_logger().warning(
                f"{self._damaged} frames of '{self._source}' are damaged; they were left out"
            )

    def publish(self, shot: ByteArray, header: Header) -> None:
        """The image alone: nothing is known about the lens."""
        self.publish_image(shot, header)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the camera until it is asked to end, or until its last image."""
    return run_camera(VideoCamera, arguments)


if __name__ == "__main__":
    sys.exit(main())
