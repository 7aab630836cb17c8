"""Persons first, then their hands; and the turn from one view to the other. Networks are played,
in the last part real.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.bodies import BodyFinder, PersonSettings
from vitpose_ros.detect.palms import Palm
from vitpose_ros.hands import HandFinder, HandSettings
from vitpose_ros.keypoints.hand_estimate import HandEstimate
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21
from vitpose_ros.load import load_pipeline
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.track.work import Work
from vitpose_ros.types import NO_ID, Frame, Side, TrackState, ZSource
from vitpose_ros.views import View

STEP_NS = 33_000_000
ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("wrist", "elbow"))
LEGS_AND_HEAD = tuple(
    joint for joint in COCO17.joints if joint.rpartition("_")[2] not in ("wrist", "elbow")
)


def open_hand(x, y, size):
    """(21, 2): wrist at (x, y), fingers down."""
    fingers, steps = np.divmod(np.arange(20), 4)
    across = np.concatenate([[0.0], (fingers - 2) * 0.3])
    along = np.concatenate([[0.0], 0.6 + 0.2 * steps])
    return (np.stack([across, along], axis=1) * size + (x, y)).astype(np.float32)


class HandWorld:
    """Plays both networks of hands: each person's own, and others at `more` (wrists, px)."""

    name = "hands"
    engine = "a played engine"

    def __init__(self, crowd):
        self.crowd = crowd
        self.more = []
        self.missing = set()  # (number of the person, "left" or "right")
        self.right = 0.9  # what the network takes any hand for
        self.score = 0.8
        self.read = []
        self.palm_looks = 0
        self.detector = self.Palms(self)

    class Palms:
        name = "palms"

        def __init__(self, world):
            self.world = world

        def __call__(self, image, windows, threshold):
            self.world.palm_looks += 1
            palms = [
                Palm((*(uv[9] - 15), 30, 30), uv[[0, 5, 9, 13, 17, 1, 2]], 0.9)
                for uv in self.world.hands()
            ]
            return [palms] + [[] for _ in windows[1:]]

    def hands(self):
        wrists = [
            (*person.joint(f"{side}_wrist"), 0.2 * person.size)
            for number, person in enumerate(self.crowd.people)
            for side in ("left", "right")
            if (number, side) not in self.missing
        ]
        return [open_hand(*wrist) for wrist in [*wrists, *self.more]]

    def __call__(self, image, regions):
        self.read.append(list(regions))
        return [self.estimate(region) for region in regions]

    def estimate(self, region):
        def distance(uv):
            return np.hypot(*(uv.mean(axis=0) - (region.cx, region.cy)))

        uv = min(self.hands(), key=distance, default=None)
        if uv is None or distance(uv) > region.width / 2:
            return None
        score = np.full(21, self.score, np.float32)
        shape = np.full((21, 3), np.nan, np.float32)
        return HandEstimate(uv, score, np.ones(21, bool), shape, 0.9, self.right)


class Camera:
    """A pipeline and the images that it gets, one every 33 ms."""

    def __init__(self, crowd, view="third_person", **settings):
        self.crowd, self.hands = crowd, HandWorld(crowd)
        ids = itertools.count()
        self.pipeline = Pipeline(
            HandFinder(self.hands.detector, self.hands, HandSettings(**settings), ids),
            BodyFinder(Detector(), crowd, PersonSettings(), ids),
            view,
        )
        self.stamp_ns = 10**18
        self.image = np.zeros((480, 640, 3), np.uint8)

    def shoot(self, after_ns=STEP_NS):
        self.stamp_ns += after_ns
        return self.pipeline(Frame(self.image, self.stamp_ns))

    def shoot_for(self, seconds):
        return [self.shoot() for _ in range(round(seconds * 1e9 / STEP_NS))]


class Detector:
    """Its answers come from the crowd, by way of the reader."""

    name = "detector"


def split(result):
    """Bodies and hands; bodies come first."""
    bodies = [i for i in result.instances if i.layout is not HAND21]
    hands = [i for i in result.instances if i.layout is HAND21]
    assert list(result.instances) == bodies + hands
    return bodies, hands


