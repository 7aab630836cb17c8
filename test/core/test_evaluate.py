"""Found hands against true ones: which is which, and the figures that come of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vitpose_ros.evaluate import FOUND_WITHIN_PALMS, HandScore, match_hands, palm_length
from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import Side

LEFT, RIGHT = Side.LEFT, Side.RIGHT
PALM_PX = 80.0


def hand(u: float, v: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """A hand whose palm is PALM_PX long, with its wrist there."""
    uv = np.random.default_rng(seed).uniform(-60, 60, (21, 2))
    uv[WRIST], uv[MIDDLE_MCP] = (0, 0), (0, -PALM_PX)
    return uv + np.array([u, v])


def moved(uv: npt.NDArray, palms: float) -> npt.NDArray:
    """The same hand, this many palm lengths to the right."""
    return uv + np.array([palms * PALM_PX, 0.0])


A, B = hand(200, 300, seed=1), hand(600, 300, seed=2)


def test_the_palm_is_measured_from_the_wrist_to_the_middle_fingers_mcp() -> None:
    assert palm_length(A) == pytest.approx(PALM_PX)


def test_errors_are_in_palm_lengths_of_the_true_hand() -> None:
    ((true, found, errors),) = match_hands([A], [moved(A, 0.25)])
    assert (true, found) == (0, 0)
    assert errors == pytest.approx(np.full(21, 0.25))


def test_each_true_hand_gets_the_found_one_that_is_its_own_whatever_the_order() -> None:
    pairs = [(t, f) for t, f, _ in match_hands([A, B], [moved(B, 0.1), moved(A, 0.1)])]
    assert sorted(pairs) == [(0, 1), (1, 0)]


def test_the_assignment_is_the_best_for_all_not_for_the_first() -> None:
    # The first found hand is nearest to both; only one of them can have it.
    near = moved(A, 0.3)
    pairs = [(t, f) for t, f, _ in match_hands([A, near], [moved(A, 0.2), moved(A, -0.2)])]
    assert sorted(pairs) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("palms", "count"), [(FOUND_WITHIN_PALMS - 0.01, 1), (FOUND_WITHIN_PALMS + 0.01, 0)]
)
def test_a_hand_that_is_too_far_away_is_no_match(palms: float, count: int) -> None:
    assert len(match_hands([A], [moved(A, palms)])) == count


def test_absent_joints_neither_help_nor_hinder_a_match() -> None:
    some = moved(A, 0.1)
    some[5:15] = np.nan
    ((_, _, errors),) = match_hands([A], [some])
    assert np.isnan(errors[5:15]).all()
    assert np.delete(errors, range(5, 15)) == pytest.approx(0.1)


def test_a_found_hand_without_any_joint_matches_nothing() -> None:
    nothing = np.full((21, 2), np.nan)
    assert [(t, f) for t, f, _ in match_hands([A], [nothing, A])] == [(0, 1)]
    assert match_hands([A], [nothing]) == []


def test_without_hands_there_is_nothing_to_match() -> None:
    assert match_hands([], [A]) == []
    assert match_hands([A], []) == []


def test_before_the_first_hand_every_figure_is_unknown_not_zero() -> None:
    score = HandScore()
    assert score.detection_rate is None
    assert score.side_accuracy is None
    assert score.joint_error_palm(50) is None


def test_a_rate_without_a_found_hand_is_zero_and_its_errors_unknown() -> None:
    score = HandScore()
    score.add([A], [LEFT], [True], [], [])
    assert score.detection_rate == 0.0
    assert score.side_accuracy is None
    assert score.joint_error_palm(50) is None


def test_the_figures_of_two_images_add_up() -> None:
    score = HandScore()
    score.add([A, B], [LEFT, RIGHT], [True, True], [moved(A, 0.1), moved(B, 0.1)], [LEFT, LEFT])
    score.add([A, B], [LEFT, RIGHT], [True, True], [moved(B, 0.3)], [RIGHT])
    assert (score.true_hands, score.found, score.right_side) == (4, 3, 2)
    assert score.detection_rate == 0.75
    assert score.side_accuracy == pytest.approx(2 / 3)
    assert score.joint_error_palm(50) == pytest.approx(0.1)
    assert score.joint_error_palm(95) == pytest.approx(0.3)


def test_a_hand_that_need_not_be_found_counts_neither_as_found_nor_as_false() -> None:
    score = HandScore()
    score.add([A, B], [LEFT, RIGHT], [True, False], [A, B], [LEFT, LEFT])
    assert (score.true_hands, score.found, score.false_hands) == (1, 1, 0)
    assert score.side_accuracy == 1.0
    score.add([A, B], [LEFT, RIGHT], [True, False], [A], [LEFT])
    assert score.detection_rate == 1.0


def test_a_hand_that_is_none_is_a_false_one() -> None:
    score = HandScore()
    score.add([A], [LEFT], [True], [A, B], [LEFT, RIGHT])
    score.add([], [], [], [B], [RIGHT])
    assert score.false_hands == 2
    assert score.detection_rate == 1.0


def test_a_second_hand_on_the_same_true_one_is_a_false_one() -> None:
    score = HandScore()
    score.add([A], [LEFT], [True], [A, moved(A, 0.05)], [LEFT, RIGHT])
    assert (score.found, score.false_hands, score.right_side) == (1, 1, 1)


def test_absent_joints_do_not_enter_the_errors() -> None:
    some = moved(A, 0.2)
    some[3] = np.nan
    score = HandScore()
    score.add([A], [LEFT], [True], [some], [LEFT])
    assert score.joint_error_palm(100) == pytest.approx(0.2)


def test_a_model_that_tells_no_side_is_not_called_wrong():
    score = HandScore()
    uv = np.random.default_rng(0).uniform(0, 100, (21, 2))
    score.add([uv], [Side.LEFT], [True], [uv], [Side.UNKNOWN])
    assert (score.found, score.sided) == (1, 0)
    assert score.side_accuracy is None
