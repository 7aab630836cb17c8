"""When each hand is seen: coverage, dropouts, and what happened to the images themselves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.quality.hands import Array, Hands, Images, Mask
from vitpose_ros.types import Side

MISSING, PREDICTED, MEASURED = 0, 1, 2
"""What is known of a hand in an image."""

NO_IMAGE = 3
"""In a timeline: no image tells."""

BORDER = 0.03
"""A hand with a joint nearer to the edge of the image than this share of its shorter side may leave
the view."""

GAP_PERIODS = 1.5
"""An interval of more than this many median intervals has lost an image."""


@dataclass(frozen=True)
class Absence:
    """Images without a hand, between two images in which it was measured.

    Attributes
    ----------
    first, end : index of its first image, and of the image in which the hand is back.
    start_s : time of its first image.
    duration_s : from its first image to the one in which the hand is back.
    in_view : the hand was away from the edge of the image before and after: it did not leave.
    """

    first: int
    end: int
    start_s: float
    duration_s: float
    in_view: bool


@dataclass(frozen=True)
class Seen:
    """One side's hand in an episode. Shares are of the episode's images.

    Attributes
    ----------
    coverage, predicted, missing : share in which it is measured; only predicted; neither.
    first_s, last_s : when it is first and last measured; None if never.
    dropouts : absences in view. The hand was there, as far as one can tell.
    away : the other absences: the hand was at the edge of the image before or after.
    """

    coverage: float
    predicted: float
    missing: float
    first_s: float | None
    last_s: float | None
    dropouts: tuple[Absence, ...]
    away: tuple[Absence, ...]


def states(hands: Hands, side: Side, count: int) -> npt.NDArray[np.uint8]:
    """(T,) MISSING, PREDICTED or MEASURED: the best-known hand of this side in each image."""
    known = np.zeros(count, np.uint8)
    own = hands.side == side
    known[hands.image[own]] = PREDICTED
    known[hands.image[own & hands.measured]] = MEASURED
    return known


def seen(hands: Hands, side: Side, images: Images) -> Seen:
    """How one side's hand is covered."""
    known = states(hands, side, len(images))
    time_s = images.time_s
    there = np.flatnonzero(known == MEASURED)
    absences = list(_absences(known == MEASURED, _at_border(hands, side, images), time_s))
    count = max(len(images), 1)
    return Seen(
        coverage=int((known == MEASURED).sum()) / count,
        predicted=int((known == PREDICTED).sum()) / count,
        missing=int((known == MISSING).sum()) / count,
        first_s=float(time_s[there[0]]) if there.size else None,
        last_s=float(time_s[there[-1]]) if there.size else None,
        dropouts=tuple(one for one in absences if one.in_view),
        away=tuple(one for one in absences if not one.in_view),
    )


def timeline(known: npt.NDArray[np.uint8], time_s: Array) -> list[tuple[int, float, float]]:
    """(state, start, end in s) of each stretch: a state that lasts, or NO_IMAGE.

    Parameters
    ----------
    known : (T,) see `states`.
    time_s : (T,) of the images. Each stands for the time until the next one, but where that is
        longer than GAP_PERIODS median intervals, for one of these.
    """
    steps = np.diff(time_s)
    period = float(np.median(steps)) if steps.size else 0.0
    found: list[tuple[int, float, float]] = []

    def add(state: int, start_s: float, end_s: float) -> None:
        if found and found[-1][0] == state:
            start_s = found.pop()[1]
        found.append((state, start_s, end_s))

    for index, state in enumerate(known.tolist()):
        start_s = float(time_s[index])
        end_s = float(time_s[index + 1]) if index + 1 < len(known) else start_s + period
        if end_s - start_s > GAP_PERIODS * period:
            add(state, start_s, start_s + period)
            state, start_s = NO_IMAGE, start_s + period
        add(state, start_s, end_s)
    return found


def _absences(there: Mask, at_border: Mask, time_s: Array) -> Iterator[Absence]:
    measured = np.flatnonzero(there)
    for before, after in itertools.pairwise(measured):
        if after > before + 1:
            start_s = float(time_s[before + 1])
            yield Absence(
                first=int(before + 1),
                end=int(after),
                start_s=start_s,
                duration_s=float(time_s[after]) - start_s,
                in_view=not (at_border[before] or at_border[after]),
            )


def _at_border(hands: Hands, side: Side, images: Images) -> Mask:
    """(T,) whether a hand of this side is measured near the edge of the image, or beyond it."""
    rows = hands.pick((hands.side == side) & hands.measured)
    size = images.size[rows.image]
    margin = BORDER * size.min(axis=1) if len(rows) else np.empty(0)
    low = np.fmin.reduce(rows.uv, axis=1)
    high = np.fmax.reduce(rows.uv, axis=1)
    near = (low < margin[:, None]).any(axis=1) | (high > size - 1 - margin[:, None]).any(axis=1)
    result = np.zeros(len(images), bool)
    result[rows.image[near]] = True
    return result


@dataclass(frozen=True)
class Timing:
    """What the stamps tell.

    Attributes
    ----------
    duration_s : from the first to the last image.
    rate_hz : one over the median interval; None with fewer than two images.
    lost_images : how many images fit into intervals of more than GAP_PERIODS median intervals.
    lost_share : of lost and present images.
    longest_gap_s : longest interval; None with fewer than two images.
    longest_gap_at_s : when it begins.
    restarts : images after the first at which tracking restarted: stamps went back, the size
        changed, or nothing came for long.
    """

    duration_s: float
    rate_hz: float | None
    lost_images: int
    lost_share: float
    longest_gap_s: float | None
    longest_gap_at_s: float | None
    restarts: int


def timing(images: Images) -> Timing:
    """The episode's rate and its gaps. Where stamps go back, the interval does not count."""
    time_s = images.time_s
    steps = np.diff(time_s)
    restarts = int(images.reset[1:].sum())
    rising = steps[steps > 0]
    if not rising.size:
        return Timing(0.0, None, 0, 0.0, None, None, restarts)
    period = float(np.median(rising))
    gaps = rising[rising > GAP_PERIODS * period]
    lost = int((np.rint(gaps / period) - 1).sum())
    longest = int(np.argmax(steps))
    return Timing(
        duration_s=float(rising.sum()),
        rate_hz=1.0 / period,
        lost_images=lost,
        lost_share=lost / (lost + len(images)),
        longest_gap_s=float(steps[longest]),
        longest_gap_at_s=float(time_s[longest]),
        restarts=restarts,
    )
