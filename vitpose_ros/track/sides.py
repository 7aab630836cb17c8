"""Which hand is the left one: evidence gathered over time, and decided for both hands of a person
at once.

Each hand has a belief, the log odds that it is a right hand. What one image says of it counts less
where a network can not know: a palm seen edge-on looks the same from both sides, a hand that is cut
by the image's edge or is small shows little. It counts by time, not by images, since neighbouring
images err together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import INDEX_MCP, PINKY_MCP, WRIST
from vitpose_ros.types import Side

MOST = 6.0
"""Beliefs stay within so many log odds: 6 is 0.9975."""

EVIDENCE_MOST = 3.0
"""What one image says is believed up to so many log odds (0.95), whatever the network claims."""

FIRST_GAIN = 0.5
"""Of the first image's evidence, so much goes into the belief."""

GAIN_PER_S = 3.0
"""Of the evidence of later images, so much for each second that it lasts."""

PARTNER_PER_S = 1.5
"""Log odds per second by which two hands of a person that are decided drive each other apart."""

TOLD = 0.4
"""A side is told from so many log odds on (0.6); before it is UNKNOWN."""

SWITCH_S, SWITCH_IMAGES = 0.2, 5
"""A side that was told changes when the contrary was more likely for so long, and in so many images
in a row."""

_LONGEST_STEP_S = 0.1  # what an image says does not hold for longer
_EDGE_ON, _FACE_ON = 0.10, 0.26  # area of the palm's triangle over its longest side squared
_SMALL_PX, _LARGE_PX = 8.0, 24.0  # longest side of the palm's triangle
_EVEN = 1e-9


