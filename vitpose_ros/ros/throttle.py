"""Log messages that could come with every image: the first at once, then one per period."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Logs a message of each kind at most once per period, with the number of those left out.

    rclpy's own throttle works per line of code: it would suppress a second kind from that line.

    Parameters
    ----------
    period_s : the least time between two messages of one kind.
    clock : gives the time in seconds.
    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._said_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self._lock = threading.Lock()

    def say(self, log: Callable[[str], object], kind: str, text: str) -> None:
        """Pass `text` to `log`, unless one of its kind was logged within the period."""
        now_s = self._clock()
        with self._lock:
            if now_s - self._said_s.get(kind, -self._period_s) < self._period_s:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                return
            self._said_s[kind] = now_s
            unsaid = self._unsaid.pop(kind, 0)
        log(f"{text} (and {unsaid} more of this kind since the last message)" if unsaid else text)
