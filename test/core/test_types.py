"""The core's types refuse what does not fit, with what was expected and what was given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import COCO17, HAND21
from vitpose_ros.types import (
    NO_ID,
    Depth,
    Frame,
    Instance,
    JointState,
    Keypoints,
    Region,
    Side,
    TrackState,
    ZSource,
)


def parts(**changes: Any) -> dict[str, Any]:
    """A hand whose joints are all seen, some fields changed."""
    uv = np.random.default_rng(3).uniform(0, 100, (21, 2)).astype(np.float32)
    given: dict[str, Any] = {
        "layout": HAND21,
        "uv": uv,
        "score": np.ones(21, np.float32),
        "state": np.full(21, JointState.VISIBLE, np.uint8),
    }
    return {**given, **changes}


def hand(**changes: Any) -> Keypoints:
    return Keypoints(**parts(**changes))


def nan_at(shape: tuple[int, ...], *rows: int) -> np.ndarray:
    array = np.ones(shape, np.float32)
    array[list(rows)] = np.nan
    return array


# --- Frame


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.zeros((4, 5), np.uint8), r"uint8 \(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.float32), r"float32 \(4, 5, 3\)"),
        ([[0, 0, 0]], "list"),
        (None, "NoneType"),
        (np.zeros((0, 5, 3), np.uint8), "5x0 pixels has no content"),
        (np.zeros((4, 0, 3), np.uint8), "0x4 pixels has no content"),
    ],
    ids=["grey", "four channels", "floats", "list", "nothing", "no rows", "no columns"],
)
def test_a_frame_is_an_image_of_three_bytes_per_pixel(image: Any, given: str) -> None:
    with pytest.raises(ValueError, match=given):
        Frame(image)


def test_a_frame_knows_its_size() -> None:
    frame = Frame(np.zeros((4, 5, 3), np.uint8), 7)
    assert (frame.width, frame.height, frame.stamp_ns) == (5, 4, 7)


def test_what_a_frame_is_not_told_is_missing_not_guessed() -> None:
    frame = Frame(np.zeros((4, 5, 3), np.uint8))
    assert (frame.frame_id, frame.camera, frame.depth) == ("", None, None)


def test_a_frames_camera_and_depth_are_of_the_images_size() -> None:
    image, depth = np.zeros((4, 6, 3), np.uint8), Depth(np.ones((4, 6), np.float32), 1.0)
    model = CameraModel(6, 4, 5.0, 5.0, 2.5, 1.5)
    assert Frame(image, camera=model, depth=depth).camera == model
    with pytest.raises(ValueError, match="model for 6x4 px, as the image has, got one for 3x2; Ca"):
        Frame(image, camera=model.scaled_to(3, 2))
    with pytest.raises(ValueError, match="depth: expected 6x4 px, as the image has, got 4x6"):
        Frame(image, depth=Depth(np.ones((6, 4), np.uint16), 0.001))


# --- Depth


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 6)), np.zeros((4, 6, 1), np.uint16), np.zeros((4, 6), np.uint8), [[1]]],
    ids=["double", "three axes", "bytes", "list"],
)
def test_depth_is_an_image_of_one_known_type(image: Any) -> None:
    with pytest.raises(ValueError, match=r"Depth.image: expected uint16 or float32 \(H, W\), got"):
        Depth(image, 1.0)


@pytest.mark.parametrize("unit_m", [0.0, -0.001, math.nan, math.inf])
def test_depth_has_a_unit(unit_m: float) -> None:
    with pytest.raises(ValueError, match="unit_m: expected a positive number"):
        Depth(np.zeros((4, 6), np.uint16), unit_m)


def test_depth_in_metres_is_nan_where_nothing_was_measured() -> None:
    whole = Depth(np.array([[0, 1500], [65535, 1]], np.uint16), 0.001)
    np.testing.assert_allclose(whole.metres(), [[np.nan, 1.5], [65.535, 0.001]], rtol=1e-6)
    floats = np.array([[np.nan, 1.5], [np.inf, -np.inf], [0.0, -1.0]], np.float32)
    metres = Depth(floats, 1.0).metres()
    assert metres[0, 1] == 1.5
    assert np.isnan(metres).sum() == 5
    assert metres.dtype == np.float32


def test_depth_in_metres_of_a_part_leaves_the_image_alone() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    depth = Depth(values, 2.0)
    np.testing.assert_array_equal(depth.metres(slice(1, 3), slice(2, 4)), [[12, 14], [20, 22]])
    np.testing.assert_array_equal(values, np.arange(12).reshape(3, 4))


# --- Region


@pytest.mark.parametrize(
    "change",
    [
        {"cx": math.nan},
        {"cy": math.inf},
        {"width": 0.0},
        {"height": -1.0},
        {"width": math.nan},
        {"rotation_rad": math.inf},
        {"score": math.nan},
    ],
    ids=str,
)
def test_a_region_has_finite_numbers_and_positive_sides(change: dict[str, float]) -> None:
    good = {"cx": 1.0, "cy": 2.0, "width": 3.0, "height": 4.0}
    assert Region(**good).track_id == NO_ID
    with pytest.raises(ValueError, match="expected finite numbers and positive sides, got"):
        Region(**{**good, **change})


# --- Keypoints

ABSENT_5 = np.array([JointState.VISIBLE] * 5 + [JointState.ABSENT] + [3] * 15, np.uint8)
KNOWN = np.full(21, ZSource.MEASURED, np.uint8)

WRONG_SHAPES = [
    ("uv", np.zeros((20, 2), np.float32), r"uv: expected float32 \(21, 2\), got float32 \(20, 2\)"),
    ("uv", np.zeros((21, 2)), r"uv: expected float32 \(21, 2\), got float64 \(21, 2\)"),
    ("uv", [[0.0, 0.0]] * 21, "uv: expected float32"),
    ("score", np.zeros((21, 1), np.float32), r"score: expected float32 \(21,\)"),
    ("state", np.zeros(21, np.int64), r"state: expected uint8 \(21,\), got int64"),
    ("xyz", np.zeros((21, 2), np.float32), r"xyz: expected float32 \(21, 3\)"),
    ("z_source", np.zeros(20, np.uint8), r"z_source: expected uint8 \(21,\)"),
    ("uv_std", np.zeros((21, 2), np.float32), r"uv_std: expected float32 \(21,\)"),
    ("xyz_std", np.zeros(21), r"xyz_std: expected float32 \(21,\), got float64"),
    ("shape_xyz", np.zeros((21, 3)), r"shape_xyz: expected float32 \(21, 3\), got float64"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG_SHAPES)
def test_an_array_of_the_wrong_shape_or_type_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hand(**{name: value})


def test_a_layout_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected float32 \(17, 2\), got float32 \(21, 2\)"):
        hand(layout=COCO17)


# Where NaN and the states disagree.
DISAGREE = [
    ("absent with a position", {"state": ABSENT_5}),
    ("present without one", {"uv": nan_at((21, 2), 5)}),
    ("half a position", {"uv": np.where(np.arange(42).reshape(21, 2) == 10, np.nan, 1.0)}),
]


@pytest.mark.parametrize("change", [row[1] for row in DISAGREE], ids=[row[0] for row in DISAGREE])
def test_uv_is_nan_exactly_where_the_joint_is_absent(change: dict[str, Any]) -> None:
    change = {name: v if name == "state" else v.astype(np.float32) for name, v in change.items()}
    with pytest.raises(ValueError, match="uv is NaN exactly where its state is ABSENT"):
        hand(**change)
    assert np.isnan(hand(state=ABSENT_5, uv=nan_at((21, 2), 5)).uv[5]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"xyz": nan_at((21, 3))},
        {"z_source": KNOWN},
        {"xyz": nan_at((21, 3), 4), "z_source": KNOWN},
    ],
    ids=["a position from nowhere", "a source without positions", "one missing"],
)
def test_xyz_is_nan_exactly_where_its_source_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="xyz is NaN exactly where its z_source is NONE"):
        hand(**change)


def test_a_joint_without_a_position_in_metres_has_no_standard_deviation_in_metres() -> None:
    with pytest.raises(ValueError, match="xyz_std is NaN where its xyz is"):
        hand(xyz_std=np.ones(21, np.float32))
    known = hand(xyz=np.ones((21, 3), np.float32), z_source=np.full(21, 1, np.uint8))
    assert np.isnan(known.xyz_std).all()


def test_metric_positions_that_nobody_gave_are_unknown_not_zero() -> None:
    joints = hand()
    assert np.isnan(joints.xyz).all()
    assert np.isnan(joints.shape_xyz).all()
    assert (joints.z_source == ZSource.NONE).all()


@pytest.mark.parametrize(
    "change",
    [
        {"uv_std": np.full(21, -1, np.float32)},
        {"uv_std": np.ones(21, np.float32), "state": ABSENT_5, "uv": nan_at((21, 2), 5)},
    ],
    ids=["negative", "of an absent joint"],
)
def test_a_standard_deviation_is_not_negative_and_an_absent_joint_has_none(
    change: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="uv_std is NaN where its state is ABSENT"):
        hand(**change)
    assert np.isnan(hand().uv_std).all()
    assert (hand(uv_std=np.zeros(21, np.float32)).uv_std == 0).all()


def test_the_box_goes_around_the_joints_that_are_not_absent() -> None:
    uv = np.full((21, 2), 50, np.float32)
    uv[1], uv[2], uv[5] = (10, 90), (70, -20), np.nan
    assert hand(uv=uv, state=ABSENT_5).box() == (10.0, -20.0, 60.0, 110.0)


def test_the_box_of_a_hand_without_joints_is_nan() -> None:
    gone = hand(uv=np.full((21, 2), np.nan, np.float32), state=np.zeros(21, np.uint8))
    assert all(math.isnan(number) for number in gone.box())


# --- Instance


def test_an_instance_that_nobody_smoothed_has_the_models_own_joints() -> None:
    instance = Instance(hand(), 0.9, "m")
    assert instance.raw is instance.keypoints
    assert instance.layout is HAND21


def test_an_instance_of_unknown_identity_says_so() -> None:
    instance = Instance(hand(), 0.9, "m")
    assert instance.side is Side.UNKNOWN
    assert math.isnan(instance.side_score)
    assert (instance.track_id, instance.parent_id) == (NO_ID, NO_ID)
    assert instance.track_state is TrackState.NONE


def test_raw_joints_of_another_layout_are_refused() -> None:
    body = Keypoints(
        COCO17,
        np.zeros((17, 2), np.float32),
        np.ones(17, np.float32),
        np.full(17, JointState.VISIBLE, np.uint8),
    )
    with pytest.raises(ValueError, match="layout 'coco17', smoothed ones of 'hand21'"):
        Instance(hand(), 0.9, "m", raw=body)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Frame(np.zeros((4, 5, 3), np.uint8)),
        lambda: Region(1.0, 2.0, 3.0, 4.0),
        lambda: hand(),
        lambda: Instance(hand(), 0.9, "m"),
    ],
    ids=["Frame", "Region", "Keypoints", "Instance"],
)
def test_what_flows_through_the_core_cannot_be_changed(make: Callable[[], Any]) -> None:
    with pytest.raises(FrozenInstanceError):
        make().score = 1


def test_joints_without_scores_count_wherever_a_score_is_asked_for() -> None:
    state = np.full(21, JointState.MEASURED, np.uint8)
    uv = np.zeros((21, 2), np.float32)
    uv[4], state[4] = np.nan, JointState.ABSENT
    score = np.full(21, np.nan, np.float32)
    score[4], score[5], score[6] = 0.0, 0.2, 0.4
    joints = Keypoints(HAND21, uv, score, state)
    assert np.flatnonzero(~joints.scored(0.3)).tolist() == [4, 5]
    assert np.flatnonzero(~joints.scored(0.0)).tolist() == [4]
