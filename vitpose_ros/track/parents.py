"""Which body, and which of its arms, a hand belongs to; kept over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitpose_ros.detect.body_hands import ARM_SCORE, BodyHand, assign_hands
from vitpose_ros.geometry import known_median
from vitpose_ros.types import FloatArray, Instance, Region, Side, TrackState


@dataclass(frozen=True)
class Arm:
    """An arm of a body: the body's track id, the side, and how sure its wrist is, 0 .. 1."""

    body_id: int
    side: Side
    score: float

    def same(self, other: Arm) -> bool:
        """Whether both are the same arm of the same body."""
        return (self.body_id, self.side) == (other.body_id, other.side)


def arms_of_hands(
    hands: Sequence[FloatArray], bodies: Sequence[Instance], places: Sequence[BodyHand]
) -> list[Arm | None]:
    """The arm of each hand, or None: a wrist at the end of an arm says more than the look of a
    hand.

    Parameters
    ----------
    hands : (21, 2) px each.
    bodies : those that are seen.
    places : where their hands should be, with the bodies' ids.

    Returns
    -------
    For each hand its arm; each arm has one hand.
    """
    centres = [np.nanmean(uv, axis=0).tolist() for uv in hands]
    arms = assign_hands(centres, [body.keypoints for body in bodies])
    # An arm whose elbow is hidden has no reach, but its hand may well be where it should be.
    numbers = {body.track_id: number for number, body in enumerate(bodies)}
    for place in places:
        arm = numbers[place.region.track_id], place.side
        if arm in arms:
            continue
        for i, uv in enumerate(hands):
            if arms[i] is None and holds_hand(place.region, uv):
                arms[i] = arm
                break
    return [None if arm is None else _arm(bodies[arm[0]], arm[1]) for arm in arms]


def arm_is_hidden(arm: Arm, bodies: Sequence[Instance]) -> bool:
    """Whether nothing can be said of an arm in this image: its body is lost, or its wrist or elbow
    has no support. A body that is not followed any more has no arms.
    """
    for body in bodies:
        if body.track_id == arm.body_id:
            if body.track_state is TrackState.LOST:
                return True
            names = [f"{arm.side.name.lower()}_{joint}" for joint in ("wrist", "elbow")]
            joints = [body.layout.index(name) for name in names]
            return bool((body.keypoints.score[joints] <= ARM_SCORE).any())
    return False


def holds_hand(place: Region, uv: FloatArray) -> bool:
    """Whether a hand with these joints is the one that should be at a place: its middle lies in the
    inner half.
    """
    middle = known_median(uv.T)
    return math.dist(middle, (place.cx, place.cy)) < 0.35 * place.width


def _arm(body: Instance, side: Side) -> Arm:
    wrist = float(body.keypoints.score[body.layout.index(f"{side.name.lower()}_wrist")])
    return Arm(body.track_id, side, max(0.5, min(wrist, 1.0)))
