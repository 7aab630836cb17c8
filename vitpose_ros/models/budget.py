"""The bytes and the time that a download may take."""

from __future__ import annotations

import time
from collections.abc import Callable

from vitpose_ros.models.errors import SourceError

LARGEST = 4 * 2**30
"""Bytes accepted where the catalogue gives no size. The largest published network, ViTPose+ H with
all of its experts, has 3.6 GB.
"""

GRACE_S, SLOWEST = 300.0, 20_000
"""A download may take GRACE_S seconds plus one second for every SLOWEST bytes it has received."""


class TooLargeError(SourceError):
    """A file has more bytes than accepted."""


class Budget:
    """The limits of one download.

    Parameters
    ----------
    what : the download, as errors name it.
    size : bytes according to the catalogue, None where unknown.
    """

    def __init__(
        self, what: str, size: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._size, self._clock = what, size, clock
        self._start_s = clock()

    def check_size(self, size: int) -> None:
        """TooLargeError when the file has, or will have, more bytes than accepted."""
        if self._size is not None and size > self._size:
            raise TooLargeError(
                f"{self._what} is larger than {self._size} bytes, its size in the catalogue; "
                "nothing was stored."
            )
        if self._size is None and size > LARGEST:
            raise TooLargeError(
                f"{self._what} is larger than {LARGEST} bytes, the limit for a file whose size is "
                "not in the catalogue; nothing was stored."
            )

    def check_time(self, received: int) -> None:
        """SourceError when receiving these bytes took too long."""
        elapsed_s = self._clock() - self._start_s
        if elapsed_s > GRACE_S + received / SLOWEST:
            raise SourceError(
                f"{self._what} is too slow: {received} bytes in {elapsed_s:.0f} s; the download "
                "was stopped. Check the network, then run the same command again."
            )