@pytest.fixture
def two(crowd, person):
    return crowd(person(160, 200), person(460, 220))


# --- hands of bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("right", [0.9, 0.1])
def test_each_hand_has_its_bodys_id_and_the_side_of_its_wrist_whatever_it_looks_like(two, right):
    camera = Camera(two)
    camera.hands.right = right
    for _ in range(4):
        bodies, hands = split(camera.shoot())
        assert len(bodies) == 2
        owned = {
            (body.track_id, side): body.keypoints.uv[COCO17.index(f"{side.name.lower()}_wrist")]
            for body in bodies
            for side in (Side.LEFT, Side.RIGHT)
        }
        assert sorted((hand.parent_id, hand.side) for hand in hands) == sorted(owned)
        for hand in hands:
            wrist = owned[hand.parent_id, hand.side]
            assert hand.keypoints.uv[0] == pytest.approx(wrist)
            assert hand.side_score == pytest.approx(0.9), "as sure as the wrist"
    assert all(body.parent_id == NO_ID for body in bodies)


def test_a_mirrored_image_exchanges_left_and_right_of_bodies_and_hands_and_nothing_else(two):
    plain, mirrored = Camera(two).shoot(), Camera(two, input_mirrored=True).shoot()
    for before, after in zip(split(plain)[0], split(mirrored)[0], strict=True):
        for joint, partner in (("left_wrist", "right_wrist"), ("right_ear", "left_ear")):
            i, j = COCO17.index(joint), COCO17.index(partner)
            assert after.keypoints.uv[i].tolist() == before.keypoints.uv[j].tolist()
        assert after.keypoints.uv[0].tolist() == before.keypoints.uv[0].tolist(), "the nose"

    def hands_at(result):
        return {
            tuple(hand.keypoints.uv[0]): (hand.parent_id, hand.side) for hand in split(result)[1]
        }

    expected = {at: (parent, 3 - side) for at, (parent, side) in hands_at(plain).items()}
    assert hands_at(mirrored) == expected
    assert len(expected) == 4


def test_in_metres_a_mirrored_body_is_turned_round_as_its_names_are(crowd, person):
    shape = np.arange(17 * 3, dtype=np.float32).reshape(17, 3)

    class Solid(crowd):
        def _reading(self, region):
            reading = super()._reading(region)
            sources = np.full(17, ZSource.MEASURED, np.uint8)
            solid = replace(reading.keypoints, shape_xyz=shape, xyz=shape + 100, z_source=sources)
            return replace(reading, keypoints=solid)

    (body,), _ = split(Camera(Solid(person(300, 200)), input_mirrored=True).shoot())
    order = list(COCO17.flip_permutation())
    mirrored = shape[order] * (-1, 1, 1)
    np.testing.assert_array_equal(body.keypoints.shape_xyz, mirrored)
    np.testing.assert_array_equal(body.keypoints.xyz, (shape[order] + 100) * (-1, 1, 1))
    np.testing.assert_array_equal(body.raw.shape_xyz, mirrored)


def test_ids_of_bodies_and_hands_are_all_different_and_stay(two):
    camera = Camera(two)
    first = [instance.track_id for instance in camera.shoot().instances]
    assert len(set(first)) == 6
    for _ in range(5):
        for person in two.people:
            person.x += 3
        result = camera.shoot()
        assert [instance.track_id for instance in result.instances] == first
    assert {i.track_state for i in result.instances} == {TrackState.CONFIRMED}


def test_more_hands_than_max_hands_are_kept_in_third_person_also_when_a_setting_changes(two):
    camera = Camera(two, max_hands=1)
    first = [instance.track_id for instance in camera.shoot().instances]
    assert len(first) == 6, "max_persons bounds them"
    camera.pipeline.update(Settings(HandSettings(max_hands=1, search=False)))
    assert [instance.track_id for instance in camera.shoot().instances] == first


