"""From the hands of an image to a pose for the robot: choose one, turn it into the operator frame,
retarget it. The result goes through the safety layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitpose_ros.layouts import WRIST
from vitpose_ros.retarget.choice import Hand, HandChoice
from vitpose_ros.retarget.palm_frame import palm_axes
from vitpose_ros.retarget.retargeter import Retargeted, Retargeter
from vitpose_ros.types import Side

_NO_SHAPE = (
    "hand {id} has no joints in metres: use a hand model that gives a shape "
    "(hand_model:=mediapipe-hand-full), or a depth camera"
)


class HandFollower:
    """One hand of the operator on the way to one robot hand.

    Parameters
    ----------
    side : which hand the robot follows.
    retargeter : of the robot.
    """

    def __init__(self, side: Side, retargeter: Retargeter) -> None:
        self.choice = HandChoice(side)
        self._side, self._retargeter = side, retargeter
        self._last: Sequence[Hand] = ()
        self._last_ns = 0

    def latch(self) -> Retargeted | str:
        """Follow the hand that is in the last image from now on.

        Returns the pose for the robot; or why there is none, and then nothing has changed.
        """
        hand, reason = self.choice.candidate(self._last)
        if hand is None:
            return reason
        result = self._pose(hand, 0.0)
        if isinstance(result, str) or not result.valid.any():
            return result if isinstance(result, str) else result.remark
        self.choice.latch(hand)
        return result

    def restart(self) -> None:
        """Tracking restarted: ids of earlier images mean nothing any more."""
        self.choice.restart()

    def see(self, stamp_ns: int, hands: Sequence[Hand]) -> Retargeted | str:
        """The pose for the robot, or why there is none.

        Parameters
        ----------
        stamp_ns : of the image, ns.
        hands : in the image.
        """
        dt_s = 1e-9 * (stamp_ns - self._last_ns)
        if stamp_ns <= self._last_ns:
            self.restart()
        self._last, self._last_ns = hands, stamp_ns
        hand, reason = self.choice.pick(hands)
        return reason if hand is None else self._pose(hand, dt_s)

    def _pose(self, hand: Hand, dt_s: float) -> Retargeted | str:
        found = hand.read()
        if found is None:
            return _NO_SHAPE.format(id=hand.track_id)
        points, known = found
        axes = palm_axes(points, known, self._side)
        if axes is None:
            return f"the palm of hand {hand.track_id} cannot be seen well enough for a direction"
        return self._retargeter((points - points[WRIST]) @ axes, known, min(max(dt_s, 1e-3), 0.1))
