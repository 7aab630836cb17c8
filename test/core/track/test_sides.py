"""Left and right over time: what counts, what decides, and what it takes to change it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vitpose_ros.layouts import INDEX_MCP, PINKY_MCP, WRIST
from vitpose_ros.track.sides import (
    MOST,
    SWITCH_IMAGES,
    SWITCH_S,
    Sides,
    evidence_weight,
    log_odds,
    probability,
)
from vitpose_ros.types import Side

STEP_S = 0.033
LEFT, RIGHT, UNKNOWN = Side.LEFT, Side.RIGHT, Side.UNKNOWN


class Film:
    """Sides over images, each `step_s` after the one before."""

    def __init__(self, step_s=STEP_S):
        self.sides, self.step_ns, self.stamp_ns = Sides(), round(step_s * 1e9), 10**18

    def show(self, together=True, weight=1.0, **right):
        """One image in which hands, by name, look right with a probability: their sides."""
        self.stamp_ns += self.step_ns
        ids = {name: ord(name) for name in right}
        self.sides.keep_only(ids.values())
        for name, probability_ in right.items():
            self.sides.observe(ids[name], self.stamp_ns, probability_, weight)
        self.sides.decide([list(ids.values())] if together else [[i] for i in ids.values()])
        return tuple(self.sides.of(i)[0] for i in ids.values())

    def show_for(self, seconds, **looks):
        return [self.show(**looks) for _ in range(round(seconds * 1e9 / self.step_ns))]


def told(seen):
    """The sides of the first hand, without repetitions."""
    return [side for side, _ in itertools.groupby(sides[0] for sides in seen)]


# --- one hand ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "side"), [(0.9, RIGHT), (0.1, LEFT), (0.5, UNKNOWN)])
def test_a_hand_has_the_side_that_it_looks_like(right, side):
    film = Film()
    assert told(film.show_for(1, a=right)) == [side]


def test_a_network_that_tells_no_side_leaves_it_unknown():
    film = Film()
    assert told(film.show_for(2, a=math.nan, b=math.nan)) == [UNKNOWN]
    side, score = film.sides.of(ord("a"))
    assert (side, math.isnan(score)) == (UNKNOWN, True)
    assert film.sides.of(12345)[0] is UNKNOWN, "nor of a hand that was never seen"


def test_an_image_that_can_not_tell_says_nothing():
    film = Film()
    assert told(film.show_for(2, a=0.99, weight=0.0)) == [UNKNOWN]


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 30, 1 / 10])
@pytest.mark.parametrize("wrong_s", [0.1, 0.3, 0.6])
def test_a_side_stays_through_images_that_say_the_contrary_for_a_while(wrong_s, step_s):
    film = Film(step_s)
    film.show_for(2, a=0.95)
    assert told(film.show_for(wrong_s, a=0.02)) == [RIGHT]
    assert told(film.show_for(2, a=0.95)) == [RIGHT]


def test_a_lasting_contrary_changes_a_side_once():
    film = Film()
    film.show_for(2, a=0.95)
    assert told(film.show_for(3, a=0.05)) == [RIGHT, LEFT]


@pytest.mark.parametrize(("step_s", "images"), [(1 / 60, 13), (1 / 30, 7), (0.1, SWITCH_IMAGES)])
def test_a_change_needs_both_time_and_images(step_s, images):
    film = Film(step_s)
    film.show(a=0.7)  # hardly known: the belief itself turns at once
    seen = [film.show(a=0.0)[0] for _ in range(40)]
    first = film.sides.odds(ord("a"))
    assert first < 0
    assert seen.index(LEFT) >= images - 1
    assert seen.index(LEFT) * step_s >= SWITCH_S - 1e-6


def test_the_same_time_of_evidence_gives_the_same_belief_at_any_rate():
    beliefs = []
    for rate in (10, 30, 60, 120):
        film = Film(1 / rate)
        for _ in range(rate // 2 + 1):
            film.show(a=0.75)
        beliefs.append(film.sides.odds(ord("a")))
    assert beliefs == pytest.approx([beliefs[0]] * 4, rel=0.01)


def test_beliefs_are_bounded_and_so_is_what_one_image_says():
    film = Film()
    film.show_for(60, a=1.0)
    assert film.sides.odds(ord("a")) == MOST
    assert film.sides.of(ord("a"))[1] == pytest.approx(probability(MOST))
    assert log_odds(1.0) == log_odds(0.99999) == -log_odds(0.0)
    film.stamp_ns += 10 * 10**9  # one image after ten seconds does not say ten seconds' worth
    assert film.show(a=0.0) == (RIGHT,)


def test_the_score_is_a_probability_that_grows_with_the_evidence():
    film = Film()
    scores = []
    for _ in range(30):
        film.show(a=0.2)
        scores.append(film.sides.of(ord("a"))[1])
    assert all(a <= b for a, b in itertools.pairwise(scores))
    assert 0.5 <= scores[0] < 0.8 < scores[-1] <= 1


# --- two hands ---------------------------------------------------------------------------------


def test_of_two_hands_that_both_look_right_the_surer_one_is():
    film = Film()
    assert set(film.show_for(2, a=0.9, b=0.7)) == {(RIGHT, LEFT)}


def test_two_hands_are_never_both_the_same_whatever_the_network_says():
    film, rng = Film(), np.random.default_rng(0)
    for _ in range(20):
        for name in ("b", "c", "d"):  # the second one is another hand each time
            for _ in range(10):
                sides = film.show(a=rng.uniform(), **{name: rng.uniform()})
                assert sides[0] is not sides[1] or sides == (UNKNOWN, UNKNOWN)
                assert sides.count(UNKNOWN) != 2 or abs(film.sides.odds(ord("a"))) < 1


def test_two_hands_that_are_not_one_persons_may_have_one_side():
    film = Film()
    assert film.show_for(1, a=0.9, b=0.9, together=False)[-1] == (RIGHT, RIGHT)


def test_two_hands_that_were_told_the_same_apart_are_not_when_they_are_one_persons():
    film = Film()
    assert film.show_for(1, a=0.9, b=0.8, together=False)[-1] == (RIGHT, RIGHT)
    seen = film.show_for(1, a=0.9, b=0.8)
    assert seen[0] == (RIGHT, UNKNOWN), "the less sure one waits"
    assert seen[-1] == (RIGHT, LEFT)
    assert RIGHT not in [b for _, b in seen]


def test_a_hand_that_looks_like_nothing_is_the_other_one_of_a_known_hand():
    film = Film()
    film.show_for(1, a=0.95)
    assert film.show(a=0.95, b=0.5) == (RIGHT, LEFT)
    assert told(film.show_for(1, b=0.5)) == [LEFT], "and stays it when it is alone"


def test_a_hand_told_when_alone_gives_way_to_better_evidence_for_the_other_but_not_at_once():
    film = Film()
    film.show(a=0.75)
    seen = film.show_for(2, a=0.55, b=0.99)
    assert seen[0] == (RIGHT, UNKNOWN), "two right hands are not said, and nothing changes at once"
    assert seen[-1] == (LEFT, RIGHT)
    assert all(a is not b for a, b in seen)


# --- the body's wrist --------------------------------------------------------------------------


def test_the_wrist_of_the_body_decides_and_is_remembered():
    film = Film()
    film.show_for(2, a=0.95)
    film.sides.fix(ord("a"), LEFT, 0.7)
    assert film.sides.of(ord("a")) == (LEFT, 0.7)
    assert told(film.show_for(0.5, a=0.95)) == [LEFT], "also when the body is hidden"


def test_a_forgotten_hand_is_unknown():
    film = Film()
    film.show_for(1, a=0.95)
    film.sides.clear()
    assert film.sides.odds(ord("a")) == 0.0
    assert film.sides.of(ord("a"))[0] is UNKNOWN


# --- how much an image can tell ----------------------------------------------------------------


def palm(width=1.0, size=100.0, at=(300.0, 200.0)):
    """(21, 2): a palm as wide as `width` times its usual one."""
    spread = np.stack(np.divmod(np.arange(21), 5), axis=1) - (2, 2)
    uv = (np.array(at) + 0.2 * size * spread).astype(np.float32)
    uv[WRIST] = np.add(at, (0, 0.5 * size))
    uv[INDEX_MCP] = np.add(at, (-0.35 * size * width, -0.5 * size))
    uv[PINKY_MCP] = np.add(at, (0.35 * size * width, -0.4 * size))
    return uv


def weight(uv):
    return evidence_weight(uv, 640, 480)


def test_a_palm_that_faces_the_camera_in_the_middle_of_the_image_tells_all():
    assert weight(palm()) == 1.0


def test_the_more_a_palm_is_seen_edge_on_the_less_it_tells():
    weights = [weight(palm(width)) for width in (1.0, 0.6, 0.4, 0.2, 0.0)]
    assert all(a > b or a == b == 0.0 for a, b in itertools.pairwise(weights))
    assert weights[-1] == 0.0


@pytest.mark.parametrize(("size", "low", "high"), [(60, 1, 1), (15, 0.2, 0.8), (6, 0, 0)])
def test_a_small_palm_tells_little(size, low, high):
    assert low <= weight(palm(size=size)) <= high


@pytest.mark.parametrize("at", [(639, 200), (0, 200), (300, 479), (300, 0)])
def test_a_hand_cut_by_the_images_edge_tells_less(at):
    assert weight(palm(at=at)) < 0.5


def test_joints_that_are_unknown_tell_nothing():
    uv = palm()
    uv[PINKY_MCP] = np.nan
    assert weight(uv) == 0.0
    assert weight(np.zeros((21, 2), np.float32)) == 0.0
