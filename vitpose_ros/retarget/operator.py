"""Who commands: one left hand, one right hand and one body, followed by their ids.

A hand counts while it is confirmed and its side is known. When it is gone, another one takes over
its side, but only after the side was empty for TAKE_OVER_S: consumers see a pause before another
hand, never a jump to it. The same holds for the body.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21
from vitpose_ros.retarget.angles import (
    ARM_ANGLES,
    HAND_ANGLES,
    SIDES,
    HandAngles,
    Palm,
    arm_angles,
    hand_angles,
    side_axes,
)
from vitpose_ros.retarget.operator_frame import (
    HandPoints,
    OperatorFrame,
    OperatorFrames,
    hand_points,
)
from vitpose_ros.smooth.hand_axes import HandAxes
from vitpose_ros.types import NO_ID, Instance, JointState, Side, TrackState

Array = npt.NDArray[np.float64]

TAKE_OVER_S = 0.5
_BODY = Side.UNKNOWN
"""The place of the body beside those of the two hands."""


@dataclass(frozen=True)
class OperatorHand:
    """A hand that commands, in one image.

    Attributes
    ----------
    instance : as the pipeline found it.
    points, metric : see `operator_frame.HandPoints`.
    frame : its operator frame.
    """

    instance: Instance
    points: Array
    metric: bool
    frame: OperatorFrame

    @property
    def side(self) -> Side:
        """LEFT or RIGHT."""
        return self.instance.side

    def measured(self, predicting: bool) -> npt.NDArray[np.bool_]:
        """(21,) which joints were measured in this image, and not inferred, predicted or rejected.

        Parameters
        ----------
        predicting : whether all joints are predicted by a horizon; then the raw ones decide.
        """
        keypoints = self.instance.raw if predicting else self.instance.keypoints
        return np.asarray(keypoints.state >= JointState.MEASURED)

    @cached_property
    def axes(self) -> HandAxes:
        """See `angles.side_axes`."""
        return side_axes(self.points, self.side)

    @cached_property
    def angles(self) -> HandAngles:
        """See `angles.hand_angles`."""
        return hand_angles(self.axes, self.side)


@dataclass(frozen=True)
class OperatorPose:
    """Who commands in one image.

    Attributes
    ----------
    hands : a side without a usable hand is left out.
    body : of the same person as the hands, where that is known; None if there is no usable body.
    without_points : sides whose hand is known only in the image.
    """

    hands: Mapping[Side, OperatorHand]
    body: Instance | None
    without_points: tuple[Side, ...] = ()

    def angles(self) -> Array:
        """(54,) as angles.ANGLE_NAMES, rad; NaN where unknown.

        Points of different sources are never combined: an arm and its hand are both metric, or both
        shapes.
        """
        values = []
        for side in SIDES:
            hand = self.hands.get(side)
            fingers = np.full(len(HAND_ANGLES), np.nan) if hand is None else hand.angles.values
            values += [fingers, self._arm(side, hand)]
        return np.concatenate(values)

    def _arm(self, side: Side, hand: OperatorHand | None) -> Array:
        if self.body is None:
            return np.full(len(ARM_ANGLES), np.nan)
        keypoints = self.body.keypoints
        name = side.name.lower()
        ends = [
            index
            for index, joint in enumerate(keypoints.layout.joints)
            if joint in (f"{name}_shoulder", f"{name}_elbow")
        ]
        metric = bool(np.isfinite(keypoints.xyz[ends]).all())
        points = (keypoints.xyz if metric else keypoints.shape_xyz).astype(np.float64)
        palm = None
        if hand is not None and hand.instance.parent_id == self.body.track_id:
            palm = _palm(hand, metric)
        return arm_angles(keypoints.layout, points, side, palm)


def _palm(hand: OperatorHand, metric: bool) -> Palm | None:
    """The palm of a hand from its metric positions, or from its shape."""
    if hand.metric == metric:
        return hand.angles.palm
    if metric:
        return None
    shape = hand.instance.keypoints.shape_xyz.astype(np.float64)
    return hand_angles(side_axes(shape, hand.side), hand.side).palm


@dataclass(frozen=True)
class Followed:
    """Whose hands and body count in one image.

    Attributes
    ----------
    hands : by side; a side without a hand that counts is left out.
    body : of the same person as the hands, where that is known; None if there is none.
    """

    hands: Mapping[Side, Instance]
    body: Instance | None


class Following:
    """Follows one left hand, one right hand and one body by their ids."""

    def __init__(self) -> None:
        self._ids: dict[Side, int] = {}
        self._seen_ns: dict[Side, int] = {}

    def __call__(self, stamp_ns: int, instances: Sequence[Instance], reset: bool) -> Followed:
        """Whose hands and body count in an image.

        Parameters
        ----------
        stamp_ns, instances, reset : of the image; see `pipeline.Result`.
        """
        if reset:
            self._ids.clear()
        confirmed = [
            i for i in instances if i.track_state is TrackState.CONFIRMED and i.track_id != NO_ID
        ]
        hands = [i for i in confirmed if i.layout is HAND21]
        followed = {}
        for side in SIDES:
            other = self._ids.get(Side.LEFT if side is Side.RIGHT else Side.RIGHT, NO_ID)
            owners = {hand.parent_id for hand in hands if hand.track_id == other}
            usable = [hand for hand in hands if hand.side is side]
            if hand := self._follow(side, stamp_ns, usable, owners):
                followed[side] = hand
        bodies = [i for i in confirmed if i.layout.kind == "body"]
        owners = {hand.parent_id for hand in followed.values()}
        if owned := [body for body in bodies if body.track_id in owners]:
            bodies, self._ids[_BODY] = owned[:1], owned[0].track_id
        return Followed(followed, self._follow(_BODY, stamp_ns, bodies, owners))

    def _follow(
        self, place: Side, stamp_ns: int, usable: Iterable[Instance], owners: Collection[int]
    ) -> Instance | None:
        """The instance that was followed in this place, or another one after a pause."""
        usable = list(usable)
        same = [i for i in usable if i.track_id == self._ids.get(place, NO_ID)]
        pause_s = 1e-9 * (stamp_ns - self._seen_ns[place]) if place in self._seen_ns else np.inf
        if not usable or (not same and 0 <= pause_s < TAKE_OVER_S):
            return None
        chosen = (same or [max(usable, key=lambda i: _claim(i, owners))])[0]
        self._ids[place], self._seen_ns[place] = chosen.track_id, stamp_ns
        return chosen


class Operator:
    """Follows the hands and the body that command, over the images of one camera."""

    def __init__(self) -> None:
        self._frames = OperatorFrames()
        self._following = Following()

    def __call__(self, stamp_ns: int, instances: Sequence[Instance], reset: bool) -> OperatorPose:
        """Who commands in an image.

        Parameters
        ----------
        stamp_ns, instances, reset : of the image; see `pipeline.Result`.
        """
        if reset:
            self._frames.reset()
        followed = self._following(stamp_ns, instances, reset)
        self._frames.forget_others({i.track_id for i in instances})
        points = {side: hand_points(hand.keypoints) for side, hand in followed.hands.items()}
        framed = {}
        for side, found in points.items():
            if found and (operator := self._framed(followed.hands[side], found, stamp_ns)):
                framed[side] = operator
        without = tuple(side for side, found in points.items() if not found)
        return OperatorPose(framed, followed.body, without)

    def _framed(self, hand: Instance, found: HandPoints, stamp_ns: int) -> OperatorHand | None:
        frame = self._frames(hand.track_id, stamp_ns, found.points, hand.side)
        return None if frame is None else OperatorHand(hand, found.points, found.metric, frame)


def _claim(instance: Instance, owners: Collection[int]) -> tuple[bool, float]:
    """Who takes over first: a hand of the same person, then the longest tracked."""
    same_person = instance.parent_id != NO_ID and instance.parent_id in owners
    return same_person, instance.track_age_s