def test_a_hand_whose_wrist_is_far_away_belongs_to_nobody_and_has_its_own_side_in_time(two):
    camera = Camera(two)
    camera.shoot()
    camera.hands.missing.add((0, "left"))
    camera.hands.more.append((*two.people[0].joint("left_wrist"), 20))
    sides = []
    for image in range(90):  # it goes away from the arm, as a mannequin's would
        x, y, size = camera.hands.more[0]
        camera.hands.more[0] = (x, y + 8 * (image < 12), size)
        _, hands = split(camera.shoot())
        alone = [hand for hand in hands if hand.parent_id == NO_ID]
        assert len(hands) == 4
        assert len(alone) == 1 or (alone == sides == [] and image < 11)
        sides += [hand.side for hand in alone]
    assert alone[0].raw.uv[0] == pytest.approx(camera.hands.more[0][:2])
    # What the wrist said holds until the hand's own look contradicts it for long enough.
    assert [side for side, _ in itertools.groupby(sides)] == [Side.LEFT, Side.RIGHT]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_hands_that_are_nobodys_those_followed_longest_stay_up_to_max_hands(two, most):
    camera = Camera(two, max_hands=most)
    before = split(camera.shoot())[1]
    camera.hands.more = [(*uv[0], 20) for uv in camera.hands.hands()]
    two.people.clear()  # mannequins' hands, or what the network takes for hands
    for _ in range(3):
        bodies, hands = split(camera.shoot())
        assert bodies == []
        assert [h.track_id for h in hands] == [h.track_id for h in before[:most]]
        assert {hand.parent_id for hand in hands} == {NO_ID}
    assert len(camera.hands.read[-1]) == most, "the others are not read any more"


def test_hands_that_are_nobodys_take_nothing_from_those_of_bodies(two, person):
    camera = Camera(two, max_hands=2)
    camera.shoot()
    camera.hands.more = [(*uv[0], 20) for uv in camera.hands.hands()]
    for one in two.people:
        one.x += 1000
    camera.shoot()
    two.people[:] = [person(200, 400)]
    bodies, hands = split(camera.shoot())
    assert [hand.parent_id for hand in hands].count(NO_ID) == 2
    assert [hand.parent_id for hand in hands].count(bodies[0].track_id) == 2


def test_a_hand_where_a_body_should_have_it_is_the_bodys_though_the_elbow_is_hidden(crowd, person):
    one = person(300, 200, unseen=("left_elbow",))
    (body,), hands = split(Camera(crowd(one, layout=COCO_WHOLEBODY133)).shoot())
    assert sorted((hand.parent_id, hand.side) for hand in hands) == [
        (body.track_id, Side.LEFT),
        (body.track_id, Side.RIGHT),
    ]


def test_a_body_without_hands_in_view_is_reported_alone(two):
    camera = Camera(two)
    camera.hands.missing |= {(1, "left"), (1, "right")}
    bodies, hands = split(camera.shoot())
    assert {hand.parent_id for hand in hands} == {bodies[0].track_id}
    assert len(hands) == 2


def test_a_body_whose_arms_are_not_seen_gives_no_place_to_look_at(crowd, person):
    camera = Camera(crowd(person(300, 200, unseen=ARMS)))
    bodies, hands = split(camera.shoot())
    assert len(bodies) == 1
    assert hands == []
    assert camera.hands.read == []


def test_hands_are_followed_and_not_read_a_second_time_at_their_wrists(two):
    camera = Camera(two)
    for _ in range(5):
        camera.shoot()
    assert [len(regions) for regions in camera.hands.read] == [4] * 5


def test_a_hand_that_was_hidden_is_looked_for_at_its_wrist_in_each_image(two):
    camera = Camera(two)
    camera.shoot()
    camera.hands.missing.add((0, "left"))
    assert len(split(camera.shoot())[1]) == 3
    camera.hands.missing.clear()
    _, hands = split(camera.shoot())
    assert len(hands) == 4
    assert len({hand.track_id for hand in hands}) == 4


