"""What cannot be used as a robot is refused with a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.retarget.kinematics import HandKinematics
from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.robot import RobotError, load_robot
from vitpose_ros.types import Side

from .two_fingers import YAML, urdf

RIGHT = YAML.format(side="right")

BAD_YAML = [
    ("side: right", "side: both", "field 'side': expected one of left, right"),
    ("format: 1", "format: 2", "this version reads format 1"),
    ("retargeter: least_squares", "retargeter: magic", "least_squares, dex_retargeting"),
    ("path: hand.urdf", "path: no.urdf", "no.urdf does not exist: correct the path"),
    ("velocity: 2.0", "velocity: 0", "field 'limits.velocity': expected a number above 0"),
    ("thumb: {}", "thumb: {velocity: -1}", "velocity and acceleration must be above 0"),
    ("thumb: {}", "thumb: {speed: 1}", "unknown field; known are"),
    ("x: [1, 0, 0]", "x: [1, 0, 1]", "must be unit vectors"),
    ("x: [1, 0, 0]", "x: [-1, 0, 0]", "right-handed"),
    ("index_tip: i3", "index_nail: i3", "unknown joint; known are wrist, thumb_cmc"),
    ("open: {}", "open: {wrist: 0}", "unknown field; known are"),
    ("joints: {", "coupled: {thumb: {joint: index}}\njoints: {", "is none of them"),
    ("format: 1", "format: 1\nformat: 1", "is not valid YAML"),
]

BAD_DESCRIPTION = [
    ("index_tip: i3", "index_tip: nail", urdf(), "has no body 'nail'; it has"),
    ("palm: palm", "palm: hand", urdf(), "field 'palm': "),
    ("index: {}", "little: {}", urdf(), "has no joint 'little'; it has thumb"),
    ("", "", urdf(limit=""), "joint 'thumb' has no position limits"),
    ("", "", urdf().replace("revolute", "prismatic"), "does not rotate about an axis"),
    ("", "", "<robot", "cannot be read"),
    ("index_pip: i2, index_tip: i3", "", urdf().replace("i3", "i9"), "no finger has two points"),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD_YAML)
def test_a_field_with_an_error_is_named(make_robot, old, new, words):
    assert old in RIGHT
    with pytest.raises(RobotError, match=words.replace("(", r"\(")):
        make_robot(RIGHT.replace(old, new))


@pytest.mark.parametrize(("old", "new", "description", "words"), BAD_DESCRIPTION)
def test_a_description_that_does_not_fit_is_refused(make_robot, old, new, description, words):
    text = RIGHT.replace(old, new) if old else RIGHT
    if words == "no finger has two points":
        text = text.replace("thumb_mcp: t1, thumb_ip: t2, thumb_tip: t3", "thumb_tip: t3")
    with pytest.raises(RobotError, match=words):
        LeastSquares(make_robot(text, description))


def test_a_missing_file_is_named_with_the_page_that_describes_it(tmp_path):
    with pytest.raises(RobotError, match=r"gone\.yaml cannot be read.*docs/robot_hands\.md"):
        load_robot(tmp_path / "gone.yaml")


def test_a_description_that_was_not_pulled_names_the_command(make_robot, tmp_path, monkeypatch):
    monkeypatch.setenv("VITPOSE_ROS_MODELS", str(tmp_path / "empty"))
    with pytest.raises(RobotError, match="vitpose_ros models pull shadow-hand"):
        make_robot(RIGHT.replace("path: hand.urdf", "model: shadow-hand, file: reach.xml"))


def test_names_scale_and_limits_of_a_joint_can_be_its_own(make_robot):
    own = "thumb: {command: th, state: th_pos, scale: -2, offset: 1, velocity: 5, acceleration: 6}"
    robot = make_robot(RIGHT.replace("thumb: {}", own))
    thumb, bend = robot.joints[:2]
    assert (thumb.command, thumb.state, thumb.scale, thumb.offset) == ("th", "th_pos", -2, 1)
    assert (thumb.velocity, thumb.acceleration) == (5, 6)
    assert (bend.command, bend.state, bend.scale, bend.offset) == ("thumb_bend",) * 2 + (1, 0)
    assert (bend.velocity, bend.acceleration) == (2, 10)
    assert robot.side is Side.RIGHT


def test_the_limits_of_a_coupled_joint_hold_for_the_joint_that_drives_it(make_robot):
    text = RIGHT.replace("index: {}, index_bend: {}", "index: {}").replace(
        "safe_poses", "coupled: {index_bend: {joint: index, ratio: 2}}\nsafe_poses"
    )
    hand = HandKinematics(make_robot(text))
    index = hand.joint_names.index("index")
    np.testing.assert_allclose((hand.lower[index], hand.upper[index]), (-0.1, 0.8))
    joints = np.zeros(3)
    joints[index] = 0.5
    hand.set(joints)
    tip = hand.positions()[hand.points.index(8)]
    np.testing.assert_allclose(
        tip,
        (
            0.04 * np.sin(0.5) + 0.03 * np.sin(1.5),
            0.02,
            0.09 + 0.04 * np.cos(0.5) + 0.03 * np.cos(1.5),
        ),
        atol=1e-9,
    )


def test_jacobians_are_the_derivatives_of_positions(shadow):
    hand = HandKinematics(shadow)
    rng = np.random.default_rng(0)
    joints = rng.uniform(hand.lower, hand.upper)
    hand.set(joints)
    jacobians = hand.jacobians()
    for column in range(len(joints)):
        ends = []
        for sign in (1, -1):
            moved = joints.copy()
            moved[column] += sign * 1e-6
            hand.set(moved)
            ends.append(hand.positions())
        np.testing.assert_allclose(jacobians[:, :, column], (ends[0] - ends[1]) / 2e-6, atol=1e-6)


def test_the_shadow_hand_is_a_right_hand_in_the_operator_frame(shadow):
    hand = HandKinematics(shadow)
    hand.set(np.clip(0.0, hand.lower, hand.upper))
    place = dict(zip(hand.points, hand.positions(), strict=True))
    assert place[12][2] > place[9][2] > 0  # fingers along z
    assert place[8][1] > place[20][1]  # from the little finger to the index: y
    bent = np.clip(0.0, hand.lower, hand.upper)
    bent[[name.endswith("J2") for name in hand.joint_names]] = 0.8
    hand.set(bent)
    curled = dict(zip(hand.points, hand.positions(), strict=True))
    assert curled[12][0] > place[12][0] + 0.03  # curling: x
