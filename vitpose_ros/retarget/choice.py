"""Which of the hands in view the robot follows: by its track id, the one that was there when the
clutch closed, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21
from vitpose_ros.types import NO_ID, Instance, JointState, Keypoints, Side, TrackState, ZSource

BoolArray = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]

_SEEN = (ZSource.MEASURED, ZSource.TRIANGULATED, ZSource.TRUTH)
_NAMES = {Side.LEFT: "left", Side.RIGHT: "right"}


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

    def candidate(self, instances: Sequence[Instance]) -> tuple[Instance | None, str]:
        """The usable hand that has been tracked longest; or None, and why there is none."""
        usable = [hand for hand in instances if not self.problem(hand)]
        best = max(usable, key=lambda hand: hand.track_age_s, default=None)
        return best, "" if best is not None else self._none(instances)

    def latch(self, hand: Instance) -> None:
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

    def pick(self, instances: Sequence[Instance]) -> tuple[Instance | None, str]:
        """The hand to follow among those of an image, or None and the reason.

        Before a hand is latched, the one that would be. A hand with another id is not followed,
        wherever it is: it may be someone else's.

        Parameters
        ----------
        instances : of the image.
        """
        if self.track_id == NO_ID:
            return self.candidate(instances)
        if self._lost_reason:
            return None, self._lost_reason
        own = next((hand for hand in instances if hand.track_id == self.track_id), None)
        if own is None:
            others = [hand.track_id for hand in instances if not self.problem(hand)]
            more = (
                f"; hand {others[0]} is in view: close the clutch again to follow it"
                if others
                else ""
            )
            return None, f"hand {self.track_id} is not in view{more}"
        problem = self.problem(own)
        return (None, problem) if problem else (own, "")

    def problem(self, hand: Instance) -> str:
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

    def _none(self, instances: Sequence[Instance]) -> str:
        problems = [self.problem(hand) for hand in instances if hand.layout is HAND21]
        return problems[0] if problems else f"no {_NAMES[self._side]} hand is in view"


def finger_points(hand: Instance, predicted: bool) -> tuple[Array, BoolArray] | None:
    """The joints (21, 3) in metres from which fingers are taken, and which of them may be used.

    Metric positions where a depth image or several cameras measured some of them; else the model's
    shape, which rests on its own idea of depth; else metric positions of an assumed size. None if
    nothing is known. Joints that were not measured in this image cannot be used.

    Parameters
    ----------
    hand : of the layout hand21.
    predicted : joints are extrapolated to a later time (prediction_horizon), so that the raw ones
        tell which were measured.
    """
    joints: Keypoints = hand.keypoints
    states = hand.raw.state if predicted else joints.state
    measured = states >= JointState.MEASURED
    seen = np.isin(joints.z_source, _SEEN) & measured
    order = (joints.xyz, joints.shape_xyz) if seen.any() else (joints.shape_xyz, joints.xyz)
    for points in order:
        known = measured & np.isfinite(points).all(axis=1)
        if known.any():
            return points.astype(np.float64), known
    return None
