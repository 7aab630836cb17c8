"""The file with the poses of cameras."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vitpose_ros.ingest.extrinsics import read_extrinsics

GOOD = """
cameras:
  left: {translation_m: [0.0, 0.0, 0.0], rotation_xyzw: [0, 0, 0, 1]}
  right: {translation_m: [0.3, 0.0, 0.1], rotation_xyzw: [0.0, -0.70710678, 0.0, 0.70710678]}
"""


def test_a_pose_maps_the_cameras_points_to_the_common_frame(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(GOOD)
    poses = read_extrinsics(path)
    assert list(poses) == ["left", "right"]
    np.testing.assert_allclose(poses["left"].points((1, 2, 3)), (1, 2, 3))
    # turned to the left by 90 degrees: what is ahead of it is at -x
    np.testing.assert_allclose(poses["right"].points((0, 0, 1)), (-0.7, 0, 0.1), atol=1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras: [", "cannot be read"),
        ("left: {}", "expected one key, 'cameras'"),
        ("cameras: {left: {}}", "two or more cameras"),
        (GOOD.replace("[0.3, 0.0, 0.1]", "[0.3, 0.0]"), "translation_m: expected 3 numbers"),
        (GOOD.replace("[0.3, 0.0, 0.1]", "[0.3, 0.0, .nan]"), "translation_m: expected 3 numbers"),
        (
            GOOD.replace("[0, 0, 0, 1]", "[0, 0, 0, 2]"),
            "quaternion of length 1, got one of length 2",
        ),
        (GOOD.replace("rotation_xyzw", "rotation"), "expected translation_m"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path, text, message):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_extrinsics(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.yaml cannot be read"):
        read_extrinsics(tmp_path / "nowhere.yaml")
