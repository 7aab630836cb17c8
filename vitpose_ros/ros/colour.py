"""Detects a camera whose images have no colour, or the wrong colours, and reports it once.

Pure Python: no ROS.
"""

from __future__ import annotations

from collections.abc import Callable

from vitpose_ros.detect.grey import looks_grey
from vitpose_ros.types import ByteArray

UNKNOWN, COLOUR, GREY = "not known yet", "colour", "grey"
EXCHANGED = "red and blue may be exchanged"

EXCHANGED_ADVICE = (
    "hands are found only after red and blue are exchanged. Look at ~/debug_image: where skin is "
    "blue, the driver names the wrong encoding (rgb8 instead of bgr8, or the reverse): correct it "
    "there. If hands in blue gloves are in view, ignore this (docs/troubleshooting.md, 'Images "
    "and cameras')"
)

GREY_ADVICE = (
    "the detectors were trained on colour images and find fewer hands and persons in grey and "
    "infrared ones; give them a colour topic if there is one (docs/troubleshooting.md, 'Images and "
    "cameras')"
)

_CONFIRM = 30  # images in a row
_CHECK_S = 1.0  # with nothing found, the exchanged image is searched at this interval
_CHECKS = 3  # in a row that have to find a hand
_CONTRAST = 20  # levels; with less contrast, as with a covered lens, colour is unknown


def colour_of(image: ByteArray) -> str:
    """COLOUR or GREY for an image, (H, W, 3) uint8; UNKNOWN if it has too little contrast."""
    samples = image[::16, ::16]
    if samples.max() < int(samples.min()) + _CONTRAST:
        return UNKNOWN
    return GREY if looks_grey(image) else COLOUR


class ColourWatch:
    """Watches whether the images of one camera have colour.

    Parameters
    ----------
    tell : called with a sentence when the images turn out to be grey.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._in_a_row = 0
        self._told = False
        self.state = UNKNOWN
        """UNKNOWN, COLOUR or GREY: what the last images agreed on."""

    def look(self, image: ByteArray) -> None:
        """Check an image, (H, W, 3) uint8."""
        seen = colour_of(image)
        if seen == UNKNOWN:
            return
        self._in_a_row = 0 if seen == self.state else self._in_a_row + 1
        if self._in_a_row < _CONFIRM:
            return
        self.state, self._in_a_row = seen, 0
        if seen == GREY and not self._told:
            self._told = True
            self._tell(f"the images are grey: {GREY_ADVICE}")


class ExchangeWatch:
    """Watches whether red and blue are exchanged in the images of one camera.

    Only images in which nothing is found are searched, at most one a second, so that the camera
    that works pays nothing.

    Parameters
    ----------
    hand_if_exchanged : whether an image, (H, W, 3) uint8, shows a hand with red and blue exchanged.
    tell : called with a sentence when several images in a row do.
    """

    def __init__(
        self, hand_if_exchanged: Callable[[ByteArray], bool], tell: Callable[[str], None]
    ) -> None:
        self._hand_if_exchanged, self._tell = hand_if_exchanged, tell
        self._next_ns: int | None = None
        self._in_a_row = 0
        self._told = False
        self.suspected = False
        """Whether the last checked images agreed on it."""

    def look(self, image: ByteArray, stamp_ns: int, found: bool) -> None:
        """Check an image of a time, and whether anything was found in it."""
        if found:
            self._next_ns, self._in_a_row, self.suspected = None, 0, False
            return
        if self._next_ns is None or abs(stamp_ns - self._next_ns) > 10 * _CHECK_S * 1e9:
            self._next_ns = stamp_ns + round(_CHECK_S * 1e9)  # first, or after a jump of time
            return
        if stamp_ns < self._next_ns:
            return
        self._next_ns = stamp_ns + round(_CHECK_S * 1e9)
        self._in_a_row = self._in_a_row + 1 if self._hand_if_exchanged(image) else 0
        self.suspected = self._in_a_row >= _CHECKS
        if self.suspected and not self._told:
            self._told = True
            self._tell(EXCHANGED_ADVICE)
