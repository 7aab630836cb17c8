"""Markers: where joints are drawn, with and without a known depth, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.layouts import HAND21
from vitpose_ros.ros.markers import Intrinsics, marker_array
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource

CAMERA = Intrinsics(500.0, 400.0, 320.0, 240.0)
HEADER = Header(frame_id="camera_optical_frame")


def hand(
    known_m: float | None = None, absent: tuple[int, ...] = (), side: Side = Side.LEFT
) -> Instance:
    uv = np.random.default_rng(4).uniform(100, 400, (21, 2)).astype(np.float32)
    state = np.full(21, JointState.VISIBLE, np.uint8)
    state[list(absent)] = JointState.ABSENT
    uv[list(absent)] = np.nan
    xyz, source = None, None
    if known_m is not None:
        xyz = np.full((21, 3), known_m, np.float32)
        xyz[list(absent)] = np.nan
        source = np.where(state == JointState.ABSENT, ZSource.NONE, ZSource.MEASURED).astype(
            np.uint8
        )
    score = np.ones(21, np.float32)
    joints = Keypoints(HAND21, uv, score, state, xyz, source)  # type: ignore[arg-type]
    return Instance(joints, 0.9, "m", side=side, side_score=0.9, track_id=3)


def named(markers: MarkerArray, namespace: str) -> list[Marker]:
    return [marker for marker in markers.markers if marker.ns == namespace]


def test_earlier_markers_are_removed_first_even_when_nothing_is_found() -> None:
    markers = marker_array(HEADER, [], CAMERA, 0.5).markers
    assert [marker.action for marker in markers] == [Marker.DELETEALL]


def test_a_joint_without_depth_lies_on_its_ray_at_the_given_distance() -> None:
    instance = hand()
    joints = named(marker_array(HEADER, [instance], CAMERA, 0.5), "joints")[0]
    for point, (u, v) in zip(joints.points, instance.keypoints.uv, strict=True):
        assert point.z == 0.5
        assert CAMERA.fx * point.x / point.z + CAMERA.cx == pytest.approx(u, abs=1e-3)
        assert CAMERA.fy * point.y / point.z + CAMERA.cy == pytest.approx(v, abs=1e-3)


def test_a_joint_with_a_known_position_is_drawn_there() -> None:
    joints = named(marker_array(HEADER, [hand(known_m=0.25)], CAMERA, 0.5), "joints")[0]
    assert {(p.x, p.y, p.z) for p in joints.points} == {(0.25, 0.25, 0.25)}


def test_the_label_says_whose_hand_it_is_and_whether_its_depth_is_unknown() -> None:
    texts = [
        named(marker_array(HEADER, [one], CAMERA, 0.5), "labels")[0].text
        for one in (hand(), hand(known_m=0.4), hand(known_m=0.4, side=Side.UNKNOWN))
    ]
    assert texts == ["left 3 (depth unknown)", "left 3", "hand 3"]


def test_absent_joints_and_their_bones_are_not_drawn() -> None:
    markers = marker_array(HEADER, [hand(absent=(4, 8))], CAMERA, 0.5)
    joints, bones = named(markers, "joints")[0], named(markers, "bones")[0]
    assert len(joints.points) == len(joints.colors) == 19
    assert len(bones.points) == len(bones.colors) == 2 * (len(HAND21.edges) - 2)
    assert all(np.isfinite([p.x, p.y, p.z]).all() for p in [*joints.points, *bones.points])


def test_a_hand_without_any_joint_is_not_drawn() -> None:
    markers = marker_array(HEADER, [hand(absent=tuple(range(21)))], CAMERA, 0.5).markers
    assert len(markers) == 1


def test_an_occluded_joint_is_fainter_than_a_visible_one() -> None:
    instance = hand()
    instance.keypoints.state[7] = JointState.OCCLUDED
    joints = named(marker_array(HEADER, [instance], CAMERA, 0.5), "joints")[0]
    assert joints.colors[7].a < joints.colors[6].a


def test_a_lost_hand_is_fainter_and_its_label_says_so() -> None:
    seen = hand()
    state = np.full(21, JointState.PREDICTED, np.uint8)
    lost = replace(
        seen, keypoints=replace(seen.keypoints, state=state), track_state=TrackState.LOST
    )
    markers = marker_array(HEADER, [seen, lost], CAMERA, 0.5)
    for name in ("joints", "bones"):
        bright, faint = named(markers, name)
        assert max(c.a for c in faint.colors) < min(c.a for c in bright.colors)
    bright, faint = named(markers, "labels")
    assert faint.color.a < bright.color.a
    assert faint.text == "left 3 lost (depth unknown)"


def test_two_hands_have_markers_of_their_own_in_the_images_frame() -> None:
    markers = marker_array(HEADER, [hand(), hand(side=Side.RIGHT)], CAMERA, 0.5)
    identities = [(marker.ns, marker.id) for marker in markers.markers[1:]]
    assert len(set(identities)) == len(identities) == 6
    assert {marker.header.frame_id for marker in markers.markers} == {"camera_optical_frame"}
    left, right = (marker.colors[0] for marker in named(markers, "joints"))
    assert (left.r, left.g, left.b) != (right.r, right.g, right.b)


def test_markers_go_away_by_themselves() -> None:
    for marker in marker_array(HEADER, [hand()], CAMERA, 0.5).markers[1:]:
        assert marker.lifetime.sec == 1
        assert marker.pose.orientation.w == 1.0


def test_a_guessed_camera_sees_sixty_degrees_across() -> None:
    camera = Intrinsics.guess(640, 480)
    left, right = camera.on_plane(np.array([[-0.5, 0.0], [639.5, 0.0]]), 1.0)
    angle = np.arctan(right[0]) - np.arctan(left[0])
    assert np.degrees(angle) == pytest.approx(60.0)
    centre = camera.on_plane(np.array([[319.5, 239.5]]), 2.0)[0]
    assert centre == pytest.approx([0.0, 0.0, 2.0])
