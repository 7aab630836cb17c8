"""Two looks at a followed hand, played by a network that errs by how its crop is turned."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.hands import HandFinder, HandSettings
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.keypoints.mediapipe_hand import TURN_RAD, HandLandmarks
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.synthetic.anatomy import rest_hand21_mm
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.track.looks import MAX_SPAN_S, TwoLooks
from vitpose_ros.types import Frame, Region

TURN = math.radians(20.0)
STEP_NS = 33_333_333
PALM_PX = 90.0
HAND = rest_hand21_mm()[:, :2] / 90.0 * PALM_PX
SHAPE = (rest_hand21_mm() * 1e-3).astype(np.float32)
IMAGE = np.zeros((480, 640, 3), np.uint8)
OFF = np.array((0.02, -0.01))  # palms, by which a crop that is turned to one side is wrong


class Network:
    """Reads hands that move, wrong by OFF to the side that its crop is turned to.

    Attributes
    ----------
    at : (x, y) px of each hand, by the id of its track.
    turns : how far each crop was turned, rad.
    """

    def __init__(self):
        self.at, self.turns, self.jump, self.missing = {1: (200.0, 200.0)}, [], {}, set()

    def regions(self):
        return [Region(x, y, 200.0, 200.0, 0.5, 1.0, i) for i, (x, y) in self.at.items()]

    def __call__(self, image, regions):
        self.turns.append([region.rotation_rad - 0.5 for region in regions])
        return [self.read(region) for region in regions]

    def read(self, region):
        if region.track_id in self.missing:
            return None
        off = math.copysign(1.0, region.rotation_rad - 0.5) * OFF
        if math.isclose(region.rotation_rad, 0.5):
            off = np.zeros(2)
        uv = HAND + self.at[region.track_id] + off * PALM_PX
        for joint, by in self.jump.items():
            uv[joint] += by
        shape = SHAPE + np.float32(0.002) * np.float32(off[0] / OFF[0])
        return HandEstimate(
            uv.astype(np.float32), np.ones(21, np.float32), np.ones(21, bool), shape, 0.9, 0.8
        )


@pytest.fixture
def network():
    return Network()


class Watch:
    """Shows a network's hands to the two looks, image by image."""

    def __init__(self, network, step_ns=STEP_NS):
        self.looks, self.network, self.stamp_ns, self.step_ns = TwoLooks(TURN), network, 0, step_ns

    def __call__(self, after_ns=None):
        """How far the joints of each hand are off, (21, 2) px; None for a hand that is missing."""
        self.stamp_ns += self.step_ns if after_ns is None else after_ns
        regions = self.network.regions()
        found = self.looks(self.network, IMAGE, regions, self.stamp_ns)
        return [
            None if e is None else e.uv - HAND - self.network.at[r.track_id]
            for e, r in zip(found, regions, strict=True)
        ]


def test_crops_are_turned_to_either_side_by_turns(network):
    watch = Watch(network)
    for _ in range(5):
        watch()
    (first,), *turned = network.turns
    assert first == 0.0, "what was just found is read as it is"
    assert np.ravel(turned) == pytest.approx([TURN, -TURN, TURN, -TURN])


def test_from_the_third_turned_image_on_what_differs_between_the_looks_is_gone(network):
    watch = Watch(network)
    off = [watch()[0] for _ in range(6)]
    assert np.abs(off[0]).max() < 1e-4
    for wrong in off[1:3]:
        assert np.abs(wrong) == pytest.approx(np.tile(np.abs(OFF) * PALM_PX, (21, 1)), abs=1e-3)
    for right in off[3:]:
        assert np.abs(right).max() < 1e-3


@pytest.mark.parametrize("steps_ns", [(33_000_000,), (20_000_000, 45_000_000, 33_000_000)])
def test_a_steady_motion_is_neither_late_nor_bent_whatever_the_time_between_images(
    network, steps_ns
):
    watch = Watch(network)
    for number, step_ns in zip(range(9), itertools.cycle(steps_ns)):
        x, y = network.at[1]
        network.at[1] = x + 600e-9 * step_ns, y - 300e-9 * step_ns  # 7 palms per second
        (off,) = watch(step_ns)
        if number >= 3:
            assert np.abs(off).max() < 1e-2


def test_shapes_are_the_mean_of_both_looks_too(network):
    watch = Watch(network)
    for _ in range(4):
        watch()
    (found,) = watch.looks(network, IMAGE, network.regions(), watch.stamp_ns + STEP_NS)
    np.testing.assert_allclose(found.shape_xyz, SHAPE, atol=1e-6)
    assert found.uv.dtype == found.shape_xyz.dtype == np.float32
    assert (found.presence, found.right) == (0.9, 0.8)


def test_scores_are_the_mean_of_both_looks_and_the_presence_is_that_of_this_one(network):
    watch, read = Watch(network), network.read
    for _ in range(4):
        watch()

    def fainter(region):
        return replace(read(region), score=np.full(21, 0.4, np.float32), presence=0.55)

    network.read = fainter
    scores = [
        watch.looks(network, IMAGE, network.regions(), watch.stamp_ns + i * STEP_NS)[0]
        for i in (1, 2)
    ]
    assert [float(one.score[5]) for one in scores] == pytest.approx([0.7, 0.4])
    assert [one.presence for one in scores] == [0.55, 0.55]


