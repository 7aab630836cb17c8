"""The simulated robot hand, and pictures of it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.robot import RobotError
from vitpose_ros.retarget.simulation import SimulatedHand
from vitpose_ros.synthetic.robot_view import RobotView

from .two_fingers import urdf

ALL = np.ones(21, bool)


def test_the_simulated_shadow_hand_takes_the_commanded_pose(shadow, grasp):
    retarget, hand = LeastSquares(shadow), SimulatedHand(shadow)
    for points in (grasp[0], grasp[60]):
        for _ in range(5):
            wanted = retarget(points, ALL, 1 / 30).joints
        hand.command(wanted)
        hand.advance(1.0)
        assert np.abs(hand.joints - wanted).max() < 0.12  # fingers touch each other
        errors = retarget.tip_errors(points, ALL, hand.joints)
        assert np.mean(list(errors.values())) < 0.006


def test_a_description_without_masses_or_actuators_cannot_be_simulated(make_robot):
    with pytest.raises(RobotError, match=r"cannot be simulated: .*mass"):
        SimulatedHand(make_robot())
    inertia = '<mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/>'
    heavy = re.sub(
        r'<link name="(\w+)"/>', rf'<link name="\1"><inertial>{inertia}</inertial></link>', urdf()
    )
    with pytest.raises(RobotError, match="joint 'thumb' has no actuator"):
        SimulatedHand(make_robot(description=heavy))


def test_a_fingertip_is_drawn_where_its_projection_says(shadow, grasp):
    retarget, hand = LeastSquares(shadow), SimulatedHand(shadow)
    kinematics = retarget.kinematics
    red = (30, 30, 250)
    view = RobotView(hand.model, hand.data, 240, [(kinematics.bodies()[8], red)])
    behind = np.array(((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)))
    rotation, centre = behind @ kinematics.axes.T, kinematics.origin
    places = []
    for joints in (retarget.lower, retarget(grasp[0], ALL, 1 / 30).joints):
        joints = np.clip(joints, np.maximum(retarget.lower, -0.3), 0.5)
        kinematics.set(joints)
        kinematics.pose(hand.model, hand.data)
        picture = view.draw(rotation, centre, 0.7).astype(int)
        reddish = (picture[..., 2] > 100) & (picture[..., 2] > 2 * picture[..., 1])
        v, u = np.nonzero(reddish)
        tip = kinematics.positions()[kinematics.points.index(8)]
        world = centre + kinematics.axes @ tip
        expected = view.project(world[None], rotation, centre, 0.7)[0]
        assert len(u) > 20
        assert np.hypot(u.mean() - expected[0], v.mean() - expected[1]) < 12
        places.append(expected)
    assert np.linalg.norm(places[0] - places[1]) > 5
