"""Who the hands of an image are: their tracks, their sides, and the bodies that they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vitpose_ros.detect.hands import palm_size
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.track.assign import HAND_FARTHEST, assign, hand_costs
from vitpose_ros.track.parents import Arm, arm_is_hidden
from vitpose_ros.track.sides import MOST, Sides, evidence_weight, log_odds
from vitpose_ros.track.tracks import Reading, Track, Tracks
from vitpose_ros.types import NO_ID, Frame, Instance, Region, Side, TrackState

_OTHER_ARM = 1.0  # palms by which a reading at another arm is farther away


@dataclass(frozen=True)
class SeenHand:
    """A hand in this image.

    Attributes
    ----------
    estimate : what the network says; its `right` as in an image that is not mirrored.
    region : where it is looked for in the next image.
    arm : of a body that is seen; None for a hand that is nobody's.
    """

    estimate: HandEstimate
    region: Region
    arm: Arm | None = None


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

    def clear(self) -> None:
        """Follow nothing any more."""
        self._tracks.clear()
        self._forget()

    def keep(self, most: int) -> None:
        """Of the hands that are seen, follow only the `most` that were followed longest."""
        self._tracks.keep(most)
        self._forget()

    def keep_only(self, ids: Collection[int]) -> None:
        """Follow only the hands with these ids."""
        self._tracks.keep_only(ids)
        self._forget()

    def regions(self, stamp_ns: int, most: int) -> list[Region]:
        """Where to look at a time, at most so many; see `Tracks.regions`."""
        return self._tracks.regions(stamp_ns, most)

    def update(
        self,
        frame: Frame,
        hands: Sequence[SeenHand],
        bodies: Sequence[Instance] | None,
        one_person: bool,
    ) -> tuple[list[dict[str, Any]], list[Region]]:
        """Take over the hands of an image.

        Parameters
        ----------
        hands : each once.
        bodies : of this image, the lost ones too; None where none are looked for.
        one_person : two hands that are nobody's are the left and the right one of one person.

        Returns
        -------
        For each hand the fields of Instance that say who it is, and the regions of hands that were
        seen in the image before and are not now.
        """
        known = self._tracks.all
        readings = [
            Reading(
                hand.estimate.uv,
                np.isfinite(hand.estimate.uv[:, 0]),
                max(palm_size(hand.estimate.uv), 1.0),
                hand.region,
            )
            for hand in hands
        ]
        weights = [evidence_weight(r.uv, frame.width, frame.height) for r in readings]
        pairs = assign(self._costs(known, hands, readings, weights, frame.stamp_ns))
        tracks, missed = self._tracks.update(readings, pairs, frame.stamp_ns)
        self._keep_arms(tracks, hands, bodies)
        for track, hand, weight in zip(tracks, hands, weights, strict=True):
            right = hand.estimate.right
            self._sides.observe(track.track_id, frame.stamp_ns, right, weight)
            if hand.arm is not None:
                self._sides.fix(track.track_id, hand.arm.side, hand.arm.score)
        self._sides.decide(self._persons(tracks, one_person))
        self._forget()
        identities = [self._identity(track, frame.stamp_ns) for track in tracks]
        return identities, [track.region for track in missed]

    def lost(self, stamp_ns: int) -> list[tuple[dict[str, Any], float]]:
        """Hands that can be found again: who each is, and for how many seconds it was not seen;
        those lost last come first.
        """
        return [
            (self._identity(track, stamp_ns), (stamp_ns - track.seen_ns) * 1e-9)
            for track in sorted(self._tracks.lost, key=lambda track: -track.seen_ns)
        ]

    def _costs(
        self,
        known: Sequence[Track],
        hands: Sequence[SeenHand],
        readings: Sequence[Reading],
        weights: Sequence[float],
        stamp_ns: int,
    ) -> Any:
        sides = [self._sides.odds(track.track_id) for track in known]
        looks = [_odds(hand, weight) for hand, weight in zip(hands, weights, strict=True)]
        costs = hand_costs(known, readings, stamp_ns, sides, looks)
        for i, track in enumerate(known):
            arm = self._arms.get(track.track_id)
            for j, hand in enumerate(hands):
                if arm is None or hand.arm is None:
                    continue
                if not arm.same(hand.arm):
                    costs[i, j] += _OTHER_ARM
                elif track.state is TrackState.LOST:  # at its own arm it is found anywhere
                    costs[i, j] = min(costs[i, j], HAND_FARTHEST)
        return costs

    def _keep_arms(
        self,
        tracks: Sequence[Track],
        hands: Sequence[SeenHand],
        bodies: Sequence[Instance] | None,
    ) -> None:
        """Note whose hands are seen; a hand whose arm is hidden stays with it."""
        taken = [hand.arm for hand in hands if hand.arm is not None]
        for track, hand in zip(tracks, hands, strict=True):
            if hand.arm is not None:
                self._arms[track.track_id] = hand.arm
        seen = {track.track_id: hand.arm for track, hand in zip(tracks, hands, strict=True)}
        for i, arm in list(self._arms.items()):
            if seen.get(i) is not None:
                continue
            lost = i not in seen and any(body.track_id == arm.body_id for body in bodies or ())
            hidden = lost or arm_is_hidden(arm, bodies or ())
            if not hidden or any(arm.same(other) for other in taken):
                del self._arms[i]

    def _persons(self, tracks: Sequence[Track], one_person: bool) -> list[list[int]]:
        """Ids of the hands by the person whom they belong to."""
        groups: dict[int, list[int]] = {}
        for track in tracks:
            arm = self._arms.get(track.track_id)
            groups.setdefault(NO_ID if arm is None else arm.body_id, []).append(track.track_id)
        free = groups.pop(NO_ID, [])
        return [*groups.values(), *([free] if one_person else [[i] for i in free])]

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
        ids = {track.track_id for track in self._tracks.all}
        self._sides.keep_only(ids)
        self._arms = {i: arm for i, arm in self._arms.items() if i in ids}


def _odds(hand: SeenHand, weight: float) -> float:
    """Log odds that a hand of this image is a right one."""
    if hand.arm is not None:
        return MOST if hand.arm.side is Side.RIGHT else -MOST
    right = hand.estimate.right
    return 0.0 if np.isnan(right) else weight * log_odds(right)


def unmirrored(estimate: HandEstimate) -> HandEstimate:
    """What a network says of a hand in a mirrored image, with its real side and shape."""
    mirror = np.array([-1, 1, 1], np.float32)
    return replace(estimate, right=1.0 - estimate.right, shape_xyz=estimate.shape_xyz * mirror)