def test_two_wrists_at_one_hand_give_it_once(crowd, person):
    # The other's left wrist is where this one's right wrist is: they hold hands, and one is hidden.
    near, far = person(400, 200), person(400 - 140, 200)
    camera = Camera(crowd(near, far))
    camera.hands.missing.add((0, "right"))
    _, hands = split(camera.shoot())
    assert len(hands) == 3
    assert len({(hand.parent_id, hand.side) for hand in hands}) == 3


def test_of_two_hands_at_one_wrist_only_the_nearer_belongs_to_it(two):
    camera = Camera(two)
    camera.hands.missing.add((1, "right"))
    x, (goal, y) = two.people[1].joint("right_wrist")[0], two.people[0].joint("left_wrist")
    while x > goal + 12:  # the second one's right hand comes to the first one's left
        camera.hands.more = [(x, y, 20)]
        bodies, hands = split(camera.shoot())
        x -= 8
    assert len(hands) == 4
    near = [hand for hand in hands if abs(hand.keypoints.uv[0, 0] - goal) < 30]
    assert sorted(hand.parent_id for hand in near) == [NO_ID, bodies[0].track_id]
    assert near[0].keypoints.uv[0, 0] == pytest.approx(goal)
    assert near[0].parent_id == bodies[0].track_id


def test_no_palm_detector_runs_in_third_person(two):
    camera = Camera(two)
    results = [camera.shoot() for _ in range(5)]
    two.people.clear()
    results += [camera.shoot() for _ in range(5)]
    assert camera.hands.palm_looks == 0
    assert results[0].models == ("detector", "crowd", "hands")
    assert all("palms" not in result.models for result in results)
    assert {result.view for result in results} == {View.THIRD_PERSON}


def test_a_whole_body_takes_over_the_hands_better_joints(crowd, person):
    one = person(300, 200, score=0.6)
    camera = Camera(crowd(one, layout=COCO_WHOLEBODY133))
    camera.hands.missing.add((0, "right"))
    (body,), (hand,) = split(camera.shoot())
    points = {
        side: [COCO_WHOLEBODY133.index(f"{side}_hand_{joint}") for joint in HAND21.joints]
        for side in ("left", "right")
    }
    np.testing.assert_array_equal(body.keypoints.uv[points["left"]], hand.keypoints.uv)
    assert body.keypoints.score[points["left"]] == pytest.approx(0.8)
    assert body.keypoints.score[points["right"]] == pytest.approx(0.6)
    np.testing.assert_array_equal(body.raw.uv[points["left"]], hand.raw.uv)
    camera.hands.score = 0.5
    (body,), _ = split(camera.shoot())
    assert body.keypoints.score[points["left"]] == pytest.approx(0.6)


def test_a_jump_of_time_gives_bodies_and_hands_new_ids(two):
    camera = Camera(two)
    before = {instance.track_id for instance in camera.shoot().instances}
    result = camera.shoot(-10 * 10**9)
    assert result.reset
    assert not before & {instance.track_id for instance in result.instances}
    assert len(result.instances) == 6


# --- static ------------------------------------------------------------------------------------


def test_in_static_mode_images_of_persons_stand_alone(two):
    camera = Camera(two, static=True)
    for after_ns in (STEP_NS, 0, -STEP_NS):
        looks = two.looks
        result = camera.shoot(after_ns)
        bodies, hands = split(result)
        assert two.looks == looks + 1, "the detector runs on each image"
        assert not result.reset
        assert sorted((hand.parent_id, hand.side) for hand in hands) == [
            (body.track_id, side) for body in bodies for side in (Side.LEFT, Side.RIGHT)
        ]
        assert {hand.track_id for hand in hands} == {NO_ID}
        assert {body.track_age_s for body in bodies} == {0.0}
    two.people.pop()
    assert len(split(camera.shoot())[0]) == 1


# --- auto --------------------------------------------------------------------------------------


def views(results):
    """The view of each image, without repetitions."""
    return [view for view, _ in itertools.groupby(result.view for result in results)]


