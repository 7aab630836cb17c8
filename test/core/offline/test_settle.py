"""Who is who in a whole recording."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, HAND21, Layout
from vitpose_ros.offline.settle import BODY_FARTHEST, STITCH_S, settle
from vitpose_ros.track.assign import HAND_FARTHEST
from vitpose_ros.types import NO_ID, Instance, JointState, Keypoints, Side, TrackState

L, R, U = Side.LEFT, Side.RIGHT, Side.UNKNOWN
STEP_NS = 100_000_000
SHAPES = {
    layout.name: np.random.default_rng(3).uniform(0, 50, (len(layout), 2))
    for layout in (HAND21, COCO17)
}


def found(track_id, side=U, score=0.9, x=100.0, parent=NO_ID, layout: Layout = HAND21):
    uv = (SHAPES[layout.name] + (x, 100)).astype(np.float32)
    ones = np.ones(len(layout), np.float32)
    joints = Keypoints(layout, uv, ones, np.full(len(layout), JointState.MEASURED, np.uint8))
    return Instance(
        joints, 0.9, "network", side=side, side_score=score, track_id=track_id, parent_id=parent
    )


def settled(*images, resets=(0,), one_person=True):
    stamps = [10**18 + i * STEP_NS for i in range(len(images))]
    restarts = [i in resets for i in range(len(images))]
    return settle(stamps, [list(image) for image in images], restarts, one_person)


def sides(images):
    return [[(one.track_id, one.side) for one in image] for image in images]


def test_a_hand_has_the_side_for_which_its_whole_track_speaks():
    told = [L, L, R, U, L, L]
    result = settled(*([found(4, side)] for side in told))
    assert {one.side for image in result for one in image} == {L}
    assert all(0.5 <= one.side_score < 0.9 for image in result for one in image)


def test_a_hand_of_which_nothing_was_told_stays_unknown():
    (one,) = settled(*([found(4)] for _ in range(4)))[0]
    assert one.side is U and np.isnan(one.side_score)


def test_two_hands_that_are_seen_together_are_never_alike():
    result = settled(*([found(1, L, 0.95), found(2, L, 0.7)] for _ in range(5)))
    assert sides(result) == [[(1, L), (2, R)]] * 5
    apart = settled(
        *([found(1, L, 0.95), found(2, L, 0.7)] for _ in range(5)), one_person=False
    )
    assert sides(apart) == [[(1, L), (2, L)]] * 5


@pytest.mark.parametrize("gap", [1, 15, 25])
def test_a_hand_that_comes_back_elsewhere_keeps_its_id_within_the_gap(gap):
    result = settled(
        *([found(1, L), found(2, R)] for _ in range(4)),
        *([found(2, R)] for _ in range(gap)),
        *([found(9, L, x=500.0), found(2, R)] for _ in range(4)),
    )
    kept = (gap + 1) * STEP_NS * 1e-9 <= STITCH_S
    (left,) = (one for one in result[-1] if one.side is L)
    assert left.track_id == (1 if kept else 9)
    assert left.track_age_s == pytest.approx(0.1 * (7 + gap) if kept else 0.3)


def test_a_hand_of_the_other_side_is_no_continuation():
    result = settled(*([found(1, L)] for _ in range(4)), *([found(5, R)] for _ in range(4)))
    assert result[-1][0].track_id == 5


def test_hands_of_unknown_persons_are_joined_only_where_they_can_be():
    size = float(np.ptp(SHAPES["hand21"], axis=0).max())
    for x, same in ((100.0 + size, True), (100.0 + 2 * HAND_FARTHEST * size, False)):
        result = settled(
            *([found(1, L)] for _ in range(4)),
            [],
            *([found(5, L, x=x)] for _ in range(4)),
            one_person=False,
        )
        assert (result[-1][0].track_id == 1) is same


def test_nothing_is_joined_across_a_restart():
    images = [*([found(1, L)] for _ in range(4)), *([found(5, L)] for _ in range(4))]
    assert settled(*images)[-1][0].track_id == 1
    assert settled(*images, resets=(0, 4))[-1][0].track_id == 5


def test_a_body_that_was_hidden_keeps_its_id_and_its_hands():
    def person(body, hand, x):
        return [found(body, x=x, layout=COCO17), found(hand, R, parent=body, x=x)]

    result = settled(
        *(person(1, 2, 100.0) for _ in range(4)),
        *([] for _ in range(12)),
        *(person(7, 8, 110.0) for _ in range(4)),
        *(person(9, 10, 110.0 + 1000 * BODY_FARTHEST) for _ in range(4)),
        one_person=False,
    )
    last = [(one.layout.name, one.track_id, one.parent_id) for one in result[17]]
    assert last == [("coco17", 1, NO_ID), ("hand21", 2, 1)]
    assert [one.track_id for one in result[-1]] == [9, 10]


def test_a_track_is_confirmed_from_its_first_image_or_never():
    result = settled([found(1, L), found(2, R)], [found(1, L)], [found(1, L)])
    assert [one.track_state for one in result[0]] == [TrackState.CONFIRMED, TrackState.TENTATIVE]


def test_a_flicker_is_not_taken_for_the_hand():
    result = settled(*([found(1, L)] for _ in range(4)), [], [found(6, L)], [])
    assert result[5][0].track_id == 6
