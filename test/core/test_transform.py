"""Rigid transforms between frames."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.transform import Transform

QUARTER = 0.5**0.5


def test_a_quaternion_turns_as_ros_defines_it():
    turn = Transform.from_quaternion((0, 0, QUARTER, QUARTER), (1, 2, 3))  # 90 degrees about z
    np.testing.assert_allclose(turn.points([[1, 0, 0], [0, 1, 0]]), [[1, 3, 3], [0, 2, 3]])
    np.testing.assert_allclose(turn.directions([1, 0, 0]), [0, 1, 0], atol=1e-12)


def test_the_inverse_undoes_it_and_chains_are_applied_in_order():
    rng = np.random.default_rng(3)
    first, second = (
        Transform.from_quaternion(tuple(rng.normal(size=4)), rng.normal(size=3)) for _ in range(2)
    )
    points = rng.normal(size=(5, 3))
    np.testing.assert_allclose(first.inverse().points(first.points(points)), points, atol=1e-12)
    chained = second.after(first).points(points)
    np.testing.assert_allclose(chained, second.points(first.points(points)), atol=1e-12)


def test_an_unknown_transform_maps_everything_to_nan_and_says_so():
    assert not Transform.unknown().known
    assert np.isnan(Transform.unknown().points(np.ones((4, 3)))).all()
    assert np.isnan(Transform.unknown().directions(np.ones(3))).all()
    assert Transform.identity().known


@pytest.mark.parametrize(
    ("rotation", "translation", "error"),
    [
        (np.eye(2), np.zeros(3), "expected a rotation"),
        (np.diag([1, 1, -1]), np.zeros(3), "expected a rotation matrix"),
        (2 * np.eye(3), np.zeros(3), "expected a rotation matrix"),
        (np.eye(3), [0, np.nan, 0], "finite numbers, or NaN in all"),
    ],
)
def test_what_is_no_rigid_transform_is_refused(rotation, translation, error):
    with pytest.raises(ValueError, match=error):
        Transform(rotation, translation)


@pytest.mark.parametrize("xyzw", [(0, 0, 0, 0), (0, 0, np.nan, 1), (0, np.inf, 0, 1)])
def test_a_quaternion_that_is_none_is_refused(xyzw):
    with pytest.raises(ValueError, match="expected a quaternion"):
        Transform.from_quaternion(xyzw, (0, 0, 0))
