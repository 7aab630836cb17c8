"""Who is who in a whole recording: sides by the vote of whole tracks, tracks joined over gaps.

The live tracker decides image by image. With the whole sequence at hand,

- a hand's side is the one for which its whole track speaks, and two hands of one person that are
  seen together are never alike;
- a track that ends and one that begins up to STITCH_S later become one, if they are the same hand
  of the same person, or lie where the same object can be;
- a track is CONFIRMED from its first image if it is at all.

Nothing is joined across a restart of tracking, since no id is meant to continue there.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vitpose_ros.smooth.scale import object_size
from vitpose_ros.track.assign import HAND_FARTHEST
from vitpose_ros.track.sides import probability
from vitpose_ros.track.tracks import CONFIRMED_FRAMES
from vitpose_ros.types import NO_ID, Instance, Side, TrackState

STITCH_S = 2.0
"""Longest gap over which tracks are joined."""

BODY_FARTHEST = 1.0
"""Trunks between the end of a body's track and the begin of the next one that may be the same."""

_WEARER = -2
"""The person whose hands are seen in first person, where no body has an id."""

_Images = Sequence[Sequence[Instance]]


@dataclass(eq=False)
class _Track:
    """One track: its measured instances by image.

    Attributes
    ----------
    seen : by image.
    person : whose hand it is: a body's id, _WEARER, or NO_ID.
    side, side_score : as decided for the whole track.
    """

    seen: dict[int, Instance] = field(default_factory=dict)
    person: int = NO_ID
    side: Side = Side.UNKNOWN
    side_score: float = math.nan

    @property
    def first(self) -> int:
        return min(self.seen)

    @property
    def last(self) -> int:
        return max(self.seen)

    @property
    def confirmed(self) -> bool:
        return len(self.seen) >= CONFIRMED_FRAMES

    @property
    def is_hand(self) -> bool:
        return self.seen[self.first].layout.kind == "hand"

    def odds(self) -> float:
        """Mean log odds that it is a right hand, over the images whose side was told."""
        told = []
        for one in self.seen.values():
            if one.side is not Side.UNKNOWN:
                score = min(max(one.side_score, 0.5), 0.99)
                sign = 1.0 if one.side is Side.RIGHT else -1.0
                told.append(sign * math.log(score / (1.0 - score)))
        return math.fsum(told) / len(told) if told else 0.0


def settle(
    stamps_ns: Sequence[int], images: _Images, resets: Sequence[bool], one_person: bool
) -> list[list[Instance]]:
    """The measured instances of all images with settled identities.

    Parameters
    ----------
    stamps_ns : times of the images.
    images : the instances of each image as the pipeline gave them, not smoothed.
    resets : whether tracking restarted at each image.
    one_person : hands that belong to no body are one person's.

    Returns
    -------
    The same instances, without lost ones, with other track_id, parent_id, side, side_score,
    track_state and track_age_s. An id is that of the first of the tracks that were joined.
    """
    settled: list[list[Instance]] = [[] for _ in images]
    starts = [0, *(i for i in range(1, len(images)) if resets[i]), len(images)]
    for begin, end in itertools.pairwise(starts):
        _settle_part(stamps_ns, images, range(begin, end), one_person, settled)
    return settled


def _settle_part(
    stamps_ns: Sequence[int],
    images: _Images,
    part: range,
    one_person: bool,
    settled: list[list[Instance]],
) -> None:
    tracks: dict[int, _Track] = {}
    for index in part:
        for one in images[index]:
            if not one.is_lost and one.track_id != NO_ID:
                tracks.setdefault(one.track_id, _Track()).seen[index] = one
    bodies = {i: track for i, track in tracks.items() if not track.is_hand}
    new_ids = _joined(bodies, stamps_ns)
    hands = {i: track for i, track in tracks.items() if track.is_hand}
    for track in hands.values():
        owners = Counter(one.parent_id for one in track.seen.values() if one.parent_id != NO_ID)
        if owners:
            body = owners.most_common(1)[0][0]
            track.person = new_ids.get(body, body)
        elif one_person:
            track.person = _WEARER
    _vote(hands.values())
    new_ids |= _joined(hands, stamps_ns)
    first_ns: dict[int, int] = {}
    for track_id, track in tracks.items():
        start = stamps_ns[track.first]
        new = new_ids[track_id]
        first_ns[new] = min(first_ns.get(new, start), start)
    for track_id, track in tracks.items():
        new = new_ids[track_id]
        for index, one in track.seen.items():
            settled[index].append(_settled(one, track, new, stamps_ns[index], first_ns[new]))


