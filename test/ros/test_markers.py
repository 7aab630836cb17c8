"""Markers: where joints are drawn, with and without a known depth, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import HAND21
from vitpose_ros.ros.markers import assumed_camera, marker_array
from vitpose_ros.types import Frame, Instance, JointState, Keypoints, Side, TrackState, ZSource

CAMERA = CameraModel(640, 480, 500.0, 400.0, 320.0, 240.0)
IMAGE = np.zeros((480, 640, 3), np.uint8)
FRAME = Frame(IMAGE, camera=CAMERA)
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
    markers = marker_array(HEADER, [], FRAME, 0.5).markers
    assert [marker.action for marker in markers] == [Marker.DELETEALL]


def points(marker: Marker) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in marker.points])


LENSES = {
    "pinhole": CAMERA,
    "distorted": replace(CAMERA, distortion=(-0.2, 0.05, 0.001, -0.002, 0.0)),
    "wide": CameraModel(640, 480, 140.0, 141.0, 318.0, 242.0, "equidistant", (0.1, 0.0, 0.0, 0.0)),
    "mirrored": replace(CAMERA, cx=300.0, mirrored=True),
}


@pytest.mark.parametrize("camera", LENSES.values(), ids=LENSES.keys())
def test_a_joint_without_depth_projects_back_to_its_pixel_from_the_given_distance(
    camera: CameraModel,
) -> None:
    instance = hand()
    frame = Frame(IMAGE, camera=camera)
    joints = named(marker_array(HEADER, [instance], frame, 0.5), "joints")[0]
    np.testing.assert_allclose(np.linalg.norm(points(joints), axis=1), 0.5, atol=1e-9)
    np.testing.assert_allclose(camera.project(points(joints)), instance.keypoints.uv, atol=1e-4)


def test_a_wide_lens_shows_a_hand_beside_the_camera() -> None:
    instance = hand()
    instance.keypoints.uv[0] = (635.0, 242.0)
    frame = Frame(IMAGE, camera=LENSES["wide"])
    joints = named(marker_array(HEADER, [instance], frame, 0.5), "joints")[0]
    assert points(joints)[0, 2] < 0 < points(joints)[0, 0], "more than 90 degrees to the right"
    instance.keypoints.uv[:] = (635.0, 242.0)
    behind = named(marker_array(HEADER, [instance], frame, 0.5), "joints")[0]
    assert behind.scale.x == pytest.approx(joints.scale.x)


def test_a_pixel_that_the_lens_does_not_reach_is_not_drawn() -> None:
    instance = hand()
    instance.keypoints.uv[:3] = (320.0 + 500.0 * 0.71, 240.0)
    camera = replace(CAMERA, distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))  # ends at 0.703
    markers = marker_array(HEADER, [instance], Frame(IMAGE, camera=camera), 0.5)
    joints, bones = named(markers, "joints")[0], named(markers, "bones")[0]
    assert len(joints.points) == len(joints.colors) == 18
    assert np.isfinite(points(bones)).all()


def test_a_joint_with_a_known_position_is_drawn_there() -> None:
    joints = named(marker_array(HEADER, [hand(known_m=0.25)], FRAME, 0.5), "joints")[0]
    assert {(p.x, p.y, p.z) for p in joints.points} == {(0.25, 0.25, 0.25)}


def test_the_label_says_whose_hand_it_is_and_whether_its_depth_is_unknown() -> None:
    texts = [
        named(marker_array(HEADER, [one], FRAME, 0.5), "labels")[0].text
        for one in (hand(), hand(known_m=0.4), hand(known_m=0.4, side=Side.UNKNOWN))
    ]
    assert texts == ["left 3 (depth unknown)", "left 3", "hand 3"]


def test_the_label_of_a_hand_with_some_known_depths_claims_no_unknown_depth() -> None:
    known = hand(known_m=0.4)
    known.keypoints.xyz[3:] = np.nan
    label = named(marker_array(HEADER, [known], FRAME, 0.5), "labels")[0]
    assert label.text == "left 3"


def test_absent_joints_and_their_bones_are_not_drawn() -> None:
    markers = marker_array(HEADER, [hand(absent=(4, 8))], FRAME, 0.5)
    joints, bones = named(markers, "joints")[0], named(markers, "bones")[0]
    assert len(joints.points) == len(joints.colors) == 19
    assert len(bones.points) == len(bones.colors) == 2 * (len(HAND21.edges) - 2)
    assert all(np.isfinite([p.x, p.y, p.z]).all() for p in [*joints.points, *bones.points])


def test_a_hand_without_any_joint_is_not_drawn() -> None:
    markers = marker_array(HEADER, [hand(absent=tuple(range(21)))], FRAME, 0.5).markers
    assert len(markers) == 1


def test_an_occluded_joint_is_fainter_than_a_visible_one() -> None:
    instance = hand()
    instance.keypoints.state[7] = JointState.OCCLUDED
    joints = named(marker_array(HEADER, [instance], FRAME, 0.5), "joints")[0]
    assert joints.colors[7].a < joints.colors[6].a


def test_a_lost_hand_is_fainter_and_its_label_says_so() -> None:
    seen = hand()
    state = np.full(21, JointState.PREDICTED, np.uint8)
    lost = replace(
        seen, keypoints=replace(seen.keypoints, state=state), track_state=TrackState.LOST
    )
    markers = marker_array(HEADER, [seen, lost], FRAME, 0.5)
    for name in ("joints", "bones"):
        bright, faint = named(markers, name)
        assert max(c.a for c in faint.colors) < min(c.a for c in bright.colors)
    bright, faint = named(markers, "labels")
    assert faint.color.a < bright.color.a
    assert faint.text == "left 3 lost (depth unknown)"


def test_two_hands_have_markers_of_their_own_in_the_images_frame() -> None:
    markers = marker_array(HEADER, [hand(), hand(side=Side.RIGHT)], FRAME, 0.5)
    identities = [(marker.ns, marker.id) for marker in markers.markers[1:]]
    assert len(set(identities)) == len(identities) == 6
    assert {marker.header.frame_id for marker in markers.markers} == {"camera_optical_frame"}
    left, right = (marker.colors[0] for marker in named(markers, "joints"))
    assert (left.r, left.g, left.b) != (right.r, right.g, right.b)


def test_markers_go_away_by_themselves() -> None:
    for marker in marker_array(HEADER, [hand()], FRAME, 0.5).markers[1:]:
        assert marker.lifetime.sec == 1
        assert marker.pose.orientation.w == 1.0


def test_without_a_camera_model_the_label_says_that_the_direction_is_assumed() -> None:
    known, unknown = hand(known_m=0.4), hand()
    markers = marker_array(HEADER, [known, unknown], Frame(IMAGE), 0.5)
    texts = [label.text for label in named(markers, "labels")]
    assert texts == ["left 3", "left 3 (depth and camera unknown)"]
    expected = 0.5 * assumed_camera(640, 480).rays(unknown.keypoints.uv)
    np.testing.assert_allclose(points(named(markers, "joints")[1]), expected)


def test_the_assumed_camera_sees_sixty_degrees_across() -> None:
    left, right, centre = assumed_camera(640, 480).rays(
        [[-0.5, 239.5], [639.5, 239.5], [319.5, 239.5]]
    )
    assert np.degrees(np.arccos(left @ right)) == pytest.approx(60.0)
    np.testing.assert_allclose(centre, [0.0, 0.0, 1.0])
