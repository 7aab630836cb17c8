"""Detects a camera whose images have no colour, and reports it once. Pure Python: no ROS."""

from __future__ import annotations

from collections.abc import Callable

from vitpose_ros.detect.grey import looks_grey
from vitpose_ros.types import ByteArray

UNKNOWN, COLOUR, GREY = "not known yet", "colour", "grey"

GREY_ADVICE = (
    "the detectors were trained on colour images and find fewer hands and persons in grey and "
    "infrared ones; give them a colour topic if there is one (docs/troubleshooting.md, 'Images and "
    "cameras')"
)

_CONFIRM = 30  # images in a row
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
