"""Messages that would come with every image: said at once, then seldom, with the number that was
left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Says a text of one kind at most once in `period_s` seconds, each kind by itself.

    rclpy's own throttle goes by the line of code, so that a second reason from the same line would
    stay unsaid.
    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._said_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self._lock = threading.Lock()

    def say(self, log: Callable[[str], object], kind: str, text: str) -> None:
        """Pass `text` to `log`, unless one of its kind was said a short while ago."""
        now_s = self._clock()
        with self._lock:
            if now_s - self._said_s.get(kind, -self._period_s) < self._period_s:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                return
            self._said_s[kind] = now_s
            unsaid = self._unsaid.pop(kind, 0)
        log(f"{text} (and {unsaid} more of this kind since it was last said)" if unsaid else text)
