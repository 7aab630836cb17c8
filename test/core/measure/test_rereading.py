"""Whether further readings of a body agree with the first one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, MEDIAPIPE33
from vitpose_ros.measure.rereading import TRUNK, disagreement
from vitpose_ros.types import JointState


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33], ids=lambda layout: layout.name)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_a_disagreement_is_the_joints_distance_over_the_largest_one_in_the_trunk(
    person, layout, share
):
    one = person(300, 200).keypoints(layout)
    trunk = one.uv[[layout.index(name) for name in TRUNK]]
    largest = max(math.dist(a, b) for a in trunk for b in trunk)
    step = np.array((0.6, 0.8), np.float32) * np.float32(share * largest)
    other = replace(one, uv=one.uv + step)
    assert disagreement(one, other) == pytest.approx(share, abs=1e-5)


def test_single_wild_joints_and_those_of_arms_and_legs_change_nothing(person):
    one = person(300, 200).keypoints(COCO17)
    uv = one.uv.copy()
    uv[[i for i, name in enumerate(COCO17.joints) if name not in TRUNK]] += 500
    uv[COCO17.index("nose")] += 500
    assert disagreement(one, replace(one, uv=uv)) == 0.0


def test_joints_that_are_not_measured_do_not_count_and_two_are_too_few(person):
    one = person(300, 200).keypoints(COCO17)
    moved = one.uv.copy()
    hips = [COCO17.index(f"{side}_hip") for side in ("left", "right")]
    moved[hips] += 500
    unsure = one.state.copy()
    unsure[hips] = JointState.OCCLUDED
    assert disagreement(replace(one, state=unsure), replace(one, uv=moved)) == 0.0
    unsure[:5] = JointState.OCCLUDED  # the face: only the shoulders are left
    assert np.isnan(disagreement(replace(one, state=unsure), one))
