"""The flow from image to image, in a world whose hands a test moves. Networks are played."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.measure import Networks
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.track.clock import MAX_GAP_S
from vitpose_ros.types import NO_ID, Frame, JointState, Side, TrackState

STEP_NS = 33_000_000
FINGERS = ((-0.3, 1.0, 0.2), (0.0, 1.0, 0.25), (0.2, 1.0, 0.2), (0.4, 0.9, 0.2))
THUMB = [(0.0, 0.0), (-0.3, -0.2), (-0.45, -0.4), (-0.6, -0.6), (-0.7, -0.8)]
JOINTS = [*THUMB, *((x, -y - dy * i) for x, y, dy in FINGERS for i in range(4))]
OPEN_HAND = np.add(JOINTS, (0.0, 0.8))


@dataclass
class Hand:
    """A hand of the world: centre and palm length in px; presence and side as the network says."""

    x: float
    y: float
    size: float = 50.0
    presence: float = 0.98
    right: float = 0.8
    broken: bool = False

    @property
    def uv(self) -> np.ndarray:
        return OPEN_HAND * self.size + (self.x, self.y)


class World:
    """Plays both networks on the hands that a test puts into it."""

    name = "world"

    def __init__(self, *hands: Hand) -> None:
        self.hands = list(hands)
        self.windows: list[list] = []
        self.regions: list[list] = []

    def detector(self, crops, threshold):
        """See a palm where it is large enough for 192 px, as the real one."""
        windows = [crop.region for crop in crops]
        self.windows.append(windows)
        return [
            [self.palm(h) for h in self.hands if self.shows(w, h) and threshold <= 0.7]
            for w in windows
        ]

    @staticmethod
    def shows(window, hand):
        left, top = window.cx - window.width / 2, window.cy - window.height / 2
        inside = left <= hand.x < left + window.width and top <= hand.y < top + window.height
        return inside and hand.size * 192 / window.width >= 6

    @staticmethod
    def palm(hand):
        points = hand.uv[[0, 5, 9, 13, 17, 1, 2]]
        box = (hand.x - hand.size / 2, hand.y - hand.size / 2, hand.size, hand.size)
        return Palm(box, points, 0.7)

    def landmarks(self, crops):
        """Find the hand nearest to each crop's middle, if any lies in it."""
        self.regions.append([crop.region for crop in crops])
        return [self.estimate(crop.region) for crop in crops]

    def estimate(self, region):
        near = [
            h for h in self.hands if np.hypot(h.x - region.cx, h.y - region.cy) < region.width / 2
        ]
        if not near:
            nothing = np.tile([(region.cx, region.cy)], (21, 1)).astype(np.float32)
            return _estimate(nothing, np.zeros((21, 3), np.float32), 0.01, 0.5)
        hand = min(near, key=lambda h: np.hypot(h.x - region.cx, h.y - region.cy))
        if hand.broken:
            return None
        uv, shape = hand.uv.astype(np.float32), np.zeros((21, 3), np.float32)
        return _estimate(uv, shape, hand.presence, hand.right)


def _estimate(uv, shape, presence, right):
    score = np.full(21, presence, np.float32)
    return HandMeasurement(uv, score, np.ones(21, bool), shape, presence, right)


class Network:
    """A network with a name."""

    tells_presence = False

    def __init__(self, name, function):
        self.name, self.function = name, function

    def __call__(self, *arguments):
        return self.function(*arguments)


class Camera:
    """A pipeline and the images that it gets, one every 33 ms."""

    def __init__(self, *hands: Hand, width=640, height=480, **settings):
        self.world = World(*hands)
        networks = Networks(
            Network("hands", self.world.landmarks), Network("palms", self.world.detector)
        )
        self.pipeline = Pipeline(networks, Settings(HandSettings(**settings)))
        self.stamp_ns = 1_000_000_000
        self.image = np.zeros((height, width, 3), np.uint8)

    def shoot(self, after_ns=STEP_NS):
        self.stamp_ns += after_ns
        return self.pipeline(Frame(self.image, self.stamp_ns))


def ids(result):
    return [instance.track_id for instance in result.instances]


# --- following ---------------------------------------------------------------------------------


def test_a_hand_keeps_its_id_while_it_is_followed_and_grows_old():
    camera = Camera(Hand(200, 200))
    results = [camera.shoot()]
    for _ in range(9):
        camera.world.hands[0].x += 8
        results.append(camera.shoot())
    assert [ids(result) for result in results] == [[0]] * 10
    states = [result.instances[0].track_state for result in results]
    assert states == [TrackState.TENTATIVE] * 2 + [TrackState.CONFIRMED] * 8
    assert results[-1].instances[0].track_age_s == pytest.approx(9 * 0.033)


def test_the_detector_rests_while_all_hands_are_followed():
    camera = Camera(Hand(150, 200), Hand(450, 200))
    assert camera.shoot().models == ("palms", "hands")
    looks = len(camera.world.windows)
    for _ in range(5):
        result = camera.shoot()
        assert result.models == ("hands",)
        assert result.stage_s["detect"] == 0.0
        assert result.stage_s["keypoints"] > 0.0
    assert len(camera.world.windows) == looks