def test_auto_turns_to_persons_and_back_and_says_so(crowd, person):
    camera = Camera(crowd(), view="auto")
    assert views(camera.shoot_for(2)) == [View.EGOCENTRIC]
    camera.crowd.people += [person(160, 200), person(460, 220)]
    turning = camera.shoot_for(2)
    assert views(turning) == [View.EGOCENTRIC, View.THIRD_PERSON]
    camera.crowd.people.clear()
    assert views(camera.shoot_for(1.9)) == [View.THIRD_PERSON]
    assert views(camera.shoot_for(3)) == [View.THIRD_PERSON, View.EGOCENTRIC]


def test_what_auto_reports_is_what_its_view_says(crowd, person):
    camera = Camera(crowd(person(300, 200)), view="auto")
    for result in camera.shoot_for(2):
        bodies, hands = split(result)
        assert len(hands) == 2
        assert len(bodies) == (result.view is View.THIRD_PERSON)
        assert {hand.parent_id for hand in hands} == ({b.track_id for b in bodies} or {NO_ID})


def test_hands_keep_their_ids_when_auto_turns(crowd, person):
    camera = Camera(crowd(person(300, 200)), view="auto")
    ids = [{hand.track_id for hand in split(result)[1]} for result in camera.shoot_for(2)]
    assert all(one == ids[0] for one in ids)


def test_after_turning_back_no_more_than_max_hands_are_reported(two):
    camera = Camera(two, view="auto")
    assert len(split(camera.shoot_for(2)[-1])[1]) == 4
    hands = camera.hands.hands()
    camera.hands.more = [(*uv[0], 20) for uv in hands]
    two.people.clear()  # only their hands are left in view
    results = camera.shoot_for(3)
    assert results[-1].view is View.EGOCENTRIC
    assert len(split(results[-1])[1]) == 2


def test_persons_are_looked_for_only_now_and_then_in_the_first_person(crowd, person):
    camera = Camera(crowd(), view="auto")
    results = camera.shoot_for(4)
    probed = [i for i, result in enumerate(results) if "detector" in result.models]
    assert camera.crowd.looks == len(probed)
    assert probed == list(range(0, len(results), 13))  # 0.4 s are more than 12 images


@pytest.mark.parametrize(
    "unseen",
    [LEGS_AND_HEAD, ("left_shoulder",), ("nose", "left_eye", "right_eye", "left_hip", "right_hip")],
    ids=["arms only", "one shoulder", "neither face nor hips"],
)
def test_the_wearer_of_the_camera_is_no_person_to_turn_to(crowd, person, unseen):
    camera = Camera(crowd(person(300, 200, unseen=unseen)), view="auto")
    assert views(camera.shoot_for(4)) == [View.EGOCENTRIC]


def test_a_view_that_is_chosen_stays(crowd, person):
    camera = Camera(crowd(person(300, 200)), view="egocentric")
    assert views(camera.shoot_for(3)) == [View.EGOCENTRIC]
    assert camera.crowd.looks == 0


@pytest.mark.parametrize("view", ["third_person", "auto"])
def test_a_view_that_needs_persons_is_refused_without_networks_for_them(crowd, view):
    hands = HandWorld(crowd())
    finder = HandFinder(hands.detector, hands, HandSettings(), itertools.count())
    with pytest.raises(ValueError, match=f"'{view}' needs a person detector and a body model"):
        Pipeline(finder, None, view)


def finder_without_detector(crowd, **settings):
    return HandFinder(None, HandWorld(crowd), HandSettings(**settings), itertools.count())


def test_third_person_needs_no_hand_detector_and_does_not_name_one(two):
    ids = itertools.count()
    bodies = BodyFinder(Detector(), two, PersonSettings(), ids)
    pipeline = Pipeline(finder_without_detector(two), bodies, "third_person")
    assert pipeline.models == ("hands", "detector", "crowd")
    for i in range(3):
        assert len(split(pipeline(Frame(np.zeros((480, 640, 3), np.uint8), i + 1)))[1]) == 4


@pytest.mark.parametrize("view", ["egocentric", "auto"])
def test_a_view_that_finds_hands_directly_is_refused_without_a_detector_of_hands(two, view):
    bodies = BodyFinder(Detector(), two, PersonSettings(), itertools.count())
    with pytest.raises(ValueError, match=f"'{view}' needs a hand detector"):
        Pipeline(finder_without_detector(two), bodies, view)