def test_a_joint_that_jumps_is_left_as_it_was_read(network):
    watch = Watch(network)
    for _ in range(5):
        watch()
    network.jump = {8: np.array((65.0, 0.0))}
    (during,) = watch()
    network.jump = {}
    after = [watch()[0] for _ in range(2)]
    assert during[8, 0] == pytest.approx(65.0, abs=abs(OFF[0]) * PALM_PX + 1e-3)
    assert np.abs(np.delete(during, 8, axis=0)).max() < 1e-3
    for off in after:  # the jump is no part of any mean
        assert np.abs(off).max() <= np.abs(OFF).max() * PALM_PX + 1e-3


def test_each_hand_has_its_own_looks_in_any_order(network):
    network.at[2] = (400.0, 250.0)
    watch = Watch(network)
    for _ in range(4):
        watch()
    network.at = {2: (401.0, 250.0), 1: (199.0, 201.0)}
    for off in watch():
        assert np.abs(off).max() < 1.0


def test_a_hand_that_was_missed_begins_anew(network):
    watch = Watch(network)
    for _ in range(5):
        watch()
    network.missing = {1}
    assert watch() == [None]
    network.missing, network.at = set(), {1: (300.0, 300.0)}
    for _ in range(2):
        (off,) = watch()
        assert np.abs(off) == pytest.approx(np.tile(np.abs(OFF) * PALM_PX, (21, 1)), abs=1e-3)
    assert np.abs(watch()[0]).max() < 1e-3


def test_images_that_come_slowly_are_looked_at_as_they_are(network):
    watch = Watch(network, step_ns=round(MAX_SPAN_S / 2 * 1e9) + 1)
    for _ in range(5):
        assert np.abs(watch()[0]).max() < 1e-4
    assert set(np.ravel(network.turns)) == {0.0}


def test_after_a_gap_and_after_a_reset_nothing_of_before_counts(network):
    watch = Watch(network)
    for _ in range(5):
        watch()
    network.at = {1: (300.0, 300.0)}
    assert np.abs(watch(10**9)[0]).max() < 1e-4
    for _ in range(5):
        watch()
    watch.looks.reset()
    network.at = {1: (100.0, 300.0)}
    assert np.abs(watch()[0]).max() < 1e-4


def test_joints_that_are_not_known_stay_so_and_harm_no_other(network):
    watch, whole = Watch(network), network.read

    def without_thumb(region):
        found = whole(region)
        uv, shape = found.uv.copy(), np.full_like(found.shape_xyz, np.nan)
        uv[1:5] = np.nan
        return replace(found, uv=uv, shape_xyz=shape)

    network.read = without_thumb
    for _ in range(5):
        (off,) = watch()
    assert np.isnan(off[1:5]).all()
    assert np.abs(np.delete(off, range(1, 5), axis=0)).max() < 1e-3


def test_hands_near_one_another_are_read_as_they_are(network):
    network.at[2] = (400.0, 200.0)
    watch = Watch(network)
    for x in (400.0, 267.0, 265.0, 250.0, 265.0, 267.0, 330.0):  # crops are 200 px wide
        network.at[2] = (x, 200.0)
        off = watch()
        near = x < 266.0
        assert (network.turns[-1] == [0.0, 0.0]) is (near or len(network.turns) == 1)
        if near:
            assert np.abs(off).max() < 1e-4


@pytest.mark.parametrize("plain", [0.95, 0.1])
def test_a_hand_that_a_turned_crop_shows_badly_is_read_as_it_is_before_it_is_given_up(
    network, plain
):
    watch, read = Watch(network), network.read
    for _ in range(5):
        watch()

    def hidden(region):
        upright = math.isclose(region.rotation_rad, 0.5)
        return replace(read(region), presence=plain if upright else 0.4)

    network.read = hidden
    regions = network.regions()
    (found,) = watch.looks(network, IMAGE, regions, watch.stamp_ns + STEP_NS)
    assert [abs(turn) for (turn,) in network.turns[-2:]] == pytest.approx([TURN, 0.0])
    assert found.presence == max(plain, 0.4)
    if plain > 0.5:
        assert np.abs(found.uv - HAND - network.at[1]).max() < 1e-3


def test_what_was_read_where_no_hand_was_is_no_look_at_it(network):
    watch, read = Watch(network), network.read
    for _ in range(4):
        watch()

    def nothing(region):
        found = read(region)
        return replace(found, presence=0.1, uv=found.uv + 8)

    network.read = nothing
    watch()
    network.read = read
    for _ in range(2):
        assert np.abs(watch()[0]) == pytest.approx(np.tile(abs(OFF) * PALM_PX, (21, 1)), abs=1e-3)
    assert np.abs(watch()[0]).max() < 1e-3


# --- in the pipeline ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "turned"), [({}, True), ({"two_looks": False}, False), ({"static": True}, False)]
)
def test_followed_hands_are_looked_at_from_two_sides_unless_that_is_turned_off(
    engine_of, changes, turned
):
    rotations = []

    class Noting(HandLandmarks):
        def __call__(self, image, regions):
            rotations.append(min(region.rotation_rad for region in regions))
            return super().__call__(image, regions)

    reader = Noting(engine_of("mediapipe-hand-full"), "mediapipe-hand-full")
    palms = PalmDetector(engine_of("mediapipe-palm-full"), "mediapipe-palm-full")
    settings = HandSettings(search=False, **changes)
    pipeline = Pipeline(HandFinder(palms, reader, settings, itertools.count()))
    image = Scene("still", 0).render(0.0).image
    found = [pipeline(Frame(image, 1 + i * STEP_NS)) for i in range(8)]
    assert all(len(result.instances) == 2 for result in found)
    swing = np.abs(np.diff(rotations[2:]))
    if turned:
        assert swing == pytest.approx(np.full(5, 2 * TURN_RAD), abs=0.1)
    else:
        assert swing.max() < 0.1
