"""Tests of vitpose_ros.smooth.body_limits."""

import numpy as np
import pytest

from vitpose_ros.layouts import AIC14, COCO17, COCO_WHOLEBODY133, HALPE26, HALPE136, MEDIAPIPE33
from vitpose_ros.limits import hand_starts
from vitpose_ros.smooth.body_limits import BodyLimits

MIRROR = np.array((-1.0, 1.0, 1.0))


def body(layout, knee_deg=20.0, elbow_deg=30.0, feet=True):
    """(1, K, 3) a body that stands and looks at the camera, x to its left, y down, z away from the
    camera: shanks bent back, forearms forwards, hands and toes where they belong; the rest NaN.
    """
    points = np.full((len(layout), 3), np.nan)
    index = {name: i for i, name in enumerate(layout.joints)}

    def put(name, place):
        if name in index:
            points[index[name]] = place

    knee, elbow = np.radians(knee_deg), np.radians(elbow_deg)
    for side, x in (("left", 1.0), ("right", -1.0)):
        out = np.array((x, 1.0, 1.0))
        put(f"{side}_shoulder", out * (0.2, 0.0, 0.0))
        put(f"{side}_elbow", out * (0.25, 0.3, 0.0))
        arm = out * (0.05, 0.3, 0.0)
        upper = arm / np.linalg.norm(arm)
        ahead = np.array((0.0, 0.0, -1.0))
        fore = np.cos(elbow) * upper + np.sin(elbow) * ahead
        wrist = out * (0.25, 0.3, 0.0) + 0.25 * fore
        put(f"{side}_wrist", wrist)
        for finger in ("pinky", "index", "thumb"):
            put(f"{side}_{finger}", wrist + 0.1 * fore)
        put(f"{side}_hip", out * (0.1, 0.5, 0.0))
        put(f"{side}_knee", out * (0.1, 0.9, 0.0))
        shank = np.array((0.0, np.cos(knee), np.sin(knee)))
        toes = np.array((0.0, np.sin(knee), -np.cos(knee)))
        ankle = out * (0.1, 0.9, 0.0) + 0.4 * shank
        put(f"{side}_ankle", ankle)
        if feet:
            put(f"{side}_heel", ankle + 0.05 * shank - 0.05 * toes)
            for toe in ("foot_index", "big_toe", "small_toe"):
                put(f"{side}_{toe}", ankle + 0.05 * shank + 0.15 * toes)
    if hand_starts(layout):
        for wrist, start in zip((9, 10), hand_starts(layout), strict=True):
            points[start : start + 21] = points[wrist] + np.arange(21)[:, None] * 0.005
    return points[None]


def bend_deg(layout, points, *names):
    a, b, c = (points[0, layout.index(name)] for name in names)
    u, v = (b - a) / np.linalg.norm(b - a), (c - b) / np.linalg.norm(c - b)
    return np.degrees(np.arccos(np.clip(u @ v, -1, 1)))


LEFT_ARM, LEFT_LEG = (
    tuple(f"left_{name}" for name in names)
    for names in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
)
LAYOUTS = [COCO17, COCO_WHOLEBODY133, MEDIAPIPE33, AIC14, HALPE26, HALPE136]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize(("knee_deg", "elbow_deg"), [(0, 0), (-8, 5), (60, 90), (138, 149)])
def test_a_body_that_can_be_is_not_touched(layout, knee_deg, elbow_deg):
    points = body(layout, knee_deg, elbow_deg)
    assert np.array_equal(BodyLimits(layout)(points), points, equal_nan=True)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_elbows_and_knees_folded_too_far_are_opened_to_their_limits(layout):
    points = body(layout, 172, 175)
    result = BodyLimits(layout)(points)
    assert bend_deg(layout, result, *LEFT_ARM) == pytest.approx(165)
    assert bend_deg(layout, result, *LEFT_LEG) == pytest.approx(155)
    for side in ("left", "right"):
        elbow, wrist = layout.index(f"{side}_elbow"), layout.index(f"{side}_wrist")
        for of in (points, result):
            assert np.linalg.norm(of[0, wrist] - of[0, elbow]) == pytest.approx(0.25)
        assert np.array_equal(result[0, elbow], points[0, elbow])


def test_the_hand_of_a_whole_body_goes_along_with_its_forearm():
    points = body(COCO_WHOLEBODY133, 20, 175)
    result = BodyLimits(COCO_WHOLEBODY133)(points)
    for start, wrist in ((91, 9), (112, 10)):
        for of in (points, result):
            hand = of[0, start : start + 21]
            assert np.linalg.norm(hand - of[0, wrist], axis=1) == pytest.approx(
                np.arange(21) * 0.005 * np.sqrt(3)
            )
        assert not np.allclose(points[0, start], result[0, start])


@pytest.mark.parametrize("layout", [COCO_WHOLEBODY133, MEDIAPIPE33], ids=lambda layout: layout.name)
def test_a_knee_bent_forwards_comes_back_to_its_limit_where_the_foot_is_known(layout):
    points = body(layout, -50)
    result = BodyLimits(layout)(points)
    assert bend_deg(layout, result, *LEFT_LEG) == pytest.approx(25, abs=0.5)
    toe = layout.index("left_heel")
    assert not np.allclose(result[0, toe], points[0, toe]), "the foot goes along"
    blind = body(layout, -50, feet=False)
    assert np.array_equal(BodyLimits(layout)(blind), blind, equal_nan=True)


def test_left_and_right_and_any_place_are_treated_alike(rotation):
    limits = BodyLimits(MEDIAPIPE33)
    points = body(MEDIAPIPE33, -50, 175)
    expected = limits(points)
    turn, shift = rotation(1), np.array((0.4, 0.1, 2.0))
    assert limits(points @ turn.T + shift) == pytest.approx(
        expected @ turn.T + shift, abs=1e-9, nan_ok=True
    )
    swap = list(MEDIAPIPE33.flip_permutation())
    mirrored = limits((points * MIRROR)[:, swap])
    assert mirrored == pytest.approx((expected * MIRROR)[:, swap], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("missing", ["left_shoulder", "left_elbow", "left_wrist", "left_index"])
def test_what_is_missing_stays_missing_and_the_other_arm_is_limited(missing):
    points = body(MEDIAPIPE33, 20, 175)
    points[0, MEDIAPIPE33.index(missing)] = np.nan
    result = BodyLimits(MEDIAPIPE33)(points)
    assert np.array_equal(np.isnan(result), np.isnan(points))
    right = ("right_shoulder", "right_elbow", "right_wrist")
    assert bend_deg(MEDIAPIPE33, result, *right) == pytest.approx(165)


def test_joints_in_one_place_stay_there():
    points = np.zeros((1, 33, 3))
    assert np.array_equal(BodyLimits(MEDIAPIPE33)(points), points)
