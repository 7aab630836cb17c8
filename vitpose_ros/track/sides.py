"""Which hand is the left one: evidence gathered over time, in ten lines.

1. Each tracked hand has a belief: the log odds that it is a right hand.
2. An image's evidence is what the hand network says of the side, in log odds up to EVIDENCE_MOST;
   and what a detector with classes for left and right hands says, where it ran.
3. The network counts in full only where it is sure that it sees a hand, and sees all of it: below
   UNSURE of presence, and where the image's edge cuts the hand, its side is a guess.
4. A belief moves by its own evidence alone, by GAIN_PER_S for each second that the evidence lasts.
5. A belief is bounded by MOST, so that lasting contrary evidence turns it within half a second.
6. A side is reported once the log odds for it exceed REPORTED; until then it is UNKNOWN.
7. A reported side flips when the log odds against it exceed FLIPPED.
8. Two hands of one person are decided together, by the difference of their beliefs: one is the
   right hand, the other one the left. The only two hands of a first-person view are one person's;
   where more hands are allowed, unless both beliefs exceed CLEAR for the same side.
9. The wrist of a body overrules the appearance of the hand at its arm.
10. A lost hand keeps its belief, and is not found again in a hand that looks like the other side.

Why presence: on real hands that hold something, the network is sure of a wrong side, but not of the
hand. `benchmarks/real_hands.py` measures these rules; how far the palm is turned from the camera,
or how small it is, says nothing there about whether the network's side is right.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from vitpose_ros.types import Side

MOST = 3.0
"""Beliefs stay within this many log odds: 3 is 0.953."""

EVIDENCE_MOST = 3.0
"""One image's evidence stays within this many log odds, whatever the network claims."""

UNSURE, SURE = 0.90, 0.97
"""Presence up to which the network's side is a guess, and from which it counts in full."""

CUT, WHOLE = 0.7, 1.0
"""Share of the joints inside the image, in the same way."""

FIRST_GAIN = 0.5
"""Share of the first image's evidence that enters the belief."""

GAIN_PER_S = 3.5
"""Share of later evidence that enters the belief, for each second that it lasts."""

REPORTED = 0.2
"""Log odds from which a side is reported (0.55)."""

FLIPPED = 0.7
"""Log odds against a reported side at which it flips."""

CLEAR = 1.5
"""Log odds from which a hand is clearly of one side (0.82)."""

_LONGEST_STEP_S = 0.1  # an image's evidence does not last longer


def side_evidence(
    right: float, presence: float, inside: float, detected_right: float = math.nan
) -> float:
    """Log odds that a hand is a right one, as one image shows it; NaN if nothing tells.

    Parameters
    ----------
    right : the hand network's probability of a right hand; NaN from networks that do not tell.
    presence : the network's probability of a hand, 0 .. 1.
    inside : share of its joints inside the image, 0 .. 1.
    detected_right : the hand detector's probability of a right hand; NaN if it does not tell, or
        did not run.
    """
    if math.isnan(right) and math.isnan(detected_right):
        return math.nan
    odds = _log_odds(right) * _ramp(presence, UNSURE, SURE) * _ramp(inside, CUT, WHOLE)
    odds += _log_odds(detected_right)
    return min(max(odds, -EVIDENCE_MOST), EVIDENCE_MOST)


def _log_odds(p: float) -> float:
    """Of a probability, up to EVIDENCE_MOST; 0 for NaN."""
    if math.isnan(p):
        return 0.0
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -EVIDENCE_MOST), EVIDENCE_MOST)


def probability(odds: float) -> float:
    """Of log odds."""
    return 1.0 / (1.0 + math.exp(-odds))


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass
class _Belief:
    """What is known of one hand.

    Attributes
    ----------
    odds : log odds that it is a right hand.
    stamp_ns : of its last image.
    side : as reported.
    decided_by : the log odds for a right hand that decided: its own, or the pair's difference.
    fixed_by : the score of a body's wrist that decides in this image; NaN without one.
    """

    odds: float
    stamp_ns: int
    side: Side = Side.UNKNOWN
    decided_by: float = 0.0
    fixed_by: float = math.nan

    def decide(self, odds: float, taken: Side = Side.UNKNOWN) -> None:
        """Report a side by these log odds for a right hand, unless the partner has it."""
        self.decided_by = odds
        likely = Side.RIGHT if odds > 0 else Side.LEFT
        if self.side is not Side.UNKNOWN:
            if abs(odds) > FLIPPED:
                self.side = likely
        elif taken is Side.UNKNOWN:
            if abs(odds) > REPORTED:
                self.side = likely
        elif likely is not taken or abs(odds) <= REPORTED:
            self.side = Side.LEFT if taken is Side.RIGHT else Side.RIGHT


