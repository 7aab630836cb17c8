"""Assigns hands to the arms of bodies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vitpose_ros.body_hands import ARM_SCORE, owners_of_hands
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
    owners = owners_of_hands(hands, [body.keypoints for body in bodies])
    return [None if owner is None else _arm(bodies[owner[0]], owner[1]) for owner in owners]


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
    score = body.score if math.isnan(wrist) else wrist
    return Arm(body.track_id, side, max(0.5, min(score, 1.0)))
