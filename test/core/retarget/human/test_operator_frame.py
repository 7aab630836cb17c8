"""The operator frame against dex_retargeting's procedure, which fits a plane by SVD."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.retarget.operator_frame import (
    MAX_HOLD_S,
    OperatorFrames,
    hand_points,
    operator_axes,
)
from vitpose_ros.types import JointState, Keypoints, Side, ZSource

OPERATOR = {
    Side.RIGHT: np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], float),
    Side.LEFT: np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]], float),
}
KNUCKLES = {  # a flat right hand in its operator frame: MCP joints and what they point along, m
    "index": ((0.0, 0.026, 0.096), (0.0, 0.16, 1.0)),
    "middle": ((0.0, 0.0, 0.097), (0.0, 0.0, 1.0)),
    "ring": ((0.002, -0.02, 0.09), (0.0, -0.16, 1.0)),
    "pinky": ((0.006, -0.038, 0.08), (0.0, -0.34, 1.0)),
}
SECOND_NS = 10**9


def by_svd(points, side):
    """(21, 3) joints in the operator frame, as the peer computes it."""
    local = points - points[0]
    palm = local[[0, 5, 9]]
    back = palm[0] - palm[2]
    normal = np.linalg.svd(palm - palm.mean(axis=0))[2][2]
    x = back - (back @ normal) * normal
    x /= np.linalg.norm(x)
    z = np.cross(x, normal)
    if z @ (palm[1] - palm[2]) < 0:
        normal, z = -normal, -z
    return local @ np.stack([x, normal, z], axis=1) @ OPERATOR[side]


def right_hand(curl_rad=0.5):
    """(21, 3) in its own operator frame: fingers that curl towards +x."""
    points = np.zeros((21, 3))
    points[1:5] = [(0.01, 0.02, 0.03), (0.015, 0.04, 0.055), (0.02, 0.05, 0.08), (0.02, 0.06, 0.1)]
    for finger, (knuckle, direction) in enumerate(KNUCKLES.values(), 1):
        at, along = np.array(knuckle), np.array(direction) / np.linalg.norm(direction)
        points[1 + 4 * finger] = at
        for bone, length in enumerate((0.04, 0.025, 0.02)):
            angle = (bone + 1) * curl_rad
            at = at + length * (np.cos(angle) * along + np.sin(angle) * np.array([1.0, 0, 0]))
            points[2 + 4 * finger + bone] = at
    return points


def left_hand(curl_rad=0.5):
    return right_hand(curl_rad) * (1, -1, 1)


HANDS = [(right_hand, Side.RIGHT), (left_hand, Side.LEFT)]


def random_hands(count=50):
    rng = np.random.default_rng(3)
    for rotation in Rotation.random(count, random_state=4):
        points = right_hand(rng.uniform(0, 1.2)) + rng.normal(0, 0.004, (21, 3))
        yield rotation.as_matrix(), points, rng.uniform(-1, 1, 3)


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_joints_are_those_of_the_plane_fitted_by_svd(side):
    frames = OperatorFrames()
    for number, (rotation, points, at) in enumerate(random_hands()):
        moved = points @ rotation.T + at
        frame = frames(number, 0, moved, side)
        np.testing.assert_allclose(frame.local(moved), by_svd(moved, side), atol=1e-6)


@pytest.mark.parametrize(("hand", "side"), HANDS)
def test_a_hand_that_lies_in_its_frame_has_the_identity(hand, side):
    np.testing.assert_allclose(operator_axes(hand(), side), np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("hand", "side"), HANDS)
def test_a_rotated_and_moved_hand_has_that_rotation_and_position(hand, side):
    for number, (rotation, _, at) in enumerate(random_hands()):
        frame = OperatorFrames()(number, 0, hand() @ rotation.T + at, side)
        np.testing.assert_allclose(frame.rotation, rotation, atol=1e-12)
        np.testing.assert_allclose(frame.origin, at, atol=1e-12)
        np.testing.assert_allclose(
            Rotation.from_quat(frame.quaternion).as_matrix(), rotation, atol=1e-12
        )


@pytest.mark.parametrize(("hand", "side", "thumb"), [(*HANDS[0], 1), (*HANDS[1], -1)])
def test_fingers_point_to_z_curl_to_x_and_the_thumb_is_at_plus_y_on_the_right(hand, side, thumb):
    moved = hand() @ Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix().T
    local = OperatorFrames()(0, 0, moved, side).local(moved)
    assert (local[[8, 12, 16, 20], 2] > local[[5, 9, 13, 17], 2]).all()
    assert (local[[8, 12, 16, 20], 0] > 0.04).all()
    assert thumb * (local[4, 1] - local[20, 1]) > 0.05


def test_a_mirrored_hand_has_the_same_coordinates_with_y_negated():
    for rotation, points, at in random_hands():
        moved = points @ rotation.T + at
        mirrored = moved * (-1, 1, 1)
        right = OperatorFrames()(0, 0, moved, Side.RIGHT).local(moved)
        left = OperatorFrames()(0, 0, mirrored, Side.LEFT).local(mirrored)
        np.testing.assert_allclose(left, right * (1, -1, 1), atol=1e-12)


def test_a_hand_of_unknown_side_has_no_frame():
    with pytest.raises(ValueError, match="LEFT or RIGHT"):
        operator_axes(right_hand(), Side.UNKNOWN)


def on_a_line(points):
    points[5] = 0.9 * points[9]


def almost_on_a_line(points):
    points[5] = 0.9 * points[9] + (0, 0.004, 0)


def on_a_spot(points):
    points[9] = points[0] + (0, 0, 0.0049)


def without_index(points):
    points[5] = np.nan


@pytest.mark.parametrize("damage", [on_a_line, almost_on_a_line, on_a_spot, without_index])
def test_a_palm_that_defines_no_frame_holds_the_last_orientation_for_a_while(damage):
    frames = OperatorFrames()
    rotation = Rotation.from_rotvec([0.3, 0.2, -0.6]).as_matrix()
    before = frames(7, 0, right_hand() @ rotation.T, Side.RIGHT)
    damaged = right_hand()
    damage(damaged)
    damaged += 0.1  # the wrist goes on
    held_ns = int(MAX_HOLD_S * SECOND_NS)
    after = frames(7, held_ns, damaged, Side.RIGHT)
    assert after.held and not before.held
    np.testing.assert_array_equal(after.rotation, before.rotation)
    np.testing.assert_array_equal(after.quaternion, before.quaternion)
    np.testing.assert_array_equal(after.origin, damaged[0])
    assert frames(7, held_ns + 1000, damaged, Side.RIGHT) is None


@pytest.mark.parametrize(
    ("track_id", "side", "stamp_ns"),
    [(8, Side.RIGHT, 1), (7, Side.LEFT, 1), (7, Side.RIGHT, -1)],
    ids=["another hand", "another side", "time went back"],
)
def test_an_orientation_is_held_only_for_the_same_hand(track_id, side, stamp_ns):
    frames = OperatorFrames()
    frames(7, 0, right_hand(), Side.RIGHT)
    degenerate = right_hand()
    on_a_line(degenerate)
    assert frames(track_id, stamp_ns, degenerate, side) is None


@pytest.mark.parametrize("forget", [lambda f: f.reset(), lambda f: f.forget_others({8})])
def test_a_hand_that_was_forgotten_has_nothing_to_hold(forget):
    frames = OperatorFrames()
    frames(7, 0, right_hand(), Side.RIGHT)
    forget(frames)
    degenerate = right_hand()
    on_a_line(degenerate)
    assert frames(7, 1, degenerate, Side.RIGHT) is None


def test_nothing_is_held_for_a_wrist_that_is_unknown():
    frames = OperatorFrames()
    frames(7, 0, right_hand(), Side.RIGHT)
    points = right_hand()
    points[0] = np.nan
    assert frames(7, 1, points, Side.RIGHT) is None


def test_quaternions_are_continuous_through_two_whole_turns():
    frames = OperatorFrames()
    last = None
    for step in range(361):
        rotation = Rotation.from_rotvec(np.radians(2 * step) * np.array([0.6, 0.0, 0.8]))
        frame = frames(7, step, right_hand() @ rotation.as_matrix().T, Side.RIGHT)
        if last is not None:
            assert np.linalg.norm(frame.quaternion - last) < 0.02
        last = frame.quaternion


def keypoints(xyz=None, shape=None):
    def filled(points):
        return np.full((21, 3), np.nan, np.float32) if points is None else np.float32(points)

    source = np.where(np.isnan(filled(xyz)).any(axis=1), ZSource.NONE, ZSource.MEASURED)
    return Keypoints(
        HAND21,
        np.zeros((21, 2), np.float32),
        np.ones(21, np.float32),
        np.full(21, JointState.MEASURED, np.uint8),
        xyz=filled(xyz),
        z_source=source.astype(np.uint8),
        shape_xyz=filled(shape),
    )


def test_metric_joints_are_preferred_to_the_shape():
    hand = hand_points(keypoints(xyz=right_hand() + 0.5, shape=right_hand()))
    assert hand.metric
    np.testing.assert_allclose(hand.points, right_hand() + 0.5, atol=1e-6)


def test_a_metric_joint_that_is_unknown_is_not_taken_from_the_shape():
    xyz = right_hand()
    xyz[8] = np.nan
    hand = hand_points(keypoints(xyz=xyz, shape=right_hand()))
    assert hand.metric
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(hand.points).any(axis=1)), [8])


@pytest.mark.parametrize("missing", [0, 5, 9, None])
def test_the_shape_is_used_whole_where_the_palm_has_no_metric_position(missing):
    xyz = None if missing is None else right_hand() + 0.5
    if xyz is not None:
        xyz[missing] = np.nan
    hand = hand_points(keypoints(xyz=xyz, shape=right_hand()))
    assert not hand.metric
    np.testing.assert_allclose(hand.points, right_hand(), atol=1e-6)


def test_a_hand_known_only_in_the_image_has_no_points():
    assert hand_points(keypoints()) is None


def test_points_are_made_of_hands_only():
    with pytest.raises(ValueError, match="'hand21', got 'coco17'"):
        hand_points(Keypoints.absent(COCO17))
