"""Joint maps: what they compute, and what of them is refused, with the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.retarget.angles import ANGLE_NAMES
from vitpose_ros.retarget.joint_map import JointMapError, load_joint_map

GOOD = """
rh_FFJ3: {angle: right_index_mcp_flexion, limits: [0.0, 1.57]}
rh_FFJ4: {angle: right_index_mcp_abduction, scale: -1, limits: [-0.35, 0.35]}
gripper: {angle: right_thumb_ip_flexion, scale: -0.02, offset: 0.04, limits: [0, 0.04]}
"""


@pytest.fixture
def joint_map(tmp_path):
    """``joint_map(text)``: the map in a file with this text."""

    def load(text):
        path = tmp_path / "robot.yaml"
        path.write_text(text)
        return load_joint_map(path)

    return load


def angles(**known):
    values = np.full(len(ANGLE_NAMES), np.nan)
    for name, value in known.items():
        values[ANGLE_NAMES.index(name)] = value
    return values


def test_a_position_is_the_scaled_and_shifted_angle(joint_map):
    robot = joint_map(GOOD)
    assert robot.names == ("rh_FFJ3", "rh_FFJ4", "gripper")
    human = angles(
        right_index_mcp_flexion=1.0, right_index_mcp_abduction=0.2, right_thumb_ip_flexion=0.5
    )
    np.testing.assert_allclose(robot(human), (1.0, -0.2, 0.03))


def test_a_position_never_leaves_the_limits(joint_map):
    human = angles(
        right_index_mcp_flexion=9.0, right_index_mcp_abduction=-9.0, right_thumb_ip_flexion=9.0
    )
    np.testing.assert_allclose(joint_map(GOOD)(human), (1.57, 0.35, 0.0))


def test_a_joint_whose_angle_is_unknown_is_unknown(joint_map):
    positions = joint_map(GOOD)(angles(right_index_mcp_flexion=0.5))
    np.testing.assert_array_equal(np.isnan(positions), (False, True, True))


def test_two_robot_joints_may_follow_one_angle(joint_map):
    robot = joint_map(
        "a: {angle: left_index_pip_flexion, limits: [0, 1]}\n"
        "b: {angle: left_index_pip_flexion, scale: 0.5, limits: [0, 1]}"
    )
    np.testing.assert_allclose(robot(angles(left_index_pip_flexion=0.8)), (0.8, 0.4))


BAD = {
    "an unknown angle": (
        "j: {angle: right_index_mcp_flexoin, limits: [0, 1]}",
        "j: unknown angle 'right_index_mcp_flexoin'; did you mean 'right_index_mcp_flexion'?",
    ),
    "no angle": ("j: {limits: [0, 1]}", "j: unknown angle None.*docs/retargeting.md"),
    "a joint twice": (
        "j: {angle: left_elbow_flexion, limits: [0, 1]}\n"
        "j: {angle: left_elbow_flexion, limits: [0, 2]}",
        "key 'j' is repeated",
    ),
    "no limits": ("j: {angle: left_elbow_flexion}", r"j: limits: expected \[low, high\].*got None"),
    "limits reversed": (
        "j: {angle: left_elbow_flexion, limits: [1, 0]}",
        r"j: limits: expected \[low, high\]",
    ),
    "limits not finite": ("j: {angle: left_elbow_flexion, limits: [0, .inf]}", "j: limits"),
    "a text as scale": (
        "j: {angle: left_elbow_flexion, scale: big, limits: [0, 1]}",
        "j: scale: expected a number, got 'big'",
    ),
    "an unknown key": (
        "j: {angle: left_elbow_flexion, limit: [0, 1], limits: [0, 1]}",
        "j: unknown key 'limit'; known are angle, scale, offset, limits",
    ),
    "no mapping": ("[a, b]", "expected one entry for each joint of the robot"),
    "nothing": ("", "expected one entry for each joint of the robot"),
    "an entry that is a number": ("j: 3", "j: expected angle, scale, offset, limits, got 3"),
    "a name that is a number": ("7: {angle: left_elbow_flexion, limits: [0, 1]}", "7: expected a"),
    "no YAML": ("j: {", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "error"), BAD.values(), ids=BAD.keys())
def test_a_map_with_a_mistake_is_refused_and_the_mistake_named(joint_map, text, error):
    with pytest.raises(JointMapError, match=f"(?s)robot.yaml.*{error}"):
        joint_map(text)


def test_all_mistakes_are_named_at_once(joint_map):
    with pytest.raises(JointMapError, match=r"a: unknown angle.*b: limits"):
        joint_map("a: {angle: x, limits: [0, 1]}\nb: {angle: left_elbow_flexion}")


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(JointMapError, match="cannot be read: No such file"):
        load_joint_map(tmp_path / "none.yaml")
