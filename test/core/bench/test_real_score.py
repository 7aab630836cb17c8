from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.bench.real.scene import RealHand, RealImage
from vitpose_ros.bench.real.score import FoundHand, RealFollower, RealScore
from vitpose_ros.bench.real.variants import VARIANTS
from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import Side

LEFT, RIGHT, UNKNOWN = Side.LEFT, Side.RIGHT, Side.UNKNOWN
PALM_PX = 60.0
RATE_HZ = 30


def joints(x, y=300.0):
    """(21, 2) px of a hand whose palm is PALM_PX long."""
    uv = np.random.default_rng(0).uniform(-30, 30, (21, 2)) + np.array((x, y))
    uv[WRIST], uv[MIDDLE_MCP] = (x, y), (x, y - PALM_PX)
    return uv.astype(np.float32)


def hand(side, x, hidden=0):
    return RealHand(side, joints(x), np.arange(21) < hidden, 640, 480)


def seen(*hands, unknown=()):
    return RealImage(np.zeros((480, 640, 3), np.uint8), hands, unknown)


def score_of(images):
    """Score of (true image, found hands) at 30 Hz."""
    follower = RealFollower()
    for number, (true, found) in enumerate(images):
        follower.add(number / RATE_HZ, true, found)
    return follower.score


BOTH = seen(hand(LEFT, 150.0), hand(RIGHT, 450.0))


def test_a_hand_with_the_right_side_counts_and_one_without_a_side_does_not():
    found = [FoundHand(joints(150.0), LEFT, 1), FoundHand(joints(450.0), UNKNOWN, 2)]
    figures = score_of([(BOTH, found)] * 10).figures()
    assert figures["side_right"] == 0.5
    assert figures["sided"] == 0.5
    assert figures["coverage"] == 1.0


def test_the_longest_time_with_a_wrong_side_is_that_of_one_stretch():
    right, wrong = FoundHand(joints(450.0), RIGHT, 2), FoundHand(joints(450.0), LEFT, 2)
    images = [(BOTH, [hand]) for hand in [wrong] * 7 + [right] * 3 + [wrong] * 4]
    score = score_of(images)
    assert score.wrong_s == pytest.approx(6 / RATE_HZ)
    assert score.side_moves == 2


def test_an_id_that_goes_to_the_other_hand_moves_and_a_new_id_does_not():
    first = [FoundHand(joints(150.0), LEFT, 1)]
    assert score_of([(BOTH, first), (BOTH, [FoundHand(joints(450.0), LEFT, 1)])]).id_moves == 1
    assert score_of([(BOTH, first), (BOTH, [FoundHand(joints(450.0), LEFT, 2)])]).id_moves == 0


@pytest.mark.parametrize(
    ("images", "false"),
    [(3, 0), (6, 0), (8, 1), (30, 1)],  # counted when it lasts for more than 0.2 s, and once
)
def test_a_hand_where_there_is_none_is_false_when_it_lasts(images, false):
    ghost = FoundHand(joints(300.0, 100.0), LEFT, 7)
    assert score_of([(BOTH, [ghost])] * images + [(BOTH, [])]).false_hands == false


def test_two_hands_published_at_one_true_hand_are_one_too_many():
    twice = [FoundHand(joints(150.0), LEFT, 1), FoundHand(joints(155.0), LEFT, 2)]
    assert score_of([(BOTH, twice)] * 10).false_hands == 1


def test_a_hand_that_is_read_badly_is_neither_found_nor_false():
    badly = FoundHand(joints(150.0 + 0.7 * PALM_PX), LEFT, 1)
    score = score_of([(BOTH, [badly])] * 30)
    assert (score.found, score.false_hands) == (0, 0)


def test_where_hands_may_be_nothing_is_false():
    maybe = seen(unknown=((300.0, 280.0, 100.0),))
    assert score_of([(maybe, [FoundHand(joints(300.0), LEFT, 1)])] * 30).false_hands == 0
    assert score_of([(maybe, [FoundHand(joints(500.0), LEFT, 1)])] * 30).false_hands == 1


@pytest.mark.parametrize(
    "out_of_view", [hand(LEFT, 5.0), hand(LEFT, 150.0, hidden=14)], ids=["cut", "covered"]
)
def test_a_hand_out_of_view_need_not_be_found(out_of_view):
    assert score_of([(seen(out_of_view), [])]).in_view == 0


def test_scores_of_clips_add_up_but_for_the_longest_time():
    score = RealScore(in_view=2, found=1, wrong_s=0.5)
    score += RealScore(in_view=3, found=3, wrong_s=0.2)
    assert (score.in_view, score.found, score.wrong_s) == (5, 4, 0.5)
    assert RealScore().figures()["side_right"] is None


NUMBERED = [
    RealImage(np.full((480, 640, 3), number, np.uint8), (hand(LEFT, 100.0 + number),))
    for number in range(12)
]


@pytest.mark.parametrize(
    ("name", "numbers", "shown"),
    [
        ("as filmed", list(range(12)), list(range(12))),
        ("reversed", list(range(12)), list(range(11, -1, -1))),
        ("every 3rd", [0, 3, 6, 9], [0, 3, 6, 9]),
        ("from the middle", list(range(6)), list(range(6, 12))),
        ("mirrored, from a third", list(range(8)), list(range(4, 12))),
    ],
)
def test_a_variant_shows_these_images_at_rising_times(name, numbers, shown):
    variant = next(variant for variant in VARIANTS if variant.name == name)
    made = list(variant(NUMBERED))
    assert [number for number, _ in made] == numbers
    assert [int(image.image[0, 0, 0]) for _, image in made] == shown


def dotted(side):
    """An image with a white dot at the wrist of its hand."""
    true = hand(side, 200.0)
    image = np.zeros((480, 640, 3), np.uint8)
    image[298:303, 198:203] = 255
    return RealImage(image, (true,), ((200.0, 300.0, 50.0),))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_in_every_variant_joints_lie_where_the_image_shows_them(variant):
    _, made = next(variant([dotted(LEFT)] * 3))
    (true,) = made.hands
    v, u = np.argwhere(made.image[..., 0] > 40).mean(axis=0)
    assert (u, v) == pytest.approx(true.uv[WRIST], abs=0.6)
    assert (true.width, true.height) == (made.image.shape[1], made.image.shape[0])
    assert made.unknown[0][:2] == pytest.approx(true.uv[WRIST], abs=0.6)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_only_in_a_mirror_image_a_left_hand_is_a_right_one(variant):
    _, made = next(variant([dotted(LEFT)] * 3))
    assert made.hands[0].side is (RIGHT if "mirrored" in variant.name else LEFT)
