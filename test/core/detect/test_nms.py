from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.nms import greedy_nms, iou_with, weighted_nms


def test_iou_of_known_boxes():
    boxes = np.array([(0, 0, 2, 2), (1, 0, 3, 2), (5, 5, 6, 6), (0, 0, 0, 0)], float)
    assert iou_with(boxes[0], boxes) == pytest.approx([1, 1 / 3, 0, 0])


def test_what_overlaps_the_best_becomes_its_weighted_mean_and_keeps_the_best_score():
    rows = np.array([(0, 0, 10, 10, 7.0), (0, 0, 10, 8, 1.0), (50, 50, 60, 60, 9.0)])
    merged = weighted_nms(rows, np.array([0.6, 0.9, 0.7]), 0.3)
    assert [score for _, score in merged] == [0.9, 0.7]
    expected = (0.6 * rows[0] + 0.9 * rows[1]) / 1.5
    assert merged[0][0] == pytest.approx(expected)
    assert merged[1][0] == pytest.approx(rows[2])


def test_only_overlap_with_the_best_counts_not_with_its_neighbours():
    # A chain: the second overlaps first and third; the third does not overlap the first.
    rows = np.array([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)], float)
    merged = weighted_nms(rows, np.array([0.9, 0.8, 0.7]), 0.3)
    assert len(merged) == 2
    assert merged[1][0] == pytest.approx(rows[2])


def test_boxes_without_area_end_the_search_too():
    assert len(weighted_nms(np.zeros((3, 4)), np.array([0.9, 0.8, 0.7]), 0.3)) == 3


def test_nothing_gives_nothing():
    assert weighted_nms(np.zeros((0, 18)), np.zeros(0), 0.3) == []


def test_the_best_box_suppresses_what_overlaps_it_and_nothing_else():
    boxes = np.array([(0, 0, 10, 10), (0, 0, 10, 9), (50, 50, 60, 60), (0, 0, 10, 4)], float)
    assert greedy_nms(boxes, np.array([0.6, 0.9, 0.7, 0.5]), 0.45).tolist() == [1, 2, 3]


def test_overlap_equal_to_the_threshold_is_allowed():
    boxes = np.array([(0, 0, 10, 10), (0, 0, 10, 5)], float)
    scores = np.array([0.9, 0.8])
    assert greedy_nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert greedy_nms(boxes, scores, 0.49).tolist() == [0]


def test_no_boxes_leave_none():
    assert greedy_nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
