"""The frame in which a robot's fingers follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import MIDDLE_MCP, PINKY_MCP, RING_MCP
from vitpose_ros.retarget.palm_frame import palm_axes
from vitpose_ros.types import Side

ALL = np.ones(21, bool)


def flat_hand() -> np.ndarray:
    points = np.random.default_rng(0).normal((0, 0, 0.15), 0.01, (21, 3))
    points[0] = 0
    points[[5, 9, 13, 17]] = (0, 0.02, 0.09), (0, 0, 0.095), (0, -0.02, 0.09), (0, -0.04, 0.08)
    return points


def test_a_hand_that_is_turned_and_moved_has_axes_that_turn_with_it():
    turn = Rotation.random(random_state=3).as_matrix()
    axes = palm_axes(flat_hand() @ turn.T + (0.3, -0.2, 0.6), ALL, Side.RIGHT)
    np.testing.assert_allclose(axes, turn, atol=1e-9)


def test_a_mirrored_hand_has_the_same_coordinates_with_y_negated():
    left = flat_hand() * (1, -1, 1)
    axes = palm_axes(left, ALL, Side.LEFT)
    np.testing.assert_allclose(left @ axes, left, atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_an_error_in_depth_of_a_knuckle_turns_the_hand_less_than_across_two_fingers():
    points = flat_hand()
    points[5, 0] += 0.005
    whole = ALL.copy()
    whole[[RING_MCP, PINKY_MCP]] = False
    angles = [
        np.degrees(np.arccos(palm_axes(points, known, Side.RIGHT)[1, 1])) for known in (ALL, whole)
    ]
    assert angles[0] < 0.4 * angles[1]


@pytest.mark.parametrize("missing", [0, 5, MIDDLE_MCP])
def test_without_wrist_index_or_middle_there_is_no_frame(missing):
    known = ALL.copy()
    known[missing] = False
    assert palm_axes(flat_hand(), known, Side.RIGHT) is None


def test_joints_on_a_line_or_on_a_spot_define_no_frame():
    line = flat_hand()
    line[[5, 13, 17]] = (0, 0, 0.05), (0, 0, 0.06), (0, 0, 0.07)
    assert palm_axes(line, ALL, Side.RIGHT) is None
    assert palm_axes(np.zeros((21, 3)), ALL, Side.RIGHT) is None
