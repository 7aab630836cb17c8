from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import HAND21
from vitpose_ros.magnifier import TIP, TRAIL_S, Magnifier
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


def shown(magnifier: Magnifier, image=None):
    plain = np.full((300, 400, 3), 60, np.uint8) if image is None else image
    return magnifier.draw(plain.copy(), plain).astype(int)


def inset(drawn):
    return drawn[-99:, -99:]  # a third of the shorter side


def test_without_a_confirmed_hand_nothing_is_drawn():
    magnifier = Magnifier()
    assert (shown(magnifier) == 60).all()
    magnifier.add(0, [hand(state=TrackState.TENTATIVE)])
    assert (shown(magnifier) == 60).all()


def test_the_fingertip_is_shown_enlarged_in_the_corner():
    image = np.full((300, 400, 3), 60, np.uint8)
    image[82:85, 94:97] = 200  # six to four pixels left of the tip, below it
    magnifier = Magnifier()
    magnifier.add(0, [hand()])
    drawn = inset(shown(magnifier, image))
    rows, columns = np.nonzero((drawn[50:95, 3:95] > 150).all(axis=2))
    assert len(rows) > 100  # three by three pixels, six times larger, blurred at their edges
    # The tip is in the middle, here at 46; the patch ends four px left of it.
    assert columns.max() == pytest.approx(46 - 6 * 4, abs=4)
    assert columns.min() == pytest.approx(46 - 6 * 6, abs=4)
    assert (shown(magnifier, image)[:200, :300] == image[:200, :300]).all()


def test_the_raw_trail_is_drawn_beside_the_published_one():
    magnifier = Magnifier()
    for i in range(6):
        magnifier.add(i * FRAME_NS, [hand(tip=(100 + i, 80), raw=(100 + i, 80 + 5 * (-1) ** i))])
    both = inset(shown(magnifier))
    magnifier = Magnifier()
    for i in range(6):
        magnifier.add(i * FRAME_NS, [hand(tip=(100 + i, 80))])
    one = inset(shown(magnifier))
    white = [(image[60:95] > 240).all(axis=2).sum() for image in (both, one)]
    orange = [((image[..., 2] - image[..., 0]) > 150).sum() for image in (both, one)]
    assert white[0] > white[1] + 5  # hidden below the published trail where both agree
    assert min(orange) > 50


def test_the_trail_forgets_what_is_old_and_restarts_with_another_hand():
    magnifier = Magnifier()
    for i in range(60):
        magnifier.add(i * FRAME_NS, [hand(tip=(100 + i, 80))])
    assert len(magnifier._trail) == int(TRAIL_S * 1e9 / FRAME_NS) + 1
    magnifier.add(60 * FRAME_NS, [hand(track_id=2)])
    assert len(magnifier._trail) == 1


def test_a_lost_hand_stays_in_the_inset_until_another_one_is_visible():
    magnifier = Magnifier()
    magnifier.add(0, [hand(track_id=1), hand(track_id=2)])
    magnifier.add(FRAME_NS, [hand(track_id=1, state=TrackState.LOST)])
    assert len(magnifier._trail) == 2
    magnifier.add(2 * FRAME_NS, [hand(track_id=1, state=TrackState.LOST), hand(track_id=2)])
    assert magnifier._track_id == 2
    assert len(magnifier._trail) == 1


def test_a_stamp_that_goes_back_restarts_the_trail():
    magnifier = Magnifier()
    for stamp_ns in (5 * FRAME_NS, 6 * FRAME_NS, 0):
        magnifier.add(stamp_ns, [hand()])
    assert len(magnifier._trail) == 1


def test_a_tip_that_is_not_known_is_not_enlarged():
    magnifier = Magnifier()
    gone = hand()
    uv, state = gone.keypoints.uv.copy(), gone.keypoints.state.copy()
    uv[TIP_INDEX], state[TIP_INDEX] = np.nan, JointState.ABSENT
    magnifier.add(0, [replace(gone, keypoints=replace(gone.keypoints, uv=uv, state=state))])
    assert (shown(magnifier) == 60).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 400, 3)])
def test_images_too_small_for_an_inset_are_left_alone(shape):
    magnifier = Magnifier()
    magnifier.add(0, [hand(tip=(0.0, 0.0))])
    image = np.full(shape, 60, np.uint8)
    assert (magnifier.draw(image.copy(), image) == 60).all()
