from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.keypoints.layout_conversion import convert_layout
from vitpose_ros.layouts import (
    AIC14,
    COCO17,
    COCO_WHOLEBODY133,
    HALPE26,
    HALPE136,
    MEDIAPIPE33,
    Layout,
)
from vitpose_ros.types import JointState, Keypoints, ZSource


def numbered(layout: Layout) -> Keypoints:
    """Joints that carry their own number everywhere."""
    count = len(layout)
    number = np.arange(count, dtype=np.float32)
    absent = number % 5 == 4
    return Keypoints(
        layout=layout,
        uv=np.where(absent[:, None], np.nan, np.stack([number, number], axis=1)).astype(np.float32),
        score=number / 200,
        state=np.where(absent, JointState.ABSENT, JointState.VISIBLE).astype(np.uint8),
        xyz=np.stack([number] * 3, axis=1),
        z_source=np.full(count, ZSource.MEASURED, np.uint8),
        shape_xyz=np.stack([-number] * 3, axis=1),
        corrected=np.arange(count, dtype=np.uint8),
        uv_std=np.where(absent, np.nan, number).astype(np.float32),
    )


@pytest.mark.parametrize(
    ("layout", "target"),
    [
        (MEDIAPIPE33, COCO17),
        (COCO_WHOLEBODY133, COCO17),
        (HALPE26, COCO17),
        (HALPE136, HALPE26),
        (HALPE136, COCO_WHOLEBODY133),
    ],
    ids=lambda layout: layout.name,
)
def test_every_joint_keeps_its_name_and_all_that_is_known_of_it(layout, target):
    source = numbered(layout)
    converted = convert_layout(source, target)
    assert converted.layout is target
    for i, joint in enumerate(target.joints):
        j = layout.index(joint)
        assert converted.score[i] == source.score[j]
        assert converted.state[i] == source.state[j]
        assert np.array_equal(converted.uv[i], source.uv[j], equal_nan=True)
        assert (converted.xyz[i] == j).all()
        assert (converted.shape_xyz[i] == -j).all()
        assert converted.corrected[i] == j
        assert np.array_equal(converted.uv_std[i], source.uv_std[j], equal_nan=True)


def test_joints_of_mediapipe_in_cocos_order():
    order = (convert_layout(numbered(MEDIAPIPE33), COCO17).score * 200).round().astype(int)
    expected = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    assert order.tolist() == expected


def test_no_joint_is_made_up():
    with pytest.raises(
        ValueError, match="'coco17' cannot be converted to 'aic14': it has no head_top"
    ):
        convert_layout(numbered(COCO17), AIC14)
