"""What happens to hands over time, through the pipeline: crossing, clasping, leaving, looping bags.

The networks are played.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.measure import Networks
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.smooth.settings import preset
from vitpose_ros.track.tracks import LOST_S
from vitpose_ros.types import Correction, Frame, JointState, Side, TrackState

STEP_NS = 33_000_000
FINGERS = ((-0.3, 1.0, 0.2), (0.0, 1.0, 0.25), (0.2, 1.0, 0.2), (0.4, 0.9, 0.2))
THUMB = [(0.0, 0.0), (-0.3, -0.2), (-0.45, -0.4), (-0.6, -0.6), (-0.7, -0.8)]
JOINTS = np.add([*THUMB, *((x, -y - d * i) for x, y, d in FINGERS for i in range(4))], (0.0, 0.8))
LEFT, RIGHT = Side.LEFT, Side.RIGHT


class Hand:
    """A hand of the world: its middle and palm length in px; side and presence as it looks."""

    def __init__(self, x, y=240.0, right=0.9, size=50.0):
        self.x, self.y, self.right, self.size = x, y, right, size
        self.seen, self.presence = True, 0.98

    @property
    def uv(self):
        return (JOINTS * self.size + (self.x, self.y)).astype(np.float32)


class Camera:
    """A pipeline and its images; a hand that lies behind another one is not seen."""

    name = engine = "played"
    tells_presence = False

    def __init__(self, *hands, noise=0.0, **settings):
        self.hands, self.noise, self.rng = list(hands), noise, np.random.default_rng(0)
        self.detect = True
        self.pipeline = Pipeline(Networks(self, self), Settings(HandSettings(**settings)))
        self.stamp_ns, self.looks = 10**18, 0
        self.image = np.zeros((480, 640, 3), np.uint8)

    def __call__(self, crops, threshold=None):
        regions = [crop.region for crop in crops]
        return self.palms(regions) if threshold is not None else [*map(self.read, regions)]

    def palms(self, windows):
        self.looks += 1
        found = [
            Palm((h.x - 25, h.y - 25, 50, 50), h.uv[[0, 5, 9, 13, 17, 1, 2]], 0.9)
            for h in self.hands
            if h.seen and self.detect
        ]
        return [found for _ in windows]

    def read(self, region):
        def distance(hand):
            return np.hypot(hand.x - region.cx, hand.y - region.cy)

        hand = min((h for h in self.hands if h.seen), key=distance, default=None)
        if hand is None or distance(hand) > region.width / 2:
            return None
        uv = hand.uv + self.rng.normal(0, self.noise, (21, 2)).astype(np.float32)
        score, shape = np.full(21, 0.9, np.float32), np.full((21, 3), np.nan, np.float32)
        return HandMeasurement(uv, score, np.ones(21, bool), shape, hand.presence, hand.right)

    def shoot(self, after_ns=STEP_NS):
        self.stamp_ns += after_ns
        return self.pipeline(Frame(self.image, self.stamp_ns))

    def shoot_for(self, images):
        return [self.shoot() for _ in range(images)]

    def see(self):
        """{id: the hand of the world that it lies on} of the next image, and its sides."""
        live = [i for i in self.shoot().instances if i.track_state is not TrackState.LOST]
        nearest = {
            i.track_id: min(self.hands, key=lambda h: abs(h.uv - i.raw.uv).max()) for i in live
        }
        return nearest, {i.track_id: i.side for i in live}


def states(result):
    return {i.track_id: i.track_state for i in result.instances}


# --- crossing and clasping ---------------------------------------------------------------------


@pytest.mark.parametrize("px_an_image", [4, 12, 25])
def test_hands_that_cross_keep_their_ids_and_sides(px_an_image):
    a, b = Hand(120, 230, right=0.2), Hand(520, 250, right=0.8)
    camera = Camera(a, b, noise=1.0)
    camera.shoot_for(5)
    for _ in range(400 // px_an_image):
        a.x, b.x = a.x + px_an_image, b.x - px_an_image
        b.seen = abs(a.x - b.x) > 30  # it passes behind the other one
        owner, sides = camera.see()
        assert all((hand is a) == (i == 0) for i, hand in owner.items())
        assert all((side is LEFT) == (i == 0) for i, side in sides.items())
    assert set(owner) == {0, 1}


def test_hands_that_cross_and_turn_back_keep_their_ids():
    a, b = Hand(200, 230, right=0.2), Hand(440, 250, right=0.8)
    camera = Camera(a, b, noise=1.0)
    camera.shoot_for(5)
    for image in range(60):  # they meet, one behind the other, and go back the way they came
        a.x, b.x = (200 + 120 * np.sin(np.pi * image / 60) * s for s in (1, 1))
        b.x = 640 - a.x
        b.seen = abs(a.x - b.x) > 30
        owner, _ = camera.see()
        assert all((hand is a) == (i == 0) for i, hand in owner.items())
    assert set(owner) == {0, 1}


def test_clasped_hands_keep_their_ids_and_sides():
    a, b = Hand(250, right=0.2), Hand(390, right=0.8)
    camera = Camera(a, b, noise=1.0)
    camera.shoot_for(5)
    for step in [-5] * 11 + [0] * 60 + [5] * 11:  # 30 px between their middles for two seconds
        b.x += step
        a.x -= step
        owner, sides = camera.see()
        assert {i: hand is a for i, hand in owner.items()} == {0: True, 1: False}
        assert sides == {0: LEFT, 1: RIGHT}


def test_clasped_hands_that_both_look_right_stay_left_and_right():
    a, b = Hand(250, right=0.2), Hand(390, right=0.8)
    camera = Camera(a, b)
    camera.shoot_for(15)
    a.x, a.right = 330, 0.9
    for _ in range(20):
        _, sides = camera.see()
        assert set(sides.values()) == {LEFT, RIGHT}


def test_two_right_labels_are_never_told_of_the_two_hands_of_one_person():
    camera = Camera(Hand(150, right=0.85), Hand(450, right=0.99))
    for result in camera.shoot_for(30):
        sides = [hand.side for hand in result.instances]
        assert sides == [LEFT, RIGHT]


@pytest.mark.parametrize("max_hands", [2, 3, 4])
def test_two_hands_in_view_are_one_persons_however_many_are_allowed(max_hands):
    a, b = Hand(150, right=0.6), Hand(450, right=0.9)
    camera = Camera(a, b, max_hands=max_hands)
    for result in camera.shoot_for(10):
        assert [hand.side for hand in result.instances] == [LEFT, RIGHT]


def test_where_more_are_allowed_two_clear_right_hands_are_of_two_persons():
    camera = Camera(Hand(150, right=0.97), Hand(450, right=0.97), max_hands=4)
    assert [hand.side for hand in camera.shoot_for(30)[-1].instances] == [RIGHT] * 2


def test_a_hand_that_holds_something_keeps_id_and_side_though_it_looks_like_the_other():
    a, b = Hand(150, right=0.05), Hand(450, right=0.95)
    camera = Camera(a, b)
    camera.shoot_for(20)
    a.right, b.right, a.presence, b.presence = 0.98, 0.02, 0.85, 0.85
    for image in range(60):
        a.seen, b.seen = image % 7 != 0, image % 5 != 0  # and is lost now and then
        owner, sides = camera.see()
        assert all((hand is a) == (i == 0) for i, hand in owner.items())
        assert all((side is LEFT) == (i == 0) for i, side in sides.items())


def test_more_than_two_hands_are_of_several_persons_and_may_be_all_right():
    camera = Camera(*(Hand(x, right=0.9) for x in (120, 320, 520)), max_hands=4)
    assert [hand.side for hand in camera.shoot_for(10)[-1].instances] == [RIGHT] * 3


def test_a_model_that_tells_no_side_leaves_all_sides_unknown():
    camera = Camera(Hand(150, right=np.nan), Hand(450, right=np.nan))
    for result in camera.shoot_for(10):
        assert [hand.side for hand in result.instances] == [Side.UNKNOWN] * 2
        assert all(np.isnan(hand.side_score) for hand in result.instances)


# --- lost and found ----------------------------------------------------------------------------


def test_a_lost_hand_is_told_as_lost_with_fading_joints_and_then_not_at_all():
    hand = Hand(300)
    camera = Camera(hand)
    before = camera.shoot_for(10)[-1].instances[0]
    hand.seen = False
    results = camera.shoot_for(40)
    told = [i for result in results for i in result.instances]
    assert 0.4 < len(told) * 0.033 < 0.6
    assert [len(result.instances) for result in results] == [1] * len(told) + [0] * (40 - len(told))
    scores = [one.score for one in told]
    assert all(a > b for a, b in itertools.pairwise([before.score, *scores]))
    for one in told:
        assert (one.track_id, one.track_state, one.side) == (0, TrackState.LOST, before.side)
        assert (one.keypoints.state == JointState.PREDICTED).all()
        assert (one.raw.state == JointState.ABSENT).all()
        assert np.isnan(one.raw.uv).all()
        assert np.isfinite(one.keypoints.uv).all()


def test_a_hand_seen_once_or_twice_is_gone_when_it_is_missed():
    hand = Hand(300)
    camera = Camera(hand)
    camera.shoot_for(2)
    hand.seen = False
    assert camera.shoot().instances == ()


@pytest.mark.parametrize(("gone_s", "same"), [(0.1, True), (0.5, True), (LOST_S + 0.2, False)])
def test_a_hand_that_comes_back_where_it_was_has_its_id_for_a_while(gone_s, same):
    hand = Hand(300)
    camera = Camera(hand)
    camera.shoot_for(10)
    hand.seen = False
    camera.shoot_for(round(gone_s / 0.033))
    hand.seen, hand.x = True, 310
    result = camera.shoot()
    assert states(result) == ({0: TrackState.CONFIRMED} if same else {1: TrackState.TENTATIVE})


def test_a_hand_re_entering_elsewhere_is_a_new_one():
    hand = Hand(60)
    camera = Camera(hand)
    camera.shoot_for(10)
    hand.seen = False
    camera.shoot_for(6)
    hand.seen, hand.x = True, 580
    result = camera.shoot()
    live = [i.track_id for i in result.instances if i.track_state is not TrackState.LOST]
    assert live == [1]
    assert camera.shoot_for(60)[-1].instances[0].track_id == 1, "and stays it"


def test_the_other_hand_where_one_was_lost_is_not_that_one():
    right, left = Hand(300, right=0.95), Hand(300, right=0.03)
    left.seen = False
    camera = Camera(right, left)
    camera.shoot_for(20)
    right.seen = False
    camera.shoot_for(5)
    left.seen = True
    assert camera.see()[1] == {1: LEFT}


def test_the_palm_detector_looks_for_a_lost_hand():
    a, b = Hand(150, right=0.1), Hand(450, right=0.9)
    camera = Camera(a, b)
    camera.shoot_for(10)
    looks = camera.looks
    camera.shoot()
    assert camera.looks == looks, "it rests while both are seen"
    b.seen = False
    camera.shoot()
    assert camera.looks > looks


def test_a_hand_that_comes_out_again_is_found_also_where_the_palm_detector_is_blind():
    hand = Hand(300)
    camera = Camera(hand)
    camera.shoot_for(10)
    hand.seen = camera.detect = False
    camera.shoot_for(3)
    hand.seen = True
    assert states(camera.shoot()) == {0: TrackState.CONFIRMED}


def test_no_more_than_max_hands_are_told_lost_ones_included():
    a, b, c = Hand(100, right=0.1), Hand(500, right=0.9), Hand(300, 100, right=0.2)
    c.seen = False
    camera = Camera(a, b, c)
    camera.shoot_for(10)
    a.seen, c.seen = False, True
    result = camera.shoot()
    assert states(result) == {1: TrackState.CONFIRMED, 2: TrackState.TENTATIVE}


# --- time that jumps ---------------------------------------------------------------------------


def test_a_looping_bag_starts_anew_at_each_loop_and_says_so_once():
    hand = Hand(100)
    camera = Camera(hand)
    ids, resets = [], []
    for _ in range(3):
        for image in range(20):
            hand.x = 100 + 10 * image
            result = camera.shoot(STEP_NS if image or not ids else -19 * STEP_NS)
            (one,) = result.instances
            ids.append(one.track_id)
            resets.append(result.reset)
            if image == 0:  # nothing of the loop before is left in it
                np.testing.assert_allclose(one.keypoints.uv, hand.uv, atol=1e-3)
                assert one.track_state is TrackState.TENTATIVE
    assert ids == [0] * 20 + [1] * 20 + [2] * 20
    assert [i for i, reset in enumerate(resets) if reset] == [0, 20, 40]


@pytest.mark.parametrize("gap_s", [10, 3600])
def test_after_a_long_gap_everything_starts_anew_and_nothing_is_told_of_before(gap_s):
    a, b = Hand(150, right=0.1), Hand(450, right=0.9)
    camera = Camera(a, b)
    camera.shoot_for(10)
    b.seen, a.x = False, 200
    result = camera.shoot(gap_s * 10**9)
    assert result.reset
    (one,) = result.instances
    assert one.track_id == 2
    np.testing.assert_allclose(one.keypoints.uv, a.uv, atol=1e-3)
    assert not camera.shoot().reset


def test_dropped_images_and_irregular_stamps_change_no_id():
    a, b = Hand(150, right=0.1), Hand(450, right=0.9)
    camera, rng = Camera(a, b, noise=1.0), np.random.default_rng(3)
    camera.shoot()
    for _ in range(60):
        dt_s = rng.choice([0.016, 0.033, 0.066, 0.1, 0.2, 0.4])
        sway = np.sin(camera.stamp_ns * 1e-9)
        a.x, b.x = 300 + 100 * sway, 450 + 50 * sway
        result = camera.shoot(round(dt_s * 1e9))
        assert not result.reset
        assert set(states(result)) == {0, 1}


# --- smoothing ---------------------------------------------------------------------------------


def test_published_joints_are_steadier_than_those_of_the_model_which_stay_beside_them():
    camera = Camera(Hand(300), noise=2.0)
    results = camera.shoot_for(60)[10:]
    smooth = np.stack([result.instances[0].keypoints.uv for result in results])
    raw = np.stack([result.instances[0].raw.uv for result in results])
    assert np.abs(np.diff(smooth, 2, axis=0)).mean() < 0.5 * np.abs(np.diff(raw, 2, axis=0)).mean()
    assert np.std(raw[:, 0, 0]) == pytest.approx(2.0, rel=0.5)


def test_without_smoothing_joints_are_published_as_they_are_and_lost_hands_are_not():
    hand = Hand(300)
    camera = Camera(hand, noise=2.0)
    camera.pipeline.update(Settings(smoothing=preset("none")))
    for result in camera.shoot_for(5):
        (one,) = result.instances
        assert one.keypoints is one.raw
    hand.seen = False
    assert camera.shoot().instances == ()
    hand.seen = True
    assert states(camera.shoot()) == {0: TrackState.CONFIRMED}, "and yet it is found again"


def test_static_images_are_neither_smoothed_nor_followed():
    hand = Hand(300)
    camera = Camera(hand, noise=2.0, static=True)
    for result in camera.shoot_for(5):
        (one,) = result.instances
        assert one.keypoints is one.raw
        assert one.track_state is TrackState.NONE
    hand.seen = False
    assert camera.shoot().instances == ()


def test_biomechanics_marks_what_it_changed_when_it_is_asked_for():
    class Boneless(Camera):
        """Its hands have a finger that grows and shrinks."""

        def read(self, region):
            estimate = super().read(region)
            shape = np.concatenate([JOINTS * 0.1, np.zeros((21, 1))], axis=1).astype(np.float32)
            shape[8] *= 1 + 0.5 * np.sin(self.stamp_ns * 2e-8)
            return replace(estimate, shape_xyz=shape)

    def corrected(camera):
        marks = [i.keypoints.corrected for r in camera.shoot_for(60) for i in r.instances]
        return bool((np.array(marks) & ~np.uint8(Correction.OUTLIER)).any())

    camera = Boneless(Hand(300))
    assert not corrected(camera)
    camera.pipeline.update(Settings(biomechanics=True))
    assert corrected(camera)
    camera.pipeline.update(Settings(biomechanics=False))
    assert not corrected(camera)


def test_biomechanics_is_true_or_false():
    with pytest.raises(ValueError, match="biomechanics: expected true or false, got 'yes'"):
        Settings(biomechanics="yes")
