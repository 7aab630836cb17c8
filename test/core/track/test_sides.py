"""Left and right over time: what counts, what decides, and what it takes to change it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vitpose_ros.track.sides import (
    EVIDENCE_MOST,
    MOST,
    SURE,
    UNSURE,
    Sides,
    probability,
    side_evidence,
)
from vitpose_ros.types import Side

STEP_S = 0.033
LEFT, RIGHT, UNKNOWN = Side.LEFT, Side.RIGHT, Side.UNKNOWN


class Film:
    """Sides over images, each `step_s` after the one before."""

    def __init__(self, step_s=STEP_S):
        self.sides, self.step_ns, self.stamp_ns = Sides(), round(step_s * 1e9), 10**18

    def show(self, together=True, presence=1.0, **right):
        """One image in which hands, by name, look right with a probability: their sides."""
        self.stamp_ns += self.step_ns
        ids = {name: ord(name) for name in right}
        self.sides.keep_only(ids.values())
        for name, probability_ in right.items():
            evidence = side_evidence(probability_, presence, inside=1.0)
            self.sides.observe(ids[name], self.stamp_ns, evidence)
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
    assert told(film.show_for(2, a=0.99, presence=0.8)) == [UNKNOWN]


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 30, 1 / 10])
@pytest.mark.parametrize("wrong_s", [0.1, 0.2, 0.3])
def test_a_side_stays_through_images_that_say_the_contrary_for_a_while(wrong_s, step_s):
    film = Film(step_s)
    film.show_for(2, a=0.95)
    assert told(film.show_for(wrong_s, a=0.02)) == [RIGHT]
    assert told(film.show_for(2, a=0.95)) == [RIGHT]


def test_a_lasting_contrary_changes_a_side_once():
    film = Film()
    film.show_for(2, a=0.95)
    assert told(film.show_for(3, a=0.05)) == [RIGHT, LEFT]


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 30, 1 / 10])
def test_contrary_evidence_turns_a_side_within_half_a_second(step_s):
    film = Film(step_s)
    film.show_for(5, a=0.95)
    seen = [sides[0] for sides in film.show_for(0.5 + step_s, a=0.08)]
    assert seen[-1] is LEFT


@pytest.mark.parametrize("step_s", [1 / 60, 1 / 30, 1 / 10])
def test_a_wrong_pair_recovers_within_half_a_second_of_contrary_evidence(step_s):
    film = Film(step_s)
    assert film.show_for(5, a=0.99, b=0.01)[-1] == (RIGHT, LEFT)
    assert film.show_for(0.5 + step_s, a=0.08, b=0.92)[-1] == (LEFT, RIGHT)


def test_no_belief_grows_without_evidence():
    film = Film()
    film.show(a=0.9, b=0.3)
    before = [film.sides.odds(ord(name)) for name in "ab"]
    film.show_for(5, a=0.5, b=0.5)
    film.show_for(5, a=0.99, b=0.99, presence=0.8)
    assert [film.sides.odds(ord(name)) for name in "ab"] == before
    assert film.show(a=0.5, b=0.5) == (RIGHT, LEFT)


def test_the_same_time_of_evidence_gives_the_same_belief_at_any_rate():
    beliefs = []
    for rate in (10, 30, 60, 120):
        film = Film(1 / rate)
        for _ in range(rate // 2 + 1):
            film.show(a=0.75)
        beliefs.append(film.sides.odds(ord("a")))
    assert beliefs == pytest.approx([beliefs[0]] * 4, rel=0.01)


def test_beliefs_are_bounded_and_a_pause_is_no_evidence():
    film = Film()
    film.show_for(60, a=1.0)
    assert film.sides.odds(ord("a")) == MOST
    assert film.sides.of(ord("a"))[1] == pytest.approx(probability(MOST))
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


def test_a_hand_without_evidence_takes_the_side_that_its_partner_leaves():
    film = Film()
    film.show(a=0.85)
    film.show_for(0.2, a=0.5)
    assert film.show(a=0.5, b=0.6) == (RIGHT, LEFT)


def test_hands_are_clearly_alike_only_when_both_beliefs_are_strong():
    film = Film()
    film.show_for(1, a=0.95, b=0.95, together=False)
    film.show(a=0.95, b=0.95, c=0.9, d=0.05, together=False)
    a, b, c, d = map(ord, "abcd")
    assert film.sides.clearly_alike(a, b)
    assert not film.sides.clearly_alike(a, c), "one image is not enough"
    film.show_for(1, a=0.95, d=0.05, together=False)
    assert not film.sides.clearly_alike(a, d)


def test_a_hand_that_looks_like_nothing_is_the_other_one_of_a_known_hand():
    film = Film()
    film.show_for(1, a=0.95)
    assert film.show(a=0.95, b=0.5) == (RIGHT, LEFT)
    assert told(film.show_for(1, b=0.5)) == [LEFT], "and stays it when it is alone"


def test_a_hand_told_when_alone_gives_way_to_better_evidence_for_the_other_but_not_at_once():
    film = Film()
    film.show(a=0.85)
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
    assert told(film.show_for(0.3, a=0.95)) == [LEFT], "also when the body is hidden for a moment"


def test_a_forgotten_hand_is_unknown():
    film = Film()
    film.show_for(1, a=0.95)
    film.sides.clear()
    assert film.sides.odds(ord("a")) == 0.0
    assert film.sides.of(ord("a"))[0] is UNKNOWN


# --- how much an image can tell ----------------------------------------------------------------


@pytest.mark.parametrize("presence", [0.5, 0.85, UNSURE])
def test_a_network_that_is_not_sure_of_a_hand_says_nothing_of_its_side(presence):
    assert side_evidence(0.99, presence, inside=1.0) == 0.0


def test_the_surer_a_network_is_of_a_hand_the_more_its_side_counts():
    evidence = [side_evidence(0.9, presence, inside=1.0) for presence in (0.92, 0.94, 0.96, SURE)]
    assert all(a < b for a, b in itertools.pairwise(evidence))
    assert evidence[-1] == side_evidence(0.9, 1.0, inside=1.0) == pytest.approx(math.log(9))


def test_a_hand_cut_by_the_images_edge_tells_less_and_half_a_hand_nothing():
    whole, cut, half = (side_evidence(0.1, 1.0, inside) for inside in (1.0, 0.85, 0.5))
    assert whole < cut < half == 0.0


def test_left_and_right_are_evidence_of_equal_weight():
    assert side_evidence(0.2, 0.95, 0.9) == pytest.approx(-side_evidence(0.8, 0.95, 0.9))


def test_one_images_evidence_is_bounded():
    assert side_evidence(1.0, 1.0, 1.0) == side_evidence(0.99999, 1.0, 1.0) == EVIDENCE_MOST
    assert side_evidence(0.0, 1.0, 1.0) == -EVIDENCE_MOST


def test_a_network_that_tells_no_side_is_no_evidence():
    assert math.isnan(side_evidence(math.nan, 1.0, 1.0))


@pytest.mark.parametrize("presence", [0.0, 1.0])
def test_what_a_detector_tells_counts_whether_or_not_the_network_tells_a_side(presence):
    alone = side_evidence(math.nan, presence, 1.0, 0.9)
    assert alone == pytest.approx(math.log(9))
    assert side_evidence(0.5, presence, 1.0, 0.9) == pytest.approx(alone)
    assert side_evidence(0.2, 1.0, 1.0, 0.8) == pytest.approx(0.0)
    assert side_evidence(1.0, 1.0, 1.0, 1.0) == EVIDENCE_MOST


def test_images_without_evidence_do_not_shorten_the_time_for_which_the_next_one_counts():
    often, seldom = Sides(), Sides()
    for i in range(31):
        stamp_ns = i * 33_333_333
        often.observe(1, stamp_ns, 0.5)
        seldom.observe(1, stamp_ns, 0.5 if i % 3 == 0 else math.nan)
    assert seldom.odds(1) == pytest.approx(often.odds(1), abs=0.01)