class Sides:
    """Beliefs on the sides of hands, by their track ids."""

    def __init__(self) -> None:
        self._beliefs: dict[int, _Belief] = {}

    def clear(self) -> None:
        """Forget all hands."""
        self._beliefs.clear()

    def keep_only(self, ids: Collection[int]) -> None:
        """Forget all other hands."""
        self._beliefs = {i: belief for i, belief in self._beliefs.items() if i in ids}

    def odds(self, track_id: int) -> float:
        """Log odds that a hand is a right one; 0 if it is unknown."""
        belief = self._beliefs.get(track_id)
        return 0.0 if belief is None else belief.odds

    def clearly_alike(self, one: int, other: int) -> bool:
        """Whether two hands are clearly of the same side."""
        a, b = self.odds(one), self.odds(other)
        return min(a, b) > CLEAR or max(a, b) < -CLEAR

    def observe(self, track_id: int, stamp_ns: int, evidence: float) -> None:
        """Add one image's evidence on a hand; see `side_evidence`. NaN adds none: the next evidence
        counts for the time since the last one, up to _LONGEST_STEP_S.
        """
        belief = self._beliefs.get(track_id)
        if belief is None:
            first = 0.0 if math.isnan(evidence) else FIRST_GAIN * evidence
            self._beliefs[track_id] = _Belief(first, stamp_ns)
            return
        belief.fixed_by = math.nan
        if math.isnan(evidence):
            return
        dt_s = min((stamp_ns - belief.stamp_ns) * 1e-9, _LONGEST_STEP_S)
        belief.stamp_ns = stamp_ns
        belief.odds = min(max(belief.odds + GAIN_PER_S * dt_s * evidence, -MOST), MOST)

    def fix(self, track_id: int, side: Side, score: float) -> None:
        """Let the wrist of a body decide in this image."""
        belief = self._beliefs[track_id]
        belief.odds = MOST if side is Side.RIGHT else -MOST
        belief.side, belief.fixed_by = side, score

    def decide(self, groups: Iterable[Sequence[int]]) -> None:
        """Choose sides after all hands of an image were observed.

        Parameters
        ----------
        groups : track ids, each hand once. Two hands in a group are one person's, and never have
            the same side.
        """
        for group in groups:
            hands = [self._beliefs[i] for i in group]
            if len(hands) == 2:
                _decide_pair(*hands)
            else:
                for hand in hands:
                    hand.decide(hand.odds)

    def of(self, track_id: int) -> tuple[Side, float]:
        """The side of a hand and its probability, at least 0.5; NaN for UNKNOWN."""
        belief = self._beliefs.get(track_id)
        if belief is None or belief.side is Side.UNKNOWN:
            return Side.UNKNOWN, math.nan
        if not math.isnan(belief.fixed_by):
            return belief.side, belief.fixed_by
        odds = belief.decided_by if belief.side is Side.RIGHT else -belief.decided_by
        return belief.side, max(0.5, probability(odds))


def _decide_pair(a: _Belief, b: _Belief) -> None:
    margin = a.odds - b.odds  # for a as the right and b as the left hand
    pairs = ((a, margin, b), (b, -margin, a))
    # A reported side comes first: the other hand never takes it meanwhile.
    for hand, odds, other in sorted(pairs, key=lambda pair: pair[0].side is Side.UNKNOWN):
        hand.decide(odds, other.side)
    if a.side is b.side:  # one was reported when it was alone: the less certain one waits
        doubtful = a if abs(a.odds) < abs(b.odds) else b
        doubtful.side = Side.UNKNOWN
