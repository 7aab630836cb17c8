"""The identity of hands from image to image: their tracks, sides, and bodies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vitpose_ros.assignment import assign
from vitpose_ros.hand_geometry import palm_size
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.settings import HANDS_OF_A_PERSON, HandSettings
from vitpose_ros.track.arms import Arm, arm_is_hidden, arms_of_hands
from vitpose_ros.track.assign import HAND_FARTHEST, hand_costs
from vitpose_ros.track.sides import MOST, Sides, side_evidence
from vitpose_ros.track.tracks import Reading, Track, Tracks, as_lost
from vitpose_ros.types import NO_ID, Frame, Instance, Region, Side, TrackState

_OTHER_ARM = 1.0  # palms by which a measurement at another arm is farther away

Arms = Sequence["Arm | None"]


class HandTracks:
    """Hands of one camera from image to image.

    Parameters
    ----------
    ids : where the ids of new tracks come from.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._tracks = Tracks(ids)
        self._sides = Sides()
        self._arms: dict[int, Arm] = {}
        self._last: dict[int, Instance] = {}

    def reset(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()
        self._forget()

    def crops(self, stamp_ns: int, most: int) -> tuple[list[Region], frozenset[int]]:
        """Where to look at a time, and which of these tracks are lost; see `Tracks.regions`."""
        return self._tracks.regions(stamp_ns, most), self._tracks.lost_ids

    def associate(
        self,
        frame: Frame,
        hands: Sequence[HandMeasurement],
        bodies: Sequence[Instance] | None,
        settings: HandSettings,
        model: str,
    ) -> tuple[list[Instance], list[Region]]:
        """Give each hand of an image its identity.

        Parameters
        ----------
        frame : the image that was measured.
        hands : each hand once.
        bodies : persons of this image, lost ones included; None in first person.
        settings : see `HandSettings`.
        model : the network's name.

        Returns
        -------
        The hands, and the lost ones without joints where there is room for them, oldest tracks
        first; and the regions of hands of no body that were seen in the previous image and are not
        now.
        """
        arms = _arms(hands, bodies)
        most = settings.max_hands
        if settings.static:
            alone = [
                _instance(frame, hand, model, _side_of_one_image(hand, arm))
                for hand, arm in zip(hands, arms, strict=True)
            ]
            return (alone if bodies is None else _bounded(alone, most)), []
        identities, missed = self._update(frame, hands, arms, bodies, most)
        found = zip(hands, identities, strict=True)
        seen = [_instance(frame, hand, model, identity) for hand, identity in found]
        seen = _bounded(sorted(seen, key=lambda hand: hand.track_id), most)
        stamp_ns = frame.stamp_ns
        lost = [
            as_lost(self._last[track.track_id], track, stamp_ns, self._identity(track, stamp_ns))
            for track in self._tracks.latest_lost
        ]
        ids = [hand.track_id for hand in (*seen, *lost)]
        self._tracks.keep_only(ids)
        self._forget()
        self._last.update((hand.track_id, hand) for hand in seen)
        self._last = {i: self._last[i] for i in ids}
        kept = (*seen, *_with_room(lost, seen, most, bodies is None))
        return sorted(kept, key=lambda hand: hand.track_id), missed

    def _update(
        self,
        frame: Frame,
        hands: Sequence[HandMeasurement],
        arms: Arms,
        bodies: Sequence[Instance] | None,
        most: int,
    ) -> tuple[list[dict[str, Any]], list[Region]]:
        """For each hand the fields of Instance that give its identity, and the regions of hands of
        no body that were seen in the previous image but not in this one.
        """
        known, stamp_ns = self._tracks.all, frame.stamp_ns
        readings = [_reading(hand) for hand in hands]
        evidence = [_evidence(hand, frame) for hand in hands]
        pairs = assign(self._costs(known, arms, readings, evidence, stamp_ns))
        tracks, missed = self._tracks.update(readings, pairs, stamp_ns)
        self._keep_arms(tracks, arms, bodies)
        for track, arm, odds in zip(tracks, arms, evidence, strict=True):
            self._sides.observe(track.track_id, stamp_ns, odds)
            if arm is not None:
                self._sides.fix(track.track_id, arm.side, arm.score)
        owned, free = self._persons(tracks)
        wearer = bodies is None and len(free) == HANDS_OF_A_PERSON
        # More hands may be other persons': then two of one side stay what they clearly are.
        if wearer and (most <= HANDS_OF_A_PERSON or not self._sides.clearly_alike(*free)):
            owned.append(free)
        else:
            owned += [[i] for i in free]
        self._sides.decide(owned)
        # A body shows where its hands are: only the others have to be searched for.
        gone = [track.region for track in missed if track.track_id not in self._arms]
        self._forget()
        return [self._identity(track, stamp_ns) for track in tracks], gone

    def _costs(
        self,
        known: Sequence[Track],
        arms: Arms,
        readings: Sequence[Reading],
        evidence: Sequence[float],
        stamp_ns: int,
    ) -> Any:
        sides = [self._sides.odds(track.track_id) for track in known]
        measured = [_odds(*one) for one in zip(arms, evidence, strict=True)]
        costs = hand_costs(known, readings, stamp_ns, sides, measured)
        for i, track in enumerate(known):
            own = self._arms.get(track.track_id)
            for j, arm in enumerate(arms):
                if own is None or arm is None:
                    continue
                if not own.same(arm):
                    costs[i, j] += _OTHER_ARM
                elif track.state is TrackState.LOST:  # at its own arm it may be anywhere
                    costs[i, j] = min(costs[i, j], HAND_FARTHEST)
        return costs

    def _keep_arms(
        self, tracks: Sequence[Track], arms: Arms, bodies: Sequence[Instance] | None
    ) -> None:
        """Update the arms of hands; a hand whose arm is hidden keeps it."""
        seen = {track.track_id: arm for track, arm in zip(tracks, arms, strict=True)}
        taken = [arm for arm in arms if arm is not None]
        self._arms.update((i, arm) for i, arm in seen.items() if arm is not None)
        for i, arm in list(self._arms.items()):
            if seen.get(i) is not None:
                continue
            lost = i not in seen and any(body.track_id == arm.body_id for body in bodies or ())
            hidden = lost or arm_is_hidden(arm, bodies or ())
            if not hidden or any(arm.same(other) for other in taken):
                del self._arms[i]

    def _persons(self, tracks: Sequence[Track]) -> tuple[list[list[int]], list[int]]:
        """Ids of the hands, grouped by the body they belong to; and those of no body."""
        groups: dict[int, list[int]] = {}
        for track in tracks:
            arm = self._arms.get(track.track_id)
            groups.setdefault(NO_ID if arm is None else arm.body_id, []).append(track.track_id)
        free = groups.pop(NO_ID, [])
        return list(groups.values()), free

    def _identity(self, track: Track, stamp_ns: int) -> dict[str, Any]:
        side, side_score = self._sides.of(track.track_id)
        arm = self._arms.get(track.track_id)
        return {
            **track.identity(stamp_ns),
            "side": side,
            "side_score": side_score,
            "parent_id": NO_ID if arm is None else arm.body_id,
        }

    def _forget(self) -> None:
        """Forget tracks that have ended."""
        ids = {track.track_id for track in self._tracks.all}
        self._sides.keep_only(ids)
        self._arms = {i: arm for i, arm in self._arms.items() if i in ids}


def _arms(hands: Sequence[HandMeasurement], bodies: Sequence[Instance] | None) -> Arms:
    if bodies is None:
        return [None] * len(hands)
    return arms_of_hands([hand.uv for hand in hands], [b for b in bodies if not b.is_lost])


def _reading(hand: HandMeasurement) -> Reading:
    assert hand.region is not None  # measured hands have one
    return Reading(hand.uv, np.isfinite(hand.uv[:, 0]), max(palm_size(hand.uv), 1.0), hand.region)


def _instance(
    frame: Frame, hand: HandMeasurement, model: str, identity: dict[str, Any]
) -> Instance:
    keypoints = hand.keypoints(frame.width, frame.height)
    return Instance(keypoints=keypoints, score=hand.presence, model=model, **identity)


def _side_of_one_image(hand: HandMeasurement, arm: Arm | None) -> dict[str, Any]:
    """The fields of Instance for side and body, from this image alone."""
    if arm is not None:
        return {"side": arm.side, "side_score": arm.score, "parent_id": arm.body_id}
    right = hand.detected_right if math.isnan(hand.right) else hand.right
    if math.isnan(right):
        return {}
    side = Side.RIGHT if right >= 0.5 else Side.LEFT
    return {"side": side, "side_score": max(right, 1.0 - right)}


def _evidence(hand: HandMeasurement, frame: Frame) -> float:
    """Log odds that a measured hand is a right one, by its appearance; NaN if nothing tells."""
    inside = float(hand.inside(frame.width, frame.height).mean())
    return side_evidence(hand.right, hand.presence, inside, hand.detected_right)


def _odds(arm: Arm | None, evidence: float) -> float:
    """Log odds that a measured hand is a right one, by its arm where it has one."""
    if arm is None:
        return 0.0 if math.isnan(evidence) else evidence
    return MOST if arm.side is Side.RIGHT else -MOST


def _bounded(hands: Sequence[Instance], most: int) -> list[Instance]:
    """All hands of bodies, and the first `most` of the others."""
    free = [hand for hand in hands if hand.parent_id == NO_ID]
    dropped = {id(hand) for hand in free[most:]}
    return [hand for hand in hands if id(hand) not in dropped]


def _with_room(
    lost: Sequence[Instance], seen: Sequence[Instance], most: int, first_person: bool
) -> list[Instance]:
    """The lost hands to keep, in the given order: of a body, those whose side is not seen; of the
    others, at most `most` together with those that are seen, and in first person no side twice if
    `most` is that of one person.
    """
    kept: list[Instance] = []
    for hand in lost:
        others = [o for o in (*seen, *kept) if o.parent_id == hand.parent_id]
        wearers = first_person and most <= HANDS_OF_A_PERSON
        taken = (hand.parent_id != NO_ID or wearers) and any(
            o.side is hand.side and hand.side is not Side.UNKNOWN for o in others
        )
        if not taken and (hand.parent_id != NO_ID or len(others) < most):
            kept.append(hand)
    return kept
