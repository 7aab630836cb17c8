"""How many bits of a 16-bit image are in use.

Many cameras deliver 10, 12 or 14 bits in the low bits of 16; their high byte alone is nearly
black. The message does not say which, so the pixels have to.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray

DEPTHS = (10, 12, 14, 16)
"""The bit depths to choose from."""

_DARK = 256  # darker images, as many cameras send first, are ignored
_CONFIRM = 5  # images in a row that need more bits, so that a damaged image has no effect


class BitDepth:
    """Scales 16-bit pixels to 8 bits, by the bits that the camera uses.

    The depth of the first image that is not dark is kept until several images in a row need more.
    It never decreases, because brightness would then follow the scene. Brighter pixels in single
    images saturate.

    Parameters
    ----------
    tell : called with a sentence if the camera uses fewer than 16 bits, or more than assumed.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._bits = 0
        self._above = 0

    @property
    def bits(self) -> int:
        """The depth in use; 0 while it is not known."""
        return self._bits

    def to_8_bit(self, pixels: npt.NDArray[np.uint16]) -> ByteArray:
        """Scale (H, W) or (H, W, C) uint16, in native byte order, to uint8."""
        if self._bits < DEPTHS[-1]:
            self._look(pixels)
        if self._bits in (0, DEPTHS[-1]):
            return (pixels >> 8).astype(np.uint8)
        scale = 2.0 ** (8 - self._bits)
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=scale), np.uint8)

    def _look(self, pixels: npt.NDArray[np.uint16]) -> None:
        brightest = int(pixels.max())
        if self._bits == 0 and brightest < _DARK:
            return
        needed = next(bits for bits in DEPTHS if brightest < 1 << bits)
        if self._bits == 0:
            self._bits = needed
            if needed < DEPTHS[-1]:
                self._tell(
                    f"the 16-bit images use {needed} bits (brightest pixel {brightest}): scaled by "
                    f"2^{16 - needed}"
                )
            return
        self._above = self._above + 1 if needed > self._bits else 0
        if self._above >= _CONFIRM:
            self._tell(
                f"the 16-bit images use {needed} bits, not {self._bits} (brightest pixel "
                f"{brightest}): the scale has changed"
            )
            self._bits, self._above = needed, 0
