from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import AP10K17, APT36K17, COCO17, HAND21, MEDIAPIPE33, Layout
from vitpose_ros.oks import oks, oks_nms, pair_oks
from vitpose_ros.types import JointState, Keypoints

AREA = 10_000.0


def joints(layout: Layout, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (len(layout), 2)).astype(np.float32)


def shifted(uv: np.ndarray, by_px: float) -> np.ndarray:
    return uv + np.array((by_px, 0))


def keypoints(uv: np.ndarray, score: float | np.ndarray = 1.0, layout: Layout = COCO17):
    absent = np.isnan(uv).any(axis=1)
    state = np.where(absent, JointState.ABSENT, JointState.VISIBLE).astype(np.uint8)
    scores = np.where(absent, 0, np.broadcast_to(score, len(layout))).astype(np.float32)
    return Keypoints(layout, uv.astype(np.float32), scores, state)


@pytest.mark.parametrize(
    ("layout", "off_px", "expected"),  # measured with pycocotools' formula
    [
        (COCO17, 1, 0.99399),
        (COCO17, 5, 0.87115),
        (COCO17, 10, 0.64699),
        (HAND21, 1, 0.97850),
        (HAND21, 5, 0.59752),
        (HAND21, 10, 0.17218),
    ],
)
def test_similarity_of_joints_that_are_all_off(layout, off_px, expected):
    a = joints(layout)
    assert oks(a, shifted(a, off_px), AREA, layout.sigmas) == pytest.approx(expected, abs=1e-5)


def test_equal_joints_are_similar_by_1():
    a = joints(COCO17)
    assert oks(a, a, AREA, COCO17.sigmas) == 1.0


@pytest.mark.parametrize("layout", [AP10K17, APT36K17])
@pytest.mark.parametrize(
    ("part", "expected"),  # of 17 joints, one is 20 px off
    [("eye", 0.94120), ("shoulder", 0.96758), ("front_paw", 0.95720), ("back_paw", 0.97247)],
)
def test_an_error_weighs_the_same_on_both_sides_of_an_animal(layout, part, expected):
    a = joints(layout)
    for side in ("left", "right"):
        b = a.copy()
        b[layout.index(f"{side}_{part}")] += (0, 20)
        assert oks(a, b, AREA, layout.sigmas) == pytest.approx(expected, abs=1e-5)


def test_only_joints_that_count_and_are_known_count():
    a, b = joints(COCO17), joints(COCO17)
    b[5] += 1e6
    b[6] = np.nan
    counted = np.ones(17, bool)
    counted[5] = False
    assert oks(a, b, AREA, COCO17.sigmas, counted) == 1.0


def test_joints_without_a_published_sigma_are_left_out():
    a = joints(MEDIAPIPE33)
    b = a.copy()
    b[MEDIAPIPE33.index("left_thumb")] += 1000
    assert oks(a, b, AREA, MEDIAPIPE33.sigmas) == 1.0


def test_nothing_to_compare_is_not_a_number():
    a = joints(COCO17)
    assert np.isnan(oks(a, np.full_like(a, np.nan), AREA, COCO17.sigmas))


@pytest.mark.parametrize("area", [0.0, -1.0, np.nan, np.inf])
def test_an_object_has_an_area(area):
    with pytest.raises(ValueError, match="expected a positive area"):
        oks(joints(COCO17), joints(COCO17), area, COCO17.sigmas)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(17, 2\).*got \(21, 2\)"):
        oks(joints(HAND21), joints(HAND21), AREA, COCO17.sigmas)


def test_a_pair_is_measured_by_the_mean_of_both_areas():
    a = joints(COCO17)
    pair = keypoints(a), keypoints(shifted(a, 5))
    assert pair_oks(*pair, (4_000.0, 16_000.0), 0.3) == pytest.approx(0.87115, abs=1e-5)


def test_a_pair_is_compared_where_both_are_supported():
    a, score = joints(COCO17), np.ones(17)
    b = a.copy()
    b[0] += 1e4
    score[0] = 0.2
    pair = keypoints(a), keypoints(b, score)
    assert pair_oks(*pair, (AREA, AREA), 0.3) == 1.0
    assert pair_oks(*pair[::-1], (AREA, AREA), 0.3) == 1.0
    assert pair_oks(*pair, (AREA, AREA), 0.1) < 0.95


def test_bodies_of_two_layouts_are_not_compared():
    with pytest.raises(ValueError, match="'coco17' and 'hand21'"):
        pair_oks(keypoints(joints(COCO17)), keypoints(joints(HAND21), 1, HAND21), (1, 1), 0.3)


def test_of_a_body_seen_twice_the_better_one_stays():
    a = joints(COCO17)
    bodies = [
        keypoints(a),
        keypoints(shifted(a, 1)),
        keypoints(shifted(a, 300)),
        keypoints(shifted(a, 10)),
    ]
    assert oks_nms(bodies, [0.5, 0.9, 0.4, 0.6], [AREA] * 4) == [1, 3, 2]


def test_a_body_that_went_suppresses_nothing():
    # Each is like its neighbour (0.935), not like the one beyond (0.80).
    a, step = joints(COCO17), np.array((3.5, 0))
    bodies = [keypoints(a), keypoints(a + step), keypoints(a + 2 * step)]
    assert oks_nms(bodies, [0.9, 0.8, 0.7], [AREA] * 3) == [0, 2]


def test_bodies_without_a_common_joint_are_two():
    upper, lower = joints(COCO17), joints(COCO17)
    upper[9:], lower[:9] = np.nan, np.nan
    assert oks_nms([keypoints(upper), keypoints(lower)], [0.9, 0.8], [AREA] * 2) == [0, 1]


def test_a_score_that_is_not_finite_is_the_lowest():
    a = joints(COCO17)
    twins = [keypoints(a), keypoints(a)]
    assert oks_nms(twins, [np.nan, 0.1], [AREA] * 2) == [1]
    assert oks_nms(twins, [0.1, np.inf], [AREA] * 2) == [0]


def test_nobody_is_nobody():
    assert oks_nms([], [], []) == []
