"""Tests of vitpose_ros.limits."""

import numpy as np
import pytest

from vitpose_ros import limits
from vitpose_ros.layouts import (
    AP10K17,
    COCO17,
    COCO_WHOLEBODY133,
    HALPE26,
    HALPE136,
    HAND21,
    LAYOUTS,
    MEDIAPIPE33,
)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_rigid_bones_form_no_loop_and_are_alike_on_both_sides(layout):
    bones = limits.rigid_bones(layout)
    group = list(range(len(layout)))
    for a, b in bones:
        assert group[a] != group[b], f"{layout.joints[a]} and {layout.joints[b]} close a loop"
        group = [group[a] if g == group[b] else g for g in group]
    flip = layout.flip_permutation()
    assert {frozenset(bone) for bone in bones} == {frozenset((flip[a], flip[b])) for a, b in bones}


@pytest.mark.parametrize(
    ("layout", "count"),
    [
        (HAND21, 20),
        (COCO17, 9),
        (COCO_WHOLEBODY133, 9 + 4 + 40),
        (HALPE26, 9 + 4),
        (HALPE136, 9 + 4 + 40),
        (MEDIAPIPE33, 17),
        (AP10K17, 0),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_layouts_have_the_bones_that_can_be_told(layout, count):
    assert len(limits.rigid_bones(layout)) == count


def test_ranges_are_those_of_the_table_with_their_tolerance():
    low, high = limits.PIP_FLEXION.radians()
    assert np.degrees(low) == pytest.approx(-15.0)
    assert np.degrees(high) == pytest.approx(125.0)
    assert limits.hand_starts(COCO_WHOLEBODY133) == (91, 112)
    assert limits.hand_starts(HALPE136) == (94, 115)
    assert limits.hand_starts(HAND21) == (0,)
    assert limits.hand_starts(MEDIAPIPE33) == ()
