from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.body_hands import (
    assign_hands,
    hands_of_body,
    region_from_arm,
    region_from_palm,
    region_from_points,
)
from vitpose_ros.layouts import (
    COCO17,
    COCO_WHOLEBODY133,
    HALPE136,
    HAND21,
    MEDIAPIPE33,
    RIGHT_HAND_START,
    Layout,
)
from vitpose_ros.types import JointState, Keypoints, Side

LEFT, RIGHT = Side.LEFT, Side.RIGHT


def body(places: dict, layout: Layout = COCO17, score: float = 0.9, scores: dict | None = None):
    """A body; joints that are not named are absent."""
    uv = np.full((len(layout), 2), np.nan, np.float32)
    support = np.zeros(len(layout), np.float32)
    for joint, place in places.items():
        index = joint if isinstance(joint, int) else layout.index(joint)
        uv[index], support[index] = place, (scores or {}).get(joint, score)
    absent = np.isnan(uv).any(axis=1)
    state = np.where(absent, JointState.ABSENT, JointState.VISIBLE).astype(np.uint8)
    return Keypoints(layout, uv, support, state)


def arm(side: str, wrist, elbow, shoulder) -> dict:
    return {f"{side}_wrist": wrist, f"{side}_elbow": elbow, f"{side}_shoulder": shoulder}


# --- the formulas


def test_an_arm_gives_openposes_square():
    region = region_from_arm((200, 100), (100, 100), (100, 20))  # forearm 100, upper arm 80
    assert (region.cx, region.cy) == pytest.approx((233, 100))
    assert region.width == region.height == pytest.approx(150)
    assert region.rotation_rad == pytest.approx(math.pi / 2)  # pointing right is up in the crop


def test_a_foreshortened_forearm_does_not_shrink_the_square():
    region = region_from_arm((110, 100), (100, 100), (100, 0))  # upper arm 100
    assert region.width == pytest.approx(1.5 * 0.9 * 100)
    assert (region.cx, region.cy) == pytest.approx((113.3, 100))


def test_an_arm_without_a_forearm_gives_nothing():
    assert region_from_arm((100, 100), (100, 100), (100, 0)) is None
    assert region_from_arm((math.nan, 100), (100, 100), (100, 0)) is None


def hand_points(width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """21 points that fill a box from (50, 60), and their scores."""
    uv = np.full((21, 2), (50 + width / 2, 60 + height / 2), np.float32)
    uv[1], uv[2] = (50, 60), (50 + width, 60 + height)
    return uv, np.full(21, 0.9, np.float32)


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [
        (40, 80, 160),  # narrower than 3:4: twice the height
        (60, 80, 160),  # 3:4
        (80, 80, 80 * 2 * 256 / 192),  # wider: twice the width, padded to 3:4
    ],
)
def test_points_give_hamers_square(width, height, side):
    region = region_from_points(*hand_points(width, height))
    assert (region.cx, region.cy) == (50 + width / 2, 60 + height / 2)
    assert region.width == region.height == pytest.approx(side, rel=1e-5)


@pytest.mark.parametrize(("supported", "found"), [(3, False), (4, True)])
def test_points_need_four_of_more_than_half_support(supported, found):
    uv, score = hand_points(40, 80)
    score[:] = 0.5  # not more than a half
    score[:supported] = 0.51
    assert (region_from_points(uv, score) is not None) == found


def test_junk_points_do_not_move_the_square():
    uv, score = hand_points(40, 80)
    expected = region_from_points(uv, score)
    uv[20], score[20] = (5000, 5000), 0.4
    uv[19] = np.nan
    assert region_from_points(uv, score) == expected


def test_points_turn_the_square_where_wrist_and_middle_finger_are_supported():
    uv, score = hand_points(40, 80)
    uv[0], uv[9] = (60, 100), (80, 100)  # pointing right
    assert region_from_points(uv, score).rotation_rad == pytest.approx(math.pi / 2)
    score[9] = 0.1
    assert region_from_points(uv, score).rotation_rad == 0


def test_points_on_one_spot_give_nothing():
    assert region_from_points(*hand_points(0, 0)) is None


def test_wrist_and_fingers_give_mediapipes_square():
    # Middle finger's root at (110, 60), 40 px above the wrist: square of 80, 2.7 times larger,
    # shifted by a tenth of 80 towards the fingers.
    region = region_from_palm((110, 100), (115, 60), (100, 60))
    assert (region.cx, region.cy) == pytest.approx((110, 52))
    assert region.width == region.height == pytest.approx(216)
    assert region.rotation_rad == pytest.approx(0)


def test_that_square_turns_with_the_hand():
    region = region_from_palm((100, 100), (140, 100), (140, 100))  # pointing right
    assert (region.cx, region.cy) == pytest.approx((148, 100))
    assert region.rotation_rad == pytest.approx(math.pi / 2)


def test_fingers_on_the_wrist_give_nothing():
    assert region_from_palm((5, 5), (5, 5), (5, 5)) is None


# --- which rule for which body

BOTH_ARMS = {
    **arm("left", (300, 100), (200, 100), (200, 20)),
    **arm("right", (20, 100), (120, 100), (120, 20)),
}


