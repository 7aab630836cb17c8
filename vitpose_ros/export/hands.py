"""The right and the left hand in every image of a recording, as arrays.

Whose hands: as for robots (`retarget.operator`), one hand of each side is followed by its id, and
another one takes over only after a pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21
from vitpose_ros.offline.read_skeletons import RecordedImage
from vitpose_ros.retarget.operator import Following
from vitpose_ros.retarget.operator_frame import OperatorFrames, hand_points
from vitpose_ros.types import Instance, JointState, Side, TrackState, ZSource

FloatArray = npt.NDArray[np.float32]

SIDES = (Side.RIGHT, Side.LEFT)
"""In the order of a dataset's features."""


@dataclass(frozen=True)
class HandOverTime:
    """One hand over the M images of a recording; NaN where unknown.

    Attributes
    ----------
    side : LEFT or RIGHT.
    uv : (M, 21, 2) px.
    xyz : (M, 21, 3) m.
    measured : (M, 21) bool, the joint was measured in this image: not inferred behind something,
        nor predicted over a gap.
    z_source : (M, 21) values of ZSource.
    confidence : (M, 21) 0 .. 1: the joint's score; the hand's where the network gives none.
    wrist : (M, 7) position, m, and orientation, quaternion x, y, z, w, of the wrist in the operator
        convention (docs/retargeting.md).
    wrist_measured : (M,) bool, the three joints that define the wrist's pose were measured.
    """

    side: Side
    uv: FloatArray
    xyz: FloatArray
    measured: npt.NDArray[np.bool_]
    z_source: npt.NDArray[np.uint8]
    confidence: FloatArray
    wrist: FloatArray
    wrist_measured: npt.NDArray[np.bool_]

    @property
    def is_metric(self) -> bool:
        """Whether any joint has a position in metres."""
        return bool((self.z_source != ZSource.NONE).any())


_WRIST_JOINTS = [HAND21.index(joint) for joint in ("wrist", "index_mcp", "middle_mcp")]


def hands_over_time(images: Sequence[RecordedImage]) -> dict[Side, HandOverTime]:
    """Both hands over all images of a recording."""
    found = {side: _unknown(side, len(images)) for side in SIDES}
    following, frames = Following(), OperatorFrames()
    ids: dict[Side, int] = {}
    for index, image in enumerate(images):
        if image.reset:
            frames.reset()
            ids.clear()
        followed = following(image.stamp_ns, image.instances, image.reset).hands
        frames.forget_others({one.track_id for one in image.instances})
        for side in SIDES:
            hand = followed.get(side)
            if hand is None:
                hand = _bridged(image.instances, side, ids.get(side))
            if hand is not None:
                ids[side] = hand.track_id
                _take(found[side], index, hand)
                _take_wrist(found[side], index, hand, frames, image.stamp_ns)
    return found


def _bridged(instances: Sequence[Instance], side: Side, followed_id: int | None) -> Instance | None:
    """The followed hand in an image in which it was not found, with the joints that smoothing
    predicts there.
    """
    for one in instances:
        lost = one.track_state is TrackState.LOST
        if lost and one.track_id == followed_id and one.side is side and one.layout is HAND21:
            return one
    return None


def _unknown(side: Side, count: int) -> HandOverTime:
    joints = len(HAND21)
    return HandOverTime(
        side,
        np.full((count, joints, 2), np.nan, np.float32),
        np.full((count, joints, 3), np.nan, np.float32),
        np.zeros((count, joints), np.bool_),
        np.zeros((count, joints), np.uint8),
        np.zeros((count, joints), np.float32),
        np.full((count, 7), np.nan, np.float32),
        np.zeros(count, np.bool_),
    )


def _take(found: HandOverTime, index: int, hand: Instance) -> None:
    joints = hand.keypoints
    found.uv[index], found.xyz[index] = joints.uv, joints.xyz
    found.measured[index] = joints.state >= JointState.MEASURED
    found.z_source[index] = joints.z_source
    score = np.where(np.isnan(joints.score), hand.score, joints.score)
    found.confidence[index] = np.where(joints.state == JointState.ABSENT, 0.0, score)


def _take_wrist(
    found: HandOverTime, index: int, hand: Instance, frames: OperatorFrames, stamp_ns: int
) -> None:
    points = hand_points(hand.keypoints)
    if points is None or not points.metric:
        return
    frame = frames(hand.track_id, stamp_ns, points.points, found.side)
    if frame is None:
        return
    found.wrist[index] = (*frame.origin, *frame.quaternion)
    measured = found.measured[index, _WRIST_JOINTS].all()
    found.wrist_measured[index] = bool(measured) and not frame.held
