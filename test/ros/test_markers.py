"""Markers: where joints are drawn, with and without a known depth, and what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import HAND21
from vitpose_ros.msg import SkeletonArray
from vitpose_ros.ros.markers import (
    AXES,
    BONES,
    JOINTS,
    LABEL,
    SURE_M,
    UNSURE_M,
    assumed_camera,
    marker_array,
)
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.transform import Transform
from vitpose_ros.types import (
    NO_ID,
    Frame,
    Instance,
    JointState,
    Keypoints,
    Side,
    TrackState,
    ZSource,
)

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


WHICH = {"joints": JOINTS, "bones": BONES, "labels": LABEL, "axes": AXES}


def named(markers: MarkerArray, which: str) -> list[Marker]:
    added = [marker for marker in markers.markers if marker.action == Marker.ADD]
    return [marker for marker in added if marker.id == WHICH[which]]


def test_the_first_message_removes_all_earlier_markers_even_when_nothing_is_found() -> None:
    markers = marker_array(HEADER, [], FRAME, 0.5).markers
    assert [marker.action for marker in markers] == [Marker.DELETEALL]


def test_a_skeleton_that_is_gone_is_deleted_once_and_the_others_stay() -> None:
    left, right = hand(), replace(hand(side=Side.RIGHT), track_id=4)
    first = marker_array(HEADER, [left, right], FRAME, 0.5)
    second = marker_array(HEADER, [right], FRAME, 0.5, first)
    third = marker_array(HEADER, [right], FRAME, 0.5, second)
    deleted = [m for m in second.markers if m.action == Marker.DELETE]
    assert {(m.ns, m.id) for m in deleted} == {("hand 3", n) for n in (JOINTS, BONES, LABEL)}
    assert {m.ns for m in second.markers if m.action == Marker.ADD} == {"hand 4"}
    assert {m.action for m in third.markers} == {Marker.ADD}


def test_a_part_that_is_no_longer_drawn_is_deleted() -> None:
    first = marker_array(HEADER, [hand()], FRAME, 0.5)
    lonely = hand(absent=tuple(range(1, 21)))
    second = marker_array(HEADER, [lonely], FRAME, 0.5, first)
    assert [(m.ns, m.id) for m in second.markers if m.action == Marker.DELETE] == [
        ("hand 3", BONES)
    ]


def test_hands_without_an_id_have_namespaces_of_their_own() -> None:
    free = replace(hand(), track_id=NO_ID)
    markers = marker_array(HEADER, [free, free], FRAME, 0.5).markers[1:]
    assert {m.ns for m in markers} == {"hand without id 0", "hand without id 1"}


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
    right = replace(hand(side=Side.RIGHT), track_id=4)
    markers = marker_array(HEADER, [hand(), right], FRAME, 0.5)
    identities = [(marker.ns, marker.id) for marker in markers.markers[1:]]
    assert len(set(identities)) == len(identities) == 6
    assert {marker.header.frame_id for marker in markers.markers} == {"camera_optical_frame"}
    one, other = (marker.colors[0] for marker in named(markers, "bones"))
    assert (one.r, one.g, one.b) != (other.r, other.g, other.b)


def spread(instance: Instance, metres: list[float]) -> Instance:
    std = np.full(21, np.nan, np.float32)
    std[: len(metres)] = metres
    return replace(instance, keypoints=replace(instance.keypoints, xyz_std=std))


def test_a_joint_is_green_to_red_by_its_standard_deviation_and_grey_without_one() -> None:
    one = spread(hand(known_m=0.4), [SURE_M / 2, 0.012, UNSURE_M, 1.0])
    colours = named(marker_array(HEADER, [one], FRAME, 0.5), "joints")[0].colors
    green, yellow, red, worse, unknown = colours[:5]
    assert green.g > 0.8 > green.r
    assert yellow.r > 0.9 and yellow.g > 0.7
    assert red.r > 0.9 and red.g < 0.2
    assert (worse.r, worse.g) == (red.r, red.g)
    assert unknown.r == unknown.g == unknown.b


def test_a_joint_without_depth_is_coloured_by_its_pixels_uncertainty_at_that_distance() -> None:
    std_px = np.full(21, SURE_M * CAMERA.fx / 0.5, np.float32)
    flat = replace(hand(), keypoints=replace(hand().keypoints, uv_std=std_px))
    solid = spread(hand(known_m=0.4), [SURE_M] * 21)
    markers = marker_array(HEADER, [flat, solid], FRAME, 0.5)
    one, other = (marker.colors[0] for marker in named(markers, "joints"))
    assert (one.r, one.g, one.b) == pytest.approx((other.r, other.g, other.b), abs=1e-3)


def true_hand(**changes: Side) -> Instance:
    """A rendered hand with its true metric joints."""
    truth = Scene("still", 1).truth(0.0)[0]
    joints = Keypoints(
        HAND21,
        truth.uv,
        np.ones(21, np.float32),
        np.full(21, JointState.MEASURED, np.uint8),
        truth.xyz,
        np.full(21, ZSource.TRUTH, np.uint8),
    )
    one = Instance(joints, 0.9, "m", side=truth.side, side_score=0.9, track_id=3)
    return replace(one, **changes)


def test_a_hand_shows_its_wrists_axes_red_green_blue() -> None:
    instance = true_hand()
    (axes,) = named(marker_array(HEADER, [instance], FRAME, 0.5), "axes")
    ends = points(axes)
    wrist, middle = instance.keypoints.xyz[[0, 9]]
    np.testing.assert_allclose(ends[::2], np.tile(wrist, (3, 1)), atol=1e-6)
    x, y, z = ends[1::2] - ends[::2]
    along = (middle - wrist) / np.linalg.norm(middle - wrist)
    assert z @ along == pytest.approx(np.linalg.norm(z), rel=1e-5)
    np.testing.assert_allclose(np.cross(x, y) / np.linalg.norm(x), z, atol=1e-6)
    colours = [(c.r, c.g, c.b) for c in axes.colors[::2]]
    assert colours == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_a_hand_known_only_by_its_shape_shows_the_axes_at_its_drawn_wrist() -> None:
    solid = true_hand()
    joints = solid.keypoints
    shape = replace(
        joints,
        xyz=np.full((21, 3), np.nan, np.float32),
        z_source=np.zeros(21, np.uint8),
        shape_xyz=joints.xyz - joints.xyz.mean(axis=0),
    )
    markers = marker_array(HEADER, [replace(solid, keypoints=shape), solid], FRAME, 0.5)
    one, other = (points(marker) for marker in named(markers, "axes"))
    np.testing.assert_allclose(one[0], points(named(markers, "joints")[0])[0])
    for a, b in zip(one[1::2] - one[0], other[1::2] - other[0], strict=True):
        np.testing.assert_allclose(a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-5)


@pytest.mark.parametrize("change", [{"side": Side.UNKNOWN}, {"track_state": TrackState.LOST}])
def test_a_hand_of_unknown_side_or_a_lost_one_shows_no_axes(change: dict[str, Side]) -> None:
    assert not named(marker_array(HEADER, [true_hand(**change)], FRAME, 0.5), "axes")


def test_a_distance_by_an_assumed_size_is_said() -> None:
    solid = true_hand()
    source = np.full(21, ZSource.ASSUMED, np.uint8)
    assumed = replace(solid, keypoints=replace(solid.keypoints, z_source=source))
    label = named(marker_array(HEADER, [assumed], FRAME, 0.5), "labels")[0]
    assert label.text == "right 3 (distance by assumed size)"


def test_joints_without_depth_are_drawn_in_the_target_frame_and_not_without_its_transform() -> None:
    turn = Transform.from_quaternion((0.5, -0.5, 0.5, 0.5), (1.0, 2.0, 3.0))
    here = points(named(marker_array(HEADER, [hand()], FRAME, 0.5), "joints")[0])
    moved = replace(FRAME, to_target=turn)
    there = named(marker_array(HEADER, [hand()], moved, 0.5), "joints")[0]
    np.testing.assert_allclose(points(there), turn.points(here), atol=1e-9)
    assert there.scale.x == pytest.approx(0.5 * 0.014)
    lost = replace(FRAME, to_target=Transform.unknown())
    assert not named(marker_array(HEADER, [hand()], lost, 0.5), "joints")


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


def test_the_foxglove_layout_shows_topics_of_the_node_and_places_every_panel() -> None:
    """Its form, as far as it can be checked without Foxglove."""
    path = Path(__file__).resolve().parents[2] / "config" / "foxglove.json"
    layout = json.loads(path.read_text())

    def placed(node: object) -> list[str]:
        if isinstance(node, dict):
            assert node["direction"] in ("row", "column")
            return placed(node["first"]) + placed(node["second"])
        return [str(node)]

    panels = layout["configById"]
    assert sorted(placed(layout["layout"])) == sorted(panels)
    assert panels["3D!skeletons"]["topics"] == {"/skeleton_markers": {"visible": True}}
    assert panels["Image!debug"]["imageMode"] == {"imageTopic": "/pose_node/debug_image"}
    fields = SkeletonArray.get_fields_and_field_types()
    for line in panels["Plot!time"]["paths"]:
        topic, _, field = line["value"].partition(".")
        assert topic == "/skeletons" and field.partition("[")[0] in fields