def test_a_hand_that_left_and_came_back_is_a_new_one():
    hand = Hand(200, 200)
    camera = Camera(hand)
    assert ids(camera.shoot()) == [0]
    camera.world.hands.clear()
    assert ids(camera.shoot()) == []
    camera.world.hands.append(hand)
    assert ids(camera.shoot()) == [1]


def test_a_hand_that_jumped_is_found_in_the_same_image():
    camera = Camera(Hand(150, 200))
    camera.shoot()
    camera.world.hands[0].x = 500
    assert ids(camera.shoot()) == [1]


def test_two_regions_that_meet_on_one_hand_give_one_hand():
    near, far = Hand(200, 200), Hand(290, 200)
    camera = Camera(near, far)
    assert len(camera.shoot().instances) == 2
    camera.world.hands.remove(far)
    near.x = 245  # both regions hold it now
    result = camera.shoot()
    assert ids(result) == [0]


def test_more_hands_than_allowed_are_not_reported():
    camera = Camera(*(Hand(80 + 120 * i, 200, 30) for i in range(5)), max_hands=3)
    assert [len(camera.shoot().instances) for _ in range(3)] == [3] * 3


@pytest.mark.parametrize("trouble", [{"presence": 0.4}, {"broken": True}], ids=["absent", "NaN"])
def test_a_hand_that_is_not_there_or_not_finite_is_not_published(trouble):
    camera = Camera(Hand(200, 200))
    camera.shoot()
    camera.world.hands[0] = Hand(200, 200, **trouble)
    assert camera.shoot().instances == ()


@pytest.mark.parametrize(("x", "there"), [(0, True), (-15, True), (-25, False), (-60, False)])
def test_a_hand_with_less_than_a_finger_in_the_image_has_left_it(x, there):
    camera = Camera(Hand(20, 200))
    camera.shoot()
    camera.world.hands[0].x = x
    assert [ids(camera.shoot()) for _ in range(2)] == [[0] if there else []] * 2


# --- what an instance says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "mirrored", "side"),
    [
        (0.8, False, Side.RIGHT),
        (0.8, True, Side.LEFT),
        (0.1, False, Side.LEFT),
        (0.1, True, Side.RIGHT),
        (0.5, False, Side.UNKNOWN),
    ],
)
def test_the_side_follows_the_network_and_whether_the_image_is_mirrored(right, mirrored, side):
    camera = Camera(Hand(200, 200, right=right), input_mirrored=mirrored)
    for _ in range(3):
        (hand,) = camera.shoot().instances
        assert hand.side == side
        assert np.isnan(hand.side_score) == (side is Side.UNKNOWN)


@pytest.mark.parametrize(
    ("right", "side", "score"), [(0.8, Side.RIGHT, 0.8), (0.1, Side.LEFT, 0.9)]
)
def test_in_static_mode_a_side_is_what_the_network_says_of_the_image(right, side, score):
    for mirrored in (False, True):
        camera = Camera(Hand(200, 200, right=right), input_mirrored=mirrored, static=True)
        (hand,) = camera.shoot().instances
        assert hand.side == (3 - side if mirrored else side)
        assert hand.side_score == pytest.approx(score)


def test_joints_beyond_the_image_are_occluded_and_scored_as_the_hand():
    (hand,) = Camera(Hand(15, 200, presence=0.75)).shoot().instances
    outside = hand.keypoints.uv[:, 0] < -0.5
    assert outside.any()
    assert not outside.all()
    assert (hand.keypoints.state[outside] == JointState.OCCLUDED).all()
    assert (hand.keypoints.state[~outside] == JointState.MEASURED).all()
    assert hand.keypoints.score == pytest.approx(np.full(21, 0.75))
    assert hand.score == 0.75
    assert hand.model == "hands"


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_ns", "reset"),
    [
        (STEP_NS, False),
        (int(MAX_GAP_S * 1e9), False),
        (int(MAX_GAP_S * 1e9) + 1_000_000, True),
        (0, True),
        (-5_000_000_000, True),
    ],
    ids=["next", "longest gap", "longer gap", "same stamp", "back"],
)
def test_time_that_jumps_starts_anew(after_ns, reset):
    camera = Camera(Hand(200, 200))
    assert camera.shoot().reset, "ids of an earlier process go on no more"
    assert not camera.shoot().reset
    result = camera.shoot(after_ns)
    assert result.reset is reset
    assert ids(result) == ([1] if reset else [0])
    assert not camera.shoot().reset


def test_another_image_size_starts_anew():
    camera = Camera(Hand(200, 200))
    camera.shoot()
    camera.image = np.zeros((300, 400, 3), np.uint8)
    result = camera.shoot()
    assert result.reset
    assert ids(result) == [1]


def test_an_asked_reset_is_told_once_and_ids_go_on():
    camera = Camera(Hand(200, 200))
    camera.shoot()
    camera.pipeline.reset()
    result = camera.shoot()
    assert result.reset
    assert ids(result) == [1]
    assert not camera.shoot().reset