def test_a_finder_without_detector_says_so_when_hands_are_asked_of_it(two):
    finder = finder_without_detector(two)
    with pytest.raises(ValueError, match="none was given"):
        finder(Frame(np.zeros((480, 640, 3), np.uint8)), Work())


def test_auto_is_refused_in_static_mode_at_the_start_and_later(two):
    with pytest.raises(ValueError, match="choose the view 'egocentric' or 'third_person'"):
        Camera(two, view="auto", static=True)
    camera = Camera(two, view="auto", max_hands=1)
    with pytest.raises(ValueError, match="choose the view 'egocentric' or 'third_person'"):
        camera.pipeline.update(Settings(HandSettings(static=True)))
    assert len(split(camera.shoot())[1]) == 1, "the settings in use stay"


def test_an_unknown_view_is_refused_with_those_that_are_known(crowd):
    with pytest.raises(ValueError, match="expected one of egocentric, third_person, auto, got 'x'"):
        Camera(crowd(), view="x")


# --- the real networks on real images ----------------------------------------------------------


@pytest.fixture(scope="module")
def real_pipeline(model_path):
    """A function: a pipeline of a view with MediaPipe's networks."""
    for name in ("palm-full", "hand-full", "person", "body-full"):
        model_path(f"mediapipe-{name}")
    return lambda view: load_pipeline(ModelStore(), view=view)


def follow(pipeline, image, count):
    return [pipeline(Frame(image, 10**18 + i * STEP_NS)) for i in range(count)]


def test_the_two_near_players_are_found_with_their_hands_and_keep_their_ids(
    real_pipeline, real_image
):
    results = follow(real_pipeline("third_person"), real_image("people_demo.jpg"), 5)
    for result in results:
        bodies, hands = split(result)
        assert len(bodies) == 2
        middles = sorted(body.keypoints.box()[0] + body.keypoints.box()[2] / 2 for body in bodies)
        assert middles == pytest.approx([280, 805], abs=40)
        by_id = {body.track_id: body for body in bodies}
        owned = [hand for hand in hands if hand.parent_id != NO_ID]
        assert len(owned) >= 3
        assert len({(hand.parent_id, hand.side) for hand in owned}) == len(owned)
        for hand in owned:
            body = by_id[hand.parent_id]
            uv = {
                side: body.keypoints.uv[body.layout.index(f"{side.name.lower()}_wrist")]
                for side in (Side.LEFT, Side.RIGHT)
            }
            middle = hand.keypoints.uv.mean(axis=0)
            assert min(uv, key=lambda side: np.hypot(*(uv[side] - middle))) == hand.side
    ids = [[instance.track_id for instance in result.instances] for result in results]
    assert ids == [ids[0]] * 5
    assert "mediapipe-palm-full" not in {name for result in results for name in result.models}


def test_the_skier_is_found(real_pipeline, real_image):
    results = follow(real_pipeline("third_person"), real_image("000000000785.jpg"), 3)
    for result in results:
        ((body,), _) = split(result)
        x, y, width, height = body.keypoints.box()
        assert (x, y) == pytest.approx((291, 76), abs=25)
        assert (width, height) == pytest.approx((198, 307), abs=40)
        assert body.track_id == results[0].instances[0].track_id


def test_auto_turns_to_the_players_within_two_seconds_and_stays(real_pipeline, real_image):
    results = follow(real_pipeline("auto"), real_image("people_demo.jpg"), 45)
    assert views(results) == [View.EGOCENTRIC, View.THIRD_PERSON]
    turned = next(i for i, result in enumerate(results) if result.view is View.THIRD_PERSON)
    assert turned * STEP_NS <= 2 * 10**9
    assert len(split(results[-1])[0]) == 2


def test_auto_stays_with_hands_where_only_a_hand_is_seen(real_pipeline, real_image):
    results = follow(real_pipeline("auto"), real_image("onehand10k_784.jpg"), 45)
    assert views(results) == [View.EGOCENTRIC]
    assert split(results[-1])[1]
