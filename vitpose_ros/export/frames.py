"""Episodes at a constant rate: which image each frame of an episode shows.

Learning libraries want frames k / fps after the first one. Cameras have jitter, and lose images. A
frame shows the image whose stamp is nearest; how far off that is stays known, and so does the
image's own stamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NS = 1_000_000_000

MIN_FRAMES = 2
"""Shorter episodes are no sequence."""

MAX_GAP_S = 2.0
"""An episode in which the camera delivered nothing for longer is dropped."""

MAX_S = 2048.0
"""A longer episode is dropped: LeRobot keeps the time in it as float32, which is not exact to its
own tolerance of 0.1 ms beyond that."""

FRESH = 0.75
"""An image that is farther than this from its frame, in periods of the slower of both rates, is of
another moment: it is shown over a gap."""

MAX_UPSAMPLING = 1.5
"""The most frames per image, on average."""

IntArray = npt.NDArray[np.int64]


class DroppedError(Exception):
    """An episode that is left out; the text says why and what helps."""


@dataclass(frozen=True)
class Frames:
    """The frames of an episode.

    Attributes
    ----------
    image : (N,) which image of the recording each of them shows, ascending.
    stamp_ns : (N,) that image's stamp.
    offset_ns : (N,) by how much the image is later than the frame.
    fresh : (N,) bool, false where an image is shown over a gap.
    """

    image: IntArray
    stamp_ns: IntArray
    offset_ns: IntArray
    fresh: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)


def cut(stamps_ns: Sequence[int], start_ns: int, end_ns: int | None, fps: int) -> Frames:
    """The frames of an episode.

    The first frame is the first image from `start_ns` on; the last one is at the last image up to
    `end_ns`.

    Parameters
    ----------
    stamps_ns : of the recording's images, rising.
    start_ns, end_ns : the episode's marks; None: to the end of the recording.
    fps : frames per second.

    Raises
    ------
    DroppedError : there are too few images, or the camera paused for too long, or the episode is
        too long.
    """
    stamps = np.asarray(stamps_ns, np.int64)
    first = int(np.searchsorted(stamps, start_ns, "left"))
    behind = len(stamps) if end_ns is None else int(np.searchsorted(stamps, end_ns, "right"))
    inside = stamps[first:behind]
    if len(inside) < MIN_FRAMES:
        raise DroppedError(f"it has {len(inside)} images; an episode needs {MIN_FRAMES}")
    steps_ns = np.diff(inside)
    longest = int(steps_ns.argmax())
    if steps_ns[longest] > MAX_GAP_S * NS:
        raise DroppedError(
            f"the camera delivered nothing for {steps_ns[longest] / NS:.1f} s after "
            f"{inside[longest] / NS:.3f} s; up to {MAX_GAP_S:g} s are bridged. Mark the parts "
            "before and after as episodes"
        )
    length_s = (inside[-1] - inside[0]) / NS
    if length_s > MAX_S:
        raise DroppedError(
            f"it is {length_s / 60:.0f} min long; LeRobot's times are exact up to "
            f"{MAX_S / 60:.0f} min. Mark shorter episodes"
        )
    period_ns = float(np.median(steps_ns))
    if fps * period_ns > MAX_UPSAMPLING * NS:
        raise DroppedError(
            f"its images come at {NS / period_ns:.1f} Hz: {fps} frames per second would show each "
            f"{fps * period_ns / NS:.1f} times. Use --fps {max(round(NS / period_ns), 1)}"
        )
    # Half a step beyond the last image: with its jitter it may be that much too early.
    tail_ns = 0.5 * min(period_ns, NS / fps)
    count = int((inside[-1] - inside[0] + tail_ns) * fps / NS) + 1
    if count < MIN_FRAMES:
        raise DroppedError(f"it has one frame at {fps} per second; an episode needs {MIN_FRAMES}")
    # In whole nanoseconds, so that the grid does not drift.
    grid = inside[0] + (np.arange(count, dtype=np.int64) * NS + fps // 2) // fps
    after = np.clip(np.searchsorted(inside, grid, "left"), 1, len(inside) - 1)
    earlier = grid - inside[after - 1] <= inside[after] - grid
    image = np.where(earlier, after - 1, after)
    offset = inside[image] - grid
    fresh = np.abs(offset) <= FRESH * max(period_ns, NS / fps)
    return Frames(image + first, inside[image], offset, fresh)