def test_a_coco_body_has_a_hand_for_each_arm_with_the_side_of_the_wrist():
    left, right = hands_of_body(body(BOTH_ARMS))
    assert (left.side, left.source, right.side, right.source) == (LEFT, "arm", RIGHT, "arm")
    assert left.region.cx == pytest.approx(333)
    assert right.region.cx == pytest.approx(-13)  # in the image or not: who looks decides
    assert left.region.score == pytest.approx(0.9)


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33, COCO_WHOLEBODY133])
def test_a_body_whose_joints_have_no_scores_has_the_same_hands(layout):
    places = arm("left", (160, 100), (130, 100), (100, 100))
    if layout is MEDIAPIPE33:
        places |= {"left_index": (180, 95), "left_pinky": (178, 106)}
    (sure,) = hands_of_body(body(places, layout))
    (given,) = hands_of_body(body(places, layout, score=math.nan))
    assert given.side is LEFT and given.region == replace(sure.region, score=1.0)


@pytest.mark.parametrize("joint", ["left_wrist", "left_elbow", "left_shoulder"])
def test_an_arm_needs_support_for_wrist_elbow_and_shoulder(joint):
    hands = hands_of_body(body(BOTH_ARMS, scores={joint: 0.25}))  # not more than that
    assert [hand.side for hand in hands] == [RIGHT]
    del (missing := dict(BOTH_ARMS))[joint]
    assert [hand.side for hand in hands_of_body(body(missing))] == [RIGHT]


def test_a_hand_too_small_to_look_at_is_left_out():
    tiny = arm("left", (105, 100), (100, 100), (100, 95))
    assert hands_of_body(body(tiny)) == []


def test_a_whole_body_prefers_its_hand_points_and_falls_back_to_the_arm():
    points, _ = hand_points(40, 80)
    places = {**BOTH_ARMS, **{RIGHT_HAND_START + i: points[i] for i in range(21)}}
    left, right = hands_of_body(body(places, COCO_WHOLEBODY133))
    assert (left.source, right.source) == ("arm", "points")
    assert (right.region.cx, right.region.cy) == (70, 100)
    weak = dict.fromkeys(range(RIGHT_HAND_START, RIGHT_HAND_START + 21), 0.4)
    assert {h.source for h in hands_of_body(body(places, COCO_WHOLEBODY133, scores=weak))} == {
        "arm"
    }


@pytest.mark.parametrize("layout", [COCO_WHOLEBODY133, HALPE136], ids=lambda layout: layout.name)
def test_the_left_hands_points_are_the_left_hands(layout):
    points, _ = hand_points(40, 80)
    places = {f"left_hand_{joint}": points[i] for i, joint in enumerate(HAND21.joints)}
    (hand,) = hands_of_body(body(places, layout))
    assert (hand.side, hand.source) == (LEFT, "points")


def test_mediapipes_body_has_fingers():
    places = {"left_wrist": (110, 100), "left_index": (115, 60), "left_pinky": (100, 60)}
    (hand,) = hands_of_body(body(places, MEDIAPIPE33))
    assert (hand.side, hand.source) == (LEFT, "palm")
    assert hand.region.width == pytest.approx(216)
    hidden = body(places, MEDIAPIPE33, scores={"left_wrist": 0.1})  # not more than that
    assert hands_of_body(hidden) == []


def test_no_joints_no_hands():
    assert hands_of_body(body({})) == []
    assert hands_of_body(body({}, COCO_WHOLEBODY133)) == []


# --- whose hand it is

PERSON = body(BOTH_ARMS)  # wrists at (300, 100) and (20, 100), forearms of 100 px


def test_a_hand_belongs_to_the_arm_whose_wrist_is_near():
    assert assign_hands([(310, 120), (30, 90)], [PERSON]) == [(0, LEFT), (0, RIGHT)]


@pytest.mark.parametrize(("distance", "found"), [(149, (0, LEFT)), (150, None), (151, None)])
def test_near_is_less_than_one_and_a_half_forearms(distance, found):
    assert assign_hands([(300, 100 + distance)], [PERSON]) == [found]


def test_the_nearest_hand_wins_and_the_other_goes_to_nobody():
    assert assign_hands([(300, 150), (300, 110)], [PERSON]) == [None, (0, LEFT)]


def test_a_hand_between_two_wrists_goes_to_the_nearer_and_only_there():
    close = body(
        {
            **arm("left", (200, 100), (100, 100), (100, 0)),
            **arm("right", (240, 100), (340, 100), (340, 0)),
        }
    )
    assert assign_hands([(215, 100)], [close]) == [(0, LEFT)]
    assert assign_hands([(215, 100), (190, 100)], [close]) == [(0, RIGHT), (0, LEFT)]


def test_hands_of_two_persons_go_to_their_own():
    other = body({joint: (u + 400, v) for joint, (u, v) in BOTH_ARMS.items()})
    hands = [(700, 100), (300, 100), (420, 100)]
    assert assign_hands(hands, [PERSON, other]) == [(1, LEFT), (0, LEFT), (1, RIGHT)]


def test_an_arm_that_is_not_known_gets_no_hand():
    weak = body(BOTH_ARMS, scores={"left_elbow": 0.2})
    assert assign_hands([(300, 100)], [weak]) == [None]
    assert assign_hands([(300, 100)], []) == [None]
    assert assign_hands([], [PERSON]) == []
