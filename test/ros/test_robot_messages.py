"""Messages to and from a robot hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.retarget.choice import finger_points
from vitpose_ros.ros.messages import skeleton_message
from vitpose_ros.ros.robot_messages import hand_from_message
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState, ZSource


def instance(z_source: ZSource, known: JointState = JointState.MEASURED) -> Instance:
    """A hand of which the joints 4 and 9 were not measured."""
    rng = np.random.default_rng(int(z_source))
    state = np.full(21, known, np.uint8)
    state[[4, 9]] = JointState.PREDICTED
    uv, score = rng.uniform(0, 99, (21, 2)).astype(np.float32), np.ones(21, np.float32)
    xyz, shape = rng.normal(size=(2, 21, 3)).astype(np.float32)
    joints = Keypoints(HAND21, uv, score, state, xyz, np.full(21, z_source, np.uint8), shape)
    identity = {"track_id": 7, "track_state": TrackState.CONFIRMED, "track_age_s": 2.5}
    return Instance(joints, 0.9, "model", side=Side.LEFT, side_score=0.9, **identity)


@pytest.mark.parametrize("z_source", [ZSource.MEASURED, ZSource.ASSUMED])
def test_a_hand_read_from_its_message_is_what_the_instance_tells(z_source: ZSource) -> None:
    before = instance(z_source)
    after = hand_from_message(skeleton_message(before), predicted=False)
    for name in ("layout", "side", "track_id", "track_state", "track_age_s"):
        assert getattr(after, name) == getattr(before, name), name
    found, expected = after.read(), finger_points(before)
    assert found is not None and expected is not None
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[1].sum() == 19


def test_of_extrapolated_joints_those_are_used_that_were_measured() -> None:
    raw = instance(ZSource.MEASURED).keypoints
    every = np.full(21, JointState.PREDICTED, np.uint8)
    message = skeleton_message(
        replace(instance(ZSource.MEASURED), keypoints=replace(raw, state=every), raw=raw)
    )
    assert hand_from_message(message, predicted=False).read() is None
    found = hand_from_message(message, predicted=True).read()
    assert found is not None and np.flatnonzero(~found[1]).tolist() == [4, 9]


@pytest.mark.parametrize("name", ["state", "y", "shape_z"])
def test_a_message_whose_arrays_do_not_fit_is_refused(name: str) -> None:
    message = skeleton_message(instance(ZSource.MEASURED))
    setattr(message, name, getattr(message, name)[:20])
    with pytest.raises(ValueError, match="skeleton 7: 'hand21' needs 21 elements in every array"):
        hand_from_message(message, predicted=False).read()


def test_an_unknown_layout_is_named() -> None:
    message = skeleton_message(instance(ZSource.MEASURED))
    message.layout = "octopus8"
    with pytest.raises(ValueError, match="unknown layout 'octopus8'"):
        hand_from_message(message, predicted=False)
