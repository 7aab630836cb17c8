"""H.264 as training loaders want it: every frame on a grid of 1 / fps, and quick to seek in."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.offline.errors import missing_library

CODEC, PIXELS = "h264", "yuv420p"

_OPTIONS = {
    "crf": "20",
    "preset": "veryfast",
    "g": "2",  # loaders decode single frames: the key frame is the same frame, or the one before it
    "bf": "0",  # each frame's time is that of its packet
    "forced-idr": "1",
    "sc_threshold": "0",
}
_THREADS = 4  # fixed: the same file on every machine


class VideoFile:
    """A video that grows frame by frame. Frame n has the time n / fps.

    Parameters
    ----------
    path : the file, which is created.
    size : (width, height) of the images, px. H.264 needs even sides: an odd last column or row is
        cut off, so pixel coordinates stay as they are.
    fps : frames per second.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        try:
            import av
        except ImportError as error:
            raise missing_library(error) from error
        self._av = av
        self.path, self.frames = path, 0
        self.width, self.height = even(size)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container: Any = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=fps)
        self._stream.width, self._stream.height = self.width, self.height
        self._stream.pix_fmt = PIXELS
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, fps)
        self._stream.codec_context.thread_count = _THREADS
        self._stream.options = dict(_OPTIONS)

    def add(self, image: npt.NDArray[np.uint8], starts: bool) -> None:
        """Add a frame.

        Parameters
        ----------
        image : (H, W, 3) BGR.
        starts : an episode starts here: what follows is decoded without anything before it.
        """
        picture = np.ascontiguousarray(image[: self.height, : self.width])
        frame = self._av.VideoFrame.from_ndarray(picture, "bgr24")
        frame.pts = self.frames
        if starts:
            frame.pict_type = self._av.video.frame.PictureType.I
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def size_bytes(self) -> int:
        """What is in the file by now, about."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Complete the file."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        """Close the file, whatever is in it: after an error."""
        with contextlib.suppress(Exception):
            self._container.close()


def even(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the part of an image that H.264 can hold."""
    return size[0] - size[0] % 2, size[1] - size[1] % 2
