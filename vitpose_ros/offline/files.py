"""Video files and folders of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.ingest.images import ImageError
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.source import Losses, Shot
from vitpose_ros.types import Frame
from vitpose_ros.video import NS, VideoError, VideoFile

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

_NANOSECONDS = re.compile(r"(?<!\d)(\d{19})(?!\d)")
_SECONDS = re.compile(r"(?<![\d.])(\d{9,10})[._](\d{3,9})(?!\d)")


class VideoSource:
    """A video file: frames with the times of their packets, turned upright as the file asks.

    Parameters
    ----------
    path : the file.
    max_megapixels : larger frames are refused.
    """

    def __init__(self, path: Path, max_megapixels: float) -> None:
        self._path, self._most = path, max_megapixels * 1e6
        self.losses = Losses()
        try:
            video = VideoFile(str(path))
        except VideoError as error:
            raise OfflineError(str(error)) from error
        self.expected = video.frames
        video.close()

    def __iter__(self) -> Iterator[Shot]:
        """Every frame that can be decoded."""
        self.losses = Losses()
        video = VideoFile(str(self._path))
        try:
            number = 0
            while (time_ns := video.grab()) is not None:
                image = video.decode()
                if image is None:
                    continue
                if image.shape[0] * image.shape[1] > self._most:
                    raise OfflineError(
                        f"{self._path} has frames of {image.shape[1]}x{image.shape[0]} px, more "
                        "than the parameter max_megapixels allows"
                    )
                yield Shot(Frame(image, time_ns), time_ns, f"{self._path.name}#{number}")
                number += 1
            if video.damaged:
                self.losses.note(f"{video.damaged} frames could not be decoded")
        finally:
            video.close()

    def close(self) -> None:
        """Nothing is held between readings."""


class FolderSource:
    """The images of a folder, in the order of their times; a photograph is turned upright.

    Parameters
    ----------
    path : the folder.
    max_megapixels : larger images are refused.
    rate_hz : images per second where their names do not tell their times; None if not known.
    static : the images are no sequence: they are numbered, a second apart.
    """

    def __init__(
        self, path: Path, max_megapixels: float, rate_hz: float | None, static: bool
    ) -> None:
        self._most = max_megapixels * 1e6
        self.losses = Losses()
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if static:
            rate_hz = 1.0
        stamps = [_stamp_ns(p.stem) for p in paths]
        if rate_hz is not None:
            self._images = [(round(i * NS / rate_hz), p) for i, p in enumerate(paths)]
        elif None not in stamps:
            self._images = sorted(zip((s or 0 for s in stamps), paths, strict=True))
            times = [stamp for stamp, _ in self._images]
            if len(set(times)) < len(times):
                raise OfflineError(f"{path}: two images have the same time in their names")
        else:
            unclear = paths[stamps.index(None)]
            raise OfflineError(
                f"{path}: no time is known for '{unclear.name}'. Names may hold nanoseconds "
                "(1700000000123456789.png) or seconds (1700000000.123456.png); otherwise give "
                "--rate HZ for a sequence, or --static for images that have nothing to do with "
                "each other"
            )
        self.expected = len(paths)

    def __iter__(self) -> Iterator[Shot]:
        """Every image that can be decoded."""
        self.losses = Losses()
        for stamp_ns, path in self._images:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                self.losses.refuse(ImageError("data", f"'{path.name}' cannot be decoded"))
            elif image.shape[0] * image.shape[1] > self._most:
                self.losses.refuse(
                    ImageError("size", f"'{path.name}' is larger than max_megapixels allows")
                )
            else:
                pixels = np.asarray(image, np.uint8)
                yield Shot(Frame(pixels, stamp_ns), stamp_ns, path.name)

    def close(self) -> None:
        """Nothing is held between readings."""


def _stamp_ns(name: str) -> int | None:
    """The time in a file's name, ns."""
    if found := _SECONDS.search(name):
        return int(found[1]) * NS + int(found[2].ljust(9, "0"))
    if found := _NANOSECONDS.search(name):
        return int(found[1])
    return None
