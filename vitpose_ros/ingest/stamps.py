"""Which stamps can be used, and what they tell about images that never arrived.

Pure Python: no ROS, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vitpose_ros.ingest.images import ImageError
from vitpose_ros.ingest.losses import NS, LossCounter, Losses

JUMP_BACK_NS = NS
"""A stamp this far back is not a late image but a clock that was set back: a bag that restarts."""


@dataclass(frozen=True)
class Arrival:
    """What a good stamp tells: which images are known to be missing now, and whether time went
    back.
    """

    losses: Losses = field(default_factory=Losses)
    went_back: bool = False


class StampGate:
    """Judges the stamps of one topic in the order of arrival.

    An image without a stamp, or not newer than the previous one, is refused: its time of capture is
    not known. Time that goes back as a whole (a looping bag) is accepted and reported: at once if
    it goes back by a second or more; otherwise with the second older image that is in order with
    the first.
    """

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._refused_ns: int | None = None
        self._counter = LossCounter()
        self._incomplete = False
        self._owed = Losses()

    def check(self, stamp_ns: int, sequence: int | None = None) -> Arrival:
        """Judge the next stamp.

        Parameters
        ----------
        stamp_ns : the image's.
        sequence : the publisher's number of the message; None where the middleware gives none.

        Raises
        ------
        ImageError : of kind "stamp", for a stamp that is zero or negative, repeats or goes back.
        """
        last, refused = self._last_ns, self._refused_ns
        if problem := _problem(stamp_ns, last, refused):
            if stamp_ns > 0 and stamp_ns != last:
                self._refused_ns = stamp_ns
            self.skip(sequence)
            raise ImageError("stamp", problem)
        self._last_ns, self._refused_ns = stamp_ns, None
        went_back = last is not None and stamp_ns < last
        if went_back:
            self._counter.restart()
        step_ns = None if last is None or went_back or self._incomplete else stamp_ns - last
        self._incomplete = False
        losses, self._owed = self._owed + self._counter.add(step_ns, sequence), Losses()
        return Arrival(losses, went_back)

    def skip(self, sequence: int | None = None) -> None:
        """Note an image that arrived and was refused: it is not missing."""
        self._owed += self._counter.add(None, sequence)
        self._incomplete = True


def stamp_ns(message: Any) -> int:
    """The time in a message's header, ns."""
    stamp = message.header.stamp
    return int(stamp.sec) * NS + int(stamp.nanosec)


def _problem(stamp_ns: int, last_ns: int | None, refused_ns: int | None) -> str:
    """Why a stamp cannot be used; "" when it can."""
    if stamp_ns == 0:
        return "the stamp is zero: the driver must stamp each image with its time of capture"
    if stamp_ns < 0:
        return (
            f"the stamp is negative ({stamp_ns / NS:.9f} s): the driver must stamp each image with "
            "its time of capture"
        )
    if last_ns is None or stamp_ns > last_ns:
        return ""
    if stamp_ns == last_ns:
        return f"the stamp repeats that of the image before ({stamp_ns / NS:.9f} s)"
    in_order = refused_ns is not None and stamp_ns > refused_ns
    if last_ns - stamp_ns >= JUMP_BACK_NS or in_order:
        return ""
    return (
        f"the stamp goes back by {(last_ns - stamp_ns) / NS:.3f} s: the image is older than the "
        "one before it"
    )
