"""Decides when tracking restarts."""

from __future__ import annotations

from vitpose_ros.types import Frame

MAX_GAP_S = 0.5
"""Tracking restarts after a longer time without an image: everything may have moved."""


class FrameClock:
    """Restarts tracking at the first image, and when the time or the image size jumps."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None  # stamp_ns, width, height
        self._asked = True

    def ask_reset(self) -> None:
        """Restart tracking at the next image."""
        self._asked, self._last = True, None

    def start(self, frame: Frame) -> bool:
        """Note an image's time and size; True if tracking restarts at this image."""
        now = (frame.stamp_ns, frame.width, frame.height)
        if self._last is not None:
            gap_s = (now[0] - self._last[0]) * 1e-9
            if not 0 < gap_s <= MAX_GAP_S or now[1:] != self._last[1:]:
                self.ask_reset()
        self._last = now
        reset, self._asked = self._asked, False
        return reset
