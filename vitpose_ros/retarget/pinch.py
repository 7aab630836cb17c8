"""Pinch and grasp of a hand, as a robot's gripper understands them: how far, and yes or no."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, THUMB_TIP, WRIST
from vitpose_ros.retarget.operator import OperatorHand
from vitpose_ros.smooth.hand_axes import JOINTS
from vitpose_ros.types import NO_ID, Side

Array = npt.NDArray[np.float64]

INDEX_TIP = INDEX_MCP + 3
PINCH_JOINTS = (WRIST, THUMB_TIP, INDEX_TIP, MIDDLE_MCP)
"""The joints of hand21 that a pinch depends on."""
_PALM_M = 0.097
"""From wrist to middle MCP, as the networks place them in an adult's hand."""
_MIN_FINGERS = 3


@dataclass(frozen=True)
class PinchSettings:
    """Where pinch and grasp begin and end.

    Between the two limits of each, the last state holds.

    Attributes
    ----------
    pinch_close_m, pinch_open_m : distance between the tips of thumb and index finger in a hand of
        adult size; it is scaled with the hand.
    grasp_close_rad, grasp_open_rad : how far a finger is bent, the sum of its three flexions,
        mean of the fingers without the thumb; 0 in a flat hand.

    Raises
    ------
    ValueError : a closing limit is on the wrong side of its opening limit.
    """

    pinch_close_m: float = 0.03
    pinch_open_m: float = 0.05
    grasp_close_rad: float = 1.6
    grasp_open_rad: float = 1.2

    def __post_init__(self) -> None:
        if not 0 < self.pinch_close_m < self.pinch_open_m:
            raise ValueError(
                f"pinch_close ({self.pinch_close_m:g} m) must be less than pinch_open "
                f"({self.pinch_open_m:g} m)"
            )
        if not 0 < self.grasp_open_rad < self.grasp_close_rad:
            raise ValueError(
                f"grasp_open ({self.grasp_open_rad:g} rad) must be less than grasp_close "
                f"({self.grasp_close_rad:g} rad)"
            )


@dataclass(frozen=True)
class Pinch:
    """What a hand commands.

    Attributes
    ----------
    pinch, grasp : whether it does, with hysteresis.
    pinch_closure, grasp_closure : 0 at the opening limit or beyond, 1 at the closing limit or
        beyond, linear between.
    """

    pinch: bool
    grasp: bool
    pinch_closure: float
    grasp_closure: float


class OperatorPinch:
    """Pinch and grasp of the hands that command. Only joints measured in this image count."""

    def __init__(self) -> None:
        self._hands: dict[Side, tuple[int, PinchDetector]] = {}

    def __call__(
        self, hand: OperatorHand, predicting: bool, settings: PinchSettings
    ) -> Pinch | None:
        """The state of a hand in this image; None when it cannot be told.

        Parameters
        ----------
        hand : of the side that commands.
        predicting : see `OperatorHand.measured`.
        settings : the limits.
        """
        track_id, detector = self._hands.get(hand.side, (NO_ID, PinchDetector()))
        if track_id != hand.instance.track_id:
            detector = PinchDetector()
        self._hands[hand.side] = hand.instance.track_id, detector
        measured = hand.measured(predicting)
        points = np.where(measured[:, None], hand.points, np.nan)
        fingers = measured[JOINTS[1:]].all(axis=1)
        closure = np.where(fingers, hand.angles.finger_closure, np.nan)
        return detector(points, closure, settings)


class PinchDetector:
    """Pinch and grasp of one hand over time.

    A new hand is taken as open until it closes.
    """

    def __init__(self) -> None:
        self._pinch = self._grasp = False

    def __call__(
        self, points: Array, finger_closure: Array, settings: PinchSettings
    ) -> Pinch | None:
        """The state in this image; None, and the state stays, when it cannot be told.

        Parameters
        ----------
        points : (21, 3) m; NaN where unknown.
        finger_closure : (4,) rad, see `angles.HandAngles`; NaN where unknown.
        settings : the limits.
        """
        wrist, thumb, index, middle = points[list(PINCH_JOINTS)]
        size = math.dist(wrist, middle) / _PALM_M
        known = np.isfinite(finger_closure)
        if known.sum() < _MIN_FINGERS or not size > 0:
            return None
        distance_m = math.dist(thumb, index) / size
        bent_rad = float(finger_closure[known].mean())
        if not math.isfinite(distance_m):
            return None
        pinch = _share(distance_m, settings.pinch_open_m, settings.pinch_close_m)
        grasp = _share(bent_rad, settings.grasp_open_rad, settings.grasp_close_rad)
        self._pinch = pinch >= 1 or (self._pinch and pinch > 0)
        self._grasp = grasp >= 1 or (self._grasp and grasp > 0)
        return Pinch(self._pinch, self._grasp, min(max(pinch, 0), 1), min(max(grasp, 0), 1))


def _share(value: float, start: float, end: float) -> float:
    """0 at `start`, 1 at `end`, and beyond."""
    return (value - start) / (end - start)