def evidence_weight(uv: npt.NDArray, width: int, height: int) -> float:
    """How much an image can tell of a hand's side, 0 .. 1.

    Parameters
    ----------
    uv : (21, 2) px, joints of the hand; NaN where unknown.
    width, height : of the image, px.

    Returns
    -------
    The product of three: the palm faces the camera (area of the triangle of wrist, index MCP and
    pinky MCP over its longest side squared), the hand is large enough, and it lies in the image.
    """
    wrist, index, pinky = (uv[joint].astype(np.float64) for joint in (WRIST, INDEX_MCP, PINKY_MCP))
    a, b = index - wrist, pinky - wrist
    longest = max(math.hypot(*a), math.hypot(*b), math.hypot(*(a - b)))
    if not (np.isfinite((a, b)).all() and longest > 0):
        return 0.0
    facing = _ramp(abs(a[0] * b[1] - a[1] * b[0]) / 2 / longest**2, _EDGE_ON, _FACE_ON)
    large = _ramp(longest, _SMALL_PX, _LARGE_PX)
    u, v = uv.T
    inside = ((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)).mean()
    return facing * large * _ramp(float(inside), 0.5, 1.0)


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def log_odds(probability: float) -> float:
    """Of a probability, within EVIDENCE_MOST."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -EVIDENCE_MOST), EVIDENCE_MOST)


def probability(odds: float) -> float:
    """Of log odds."""
    return 1.0 / (1.0 + math.exp(-odds))


@dataclass
class _Belief:
    odds: float
    stamp_ns: int
    side: Side = Side.UNKNOWN
    contrary_since_ns: int = 0
    contrary_images: int = 0
    dt_s: float = 0.0
    decided_by: float = 0.0  # log odds for the right: its own, or the pair's
    fixed_by: float = math.nan  # the body's wrist says it, with this probability, in this image

    def add(self, odds: float) -> None:
        self.odds = min(max(self.odds + odds, -MOST), MOST)


class Sides:
    """Beliefs on the sides of hands, by their track ids."""

    def __init__(self) -> None:
        self._beliefs: dict[int, _Belief] = {}

    def clear(self) -> None:
        """Know nothing any more."""
        self._beliefs.clear()

    def keep_only(self, ids: Collection[int]) -> None:
        """Forget all other hands."""
        self._beliefs = {i: belief for i, belief in self._beliefs.items() if i in ids}

    def odds(self, track_id: int) -> float:
        """Log odds that a hand is a right one; 0 when nothing is known of it."""
        belief = self._beliefs.get(track_id)
        return 0.0 if belief is None else belief.odds

    def observe(self, track_id: int, stamp_ns: int, right: float, weight: float) -> None:
        """What one image says of a hand.

        Parameters
        ----------
        right : probability that it is a right hand; NaN from networks that do not tell.
        weight : how much the image can tell, 0 .. 1; see `evidence_weight`.
        """
        odds = 0.0 if math.isnan(right) else weight * log_odds(right)
        belief = self._beliefs.get(track_id)
        if belief is None:
            self._beliefs[track_id] = _Belief(FIRST_GAIN * odds, stamp_ns)
            return
        belief.dt_s = min((stamp_ns - belief.stamp_ns) * 1e-9, _LONGEST_STEP_S)
        belief.stamp_ns = stamp_ns
        belief.fixed_by = math.nan
        belief.add(GAIN_PER_S * belief.dt_s * odds)

    def fix(self, track_id: int, side: Side, probability: float) -> None:
        """The wrist of the hand's body says in this image whose hand it is: this decides."""
        belief = self._beliefs[track_id]
        belief.odds = MOST if side is Side.RIGHT else -MOST
        belief.side, belief.fixed_by = side, probability
        belief.contrary_images = 0

    def decide(self, groups: Iterable[Sequence[int]]) -> None:
        """Choose sides after all hands of an image were observed.

        Parameters
        ----------
        groups : track ids; each hand once. Those of a group of two are one person's: they are never
            both left or both right.
        """
        for group in groups:
            hands = [self._beliefs[i] for i in group]
            if len(hands) == 2:
                self._decide_pair(*hands)
            else:
                for hand in hands:
                    _take(hand, hand.odds)

    def of(self, track_id: int) -> tuple[Side, float]:
        """The side of a hand and its probability, at least 0.5; NaN for UNKNOWN."""
        belief = self._beliefs.get(track_id)
        if belief is None or belief.side is Side.UNKNOWN:
            return Side.UNKNOWN, math.nan
        if not math.isnan(belief.fixed_by):
            return belief.side, belief.fixed_by
        odds = belief.decided_by if belief.side is Side.RIGHT else -belief.decided_by
        return belief.side, max(0.5, probability(min(odds, MOST)))

    def _decide_pair(self, a: _Belief, b: _Belief) -> None:
        margin = a.odds - b.odds  # for a being the right and b the left one
        if abs(margin) > TOLD:
            pull = math.copysign(PARTNER_PER_S, margin)
            a.add(pull * a.dt_s)
            b.add(-pull * b.dt_s)
            margin = a.odds - b.odds
        # One that is told changes slowly, and the other one never takes its side meanwhile.
        pairs = ((a, margin, b), (b, -margin, a))
        for hand, odds, other in sorted(pairs, key=lambda pair: pair[0].side is Side.UNKNOWN):
            _take(hand, odds, other.side)
        if a.side is b.side:  # one was told when it was alone: the less sure one waits
            doubtful = a if abs(a.odds) < abs(b.odds) else b
            doubtful.side = Side.UNKNOWN


def _take(hand: _Belief, odds: float, taken: Side = Side.UNKNOWN) -> None:
    """Tell a side, unless it is taken, or change the one that is told, where log odds suffice."""
    hand.decided_by = odds
    likely = Side.RIGHT if odds > 0 else Side.LEFT
    if hand.side is Side.UNKNOWN:
        if abs(odds) > TOLD and likely is not taken:
            hand.side = likely
    elif likely is hand.side or abs(odds) < _EVEN:
        hand.contrary_images = 0
    else:
        if hand.contrary_images == 0:
            hand.contrary_since_ns = hand.stamp_ns
        hand.contrary_images += 1
        lasted_s = (hand.stamp_ns - hand.contrary_since_ns) * 1e-9
        if hand.contrary_images >= SWITCH_IMAGES and lasted_s >= SWITCH_S:
            hand.side, hand.contrary_images = likely, 0
