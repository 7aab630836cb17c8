"""The figures that a network is judged by."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.train.score import score

COCO, HAND, NO_SIGMAS = (LAYOUTS[name] for name in ("coco17", "hand21", "h36m17"))


def objects(layout, count, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.uniform(20, 100, (count, len(layout), 2))
    return true, np.ones((count, len(layout))), np.full(count, 6400.0), rng


def test_joints_in_the_right_places_have_all_the_points():
    true, weight, area, _ = objects(COCO, 5)
    found = score(true, np.ones((5, 17)), true, weight, area, COCO)
    assert (found.ap, found.oks, found.error_percent, found.objects) == (1, 1, 0, 5)


def test_ap_counts_the_thresholds_that_an_objects_similarity_reaches():
    true, weight, area, _ = objects(COCO, 1)
    # exp(-d^2 / (2 (2 sigma)^2 area)) = 0.72 for every joint: five of the ten thresholds.
    sigmas = np.array(COCO.sigmas)
    away = np.sqrt(-np.log(0.72) * 2 * (2 * sigmas) ** 2 * 6400)
    xy = true + np.stack([away, np.zeros(17)], axis=1)
    found = score(xy, np.ones((1, 17)), true, weight, area, COCO)
    assert found.ap == pytest.approx(0.5) and found.oks == pytest.approx(0.72)


# Two of three objects are right: recall reaches 0.66. Precision is 1 before the wrong one, and at
# best 2/3 after it.
@pytest.mark.parametrize(
    ("order", "ap"), [((0.9, 0.8, 0.1), 67 / 101), ((0.1, 0.8, 0.9), 67 / 101 * 2 / 3)]
)
def test_a_wrong_object_costs_less_if_its_score_is_low(order, ap):
    true, weight, area, _ = objects(COCO, 3)
    xy = true.copy()
    xy[2] += 1000
    scores = np.repeat(np.array(order)[:, None], 17, axis=1)
    found = score(xy, scores, true, weight, area, COCO)
    assert found.ap == pytest.approx(ap)


def test_errors_of_hands_are_in_palms():
    true, weight, area, _ = objects(HAND, 4)
    true[:, 0], true[:, 9] = (0, 0), (0, 50)
    xy = true + np.array((0, 5.0))
    found = score(xy, np.ones((4, 21)), true, weight, area, HAND)
    assert found.error_percent == pytest.approx(10) and found.p95_percent == pytest.approx(10)


def test_joints_without_a_label_do_not_count_and_absent_ones_are_infinitely_far():
    true, weight, area, _ = objects(COCO, 3)
    xy = true.copy()
    weight[:, 3:] = 0
    xy[:, 3:] = 0
    assert score(xy, np.ones((3, 17)), true, weight, area, COCO).ap == 1
    xy[0, 0] = np.nan
    found = score(xy, np.ones((3, 17)), true, weight, area, COCO)
    assert found.joints == 9 and found.plain()["p95_percent"] == 0
    xy[:, :3] = np.nan
    assert score(xy, np.ones((3, 17)), true, weight, area, COCO).plain()["error_percent"] is None


def test_crops_without_an_object_count_only_by_their_scores():
    true, weight, area, _ = objects(COCO, 4)
    true[3], area[3] = np.nan, 0
    scores = np.full((4, 17), 0.9)
    scores[3] = 0.2
    found = score(np.nan_to_num(true), scores, true, weight, area, COCO)
    assert (found.objects, found.ap) == (3, 1) and found.empty_score == pytest.approx(0.2)


def test_without_sigmas_the_error_ranks():
    true, weight, area, rng = objects(NO_SIGMAS, 4)
    near, far = (
        score(true + rng.normal(0, s, true.shape), np.ones((4, 17)), true, weight, area, NO_SIGMAS)
        for s in (1, 4)
    )
    assert np.isnan(near.ap) and near.rank > far.rank
