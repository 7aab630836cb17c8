"""Tests of vitpose_ros.smooth.bones."""

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21, MEDIAPIPE33
from vitpose_ros.limits import rigid_bones
from vitpose_ros.smooth.bones import MEMORY_S, BoneFit, BoneLengths

BONES = rigid_bones(HAND21)
FIRST, SECOND = np.array(BONES).T
OWN = np.arange(len(BONES))
FULL = np.ones((1, 21))
DT = 1 / 30


def lengths_of(points):
    return np.linalg.norm(points[..., SECOND, :] - points[..., FIRST, :], axis=-1)


def learnt(frames, weight=FULL, dt=DT):
    """Lengths learnt from frames (T, 21, 3) of one hand."""
    lengths = BoneLengths(BONES, OWN)
    lengths.take(np.array([-1]))
    for number, frame in enumerate(frames):
        lengths.learn(frame[None], weight, np.array([dt if number else np.nan]))
    return lengths


def noisy(hand, count, share, seed=0):
    """Frames in which each bone is longer or shorter by a random share, (count, 21, 3)."""
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.normal(0, share, (count, len(BONES), 1)))
    frames = np.repeat(hand[None], count, axis=0)
    for bone, (a, b) in enumerate(BONES):
        frames[:, b] = frames[:, a] + factors[:, bone] * (hand[b] - hand[a])
    return frames


def test_the_usual_length_is_learnt_from_noisy_ones(true_hands):
    hand = true_hands()
    frames = noisy(hand, 150, 0.15)
    held = learnt(frames).held(frames[-1:])
    assert held[0] == pytest.approx(lengths_of(hand), rel=0.06)


def test_wrong_images_hardly_move_a_length_wherever_they_come(true_hands):
    hand = true_hands()
    frames = np.repeat(hand[None], 120, axis=0)
    for at, bound in ((0, 0.1), (60, 0.01), (115, 0.01)):
        wrong = frames.copy()
        wrong[at : at + 5] *= 2.0
        held = learnt(wrong).held(frames[-1:])
        assert held[0] == pytest.approx(lengths_of(hand), rel=bound), f"images {at} to {at + 4}"


def test_a_length_that_is_not_known_yet_is_the_one_that_is_seen_and_then_fades_in(true_hands):
    hand = true_hands()
    lengths = learnt([hand] * 3)
    other = hand[None] * 1.2
    assert lengths.held(other)[0] == pytest.approx(lengths_of(other)[0]), "0.1 s say nothing"
    ratios = []
    for count in range(4, 80):
        held = learnt([hand] * count).held(other)
        ratios.append(held[0, 0] / lengths_of(hand)[0])
    assert ratios[0] == pytest.approx(1.2)
    assert ratios[-1] == pytest.approx(1.0)
    assert np.diff(ratios).max() <= 1e-12
    assert np.diff(ratios).min() > -0.02, "no jump"


def test_a_length_that_scatters_too_much_is_not_held(true_hands):
    frames = noisy(true_hands(), 200, 0.8)
    assert learnt(frames).held(frames[-1:])[0] == pytest.approx(lengths_of(frames[-1]))


def test_what_a_length_is_worth_counts_in_seconds_and_confidence_not_in_images(true_hands):
    hand, other = true_hands(), true_hands()[None] * 1.2
    slow = learnt([hand] * 30, dt=1 / 30).held(other)
    fast = learnt([hand] * 60, dt=1 / 60).held(other)
    assert fast == pytest.approx(slow, rel=0.01)
    assert slow[0, 0] < 0.99 * lengths_of(other)[0, 0], "it is held in part already"
    doubtful = learnt([hand] * 60, weight=FULL * 0.5).held(other)
    assert doubtful == pytest.approx(slow, rel=0.01)
    unseen = learnt([hand] * 60, weight=FULL * 0.0).held(other)
    assert unseen == pytest.approx(lengths_of(other))


def test_a_hand_that_is_another_one_now_is_learnt_anew_but_slowly(true_hands):
    hand = true_hands()
    first, after = round(MEMORY_S * 30), round(MEMORY_S * 1.5 * 30)
    frames = np.concatenate([noisy(hand, first, 0.05, 1), noisy(hand * 1.2, after, 0.05, 2)])
    early = learnt(frames[: first + 30]).held(hand[None])[0] / lengths_of(hand)
    late = learnt(frames).held(hand[None])[0] / lengths_of(hand)
    assert (early < 1.05).all()
    assert (late > 1.12).all()


