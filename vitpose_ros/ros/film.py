"""The demo's film: overlay.mp4 and overlay.png."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vitpose_ros.types import ByteArray, Instance


class Film:
    """Writes overlay.mp4, the images with their skeletons at the pace of their stamps, and
    overlay.png, the one that shows most.

    Parameters
    ----------
    folder : of both files.
    """

    def __init__(self, folder: Path) -> None:
        self.video, self.picture = folder / "overlay.mp4", folder / "overlay.png"
        self._writer: cv2.VideoWriter | None = None
        self._period_ns, self._last_ns = 0, 0
        self._waiting: list[tuple[int, ByteArray]] = []
        self._best = (-1, -1.0)
        self._size = (0, 0)

    def add(self, stamp_ns: int, image: ByteArray, instances: list[Instance]) -> None:
        """Add an image; after images that the node left out, it is repeated to fill the gap."""
        worth = (len(instances), sum(min(i.keypoints.box()[2:]) for i in instances))
        if worth > self._best:
            self._best = worth
            cv2.imwrite(str(self.picture), image)
        if self._writer is None:
            self._waiting.append((stamp_ns, image))
            if len(self._waiting) == 10:
                self._open()
            return
        self._write(stamp_ns, image)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is None and len(self._waiting) > 1:
            self._open()
        if self._writer is not None:
            self._writer.release()

    def _open(self) -> None:
        stamps = [stamp for stamp, _ in self._waiting]
        # The smallest step: where the node left images out, steps are larger.
        self._period_ns = max(1_000_000, int(np.diff(stamps).min()))
        height, width = self._waiting[0][1].shape[:2]
        self._size = (width, height)
        code = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]
        self._writer = cv2.VideoWriter(str(self.video), code, 1e9 / self._period_ns, self._size)
        self._last_ns = stamps[0] - self._period_ns
        for stamp, image in self._waiting:
            self._write(stamp, image)
        self._waiting = []

    def _write(self, stamp_ns: int, image: ByteArray) -> None:
        assert self._writer is not None
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size)  # type: ignore[assignment]
        times = min(max(1, round((stamp_ns - self._last_ns) / self._period_ns)), 30)
        for _ in range(times):
            self._writer.write(image)
        self._last_ns = stamp_ns
