"""What is said of a track that is not seen in an image, but can be found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vitpose_ros.track.tracks import LOST_S
from vitpose_ros.types import NO_ID, Instance, Keypoints, Side, TrackState


def as_lost(last: Instance, gone_s: float, identity: dict[str, Any]) -> Instance:
    """An object that is lost: as it was seen last, without joints, its score falling to 0 in
    LOST_S.

    Parameters
    ----------
    last : as it was seen last.
    gone_s : time since then.
    identity : the fields of Instance that say who it is.
    """
    joints = Keypoints.absent(last.layout)
    score = last.score * max(0.0, 1.0 - gone_s / LOST_S)
    return replace(last, keypoints=joints, raw=joints, score=score, **identity)


def is_live(instance: Instance) -> bool:
    """Whether an object is seen in this image."""
    return instance.track_state is not TrackState.LOST


def bounded(hands: Sequence[Instance], most: int) -> list[Instance]:
    """All hands of bodies, and of the others the first `most`."""
    free = [hand for hand in hands if hand.parent_id == NO_ID]
    dropped = {id(hand) for hand in free[most:]}
    return [hand for hand in hands if id(hand) not in dropped]


def with_room(lost: Sequence[Instance], seen: Sequence[Instance], most: int) -> list[Instance]:
    """Of the lost hands, in their order, those that can still be somewhere: of a body's hands those
    of a side that is not seen, of the others so many that there are no more than `most`, and
    no side twice where there are no more than two.
    """
    kept: list[Instance] = []
    for hand in lost:
        others = [o for o in (*seen, *kept) if o.parent_id == hand.parent_id]
        one_person = hand.parent_id != NO_ID or most <= 2
        taken = one_person and any(
            o.side is hand.side and hand.side is not Side.UNKNOWN for o in others
        )
        if not taken and (hand.parent_id != NO_ID or len(others) < most):
            kept.append(hand)
    return kept
