"""The size of objects in every layout."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21, LAYOUTS
from vitpose_ros.smooth.scale import object_size

BODY = {
    "left_shoulder": (18, -50, 0),
    "right_shoulder": (-18, -50, 0),
    "left_hip": (11, 0, 0),
    "right_hip": (-11, 0, 0),
}
"""Centimetres: the trunk of an adult, 50.5 long."""


def body(layout, names=tuple(BODY)):
    points = np.full((1, len(layout), 3), np.nan)
    for name in names:
        points[0, layout.index(name)] = BODY[name]
    return points


@pytest.mark.parametrize("layout", [x for x in LAYOUTS.values() if x.kind != "hand"])
@pytest.mark.parametrize(
    "names",
    [tuple(BODY), ("left_shoulder", "left_hip"), tuple(BODY)[:2], tuple(BODY)[2:]],
)
def test_a_body_is_as_large_as_its_trunk_whatever_part_of_it_is_known(layout, names):
    assert object_size(layout, body(layout, names))[0] == pytest.approx(50.5, rel=0.02)


def test_a_body_seen_from_the_side_is_not_smaller_than_its_trunk():
    points = body(COCO17)
    points[..., 0] = 0.0
    assert object_size(COCO17, points)[0] == pytest.approx(50.0)


def test_a_body_whose_trunk_is_hidden_takes_its_box():
    points = np.full((1, 17, 2), np.nan)
    points[0, COCO17.index("nose")] = 0, 0
    points[0, COCO17.index("left_knee")] = 30, 120
    assert object_size(COCO17, points)[0] == pytest.approx(40.0)


def test_a_hand_is_as_large_as_its_palms_longest_side():
    points = np.zeros((2, 21, 2))
    points[0, 5], points[0, 17] = (0, -90), (50, -80)
    points[1] = 3 * points[0]
    points[1, 8] = 1e4, 0  # a finger does not count
    assert object_size(HAND21, points) == pytest.approx([np.hypot(50, 80), 3 * np.hypot(50, 80)])


@pytest.mark.parametrize("layout", LAYOUTS.values())
def test_nothing_known_and_all_in_one_spot_is_nan_without_a_warning(layout):
    points = np.full((3, len(layout), 2), np.nan)
    points[1] = 5.0
    points[2, 0] = 5.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(object_size(layout, points)).all()