def _settled(one: Instance, track: _Track, new: int, stamp_ns: int, first_ns: int) -> Instance:
    hand = track.is_hand
    return replace(
        one,
        track_id=new,
        parent_id=track.person if hand and track.person >= 0 else one.parent_id,
        side=track.side if hand else one.side,
        side_score=track.side_score if hand else one.side_score,
        track_state=TrackState.CONFIRMED if track.confirmed else TrackState.TENTATIVE,
        track_age_s=(stamp_ns - first_ns) * 1e-9,
    )


def _vote(hands: Iterable[_Track]) -> None:
    """Decide the side of every track, those with most evidence first."""
    odds = {id(track): track.odds() for track in hands}
    decided: list[_Track] = []
    for track in sorted(hands, key=lambda t: -abs(odds[id(t)]) * len(t.seen)):
        own = odds[id(track)]
        if own == 0.0:
            continue
        side = Side.RIGHT if own > 0 else Side.LEFT
        score = probability(abs(own))
        taken = {
            other.side
            for other in decided
            if track.person != NO_ID
            and other.person == track.person
            and not other.seen.keys().isdisjoint(track.seen)
        }
        if side in taken:
            side, score = Side(Side.LEFT + Side.RIGHT - side), 0.5
        if side in taken:
            continue
        track.side, track.side_score = side, score
        decided.append(track)


def _joined(tracks: dict[int, _Track], stamps_ns: Sequence[int]) -> dict[int, int]:
    """The id of the first track of each chain, for every track."""
    pairs = []
    for a, before in tracks.items():
        for b, after in tracks.items():
            if after.first <= before.last or not (before.confirmed and after.confirmed):
                continue
            gap_s = (stamps_ns[after.first] - stamps_ns[before.last]) * 1e-9
            if gap_s <= STITCH_S and _may_be_same(before, after):
                pairs.append((gap_s, a, b))
    follower: dict[int, int] = {}
    leader: dict[int, int] = {}
    for _, a, b in sorted(pairs):
        if a not in follower and b not in leader:
            follower[a], leader[b] = b, a
    ids = {}
    for track_id in tracks:
        first = track_id
        while first in leader:
            first = leader[first]
        ids[track_id] = first
    return ids


def _may_be_same(before: _Track, after: _Track) -> bool:
    """Whether the track that begins later may be the object of the one that ended."""
    a, b = before.seen[before.last], after.seen[after.first]
    if a.layout is not b.layout:
        return False
    if not before.is_hand:
        return _distance(a, b) <= BODY_FARTHEST
    if before.person != after.person:
        return False
    alike = before.side is after.side and before.side is not Side.UNKNOWN
    if before.person != NO_ID:
        return alike  # a person has one hand of a side, wherever it comes back
    return alike and _distance(a, b) <= HAND_FARTHEST


def _distance(a: Instance, b: Instance) -> float:
    """Median distance of the joints that both know, in object sizes; infinite if unknown."""
    size = np.fmax(*(object_size(one.layout, one.raw.uv[None])[0] for one in (a, b)))
    away = np.linalg.norm(a.raw.uv - b.raw.uv, axis=1)
    known = away[np.isfinite(away)]
    return float(np.median(known) / size) if known.size and size > 0 else math.inf
