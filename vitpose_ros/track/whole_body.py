"""The hand joints of a whole body, from the network that reads hands at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.hand_geometry import palm_size
from vitpose_ros.layouts import WRIST
from vitpose_ros.types import Instance, JointState, Keypoints

NEAR_WRIST = 1.0
"""A hand whose wrist is farther from the arm's than this, in palm sizes, is another hand."""


def refine_hands(body: Instance, hands: Sequence[Instance]) -> Instance:
    """A body whose hand joints are those of its own hands, where these are at least as well known.

    Joints are compared by state alone: scores of different networks mean different things. The
    hand's joint is taken unless its state is lower (see JointState). The wrist of the
    arm moves along with the hand; a hand whose wrist is too far away is refused.

    Parameters
    ----------
    body : in any layout. One without hand joints, or a lost one, is returned as it is.
    hands : of the same image.
    """
    own = [hand for hand in hands if hand.parent_id == body.track_id and not hand.is_lost]
    if body.is_lost or not own:
        return body
    joints = body.keypoints
    for hand in own:
        joints = _with_hand(joints, hand.keypoints, f"{hand.side.name.lower()}_")
    return body if joints is body.keypoints else replace(body, keypoints=joints, raw=joints)


def _with_hand(body: Keypoints, hand: Keypoints, side: str) -> Keypoints:
    """A body with the joints of a hand of that side ("left_" or "right_")."""
    layout = body.layout
    names = [f"{side}hand_{joint}" for joint in hand.layout.joints]
    if names[0] not in layout.joints:
        return body
    targets = np.array([layout.index(name) for name in names])
    arm = layout.index(f"{side}wrist")
    if _apart(body, hand, arm):
        return body
    taken = (hand.state >= body.state[targets]) & (hand.state != JointState.ABSENT)
    if not taken.any():
        return body
    sources, goals = np.flatnonzero(taken), targets[taken]
    if taken[WRIST]:
        sources, goals = np.append(sources, WRIST), np.append(goals, arm)
    joint_fields = ("uv", "uv_std", "score", "state", "xyz", "xyz_std", "z_source")
    changed = {name: getattr(body, name).copy() for name in joint_fields}
    for name, values in changed.items():
        values[goals] = getattr(hand, name)[sources]
    shape = body.shape_xyz.copy()  # each about its own origin: joined at the wrist
    shape[goals] = hand.shape_xyz[sources] - hand.shape_xyz[WRIST] + body.shape_xyz[arm]
    return replace(body, shape_xyz=shape, **changed)


def _apart(body: Keypoints, hand: Keypoints, arm: int) -> bool:
    """Whether a hand's wrist is too far from that of the arm, where both are known."""
    distance = float(np.linalg.norm(body.uv[arm] - hand.uv[WRIST]))
    return distance > NEAR_WRIST * palm_size(hand.uv)
