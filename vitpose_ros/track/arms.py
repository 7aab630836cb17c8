"""Assigns hands to the arms of bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitpose_ros.body_hands import ARM_SCORE, assign_hands, hands_of_body, holds_hand
from vitpose_ros.types import FloatArray, Instance, Side


@dataclass(frozen=True)
class Arm:
    """An arm of a body: the body's track id, the side, and the wrist's score, 0.5 .. 1."""

    body_id: int
    side: Side
    score: float

    def same(self, other: Arm) -> bool:
        """Whether both are the same arm of the same body."""
        return (self.body_id, self.side) == (other.body_id, other.side)


def arms_of_hands(hands: Sequence[FloatArray], bodies: Sequence[Instance]) -> list[Arm | None]:
    """The arm of each hand. The wrist at the end of an arm is better evidence of a side than the
    appearance of the hand.

    Parameters
    ----------
    hands : (21, 2) px each.
    bodies : the bodies found in this image.

    Returns
    -------
    For each hand its arm, or None. No two hands share an arm.
    """
    centres = [np.nanmean(uv, axis=0).tolist() for uv in hands]
    arms = assign_hands(centres, [body.keypoints for body in bodies])
    # Without its elbow, an arm's reach is unknown, but the hand may lie where the body implies.
    places = [(n, p) for n, body in enumerate(bodies) for p in hands_of_body(body.keypoints)]
    for number, place in places:
        arm = number, place.side
        if arm in arms:
            continue
        for i, uv in enumerate(hands):
            if arms[i] is None and holds_hand(place.region, uv):
                arms[i] = arm
                break
    return [None if arm is None else _arm(bodies[arm[0]], arm[1]) for arm in arms]


def arm_is_hidden(arm: Arm, bodies: Sequence[Instance]) -> bool:
    """Whether this image does not show an arm: its body is lost, or the score of its wrist or elbow
    is too low. False for a body whose track has ended.
    """
    for body in bodies:
        if body.track_id == arm.body_id:
            if body.is_lost:
                return True
            names = [f"{arm.side.name.lower()}_{joint}" for joint in ("wrist", "elbow")]
            joints = [body.layout.index(name) for name in names]
            return bool((body.keypoints.score[joints] <= ARM_SCORE).any())
    return False


def _arm(body: Instance, side: Side) -> Arm:
    wrist = float(body.keypoints.score[body.layout.index(f"{side.name.lower()}_wrist")])
    return Arm(body.track_id, side, max(0.5, min(wrist, 1.0)))
