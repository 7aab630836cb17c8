from __future__ import annotations

import math

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm, palm_region, same_palm, whole_in_window
from vitpose_ros.hand_geometry import hand_region, same_hand, same_region
from vitpose_ros.types import Region


def hand_uv(centre=(300.0, 200.0), scale=100.0, turn=0.0):
    """An open hand pointing up, as (21, 2) px: its wrist to its middle MCP is one scale long."""
    uv = [(0.0, 0.0)] + [(-0.3 - 0.15 * i, -0.2 - 0.2 * i) for i in range(4)]
    for x, length in ((-0.3, 0.25), (-0.05, 0.28), (0.15, 0.25), (0.35, 0.2)):
        uv += [(x, -1.0 - length * i) for i in range(4)]
    cos, sin = math.cos(turn), math.sin(turn)
    return (np.array(uv) @ [[cos, sin], [-sin, cos]] * scale + centre).astype(np.float32)


@pytest.mark.parametrize(
    ("box", "rotation", "centre", "size"),
    [
        # MediaPipe's own test data, hand_detector_result_two_hands.pbtxt (Apache-2.0).
        (
            (0.1332045, 0.53324974, 0.22739677, 0.42832413),
            0.80550915,
            (0.32884726, 0.5990523),
            (0.5912316, 1.1143632),
        ),
        (
            (0.64567286, 0.04196969, 0.22876495, 0.43088135),
            -2.374725,
            (0.6807422, 0.41254658),
            (0.59478885, 1.121068),
        ),
    ],
)
def test_a_palms_region_is_mediapipes(box, rotation, centre, size):
    width, height = 1.8836 * 1000, 1000.0
    points = np.zeros((7, 2))
    points[2] = math.sin(rotation), -math.cos(rotation)  # the wrist at 0, the middle MCP this way
    palm = Palm(
        (box[0] * width, box[1] * height, box[2] * width, box[3] * height), 100 * points, 0.97
    )
    region = palm_region(palm)
    assert region.rotation_rad == pytest.approx(rotation, abs=1e-6)
    assert (region.cx / width, region.cy / height) == pytest.approx(centre, abs=1e-3)
    assert (region.width / width, region.height / height) == pytest.approx(size, abs=1e-3)
    assert region.score == 0.97


@pytest.mark.parametrize("box", [(0, 0, 0, 10), (0, 0, 2, 2), (0, 0, -5, 5)])
def test_a_palm_too_small_to_look_at_has_no_region(box):
    assert palm_region(Palm(box, np.ones((7, 2)), 0.9)) is None


@pytest.mark.parametrize("turn", [0.0, 1.0, -2.5])
def test_the_next_region_turns_and_moves_with_the_hand(turn):
    still = hand_region(hand_uv((0, 0)), 0.9, 4)
    moved = hand_region(hand_uv((300, 200), turn=turn), 0.9, 4)
    assert moved.rotation_rad == pytest.approx(still.rotation_rad + turn, abs=1e-5)
    assert (moved.width, moved.height) == pytest.approx((still.width, still.height), rel=1e-5)
    cos, sin = math.cos(turn), math.sin(turn)
    centre = 300 + cos * still.cx - sin * still.cy, 200 + sin * still.cx + cos * still.cy
    assert (moved.cx, moved.cy) == pytest.approx(centre, abs=1e-3)
    assert moved.track_id == 4


def test_the_next_region_is_computed_as_mediapipe_does():
    region = hand_region(hand_uv((0, 0), 100), 0.9, 0)
    # Axis: from the wrist to the mean of the middle MCP (-5, -100) and the mean of the index's and
    # the ring's (-7.5, -100); box of the joints without the fingers' outer ones; 0.1 up; times 2.
    assert region.rotation_rad == pytest.approx(math.atan2(-6.25, 100), abs=1e-5)
    angle = region.rotation_rad
    steady = hand_uv((0, 0), 100)[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]]
    local = steady @ [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    low, high = local.min(axis=0), local.max(axis=0)
    assert region.width == pytest.approx(2 * (high - low).max(), rel=1e-5)
    middle = (low + high) / 2 - (0, 0.1 * (high - low)[1])
    back = middle @ [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    assert (region.cx, region.cy) == pytest.approx(tuple(back), abs=1e-3)


def test_finger_tips_do_not_move_the_next_region():
    bent = hand_uv()
    bent[[4, 7, 8, 11, 12, 15, 16, 19, 20]] += 500
    assert hand_region(bent, 0.9, 0) == hand_region(hand_uv(), 0.9, 0)


@pytest.mark.parametrize("uv", [np.zeros((21, 2)), hand_uv(scale=2.0)], ids=["a point", "tiny"])
def test_joints_that_no_hand_can_have_give_no_region(uv):
    assert hand_region(uv.astype(np.float32), 0.9, 0) is None


@pytest.mark.parametrize(
    ("offset", "scale", "same"),
    [
        ((0, 0), 100, True),
        ((15, 0), 100, True),  # within a fifth of the palm
        ((30, 0), 100, False),
        ((0, 0), 60, False),  # a smaller hand in the same place
        ((500, 0), 100, False),
    ],
)
def test_one_hand_seen_twice_is_told_from_two(offset, scale, same):
    other = hand_uv((300.0 + offset[0], 200.0 + offset[1]), scale)
    assert same_hand(hand_uv(), other) is same


@pytest.mark.parametrize(("shift", "same"), [(0, True), (30, True), (40, False)])
def test_regions_are_one_above_half_their_union(shift, same):
    assert same_region(Region(100, 100, 100, 100), Region(100 + shift, 100, 100, 100, 0.7)) is same


@pytest.mark.parametrize(
    ("offset", "same"), [((0, 0), True), ((20, 0), True), ((0, -90), False), ((90, 0), False)]
)
def test_a_palm_is_of_the_hand_whose_joints_lie_at_its_points(offset, same):
    uv = hand_uv()
    points = uv[[0, 5, 9, 13, 17, 1, 2]] + offset
    assert same_palm(Palm((0.0, 0.0, 50.0, 50.0), points, 0.9), uv) is same
    without = uv.copy()
    without[17] = np.nan
    assert same_palm(Palm((0.0, 0.0, 50.0, 50.0), points, 0.9), without) is same


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        ((300, 300, 50, 50), True),
        ((201, 300, 50, 50), False),  # cut by the tile's left edge
        ((460, 300, 39, 50), False),  # by its right one
        ((300, 0, 50, 50), True),  # at the top the image itself ends
    ],
)
def test_a_palm_cut_by_an_inner_edge_is_not_whole(box, whole):
    tile = Region(350, 150, 300, 300)  # 200 .. 500 across, 0 .. 300 down
    box = (box[0], min(box[1], 240), box[2], box[3])
    assert whole_in_window(Palm(box, np.zeros((7, 2)), 0.9), tile, 1000, 1000) is whole
