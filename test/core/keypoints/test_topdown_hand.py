"""Hands by a top-down model: what it says of joints, handed on; what it cannot know, left open."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm, palm_region
from vitpose_ros.engines.base import EngineError
from vitpose_ros.keypoints.topdown_hand import TopDownHands
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21, WRIST
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.smooth.settings import preset
from vitpose_ros.types import Crop, Frame, JointState, Keypoints, Region, Side, TrackState

IMAGE = np.zeros((480, 640, 3), np.uint8)
PLACE = Region(300, 200, 150, 150, rotation_rad=0.7)
FINGERTIP = 8


class Model:
    """A top-down model that finds an open hand in each region, as a test wants it."""

    name, engine = "played-hand", "a played engine"

    def __init__(self, layout=HAND21, score=0.8, absent=(), occluded=()):
        self.layout, self.score = layout, score
        self.absent, self.occluded = list(absent), list(occluded)
        self.regions = []

    def __call__(self, crops):
        self.regions.append([crop.region for crop in crops])
        return [self.keypoints(crop.region) for crop in crops]

    def keypoints(self, region):
        fingers, steps = np.divmod(np.arange(20), 4)
        x = np.concatenate([[0.0], (fingers - 2) * 0.12])
        y = np.concatenate([[0.3], -0.1 * steps])
        uv = (np.stack([x, y], axis=1) * 150 + (region.cx, region.cy)).astype(np.float32)
        score = np.full(21, self.score, np.float32) - np.arange(21, dtype=np.float32) * 0.01
        state = np.full(21, JointState.MEASURED, np.uint8)
        state[self.occluded] = JointState.OCCLUDED
        uv[self.absent], score[self.absent] = np.nan, 0
        state[self.absent] = JointState.ABSENT
        return Keypoints(HAND21, uv, score, state)


def hands_of(model, **settings):
    """A function: the hands of the next image, looked for at the place of a palm."""
    reader = TopDownHands(model, turned=True)
    hands = HandSettings(search=False, **settings)
    pipeline = Pipeline(Networks(reader, Palms()), Settings(hands, smoothing=preset("none")))
    stamps = itertools.count(10**18, 33_000_000)
    return lambda: list(pipeline(Frame(IMAGE, next(stamps))).instances)


class Palms:
    """A palm detector that finds one, of the open hand that `Model` plays."""

    name = "palms"
    palm = Palm((270, 200, 60, 60), Model().keypoints(PLACE).uv[[0, 5, 9, 13, 17, 1, 2]], 0.9)

    def __call__(self, crops, threshold):
        return [[self.palm] for _ in crops]


PALM_PLACE = palm_region(Palms.palm)


@pytest.mark.parametrize("layout", [COCO17, COCO_WHOLEBODY133], ids=lambda layout: layout.name)
def test_a_model_of_another_layout_is_refused_with_both_layouts_named(layout):
    with pytest.raises(EngineError, match=f"'played-hand' has .* '{layout.name}'.* 'hand21'"):
        TopDownHands(Model(layout), turned=True)


@pytest.mark.parametrize(("turned", "rotation"), [(True, 0.7), (False, 0.0)])
def test_regions_are_turned_only_for_models_that_were_trained_so(turned, rotation):
    model = Model()
    TopDownHands(model, turned)([Crop(IMAGE, PLACE)])
    ((region,),) = model.regions
    assert region.rotation_rad == rotation
    assert (region.cx, region.cy, region.width) == (PLACE.cx, PLACE.cy, PLACE.width)


def test_scores_and_states_of_the_joints_are_handed_on():
    model = Model(occluded=[3, 4], absent=[FINGERTIP])
    (hand,) = hands_of(model)()
    given = model.keypoints(PALM_PLACE)
    np.testing.assert_array_equal(hand.keypoints.uv, given.uv)
    np.testing.assert_array_equal(hand.keypoints.score, given.score)
    np.testing.assert_array_equal(hand.keypoints.state, given.state)
    assert hand.model == "played-hand"


def test_the_presence_of_a_hand_is_the_median_of_its_joints_scores_absent_ones_included():
    all_there = TopDownHands(Model(), turned=True)([Crop(IMAGE, PLACE)])[0]
    assert all_there.presence == pytest.approx(0.7)
    half = TopDownHands(Model(absent=range(10)), turned=True)([Crop(IMAGE, PLACE)])[0]
    assert half.presence == pytest.approx(0.6), "ten absent joints, and the lowest of the others"
    fewer = TopDownHands(Model(absent=range(11)), turned=True)([Crop(IMAGE, PLACE)])[0]
    assert fewer.presence == 0.0, "more than half of the joints are absent: no hand"


def test_whose_side_it_is_stays_unknown_mirrored_or_not():
    for mirrored in (False, True):
        (hand,) = hands_of(Model(), input_mirrored=mirrored)()
        assert hand.side == Side.UNKNOWN
        assert np.isnan(hand.side_score)


def test_a_region_without_any_joint_holds_no_hand():
    reader = TopDownHands(Model(absent=range(21)), turned=True)
    assert reader([Crop(IMAGE, PLACE)] * 2) == [None, None]
    assert reader([]) == []


def test_a_hand_of_too_little_support_is_not_reported():
    assert hands_of(Model(score=0.65))()
    assert hands_of(Model(score=0.55))() == []


def test_a_hand_is_followed_from_its_own_joints_though_a_fingertip_is_absent():
    model = Model(absent=[FINGERTIP])
    shoot = hands_of(model)
    hands = [shoot()[0] for _ in range(4)]
    assert [hand.track_id for hand in hands] == [0] * 4
    assert hands[-1].track_state == TrackState.CONFIRMED
    assert [len(regions) for regions in model.regions] == [1] * 4, "its place is not read again"


@pytest.mark.parametrize("joint", [WRIST, 5, 9, 13], ids=["wrist", "index", "middle", "ring"])
def test_a_hand_without_a_wrist_or_a_fingers_root_tells_no_region_and_is_not_followed(joint):
    model = Model(absent=[joint])
    shoot = hands_of(model)
    for _ in range(3):
        assert shoot() == []
    assert [r.cx for regions in model.regions for r in regions] == [PALM_PLACE.cx] * 3
