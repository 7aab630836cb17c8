from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.lens import TIP, TRAIL_S, Lens
from vitpose_ros.types import Instance, JointState, Keypoints, Side, TrackState

TIP_INDEX = HAND21.index(TIP)
FRAME_NS = 33_333_333


def hand(tip=(100.0, 80.0), raw=None, track_id=1, state=TrackState.CONFIRMED) -> Instance:
    def joints(place):
        uv = np.full((21, 2), 60, np.float32)
        uv[TIP_INDEX] = place
        states = np.full(21, JointState.VISIBLE, np.uint8)
        return Keypoints(HAND21, uv, np.ones(21, np.float32), states)

    return Instance(
        joints(tip),
        0.9,
        "net",
        raw=joints(tip if raw is None else raw),
        side=Side.RIGHT,
        track_id=track_id,
        track_state=state,
    )


def shown(lens: Lens, image=None):
    plain = np.full((300, 400, 3), 60, np.uint8) if image is None else image
    return lens.draw(plain.copy(), plain).astype(int)


def glass(drawn):
    return drawn[-99:, -99:]  # a third of the shorter side


def test_without_a_confirmed_hand_nothing_is_drawn():
    lens = Lens()
    assert (shown(lens) == 60).all()
    lens.add(0, [hand(state=TrackState.TENTATIVE)])
    assert (shown(lens) == 60).all()


def test_the_fingertip_is_shown_enlarged_in_the_corner():
    image = np.full((300, 400, 3), 60, np.uint8)
    image[82:85, 94:97] = 200  # six to four pixels left of the tip, below it
    lens = Lens()
    lens.add(0, [hand()])
    drawn = glass(shown(lens, image))
    rows, columns = np.nonzero((drawn[50:95, 3:95] > 150).all(axis=2))
    assert len(rows) > 100  # three by three pixels, six times larger, blurred at their edges
    # The tip is in the middle, here at 46; the patch ends four px left of it.
    assert columns.max() == pytest.approx(46 - 6 * 4, abs=4)
    assert columns.min() == pytest.approx(46 - 6 * 6, abs=4)
    assert (shown(lens, image)[:200, :300] == image[:200, :300]).all()


def test_the_raw_way_is_drawn_apart_from_the_published_one():
    lens = Lens()
    for i in range(6):
        lens.add(i * FRAME_NS, [hand(tip=(100 + i, 80), raw=(100 + i, 80 + 5 * (-1) ** i))])
    both = glass(shown(lens))
    lens = Lens()
    for i in range(6):
        lens.add(i * FRAME_NS, [hand(tip=(100 + i, 80))])
    one = glass(shown(lens))
    white = [(image[60:95] > 240).all(axis=2).sum() for image in (both, one)]
    orange = [((image[..., 2] - image[..., 0]) > 150).sum() for image in (both, one)]
    assert white[0] > white[1] + 5  # hidden below the published way where both agree
    assert min(orange) > 50


def test_the_trail_forgets_what_is_old_and_begins_anew_with_another_hand():
    lens = Lens()
    for i in range(60):
        lens.add(i * FRAME_NS, [hand(tip=(100 + i, 80))])
    assert len(lens._trail) == int(TRAIL_S * 1e9 / FRAME_NS) + 1
    lens.add(60 * FRAME_NS, [hand(track_id=2)])
    assert len(lens._trail) == 1


def test_a_lost_hand_stays_under_the_glass_until_another_one_is_seen():
    lens = Lens()
    lens.add(0, [hand(track_id=1), hand(track_id=2)])
    lens.add(FRAME_NS, [hand(track_id=1, state=TrackState.LOST)])
    assert len(lens._trail) == 2
    lens.add(2 * FRAME_NS, [hand(track_id=1, state=TrackState.LOST), hand(track_id=2)])
    assert lens._track_id == 2
    assert len(lens._trail) == 1


def test_time_that_goes_back_begins_a_new_trail():
    lens = Lens()
    for stamp_ns in (5 * FRAME_NS, 6 * FRAME_NS, 0):
        lens.add(stamp_ns, [hand()])
    assert len(lens._trail) == 1


def test_a_tip_that_is_not_known_is_not_enlarged():
    lens = Lens()
    gone = hand()
    uv, state = gone.keypoints.uv.copy(), gone.keypoints.state.copy()
    uv[TIP_INDEX], state[TIP_INDEX] = np.nan, JointState.ABSENT
    lens.add(0, [replace(gone, keypoints=replace(gone.keypoints, uv=uv, state=state))])
    assert (shown(lens) == 60).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 400, 3)])
def test_images_too_small_for_a_glass_are_left_alone(shape):
    lens = Lens()
    lens.add(0, [hand(tip=(0.0, 0.0))])
    image = np.full(shape, 60, np.uint8)
    assert (lens.draw(image.copy(), image) == 60).all()
