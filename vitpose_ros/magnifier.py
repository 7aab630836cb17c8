"""An inset in the corner of an overlay: one fingertip enlarged, with its raw and its published
trail.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.draw import SIDE_COLOURS
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import ByteArray, Instance, Side, TrackState

TIP = "index_tip"
TRAIL_S = 0.7
"""Length of the trails."""

_ZOOM = 6
_SHARE = 0.33  # of the image's shorter side
_RAW = (255, 255, 255)
_SHIFT = 3  # cv2's fixed point: eighths of a pixel
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class _Position:
    """A fingertip at one time, px: as published, and as the network measured it (NaN if it did
    not).
    """

    stamp_ns: int
    published: npt.NDArray[np.float32]
    raw: npt.NDArray[np.float32]


class Magnifier:
    """Follows the index fingertip of one hand and draws it enlarged."""

    def __init__(self) -> None:
        self._track_id: int | None = None
        self._side = Side.UNKNOWN
        self._trail: deque[_Position] = deque()

    def add(self, stamp_ns: int, instances: Iterable[Instance]) -> None:
        """Add the skeletons of an image."""
        hands = [
            one
            for one in instances
            if one.layout is HAND21 and one.track_state in (TrackState.CONFIRMED, TrackState.LOST)
        ]
        seen = [hand for hand in hands if hand.track_state is TrackState.CONFIRMED]
        same = [hand for hand in hands if hand.track_id == self._track_id]
        lost = bool(same) and same[0].track_state is TrackState.LOST
        if not same or (lost and seen):  # prefer a hand that is visible
            same = seen[:1]
            self._trail.clear()
        if not same:
            self._track_id = None
            return
        (hand,) = same
        self._track_id, self._side = hand.track_id, hand.side
        if self._trail and stamp_ns <= self._trail[-1].stamp_ns:
            self._trail.clear()  # time jumped back
        tip = HAND21.index(TIP)
        self._trail.append(_Position(stamp_ns, hand.keypoints.uv[tip], hand.raw.uv[tip]))
        while stamp_ns - self._trail[0].stamp_ns > TRAIL_S * 1e9:
            self._trail.popleft()

    def draw(self, overlay: ByteArray, image: ByteArray) -> ByteArray:
        """Draw the inset into the lower right corner of an overlay.

        Parameters
        ----------
        overlay : (H, W, 3) uint8, BGR; changed in place.
        image : the image without overlay, of the same size; the source of the enlarged part.

        Returns
        -------
        The overlay.
        """
        height, width = overlay.shape[:2]
        side = round(_SHARE * min(height, width))
        if not self._trail or side < 3 * _ZOOM:
            return overlay
        centre = self._trail[-1].published
        if not np.isfinite(centre).all():
            return overlay
        # For WARP_INVERSE_MAP: from pixels of the inset to pixels of the image.
        corner = centre - (side - 1) / 2 / _ZOOM
        matrix = np.array([[1 / _ZOOM, 0, corner[0]], [0, 1 / _ZOOM, corner[1]]])
        inset = np.empty((side, side, 3), np.uint8)
        cv2.warpAffine(
            image, matrix, (side, side), inset, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        for name, colour in (("raw", _RAW), ("published", SIDE_COLOURS[self._side])):
            points = [(getattr(position, name) - corner) * _ZOOM for position in self._trail]
            _draw_trail(inset, points, colour)
        scale = side / 260
        for row, (text, colour) in enumerate(
            (("raw", _RAW), ("published", SIDE_COLOURS[self._side]))
        ):
            at = (round(8 * scale), round((22 + 24 * row) * scale))
            cv2.putText(inset, text, at, _FONT, 0.7 * scale, (20, 20, 20), 3, cv2.LINE_AA)
            cv2.putText(inset, text, at, _FONT, 0.7 * scale, colour, 1, cv2.LINE_AA)
        inset[:2], inset[-2:], inset[:, :2], inset[:, -2:] = ((230, 230, 230),) * 4
        overlay[height - side :, width - side :] = inset
        return overlay


def _draw_trail(image: ByteArray, points: list[npt.NDArray], colour: tuple[int, int, int]) -> None:
    fixed = [
        np.round(np.clip(point, -2000, 4000) * (1 << _SHIFT)).astype(int).tolist()
        if np.isfinite(point).all()
        else None
        for point in points
    ]
    for a, b in itertools.pairwise(fixed):
        if a is not None and b is not None:
            cv2.line(image, a, b, colour, 1, cv2.LINE_AA, _SHIFT)
    for point in fixed:
        if point is not None:
            cv2.circle(image, point, 2 << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)
