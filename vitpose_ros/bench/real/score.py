"""Compares published hands with the true ones: sides, identity, false hands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitpose_ros.bench.real.scene import RealHand, RealImage
from vitpose_ros.evaluate import match_hands, palm_length
from vitpose_ros.geometry import known_median
from vitpose_ros.types import FloatArray, Side

FALSE_S = 0.2
"""A published hand where there is none counts as false if it lasts longer than this."""

NEAR_PALMS = 1.0
"""A published hand within this many palm lengths of a true one is a bad measurement of it: neither
found nor false."""

COUNTS_INSIDE, COUNTS_SEEN = 0.9, 0.4
"""A true hand is in view if this share of its joints is inside the image, and this share is not
covered."""


@dataclass(frozen=True)
class FoundHand:
    """A published hand.

    Attributes
    ----------
    uv : (21, 2) px.
    side : its published side.
    track_id : its identity; None if it has none.
    """

    uv: FloatArray
    side: Side
    track_id: int | None = None


@dataclass
class RealScore:
    """Counts over clips; `+=` adds those of other clips.

    Attributes
    ----------
    in_view : true hands in view, over all images.
    found : those with a published hand.
    sided, side_right : of these, hands with a side, and with the correct side.
    id_moves : how often an id moved from one true hand to the other.
    side_moves : how often the side of an id changed.
    false_hands : ids where no hand is, for longer than FALSE_S at a time.
    wrong_s : the longest time for which a hand had the wrong side, s.
    """

    in_view: int = 0
    found: int = 0
    sided: int = 0
    side_right: int = 0
    id_moves: int = 0
    side_moves: int = 0
    false_hands: int = 0
    wrong_s: float = 0.0

    def __iadd__(self, other: RealScore) -> RealScore:
        longest = max(self.wrong_s, other.wrong_s)
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        self.wrong_s = longest
        return self

    def figures(self) -> dict[str, Any]:
        """Shares and counts, by name; None if there was nothing to count."""
        return {
            "side_right": self.side_right / self.found if self.found else None,
            "id_moves": self.id_moves,
            "false_hands": self.false_hands,
            "coverage": self.found / self.in_view if self.in_view else None,
            "sided": self.sided / self.found if self.found else None,
            "side_moves": self.side_moves,
            "wrong_s": self.wrong_s,
        }


@dataclass
class _Since:
    """When a condition began, and whether it was counted."""

    time_s: float
    counted: bool = False


@dataclass
class RealFollower:
    """Compares one clip, image by image."""

    score: RealScore = field(default_factory=RealScore)
    _hand_of: dict[int, int] = field(default_factory=dict)
    _side_of: dict[int, Side] = field(default_factory=dict)
    _false: dict[int | None, _Since] = field(default_factory=dict)
    _wrong: dict[int, _Since] = field(default_factory=dict)

    def add(self, time_s: float, seen: RealImage, found: Sequence[FoundHand]) -> None:
        """Add an image.

        Parameters
        ----------
        time_s : of the image.
        seen : the image with its true hands, in the same order over the whole clip.
        found : the published hands, without lost ones.
        """
        hands = seen.hands
        near = {i for i, hand in enumerate(hands) if hand.inside.any()}
        matches = match_hands([h.uv for h in hands], [f.uv for f in found])
        at = {j: i for i, j, _ in matches if i in near}
        score = self.score
        for number, hand in enumerate(hands):
            counts = (
                hand.inside.mean() >= COUNTS_INSIDE
                and (hand.inside & ~hand.hidden).mean() >= COUNTS_SEEN
            )
            mine = next((f for j, f in enumerate(found) if at.get(j) == number), None)
            score.in_view += counts
            if counts and mine is not None:
                score.found += 1
                score.sided += mine.side is not Side.UNKNOWN
                score.side_right += mine.side is hand.side
                self._follow(number, mine)
            wrong = mine is not None and mine.side not in (hand.side, Side.UNKNOWN)
            self._note_wrong(number, wrong, time_s)
        free = [hand for i, hand in enumerate(hands) if i not in at.values()]
        false = [
            f
            for j, f in enumerate(found)
            if j not in at and not _lies_at(f, free) and not _is_unknown(f, seen)
        ]
        self._note_false(false, time_s)

    def _follow(self, number: int, found: FoundHand) -> None:
        if found.track_id is None:
            return
        self.score.id_moves += self._hand_of.get(found.track_id, number) != number
        self._hand_of[found.track_id] = number
        if found.side is not Side.UNKNOWN:
            before = self._side_of.get(found.track_id, found.side)
            self.score.side_moves += before is not found.side
            self._side_of[found.track_id] = found.side

    def _note_wrong(self, number: int, wrong: bool, time_s: float) -> None:
        if not wrong:
            self._wrong.pop(number, None)
            return
        since = self._wrong.setdefault(number, _Since(time_s))
        self.score.wrong_s = max(self.score.wrong_s, time_s - since.time_s)

    def _note_false(self, found: Sequence[FoundHand], time_s: float) -> None:
        ids = {hand.track_id for hand in found}
        self._false = {i: since for i, since in self._false.items() if i in ids}
        for i in ids:
            since = self._false.setdefault(i, _Since(time_s))
            if not since.counted and time_s - since.time_s > FALSE_S:
                since.counted = True
                self.score.false_hands += 1


def _lies_at(found: FoundHand, hands: Sequence[RealHand]) -> bool:
    return any(
        known_median(np.linalg.norm(found.uv - hand.uv, axis=1)) < NEAR_PALMS * palm_length(hand.uv)
        for hand in hands
    )


def _is_unknown(found: FoundHand, seen: RealImage) -> bool:
    middle = known_median(found.uv.T)
    return any(math.dist(middle, (x, y)) < radius for x, y, radius in seen.unknown)