def test_rows_follow_their_tracks(true_hands):
    small, large = true_hands(), true_hands() * 1.3
    lengths = BoneLengths(BONES, OWN)
    lengths.take(np.array([-1, -1]))
    both = np.stack([small, large])
    for _ in range(90):
        lengths.learn(both, np.ones((2, 21)), np.full(2, DT))
    lengths.take(np.array([1, -1, 0]))
    held = lengths.held(np.stack([small, small, small]))
    assert held[0] == pytest.approx(lengths_of(large), rel=1e-6)
    assert held[1] == pytest.approx(lengths_of(small), rel=1e-6), "a fresh row holds nothing"
    assert held[2] == pytest.approx(lengths_of(small), rel=1e-6)
    lengths.take(np.array([1]))
    assert lengths.held(large[None])[0] == pytest.approx(lengths_of(large))


def test_both_sides_of_a_body_are_measured_together():
    bones = rigid_bones(MEDIAPIPE33)
    upper = [bones.index((11, 13)), bones.index((12, 14))]
    mates = np.arange(len(bones))
    mates[upper] = upper[::-1]
    lengths = BoneLengths(bones, mates)
    lengths.take(np.array([-1]))
    points = np.full((1, 33, 3), np.nan)
    points[0, [11, 13]] = (0, 0, 0), (0, 0.3, 0)  # only the left arm is seen
    for _ in range(90):
        lengths.learn(points, np.ones((1, 33)), np.array([DT]))
    points[0, [12, 14]] = (1, 0, 0), (1, 0.4, 0)
    assert lengths.held(points)[0, upper] == pytest.approx([0.3, 0.3])


def test_a_missing_joint_teaches_nothing_and_has_no_length(true_hands):
    hand = true_hands()
    hand[7] = np.nan
    held = learnt([hand] * 60).held(hand[None])[0]
    touches = np.array([7 in bone for bone in BONES])
    assert np.array_equal(np.isnan(held), touches)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_fitted_bones_have_their_lengths_exactly(true_hands, share):
    hands = true_hands.legal(40)
    target = lengths_of(hands) * np.exp(np.random.default_rng(0).normal(0, share, (40, 20)))
    fitted = BoneFit(BONES, 21)(hands, target)
    assert lengths_of(fitted) == pytest.approx(target, rel=1e-3)
    assert fitted.mean(axis=1) == pytest.approx(hands.mean(axis=1), abs=1e-12)


def test_no_smaller_move_of_the_joints_gives_the_lengths(true_hands):
    hands = true_hands.legal(20)
    rng = np.random.default_rng(1)
    target = lengths_of(hands) * np.exp(rng.normal(0, 0.05, (20, 20)))
    fit = BoneFit(BONES, 21)
    fitted = fit(hands, target)
    effort = np.linalg.norm(fitted - hands, axis=(1, 2))
    for _ in range(20):
        elsewhere = fit(fitted + rng.normal(0, 0.002, hands.shape), target)
        assert (np.linalg.norm(elsewhere - hands, axis=(1, 2)) > 0.999 * effort).all()


def test_a_fit_leaves_alone_what_has_its_length_or_is_free(true_hands):
    hand = true_hands()[None]
    fit = BoneFit(BONES, 21)
    assert fit(hand, lengths_of(hand)) == pytest.approx(hand, abs=1e-12)
    free = np.full((1, 20), np.nan)
    assert np.array_equal(fit(hand, free), hand)
    free[0, 3] = 0.05  # the thumb's last bone
    moved = np.linalg.norm(fit(hand, free) - hand, axis=2)[0]
    assert np.array_equal(np.flatnonzero(moved > 0), [3, 4])


def test_a_fit_turns_and_moves_with_the_hand(true_hands, rotation):
    hand = true_hands()[None]
    target = lengths_of(hand) * np.linspace(0.8, 1.3, 20)
    fit, turn, shift = BoneFit(BONES, 21), rotation(2), np.array((0.1, 0.2, 0.7))
    there = fit(hand @ turn.T + shift, target)
    assert there == pytest.approx(fit(hand, target) @ turn.T + shift, abs=1e-9)


def test_missing_joints_stay_missing_and_the_others_are_fitted(true_hands):
    hand = true_hands()[None].copy()
    target = lengths_of(hand) * 1.2
    hand[0, [0, 7]] = np.nan
    target[np.isnan(lengths_of(hand))] = np.nan
    fitted = BoneFit(BONES, 21)(hand, target)
    assert np.array_equal(np.isnan(fitted), np.isnan(hand))
    known = np.isfinite(target)
    assert known.sum() == 13
    assert lengths_of(fitted)[known] == pytest.approx(target[known], rel=1e-3)
