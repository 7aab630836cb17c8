"""Videos and capture devices through OpenCV: frames with the times of their packets, and what to do
when a read fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from vitpose_ros.types import ByteArray

NS = 1_000_000_000

MAX_DAMAGED = 1000
"""A file has ended when this many reads in a row fail. OpenCV reports the end and a frame that it
cannot decode in the same way; at the end a read takes microseconds.
"""

RETRY_S = 5.0
"""How long a device that delivers nothing is tried again."""

RETRY_PERIOD_S = 0.2


class VideoError(RuntimeError):
    """A video or a device that delivers no frames; the text says why and what to do."""


class VideoFile:
    """The frames of a video file in order, each with its time.

    Times are those in the file, so a variable frame rate is kept. Where the file has none for a
    frame, the frame follows the one before it at the nominal rate. Rotation that the file asks for
    is applied.

    Parameters
    ----------
    path : the file.

    Attributes
    ----------
    period_ns : the nominal time between two frames.
    frames : about how many frames the file says it has; None if it does not say.
    damaged : frames so far that could not be decoded. Those at the end of the file are not
        counted: there OpenCV does not tell them from the end.

    Raises
    ------
    VideoError : OpenCV cannot open the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise VideoError(
                f"OpenCV cannot open '{path}'. It accepts video files that it can decode; convert "
                "others: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.period_ns = round(NS / rate) if 0.1 <= rate <= 1000.0 else NS // 30
        count = round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frames = count if count > 0 else None
        # OpenCV 4.6 turns quarters the wrong way round, so that they come out upside down.
        quarter = self._capture.get(cv2.CAP_PROP_ORIENTATION_META) in (90.0, 270.0)
        self._upside_down = quarter and cv2.__version__.startswith("4.6.")
        self.damaged = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    def grab(self) -> int | None:
        """Go to the next frame; its time since the first one in nanoseconds, or None at the end."""
        failed = 0
        while not self._capture.grab():
            failed += 1
            if failed == MAX_DAMAGED:
                return None
        self.damaged += failed
        packet_ns = round(1e6 * self._capture.get(cv2.CAP_PROP_POS_MSEC))
        if self._first_ns is None:
            self._first_ns = packet_ns
            return 0
        time_ns = packet_ns - self._first_ns
        if time_ns <= self._last_ns:
            # The file has no times, or these are the last frames of one with B-frames, for which
            # OpenCV 4.5 and 4.6 give none.
            time_ns = self._last_ns + (1 + failed) * self.period_ns
        self._last_ns = time_ns
        return time_ns

    def decode(self) -> ByteArray | None:
        """The frame that `grab` went to, BGR; None, and counted, if it cannot be decoded."""
        good, image = self._capture.retrieve()
        if not good:
            self.damaged += 1
            return None
        turned = cv2.rotate(image, cv2.ROTATE_180) if self._upside_down else image
        return turned.astype(np.uint8, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class VideoDevice:
    """The images of a capture device.

    Parameters
    ----------
    path : such as /dev/video0.
    wait : waits for a number of seconds; True ends the attempts to get an image.
    tell : called with a sentence when the device stops delivering, and when it continues.

    Raises
    ------
    VideoError : the device cannot be opened.
    """

    def __init__(
        self, path: str, wait: Callable[[float], bool], tell: Callable[[str], None]
    ) -> None:
        self._path, self._wait, self._tell = path, wait, tell
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise VideoError(
                f"OpenCV cannot open '{path}': check that it is a capture device (v4l2-ctl "
                "--list-devices), that no other program uses it, and that you may read it (group "
                "'video')"
            )

    def read(self) -> ByteArray | None:
        """The next image, BGR; None once `wait` ended the attempts to get one.

        Raises
        ------
        VideoError : the device has delivered nothing for RETRY_S, though it was opened again.
        """
        good, image = self._capture.read()
        if good:
            return image.astype(np.uint8, copy=False)
        begun_s = time.monotonic()
        self._tell(f"'{self._path}' delivers no image; trying again for {RETRY_S:g} s")
        while time.monotonic() - begun_s < RETRY_S:
            if self._wait(RETRY_PERIOD_S):
                return None
            self._capture.release()
            self._capture = cv2.VideoCapture(self._path)
            good, image = self._capture.read()
            if good:
                silence_s = time.monotonic() - begun_s
                self._tell(f"'{self._path}' delivers images again, after {silence_s:.1f} s")
                return image.astype(np.uint8, copy=False)
        raise VideoError(
            f"'{self._path}' has delivered no image for {RETRY_S:g} s: check its cable and its "
            "power supply, and the kernel's messages (dmesg)"
        )

    def close(self) -> None:
        """Close the device."""
        self._capture.release()
