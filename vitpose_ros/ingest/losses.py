"""How many images never arrived, judged by stamps and by the publisher's sequence numbers.

Pure Python and NumPy: no ROS, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NS = 1_000_000_000
PAUSE_NS = NS // 2
"""A longer step between two stamps is a pause of the camera, or a clock that was set: no loss."""

WINDOW, BATCH, FOLLOWERS = 64, 8, 16
"""Steps that are compared with each other; how many are judged at once; and how many later steps
must be known before one is judged."""

ON_GRID = 0.25
"""A step counts as a multiple of the period if it deviates by at most this share of a period."""
GRID_SHARE = 0.8
"""Share of the steps that must be multiples of the period; otherwise there is no period. Random
steps reach 0.5."""
SINGLE_SHARE = 0.07
"""Share of the steps that must be a single period long, to confirm it."""
ALIKE, PATTERN_LAGS, PATTERN_SHARE = 0.15, 8, 0.6
"""Long steps that mostly repeat the step 1 to 8 before them, within 15 %, follow a pattern: another
exposure time, or several cameras. Random loss reaches 0.25."""

MIXED_FOR = 64
"""After a sequence number that is not above its predecessor's (a second publisher, or a restarted
one), this many images tell nothing by theirs."""


@dataclass(frozen=True)
class Losses:
    """Images that are missing between those that arrived.

    Attributes
    ----------
    unpublished : the publisher left them out: the stamps have a gap, its sequence numbers do not.
    undelivered : they were published and did not arrive, by the sequence numbers.
    unexplained : the stamps have a gap, and there are no sequence numbers to explain it.
    """

    unpublished: int = 0
    undelivered: int = 0
    unexplained: int = 0

    @property
    def all(self) -> int:
        """All missing images."""
        return self.unpublished + self.undelivered + self.unexplained

    def counts(self) -> dict[str, int]:
        """For a Counter: "lost", and of those "unpublished" and "undelivered"."""
        return {
            "lost": self.all,
            "unpublished": self.unpublished,
            "undelivered": self.undelivered,
        }

    def __add__(self, other: Losses) -> Losses:
        """Those of both."""
        return Losses(
            self.unpublished + other.unpublished,
            self.undelivered + other.undelivered,
            self.unexplained + other.unexplained,
        )


class LossCounter:
    """Counts the missing images of one topic.

    By the stamps, images count as missing only if a step is a whole multiple of a period that other
    steps confirm, and the long steps follow no pattern. Jitter, a changed exposure time, several
    cameras on a topic and jumping stamps do not count as losses. Steps are judged a few images
    later, when the following steps are known.
    """

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=WINDOW)
        self._gaps: deque[int | None] = deque(maxlen=WINDOW)
        self._unjudged = 0
        self._sequence: int | None = None
        self._mixed = 0
        self._pending = 0

    def restart(self) -> None:
        """Forget everything but the sequence number: time went back."""
        self._steps.clear()
        self._gaps.clear()
        self._unjudged = 0

    def add(self, step_ns: int | None, sequence: int | None) -> Losses:
        """Note an image that arrived; the losses that are certain now.

        Parameters
        ----------
        step_ns : from the previous stamp to this one; None if the step is meaningless, such as
            before or after a refused image.
        sequence : the publisher's sequence number of the message; None if the middleware provides
            none.
        """
        gap, undelivered = self._sequence_gap(sequence)
        if step_ns is None or step_ns > PAUSE_NS:
            return Losses(undelivered=undelivered)
        self._steps.append(step_ns)
        self._gaps.append(gap)
        self._unjudged += 1
        if self._unjudged < FOLLOWERS + BATCH or len(self._steps) < WINDOW // 2:
            return Losses(undelivered=undelivered)
        judged = slice(-FOLLOWERS - BATCH, -FOLLOWERS)
        self._unjudged = FOLLOWERS
        missing = missing_in(np.array(self._steps, np.float64))[judged]
        unpublished = unexplained = 0
        for number, known in zip(missing.tolist(), list(self._gaps)[judged], strict=True):
            if known is None:
                unexplained += number
            else:
                unpublished += max(0, number - known)
        return Losses(unpublished, undelivered, unexplained)

    def _sequence_gap(self, sequence: int | None) -> tuple[int | None, int]:
        """What the sequence number tells: images missing before this one (None: unknown), and how
        many of the images before are known to be missing now that the numbers go on upwards.
        """
        before, self._sequence = self._sequence, sequence
        if sequence is None or before is None:
            return None, 0
        pending, self._pending = self._pending, 0
        if sequence <= before:
            self._mixed = MIXED_FOR
            return None, 0
        if self._mixed:
            self._mixed -= 1
            return None, 0
        self._pending = sequence - before - 1
        return self._pending, pending


def missing_in(steps: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many images are missing in each step between stamps; all zero where nothing is certain.

    Parameters
    ----------
    steps : (N,) successive steps, in any unit of time.
    """
    nothing = np.zeros(len(steps), np.int64)
    period = _period(steps)
    multiples = np.rint(steps / period).astype(np.int64)
    on_grid = (multiples >= 1) & (np.abs(steps - multiples * period) <= ON_GRID * period)
    singles = on_grid & (multiples == 1)
    if on_grid.mean() < GRID_SHARE or singles.sum() < max(3, SINGLE_SHARE * len(steps)):
        return nothing
    long = on_grid & (multiples > 1)
    if _follows_a_pattern(steps, long):
        return nothing
    return np.where(long, multiples - 1, 0)


def _period(steps: npt.NDArray[np.float64]) -> float:
    """The shortest step that occurs often, averaged over those like it, then over its multiples."""
    period = float(np.sort(steps)[len(steps) // 10])
    for most in (1, 1, 1, 1, 2, 4, 8, 16):
        multiples = np.rint(steps / period)
        near = np.abs(steps - multiples * period) <= ON_GRID * period
        chosen = near & (multiples >= 1) & (multiples <= most)
        period = float(steps[chosen].sum() / multiples[chosen].sum())
    return period


def _follows_a_pattern(steps: npt.NDArray[np.float64], long: npt.NDArray[np.bool_]) -> bool:
    """Whether most of the long steps repeat the one some steps before them."""
    for lag in range(1, PATTERN_LAGS + 1):
        later, earlier = steps[lag:], steps[:-lag]
        alike = np.abs(later - earlier) <= ALIKE * np.maximum(later, earlier)
        chosen = alike[long[lag:]]
        if len(chosen) > 1 and chosen.mean() > PATTERN_SHARE:
            return True
    return False
