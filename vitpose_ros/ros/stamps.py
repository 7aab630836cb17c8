"""Which stamps are usable, and what they say about images that never arrived. Pure Python: no ROS,
no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from vitpose_ros.ros.images import ImageError

NS = 1_000_000_000
JUMP_BACK_NS = NS
"""A stamp this far back is no late image but a clock that was set back: a bag that starts again."""


@dataclass(frozen=True)
class Arrival:
    """What a good stamp tells: how many images are missing before it, and whether time went
    back.
    """

    lost: int
    went_back: bool


class StampGate:
    """Judges the stamps of one topic, in the order of arrival.

    An image without a stamp, or one that is not newer than its predecessor, is refused: nothing
    could be said about when its hands were where. Time that goes back as a whole (a looping bag)
    is accepted and reported: at once when the jump is a second or more, else with the second older
    image that is in order with the first.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._refused_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=60)

    def check(self, stamp_ns: int) -> Arrival:
        """Judge the next stamp.

        Raises
        ------
        ImageError : of kind "stamp", for a stamp of zero, or one that repeats or goes back.
        """
        if stamp_ns <= 0:
            raise ImageError(
                "stamp",
                "the stamp is zero: the driver must stamp each image with its time of capture",
            )
        last, refused = self._last_ns, self._refused_ns
        if last is None:
            self._last_ns = stamp_ns
            return Arrival(lost=0, went_back=False)
        if stamp_ns > last:
            self._last_ns, self._refused_ns = stamp_ns, None
            return Arrival(lost=self._missing(stamp_ns - last), went_back=False)
        if stamp_ns == last:
            raise ImageError(
                "stamp", f"the stamp repeats that of the image before ({stamp_ns / NS:.9f} s)"
            )
        in_order = refused is not None and stamp_ns > refused
        if last - stamp_ns < JUMP_BACK_NS and not in_order:
            self._refused_ns = stamp_ns
            raise ImageError(
                "stamp",
                f"the stamp goes back by {(last - stamp_ns) / NS:.3f} s: the image is older than "
                "the one before it",
            )
        self._last_ns, self._refused_ns = stamp_ns, None
        self._steps.clear()
        return Arrival(lost=0, went_back=True)

    def _missing(self, step_ns: int) -> int:
        """How many images fit between two that arrived, judged by the shortest steps seen lately.

        Not by the median step: with default DDS settings most images can be lost, and the median
        is then several periods.
        """
        self._steps.append(step_ns)
        if len(self._steps) < 10:
            return 0
        period = sorted(self._steps)[len(self._steps) // 10]
        return max(0, round(step_ns / period) - 1)
