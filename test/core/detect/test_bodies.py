from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.bodies import MIN_JOINTS, body_region
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, MEDIAPIPE33, Layout
from vitpose_ros.types import JointState, Keypoints


def body(places: dict[str, tuple[float, float]], layout: Layout = COCO17, score=0.9) -> Keypoints:
    """A body whose other joints are absent."""
    uv = np.full((len(layout), 2), np.nan, np.float32)
    for joint, place in places.items():
        uv[layout.index(joint)] = place
    absent = np.isnan(uv).any(axis=1)
    return Keypoints(
        layout,
        uv,
        np.where(absent, 0, score).astype(np.float32),
        np.where(absent, JointState.ABSENT, JointState.VISIBLE).astype(np.uint8),
    )


STANDING = {
    "nose": (100.0, 20.0),
    "left_shoulder": (120.0, 60.0),
    "right_shoulder": (80.0, 60.0),
    "left_hip": (115.0, 140.0),
    "right_hip": (85.0, 140.0),
    "left_ankle": (120.0, 260.0),
}


@pytest.mark.parametrize("layout", [COCO17, COCO_WHOLEBODY133, MEDIAPIPE33])
def test_the_region_is_the_joints_box_and_a_margin(layout):
    region = body_region(body(STANDING, layout), padding=1.25, track_id=4)
    assert (region.cx, region.cy) == (100, 140)
    assert (region.width, region.height) == (50, 300)
    assert region.rotation_rad == 0
    assert region.score == pytest.approx(0.9)
    assert region.track_id == 4


def test_a_junk_joint_far_away_does_not_blow_the_region_up():
    clean = body(STANDING)
    junk = body({**STANDING, "right_ankle": (5000.0, -900.0)})
    score = junk.score.copy()
    score[COCO17.index("right_ankle")] = 0.05
    junk = Keypoints(COCO17, junk.uv, score, junk.state)
    assert body_region(junk) == body_region(clean)
    assert body_region(junk, threshold=0.01).width > 5000  # what the gate prevents


@pytest.mark.parametrize(
    "places",
    [
        {},
        {k: v for k, v in STANDING.items() if "shoulder" in k or k == "nose"},  # three joints
        {"nose": (9, 9), "left_eye": (99, 5), "right_eye": (50, 5), "left_ear": (70, 70)},  # a face
        {
            "nose": (9, 9),
            "left_shoulder": (99, 5),
            "left_elbow": (90, 70),
            "left_wrist": (40, 90),
        },  # an arm
    ],
    ids=["nothing", "too few", "a face", "an arm"],
)
def test_too_little_of_a_body_gives_no_region(places):
    assert body_region(body(places)) is None


def test_the_least_that_gives_a_region_is_four_joints_with_two_of_the_torso():
    places = dict(list(STANDING.items())[:3], left_elbow=(140.0, 90.0))
    assert len(places) == MIN_JOINTS
    assert body_region(body(places)) is not None


def test_low_scores_give_no_region():
    assert body_region(body(STANDING, score=0.29), threshold=0.3) is None


def test_joints_on_a_line_or_a_spot_give_no_region():
    assert body_region(body({joint: (50.0, y) for joint, (_, y) in STANDING.items()})) is None
    assert body_region(body(dict.fromkeys(STANDING, (50.0, 60.0)))) is None


def test_a_layout_without_a_torso_has_only_the_count_of_joints():
    layout = Layout("five", "animal", tuple("abcde"), (), (), (0.1,) * 5)
    places = {"a": (0.0, 0.0), "b": (40.0, 0.0), "c": (0.0, 40.0), "d": (40.0, 40.0)}
    assert body_region(body(places, layout)) is not None


def test_a_region_may_reach_beyond_the_image():
    moved = {joint: (u - 300, v - 300) for joint, (u, v) in STANDING.items()}
    assert body_region(body(moved)).cx == -200


@pytest.mark.parametrize("padding", [0.9, -1.0, float("nan")])
def test_a_region_smaller_than_the_body_is_refused(padding):
    with pytest.raises(ValueError, match="padding: expected at least 1"):
        body_region(body(STANDING), padding=padding)
