"""Which of the hands in view the robot follows: by its track id, the one that was there when the
clutch closed, and no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.types import (
    NO_ID,
    Instance,
    JointState,
    Side,
    TrackState,
)

BoolArray = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]
Points = Sequence[Sequence[float]]
Fingers = tuple[Array, BoolArray]
"""The joints (21, 3) from which fingers are taken, m, and which of them may be used (21,)."""

_NAMES = {Side.LEFT: "left", Side.RIGHT: "right"}


@dataclass(frozen=True)
class Hand:
    """A hand in an image, or something else with joints: what the choice goes by.

    Attributes
    ----------
    layout, side, track_id, track_state, track_age_s : as an Instance's.
    read : gives its joints (see `usable_points`); called only if the hand is followed.
    """

    layout: Layout
    side: Side
    track_id: int
    track_state: TrackState
    track_age_s: float
    read: Callable[[], Fingers | None]


class HandChoice:
    """Latches one hand.

    Parameters
    ----------
    side : which hand the robot follows.

    Attributes
    ----------
    track_id : of the latched hand; NO_ID for none.
    """

    def __init__(self, side: Side) -> None:
        self._side = side
        self.track_id = NO_ID
        self._lost_reason = ""

    def candidate(self, hands: Sequence[Hand]) -> tuple[Hand | None, str]:
        """The usable hand that has been tracked longest; or None, and why there is none."""
        usable = [hand for hand in hands if not self.problem(hand)]
        best = max(usable, key=lambda hand: hand.track_age_s, default=None)
        return best, "" if best is not None else self._none(hands)

    def latch(self, hand: Hand) -> None:
        """Follow this hand from now on."""
        self.track_id, self._lost_reason = hand.track_id, ""

    def release(self) -> None:
        """Forget the hand."""
        self.track_id, self._lost_reason = NO_ID, ""

    def restart(self) -> None:
        """Tracking restarted: ids of earlier images mean nothing any more."""
        if self.track_id != NO_ID:
            self._lost_reason = (
                f"tracking restarted (the stamps jumped, or the camera changed), so hand "
                f"{self.track_id} is gone: close the clutch again"
            )

    def pick(self, hands: Sequence[Hand]) -> tuple[Hand | None, str]:
        """The hand to follow among those of an image, or None and the reason.

        Before a hand is latched, the one that would be. A hand with another id is not followed,
        wherever it is: it may be someone else's.

        Parameters
        ----------
        hands : in the image.
        """
        if self.track_id == NO_ID:
            return self.candidate(hands)
        if self._lost_reason:
            return None, self._lost_reason
        own = next((hand for hand in hands if hand.track_id == self.track_id), None)
        if own is None:
            others = [hand.track_id for hand in hands if not self.problem(hand)]
            more = (
                f"; hand {others[0]} is in view: close the clutch again to follow it"
                if others
                else ""
            )
            return None, f"hand {self.track_id} is not in view{more}"
        problem = self.problem(own)
        return (None, problem) if problem else (own, "")

    def problem(self, hand: Hand) -> str:
        """Why a robot cannot follow this hand now; "" if it can."""
        if hand.layout is not HAND21:
            return f"it has the layout '{hand.layout.name}', not '{HAND21.name}'"
        name = f"hand {hand.track_id}"
        if hand.side is not self._side:
            seen = _NAMES.get(hand.side, "neither left nor right")
            return f"{name} is reported as {seen}, and the robot follows a {_NAMES[self._side]} one"
        if hand.track_state is TrackState.LOST:
            return f"{name} is lost"
        if hand.track_state is not TrackState.CONFIRMED:
            return f"{name} has only just been found"
        return ""

    def _none(self, hands: Sequence[Hand]) -> str:
        problems = [self.problem(hand) for hand in hands if hand.layout is HAND21]
        return problems[0] if problems else f"no {_NAMES[self._side]} hand is in view"


def finger_points(hand: Instance) -> Fingers | None:
    """The joints of an Instance that may be used now: see `usable_points`."""
    joints = hand.keypoints
    arrays = (joints.state, joints.xyz, joints.shape_xyz)
    return usable_points(*(array.tolist() for array in arrays))


def usable_points(state: Sequence[int], xyz: Points, shape_xyz: Points) -> Fingers | None:
    """The joints from which fingers are taken; None if nothing is known.

    Metric positions, also those of an assumed hand size, whose palm is turned as its pixels say;
    else the model's shape, which rests on the network's idea of depth. Joints that were not
    measured in this image cannot be used.

    Parameters
    ----------
    state : of the 21 joints; where they are extrapolated to a later time (prediction_horizon), of
        the raw ones, which tell which of them were measured.
    xyz, shape_xyz : as those of Keypoints.
    """
    # Lists: for 21 joints, that is faster than arrays.
    measured = [one >= JointState.MEASURED for one in state]
    for points in (xyz, shape_xyz):
        known = [
            now and all(map(math.isfinite, point))
            for now, point in zip(measured, points, strict=True)
        ]
        if any(known):
            return np.array(points, np.float64), np.array(known)
    return None
