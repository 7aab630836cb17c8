"""Persons from image to image, in a world whose persons a test moves. Networks are played."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.bodies import BodyFinder, PersonSettings, refine_hands
from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HAND21, MEDIAPIPE33
from vitpose_ros.track.work import Work
from vitpose_ros.types import NO_ID, Frame, Instance, JointState, Keypoints, Side, TrackState

STEP_NS = 33_000_000


class Camera:
    """A body finder and the images that it gets, one every 33 ms."""

    def __init__(self, crowd, **settings):
        self.crowd = crowd
        settings = PersonSettings(**settings)
        self.finder = BodyFinder(crowd.detector, crowd, settings, itertools.count())
        self.image = np.zeros((480, 640, 3), np.uint8)
        self.stamp_ns = 10**18
        self.work = Work()

    def shoot(self):
        self.stamp_ns += STEP_NS
        self.work = Work()
        return self.finder(Frame(self.image, self.stamp_ns), self.work)

    def looked(self):
        """Whether the detector runs in the next image."""
        before = self.crowd.looks
        self.shoot()
        return self.crowd.looks > before


@pytest.fixture
def four(crowd, person):
    return crowd(*(person(80 + 150 * i, 200, 60) for i in range(4)))


def ids(bodies):
    return [body.track_id for body in bodies]


# --- when the detector runs --------------------------------------------------------------------


def test_the_detector_rests_while_as_many_persons_are_followed_as_may_be(four):
    camera = Camera(four, max_persons=4, detect_interval=1)
    assert len(camera.shoot()) == 4
    assert camera.work.models == ["detector", "crowd"]
    for _ in range(20):
        assert not camera.looked()
        assert camera.work.models == ["crowd"]
        assert camera.work.stage_s["detect"] == 0.0


@pytest.mark.parametrize("interval", [1, 2, 10])
def test_while_fewer_are_followed_the_detector_looks_in_every_so_many_images(
    crowd, person, interval
):
    camera = Camera(crowd(person(200, 200)), detect_interval=interval)
    looked = [camera.looked() for _ in range(31)]
    assert looked == [i % interval == 0 for i in range(31)]


def test_those_who_are_followed_are_not_read_a_second_time_where_the_detector_finds_them(four):
    late = four.people.pop()
    late.detected = 0.6  # the others come first
    camera = Camera(four, max_persons=4, detect_interval=1)
    camera.shoot()
    camera.shoot()
    assert [len(regions) for regions in four.read] == [3, 3]
    four.people.append(late)
    assert len(camera.shoot()) == 4
    assert [len(regions) for regions in four.read[2:]] == [3, 1]


def test_while_nobody_is_followed_the_detector_looks_in_each_image(crowd, person):
    camera = Camera(crowd(), detect_interval=10)
    assert all(camera.looked() for _ in range(15))
    camera.crowd.people.append(person(300, 200))
    assert len(camera.shoot()) == 1
    camera.crowd.people.clear()
    assert all(camera.looked() for _ in range(15))


def test_one_who_jumped_is_found_in_the_same_image_as_a_new_one(crowd, person):
    camera = Camera(crowd(person(120, 200, 60)), detect_interval=100)
    assert ids(camera.shoot()) == [0]
    camera.crowd.people[0].x = 520
    assert ids(camera.shoot()) == [1]


def test_one_who_comes_is_found_at_the_next_look(crowd, person):
    camera = Camera(crowd(person(120, 200, 60)), detect_interval=5)
    camera.shoot()
    camera.crowd.people.append(person(450, 200, 60))
    assert [ids(camera.shoot()) for _ in range(6)] == [[0]] * 4 + [[0, 1]] * 2


# --- who is who --------------------------------------------------------------------------------


def test_persons_who_move_keep_their_ids_and_their_order(four):
    camera = Camera(four)
    first = camera.shoot()
    for image in range(10):
        for i, body in enumerate(four.people):
            body.x += 4
            body.score = 0.6 + 0.1 * ((image + i) % 4)
        four.people.reverse()  # the networks' order says nothing
        bodies = camera.shoot()
        assert ids(bodies) == ids(first) == [0, 1, 2, 3]
    nose = COCO17.index("nose")
    moved = [
        after.keypoints.uv[nose, 0] - before.keypoints.uv[nose, 0]
        for before, after in zip(first, bodies, strict=True)
    ]
    assert moved == pytest.approx([40] * 4)
    assert {body.track_state for body in bodies} == {TrackState.CONFIRMED}
    assert bodies[0].track_age_s == pytest.approx(0.33)


def test_an_id_is_not_given_again(crowd, person):
    camera = Camera(crowd(person(200, 200)))
    seen = []
    for _ in range(3):
        seen += ids(camera.shoot())
        gone = camera.crowd.people.pop()
        assert camera.shoot() == []
        camera.crowd.people.append(gone)
    camera.finder.reset()
    assert [*seen, *ids(camera.shoot())] == [0, 1, 2, 3]


def test_more_persons_than_allowed_are_not_reported_and_the_best_detected_come_first(four):
    for i, body in enumerate(four.people):
        body.detected = 0.6 + 0.1 * i
    camera = Camera(four, max_persons=2)
    for _ in range(3):
        found = {round(float(body.keypoints.uv[0, 0])) for body in camera.shoot()}
        assert found == {380, 530}
    assert all(len(regions) <= 2 for regions in four.read), "no more are read, either"


def test_fewer_persons_at_run_time_keep_those_followed_longest(four):
    late = four.people.pop(0)
    camera = Camera(four, detect_interval=1)
    camera.shoot()
    four.people.insert(0, late)
    assert ids(camera.shoot()) == [0, 1, 2, 3]
    camera.finder.update(PersonSettings(max_persons=3))
    assert ids(camera.shoot()) == [0, 1, 2]
    assert camera.finder.settings.max_persons == 3


@pytest.mark.parametrize(("x", "one"), [(255, 0), (275, 1)])
def test_of_two_regions_that_meet_on_one_person_the_nearer_track_goes_on(crowd, person, x, one):
    camera = Camera(crowd(person(200, 200), person(330, 200)), detect_interval=100)
    assert ids(camera.shoot()) == [0, 1]
    camera.crowd.people.pop()
    camera.crowd.people[0].x = x  # both regions hold it now
    assert ids(camera.shoot()) == [one]
    assert len(camera.crowd.read[-1]) == 2, "both were read"


def test_two_persons_side_by_side_are_two(crowd, person):
    camera = Camera(crowd(person(200, 200), person(245, 205)), detect_interval=1)
    assert all(ids(camera.shoot()) == [0, 1] for _ in range(5))


def test_one_who_is_followed_keeps_the_id_when_detected_again_beside_the_known_region(
    crowd, person
):
    class Careless(crowd):
        """Boxes that are off, and new bodies that are read with a better score."""

        def regions(self, detector, image, threshold):
            found = super().regions(detector, image, threshold)
            return [replace(region, cx=region.cx + 70) for region in found]

        def _reading(self, region):
            reading = super()._reading(region)
            return replace(reading, score=0.8 + 0.1 * (region.track_id == NO_ID))

    camera = Camera(Careless(person(200, 200)), detect_interval=1)
    assert [ids(camera.shoot()) for _ in range(5)] == [[0]] * 5
    assert [len(regions) for regions in camera.crowd.read] == [1] * 9, "it was read twice an image"


# --- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({}, True),
        ({"body_threshold": 0.61}, False),
        ({"body_threshold": 0.6}, True),
        ({"person_threshold": 0.81}, False),
        ({"person_threshold": 0.8}, True),
    ],
)
def test_only_persons_and_bodies_of_enough_score_count(crowd, person, settings, there):
    camera = Camera(crowd(person(200, 200, score=0.6, detected=0.8)), **settings)
    assert bool(camera.shoot()) is there


def test_a_body_whose_score_falls_is_dropped_and_the_others_go_on(four):
    camera = Camera(four, detect_interval=100)
    camera.shoot()
    four.people[1].score = 0.4
    assert ids(camera.shoot()) == [0, 2, 3]
    four.people[1].score = 0.9
    assert ids(camera.shoot()) == [0, 2, 3], "not followed any more"


def test_a_body_that_cannot_be_followed_is_not_reported(crowd, person):
    head = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    only_a_head = tuple(joint for joint in COCO17.joints if joint not in head)
    camera = Camera(crowd(person(200, 200, unseen=only_a_head)))
    assert camera.shoot() == []


def test_an_instance_says_what_was_read_and_by_which_network(crowd, person):
    one = person(200, 200, score=0.7)
    (body,) = Camera(crowd(one, layout=MEDIAPIPE33)).shoot()
    assert body.layout is MEDIAPIPE33
    assert body.model == "crowd"
    assert body.score == 0.7
    assert body.side == Side.UNKNOWN
    wrist = MEDIAPIPE33.index("left_wrist")
    assert body.keypoints.uv[wrist] == pytest.approx(one.joint("left_wrist"))
    assert body.raw is body.keypoints


# --- settings ----------------------------------------------------------------------------------

WHOLE = "a whole number from 1 to"


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("max_persons", 0, f"{WHOLE} 32"),
        ("max_persons", 33, f"{WHOLE} 32"),
        ("max_persons", 4.0, f"{WHOLE} 32"),
        ("max_persons", True, f"{WHOLE} 32"),
        ("max_persons", "4", f"{WHOLE} 32"),
        ("detect_interval", 0, f"{WHOLE} 1000"),
        ("detect_interval", 1001, f"{WHOLE} 1000"),
        ("detect_interval", None, f"{WHOLE} 1000"),
        ("person_threshold", 1.1, "a number from 0 to 1"),
        ("person_threshold", -0.1, "a number from 0 to 1"),
        ("person_threshold", float("nan"), "a number from 0 to 1"),
        ("body_threshold", "0.5", "a number from 0 to 1"),
        ("body_threshold", True, "a number from 0 to 1"),
        ("body_threshold", float("inf"), "a number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_accepted(field, value, accepted):
    with pytest.raises(ValueError, match=f"{field}: expected {accepted}, got"):
        PersonSettings(**{field: value})


def test_the_ends_of_each_range_are_accepted():
    PersonSettings(max_persons=1, person_threshold=0, body_threshold=0.0, detect_interval=1)
    PersonSettings(max_persons=32, person_threshold=1, body_threshold=1.0, detect_interval=1000)


# --- hands of whole bodies ---------------------------------------------------------------------


def hand(side, scores, absent=()):
    """A hand whose joints lie at (1000 + i, 1000)."""
    uv = np.stack([1000 + np.arange(21), np.full(21, 1000)], axis=1).astype(np.float32)
    score = np.broadcast_to(np.float32(scores), 21).copy()
    state = np.full(21, JointState.OCCLUDED, np.uint8)
    for joint in absent:
        uv[joint], score[joint], state[joint] = np.nan, 0, JointState.ABSENT
    return Instance(Keypoints(HAND21, uv, score, state), 0.9, "hands", side=side)


def points_of(side):
    return [COCO_WHOLEBODY133.index(f"{side}_hand_{joint}") for joint in HAND21.joints]


@pytest.fixture
def whole_body(person):
    return person(200, 200, score=0.5).keypoints(COCO_WHOLEBODY133)


@pytest.mark.parametrize(("side", "name"), [(Side.LEFT, "left"), (Side.RIGHT, "right")])
def test_joints_of_a_hand_replace_those_of_the_body_where_they_are_better_supported(
    whole_body, side, name
):
    scores = np.where(np.arange(21) % 2, 0.9, 0.4)
    before = whole_body.uv.copy()
    refined = refine_hands(whole_body, [hand(side, scores)])
    points = points_of(name)
    better, kept = points[1::2], sorted({*range(133)} - {*points[1::2]})
    assert refined.uv[better, 0].tolist() == [1000.0 + i for i in range(1, 21, 2)]
    assert refined.score[better] == pytest.approx(0.9)
    assert (refined.state[better] == JointState.OCCLUDED).all()
    np.testing.assert_array_equal(refined.uv[kept], before[kept])
    np.testing.assert_array_equal(refined.score[kept], whole_body.score[kept])
    np.testing.assert_array_equal(refined.state[kept], whole_body.state[kept])
    np.testing.assert_array_equal(whole_body.uv, before, "the body that was given is untouched")


def test_equally_supported_joints_stay(whole_body):
    refined = refine_hands(whole_body, [hand(Side.LEFT, 0.5)])
    np.testing.assert_array_equal(refined.uv, whole_body.uv)


def test_both_hands_of_a_body_are_refined(whole_body):
    refined = refine_hands(whole_body, [hand(Side.LEFT, 0.9), hand(Side.RIGHT, 0.9)])
    for side in ("left", "right"):
        assert (refined.uv[points_of(side), 1] == 1000).all()


def test_an_absent_joint_of_a_hand_never_replaces_one_and_an_absent_one_is_filled(
    whole_body, person
):
    refined = refine_hands(whole_body, [hand(Side.LEFT, 0.9, absent=(0, 8))])
    lacking = [points_of("left")[i] for i in (0, 8)]
    np.testing.assert_array_equal(refined.uv[lacking], whole_body.uv[lacking])
    tip = f"left_hand_{HAND21.joints[8]}"
    without = person(200, 200, score=0.5, unseen=(tip,)).keypoints(COCO_WHOLEBODY133)
    filled = refine_hands(without, [hand(Side.LEFT, 0.9)])
    assert filled.state[COCO_WHOLEBODY133.index(tip)] == JointState.OCCLUDED


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33], ids=lambda layout: layout.name)
def test_a_layout_without_hand_points_stays_as_it_is(person, layout):
    body = person(200, 200, score=0.2).keypoints(layout)
    refined = refine_hands(body, [hand(Side.LEFT, 0.9), hand(Side.RIGHT, 0.9)])
    np.testing.assert_array_equal(refined.uv, body.uv)
    np.testing.assert_array_equal(refined.score, body.score)


def test_a_hand_of_unknown_side_refines_nothing(whole_body):
    refined = refine_hands(whole_body, [hand(Side.UNKNOWN, 0.9)])
    np.testing.assert_array_equal(refined.uv, whole_body.uv)
