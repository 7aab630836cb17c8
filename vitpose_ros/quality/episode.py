"""One episode while its recording is read: its figures and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.offline.read_skeletons import RecordedImage
from vitpose_ros.quality.hands import Hands, Images, Indices, Mask, hands_of
from vitpose_ros.quality.measure import BLURRED, Looked, Moment, measure, moments
from vitpose_ros.quality.recording import thumbnail
from vitpose_ros.types import Frame

Marks = tuple[int, "int | None"]
"""Stamps, ns; the second is None where the recording ended first."""


def arrays(images: Sequence[RecordedImage]) -> tuple[Images, Hands]:
    """A recording as arrays."""
    return (
        Images(
            np.array([one.stamp_ns for one in images], np.int64),
            np.array([one.reset for one in images], bool),
            np.array([one.size for one in images], np.float64).reshape(-1, 2),
        ),
        hands_of([one.instances for one in images]),
    )


class Episode:
    """A part of a recording.

    Parameters
    ----------
    number : of the episode.
    marks : None if it is the whole recording.
    images, hands : of the recording.

    Attributes
    ----------
    inside : (T,) which images of the recording are its own.
    """

    def __init__(self, number: int, marks: Marks | None, images: Images, hands: Hands) -> None:
        start_ns, end_ns = marks or (None, None)
        inside = np.ones(len(images), bool)
        if start_ns is not None:
            inside &= images.stamp_ns >= start_ns
        if end_ns is not None:
            inside &= images.stamp_ns <= end_ns
        self.inside: Mask = inside
        self._indices: Indices = np.flatnonzero(inside)
        self._number, self._marks = number, marks
        self._images = images.pick(self._indices)
        self._rows = inside[hands.image]
        self._hands = hands.pick(self._rows).moved(np.cumsum(inside) - 1)
        self._wanted: dict[int, Moment] = {}
        for one in moments(self._images, self._hands):
            self._wanted.setdefault(int(self._indices[one.image]), one)
        self._shown: dict[int, tuple[Moment, bytes]] = {}
        self._blurred: tuple[float, int, Frame] | None = None

    def visit(self, index: int, frame: Frame, image: RecordedImage, blur: float) -> None:
        """Take what is worth a picture of an image of the recording.

        Parameters
        ----------
        index : of the image.
        frame, image : what it shows, and what was found in it.
        blur : of its most blurred hand; NaN if that is not known.
        """
        if not self.inside[index]:
            return
        if index in self._wanted:
            self._shown[index] = self._wanted[index], thumbnail(frame, image)
        elif blur > BLURRED and (self._blurred is None or blur > self._blurred[0]):
            self._blurred = blur, index, frame

    def figures(self, looked: Looked | None) -> dict[str, Any]:
        """Everything that quality.json says about it, but the pictures and the verdict.

        Parameters
        ----------
        looked : of all hands of the recording; None where its images could not be read.
        """
        own = None
        if looked is not None:
            own = Looked(looked.blur[self._rows], looked.reprojection_px[self._rows])
        stamps = self._images.stamp_ns
        first = last = None
        if len(stamps):
            first, last = int(stamps[0]), int(stamps[-1])
        return {
            "index": self._number,
            "marked": self._marks is not None,
            "start_ns": first if self._marks is None else self._marks[0],
            "end_ns": last if self._marks is None or self._marks[1] is None else self._marks[1],
            **measure(self._images, self._hands, own),
        }

    def pictures(self, recorded: Sequence[RecordedImage], folder: Path) -> list[dict[str, Any]]:
        """Write its pictures; the one from its middle is the last.

        Parameters
        ----------
        recorded : the images of the recording.
        folder : where to.
        """
        if self._blurred is not None:
            blur, index, frame = self._blurred
            moment = Moment(index, "blur", f"most blurred hand ({blur:.2f})")
            self._shown[index] = moment, thumbnail(frame, recorded[index])
        listed = []
        time_s = self._images.time_s
        for index, (moment, data) in self._shown.items():
            name = f"{self._number}-{moment.kind}.jpg"
            (folder / name).write_bytes(data)
            listed.append(
                {
                    "file": f"{folder.name}/{name}",
                    "kind": moment.kind,
                    "text": moment.text,
                    "at_s": round(float(time_s[np.searchsorted(self._indices, index)]), 3),
                }
            )
        return sorted(listed, key=lambda one: one["kind"] == "middle")