def test_in_static_mode_images_stand_alone():
    camera = Camera(Hand(200, 200), static=True)
    for after in (STEP_NS, 0, -STEP_NS):
        result = camera.shoot(after)
        (hand,) = result.instances
        assert not result.reset
        assert (hand.track_id, hand.track_state) == (NO_ID, TrackState.NONE)
        assert "palms" in result.models


# --- small hands and images --------------------------------------------------------------------


def test_small_hands_are_found_by_the_search_and_not_without():
    small = Hand(1500, 300, 30)
    blind = Camera(small, width=1920, height=1080, search=False)
    assert not any(blind.shoot().instances for _ in range(20))
    camera = Camera(small, width=1920, height=1080)
    found = [bool(camera.shoot().instances) for _ in range(20)]
    assert any(found)
    assert all(found[found.index(True) :])  # and followed from then on
    assert Camera(small, width=1920, height=1080, static=True).shoot().instances


@pytest.mark.parametrize("count", [1, 3])
def test_the_search_looks_at_a_bounded_number_of_tiles(count):
    camera = Camera(width=1920, height=1080, search_tiles_per_frame=count)
    for _ in range(30):
        camera.world.windows.clear()
        camera.shoot()
        assert [len(windows) for windows in camera.world.windows] == [1 + count]


def test_a_lost_small_hand_is_looked_for_where_it_was():
    small = Hand(1500, 300, 30)
    camera = Camera(small, width=1920, height=1080)
    assert any(camera.shoot().instances for _ in range(20))
    camera.world.hands.clear()
    camera.shoot()
    camera.world.hands.append(replace(small, x=1520))
    assert camera.shoot().instances


def test_a_hand_found_in_a_tile_on_another_hand_is_not_a_second_one():
    large = Hand(900, 500, 200)
    part = Hand(900, 420, 25)  # say, a finger that looks like a small hand
    camera = Camera(large, width=1920, height=1080)
    camera.shoot()
    camera.world.hands.append(part)
    assert all(len(camera.shoot().instances) == 1 for _ in range(30))


@pytest.mark.parametrize(("right", "count"), [(0.98, 1), (0.1, 2)])
def test_what_is_found_by_a_hand_and_has_its_side_is_that_hand_read_badly(right, count):
    camera = Camera(Hand(300, 200, 120, right=0.97), search=False)
    for _ in range(5):
        camera.shoot()
    camera.world.hands.append(Hand(336, 200, 72, right=right))
    assert len(camera.shoot().instances) == count


def test_a_palm_that_a_tile_cuts_is_not_looked_at():
    camera = Camera(Hand(1079, 300, 50), width=1920, height=1080, search_tiles_per_frame=16)
    camera.world.shows = lambda window, hand: (window.cx, window.width) == (540, 1080)
    for _ in range(15):  # the palm reaches beyond the edge, 1080, of the only tile that shows it
        assert camera.shoot().instances == ()
    assert any((w.cx, w.width) == (540, 1080) for windows in camera.world.windows for w in windows)
    assert camera.world.regions == []


def test_hands_found_in_several_tiles_are_reported_once():
    camera = Camera(Hand(960, 540, 30), width=1920, height=1080, static=True, max_hands=4)
    assert len(camera.shoot().instances) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (30, 20)])
def test_images_smaller_than_any_crop_give_nothing(size):
    assert Camera(width=size[0], height=size[1]).shoot().instances == ()


# --- settings at run time ----------------------------------------------------------------------


def test_tracking_starts_anew_when_the_image_is_said_to_be_mirrored_and_only_then():
    camera = Camera(Hand(200, 200, right=0.9))
    (before,) = [camera.shoot() for _ in range(10)][-1].instances
    camera.pipeline.update(Settings(HandSettings(input_mirrored=True)))
    turned = camera.shoot()
    (hand,) = turned.instances
    assert turned.reset and hand.track_id != before.track_id
    assert (before.side, hand.side) == (Side.RIGHT, Side.LEFT)
    camera.pipeline.update(Settings(HandSettings(input_mirrored=True, max_hands=3)))
    after = camera.shoot()
    assert not after.reset and ids(after) == [hand.track_id]


def test_fewer_hands_at_run_time_keep_the_oldest():
    camera = Camera(Hand(150, 200), Hand(450, 200))
    camera.shoot()
    camera.pipeline.update(Settings(HandSettings(max_hands=1)))
    assert ids(camera.shoot()) == [0]


def test_thresholds_change_at_run_time():
    camera = Camera(Hand(200, 200, presence=0.6))
    assert camera.shoot().instances
    camera.pipeline.update(Settings(HandSettings(presence_threshold=0.7)))
    assert not camera.shoot().instances
    camera.pipeline.update(Settings(HandSettings(detection_threshold=0.8)))
    assert not camera.shoot().instances  # the world's palms score 0.7
    camera.pipeline.update(Settings())
    assert ids(camera.shoot()) == [1]
