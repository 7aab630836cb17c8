"""Messages: nothing is lost or made up on the way from an instance to a message and back."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import IntEnum

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21, LAYOUTS, Layout
from vitpose_ros.msg import Skeleton, SkeletonArray, SkeletonLayoutArray
from vitpose_ros.ros.messages import (
    image_message,
    instance_from_message,
    layouts_message,
    skeleton_array_message,
    skeleton_message,
)
from vitpose_ros.types import NO_ID, Instance, JointState, Keypoints, Side, TrackState, ZSource

PER_JOINT = (
    *("state", "joint_score", "u", "v", "raw_u", "raw_v", "x", "y", "z", "raw_x", "raw_y", "raw_z"),
    *("z_source", "shape_x", "shape_y", "shape_z", "raw_shape_x", "raw_shape_y", "raw_shape_z"),
    *("raw_state", "corrected", "uv_std", "xyz_std"),
)
WORDS = ("state", "raw_state", "joint_score", "z_source", "corrected", "uv_std", "xyz_std")
COORDINATES = tuple(name for name in PER_JOINT if name not in WORDS)
NOTHING = np.zeros(200, np.uint8)
NAN = np.float32(np.nan)
HEADER = Header(stamp=Time(sec=1_700_000_000, nanosec=123_456_789), frame_id="wrist_optical_frame")


def keypoints(layout: Layout, seed: int, absent: tuple[int, ...] = ()) -> Keypoints:
    random = np.random.default_rng(seed)
    count = len(layout)
    state = random.integers(1, 4, count).astype(np.uint8)
    uv = random.uniform(-50, 700, (count, 2)).astype(np.float32)
    score = random.uniform(0.1, 1, count).astype(np.float32)
    xyz = random.normal(0, 1, (count, 3)).astype(np.float32)
    z_source = random.integers(1, 6, count).astype(np.uint8)
    gone = list(absent)
    state[gone], score[gone], uv[gone], xyz[gone], z_source[gone] = 0, 0, np.nan, np.nan, 0
    shape = random.normal(0, 0.05, (count, 3)).astype(np.float32)
    shape[gone] = np.nan
    corrected = random.integers(0, 8, count).astype(np.uint8)
    uv_std = random.uniform(0.5, 20, count).astype(np.float32)
    uv_std[[*gone, 7]] = np.nan
    xyz_std = random.uniform(0.001, 0.1, count).astype(np.float32)
    xyz_std[gone] = np.nan
    return Keypoints(
        layout, uv, score, state, xyz, z_source, shape, corrected, uv_std, xyz_std=xyz_std
    )


def full(layout: Layout = HAND21, absent: tuple[int, ...] = ()) -> Instance:
    """An instance with every field set to something of its own."""
    published, model = keypoints(layout, 1, absent), keypoints(layout, 2, absent)
    return Instance(
        keypoints=published,
        raw=replace(
            model,
            score=published.score,
            z_source=published.z_source,
            xyz_std=published.xyz_std,
            corrected=NOTHING[: len(layout)],
            uv_std=np.where(published.state == JointState.PREDICTED, NAN, published.uv_std),
        ),
        score=0.875,
        model="a-model",
        side=Side.RIGHT,
        side_score=0.75,
        track_id=41,
        parent_id=7,
        track_state=TrackState.CONFIRMED,
        track_age_s=2.5,
    )


def assert_same_keypoints(one: Keypoints, other: Keypoints) -> None:
    for field in fields(Keypoints):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a is b, field.name


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
@pytest.mark.parametrize("absent", [(), (0, 5, 13)])
def test_an_instance_survives_message_wire_and_back_exactly(
    layout: Layout, absent: tuple[int, ...]
) -> None:
    before = full(layout, absent)
    message = deserialize_message(serialize_message(skeleton_message(before)), Skeleton)
    after = instance_from_message(message)
    assert_same_keypoints(after.keypoints, before.keypoints)
    assert_same_keypoints(after.raw, before.raw)
    plain = {field.name for field in fields(Instance)} - {"keypoints", "raw"}
    for name in plain | {"layout"}:
        assert getattr(after, name) == getattr(before, name), name


def test_raw_and_smoothed_joints_do_not_mix() -> None:
    smoothed = keypoints(HAND21, 1)
    model = keypoints(HAND21, 2)
    message = skeleton_message(Instance(smoothed, 0.5, "m", raw=model))
    np.testing.assert_array_equal(np.array(message.u), smoothed.uv[:, 0])
    np.testing.assert_array_equal(np.array(message.v), smoothed.uv[:, 1])
    np.testing.assert_array_equal(np.array(message.raw_u), model.uv[:, 0])
    np.testing.assert_array_equal(np.array(message.raw_v), model.uv[:, 1])
    np.testing.assert_array_equal(np.array(message.z), smoothed.xyz[:, 2])
    np.testing.assert_array_equal(np.array(message.raw_z), model.xyz[:, 2])
    np.testing.assert_array_equal(np.array(message.shape_y), smoothed.shape_xyz[:, 1])
    np.testing.assert_array_equal(np.array(message.raw_shape_y), model.shape_xyz[:, 1])
    np.testing.assert_array_equal(np.array(message.state), smoothed.state)
    np.testing.assert_array_equal(np.array(message.raw_state), model.state)


def test_a_hand_that_is_not_in_the_image_has_no_raw_joints_and_they_come_back_so() -> None:
    gone = Keypoints(
        HAND21,
        np.full((21, 2), np.nan, np.float32),
        np.zeros(21, np.float32),
        np.full(21, JointState.ABSENT, np.uint8),
    )
    held = replace(keypoints(HAND21, 1), state=np.full(21, JointState.PREDICTED, np.uint8))
    message = skeleton_message(Instance(held, 0.5, "m", raw=gone, track_state=TrackState.LOST))
    assert np.isnan(np.array(message.raw_u)).all()
    after = instance_from_message(message)
    assert_same_keypoints(after.keypoints, held)
    assert_same_keypoints(after.raw, gone)


def test_an_absent_joint_is_nan_in_every_coordinate_and_keeps_its_place() -> None:
    message = skeleton_message(full(absent=(3, 20)))
    for name in COORDINATES:
        values = np.array(getattr(message, name))
        assert np.flatnonzero(np.isnan(values)).tolist() == [3, 20], name
        assert not (values == 0).any(), name
    assert [message.state[i] for i in (3, 20)] == [Skeleton.STATE_ABSENT] * 2
    assert [message.joint_score[i] for i in (3, 20)] == [0.0, 0.0]
    assert [message.z_source[i] for i in (3, 20)] == [Skeleton.Z_NONE] * 2


def test_an_unknown_standard_deviation_is_nan_and_never_a_default() -> None:
    message = skeleton_message(full(absent=(3, 20)))
    values = np.array(message.uv_std)
    assert np.flatnonzero(np.isnan(values)).tolist() == [3, 7, 20]
    assert (values[~np.isnan(values)] >= 0.5).all()


def test_unknown_depth_is_nan_and_never_zero() -> None:
    flat = Keypoints(
        HAND21,
        uv=np.full((21, 2), 9, np.float32),
        score=np.ones(21, np.float32),
        state=np.full(21, JointState.VISIBLE, np.uint8),
    )
    message = skeleton_message(Instance(flat, 1.0, "m"))
    for name in ("x", "y", "z", "raw_x", "raw_y", "raw_z", "shape_x", "shape_y", "shape_z"):
        assert np.isnan(np.array(getattr(message, name))).all(), name
    assert set(message.z_source) == {Skeleton.Z_NONE}


def test_a_skeleton_without_any_joint_has_a_box_of_nan() -> None:
    message = skeleton_message(full(absent=tuple(range(21))))
    assert np.isnan(np.array(message.box)).all()


def test_unknown_side_has_no_probability_and_an_untracked_hand_no_id() -> None:
    message = skeleton_message(Instance(keypoints(HAND21, 1), 0.9, "m"))
    assert message.side == Skeleton.SIDE_UNKNOWN
    assert np.isnan(message.side_score)
    assert (message.track_id, message.parent_id) == (Skeleton.NO_ID, Skeleton.NO_ID)


@pytest.mark.parametrize("layout", [HAND21, COCO17, COCO_WHOLEBODY133], ids=lambda la: la.name)
def test_every_array_has_the_length_of_the_layout(layout: Layout) -> None:
    message = skeleton_message(full(layout, absent=(2,)))
    assert {name: len(getattr(message, name)) for name in PER_JOINT} == dict.fromkeys(
        PER_JOINT, len(layout)
    )


def test_every_array_field_of_the_message_is_checked_here() -> None:
    sequences = {
        name
        for name, kind in Skeleton.get_fields_and_field_types().items()
        if kind.startswith("sequence")
    }
    assert sequences == set(PER_JOINT)


def test_the_kind_is_that_of_the_layout() -> None:
    assert skeleton_message(full(HAND21)).kind == Skeleton.KIND_HAND
    assert skeleton_message(full(COCO17)).kind == Skeleton.KIND_BODY


def test_a_message_whose_arrays_do_not_fit_its_layout_is_refused() -> None:
    message = skeleton_message(full())
    message.layout = "coco17"
    with pytest.raises(ValueError, match=r"expected float32 \(17, 2\), got float32 \(21, 2\)"):
        instance_from_message(message)
    message.layout = "octopus8"
    with pytest.raises(ValueError, match=r"unknown layout 'octopus8'; known are .*coco17"):
        instance_from_message(message)


@pytest.mark.parametrize(
    ("enum", "prefix"),
    [(Side, "SIDE_"), (JointState, "STATE_"), (TrackState, "TRACK_"), (ZSource, "Z_")],
)
def test_the_cores_values_are_the_constants_of_the_message(
    enum: type[IntEnum], prefix: str
) -> None:
    constants = {
        name: getattr(Skeleton, name)
        for name in dir(type(Skeleton))
        if name.startswith(prefix) and name.isupper()
    }
    assert {prefix + member.name: member.value for member in enum} == constants


def test_no_id_is_the_constant_of_the_message() -> None:
    assert NO_ID == Skeleton.NO_ID


def test_in_another_frame_the_header_names_it_and_the_images_own_stays_known() -> None:
    message = skeleton_array_message(HEADER, (640, 480), [], [], frame_id="base_link")
    assert message.header == Header(stamp=HEADER.stamp, frame_id="base_link")
    assert message.image_frame_id == HEADER.frame_id == "wrist_optical_frame"


def test_the_array_carries_the_images_header_and_what_ran() -> None:
    message = skeleton_array_message(HEADER, (640, 480), [full(), full()], ["a", "b"], reset=True)
    after = deserialize_message(serialize_message(message), SkeletonArray)
    assert after.header == HEADER
    assert after.image_frame_id == HEADER.frame_id
    assert (after.image_width, after.image_height) == (640, 480)
    assert list(after.models) == ["a", "b"]
    assert after.reset is True
    assert after.view == SkeletonArray.VIEW_EGOCENTRIC
    assert after.smoothing == "none"
    assert after.prediction_horizon == 0.0
    assert len(after.skeletons) == 2


def test_a_layout_message_says_all_that_the_layout_is() -> None:
    message = deserialize_message(
        serialize_message(layouts_message(LAYOUTS.values())), SkeletonLayoutArray
    )
    assert [item.name for item in message.layouts] == list(LAYOUTS)
    for item, layout in zip(message.layouts, LAYOUTS.values(), strict=True):
        assert tuple(item.joints) == layout.joints
        assert tuple(zip(item.edge_from, item.edge_to, strict=True)) == layout.edges
        assert tuple(zip(item.flip_left, item.flip_right, strict=True)) == layout.flip_pairs
        np.testing.assert_array_equal(
            np.array(item.sigma, np.float32), np.array(layout.sigmas, np.float32)
        )
        assert item.kind == getattr(Skeleton, f"KIND_{layout.kind.upper()}")


@pytest.mark.parametrize(
    ("image", "encoding", "step"),
    [
        (np.arange(60, dtype=np.uint8).reshape(4, 5, 3), "bgr8", 15),
        (np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[:, ::-1], "bgr8", 15),
        (np.linspace(0, 9, 20, dtype=np.float32).reshape(4, 5), "32FC1", 20),
    ],
    ids=["plain", "mirrored view", "depth"],
)
def test_an_image_message_holds_the_arrays_values(
    image: np.ndarray, encoding: str, step: int
) -> None:
    message = deserialize_message(serialize_message(image_message(HEADER, image, encoding)), Image)
    assert (message.width, message.height, message.step) == (5, 4, step)
    assert (message.encoding, message.is_bigendian) == (encoding, 0)
    assert message.header == HEADER
    values = np.frombuffer(message.data, image.dtype).reshape(image.shape)
    np.testing.assert_array_equal(values, image)


def test_a_raw_joint_whose_source_the_message_does_not_tell_has_no_metres(hand: Instance) -> None:
    message = skeleton_message(hand)
    message.raw_x, message.raw_y, message.raw_z = ([0.1] * 21 for _ in range(3))
    raw = instance_from_message(message).raw
    assert np.isnan(raw.xyz).all() and not raw.z_source.any()
