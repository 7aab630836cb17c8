"""Persons from image to image, in a world whose persons a test moves. Networks are played."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vitpose_ros.layouts import COCO17, MEDIAPIPE33
from vitpose_ros.settings import PersonSettings
from vitpose_ros.types import NO_ID, Side, TrackState


@pytest.fixture
def camera_on(body_camera):
    """A function: a camera before a crowd."""

    def make(crowd, **settings):
        camera = body_camera(crowd.detector, crowd, **settings)
        camera.crowd = crowd
        return camera

    return make


def looked(camera):
    """Whether the detector runs in the next image."""
    before = camera.crowd.looks
    camera.shoot()
    return camera.crowd.looks > before


@pytest.fixture
def four(crowd, person):
    return crowd(*(person(80 + 150 * i, 200, 60) for i in range(4)))


def ids(bodies):
    return [body.track_id for body in bodies]


# --- when the detector runs --------------------------------------------------------------------


def test_the_detector_rests_while_as_many_persons_are_followed_as_may_be(camera_on, four):
    camera = camera_on(four, max_persons=4, detect_interval=1)
    assert len(camera.shoot()) == 4
    assert camera.measured.models[:2] == ("detector", "crowd")
    for _ in range(20):
        assert not looked(camera)
        assert "detector" not in camera.measured.models
        assert camera.measured.stage_s["detect"] == 0.0


@pytest.mark.parametrize("interval", [1, 2, 10])
def test_while_fewer_are_followed_the_detector_looks_in_every_so_many_images(
    camera_on, crowd, person, interval
):
    camera = camera_on(crowd(person(200, 200)), detect_interval=interval)
    found = [looked(camera) for _ in range(31)]
    assert found == [i % interval == 0 for i in range(31)]


def test_those_who_are_followed_are_not_read_a_second_time_where_the_detector_finds_them(
    camera_on, four
):
    late = four.people.pop()
    late.detected = 0.6  # the others come first
    camera = camera_on(four, max_persons=4, detect_interval=1)
    camera.shoot()
    camera.shoot()
    assert [len(regions) for regions in four.read] == [3, 3]
    four.people.append(late)
    assert len(camera.shoot()) == 4
    assert [len(regions) for regions in four.read[2:]] == [3, 1]


def test_while_nobody_is_followed_the_detector_looks_in_each_image(camera_on, crowd, person):
    camera = camera_on(crowd(), detect_interval=10)
    assert all(looked(camera) for _ in range(15))
    camera.crowd.people.append(person(300, 200))
    assert len(camera.shoot()) == 1
    camera.crowd.people.clear()
    assert all(looked(camera) for _ in range(15))


def test_one_who_jumped_is_found_in_the_same_image_as_a_new_one(camera_on, crowd, person):
    camera = camera_on(crowd(person(120, 200, 60)), detect_interval=100)
    assert ids(camera.shoot()) == [0]
    camera.crowd.people[0].x = 520
    assert ids(camera.shoot()) == [1]


def test_one_who_comes_is_found_at_the_next_look(camera_on, crowd, person):
    camera = camera_on(crowd(person(120, 200, 60)), detect_interval=5)
    camera.shoot()
    camera.crowd.people.append(person(450, 200, 60))
    assert [ids(camera.shoot()) for _ in range(6)] == [[0]] * 4 + [[0, 1]] * 2


# --- who is who --------------------------------------------------------------------------------


def test_persons_who_move_keep_their_ids_and_their_order(camera_on, four):
    camera = camera_on(four)
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


def test_an_id_is_not_given_again(camera_on, crowd, person):
    camera = camera_on(crowd(person(200, 200)))
    seen = []
    for _ in range(3):
        seen += ids(camera.shoot())
        gone = camera.crowd.people.pop()
        assert camera.shoot() == []
        camera.crowd.people.append(gone)
    camera.tracker.reset()
    assert [*seen, *ids(camera.shoot())] == [0, 1, 2, 3]


def test_more_persons_than_allowed_are_not_reported_and_the_best_detected_come_first(
    camera_on, four
):
    for i, body in enumerate(four.people):
        body.detected = 0.6 + 0.1 * i
    camera = camera_on(four, max_persons=2)
    for _ in range(3):
        found = {round(float(body.keypoints.uv[0, 0])) for body in camera.shoot()}
        assert found == {380, 530}
    assert all(len(regions) <= 2 for regions in four.read), "no more are read, either"


def test_fewer_persons_at_run_time_keep_those_followed_longest(camera_on, four):
    late = four.people.pop(0)
    camera = camera_on(four, detect_interval=1)
    camera.shoot()
    four.people.insert(0, late)
    assert ids(camera.shoot()) == [0, 1, 2, 3]
    camera.persons = PersonSettings(max_persons=3)
    assert ids(camera.shoot()) == [0, 1, 2]


@pytest.mark.parametrize(("x", "one"), [(255, 0), (275, 1)])
def test_of_two_regions_that_meet_on_one_person_the_nearer_track_goes_on(
    camera_on, crowd, person, x, one
):
    camera = camera_on(crowd(person(200, 200), person(330, 200)), detect_interval=100)
    assert ids(camera.shoot()) == [0, 1]
    camera.crowd.people.pop()
    camera.crowd.people[0].x = x  # both regions hold it now
    assert ids(camera.shoot()) == [one]
    assert len(camera.crowd.read[-1]) == 2, "both were read"


def test_two_persons_side_by_side_are_two(camera_on, crowd, person):
    camera = camera_on(crowd(person(200, 200), person(245, 205)), detect_interval=1)
    assert all(ids(camera.shoot()) == [0, 1] for _ in range(5))


def test_one_who_is_followed_keeps_the_id_when_detected_again_beside_the_known_region(
    camera_on, crowd, person
):
    class Careless(crowd):
        """Boxes that are off, and new bodies that are read with a better score."""

        def regions(self, detector, image, threshold):
            found = super().regions(detector, image, threshold)
            return [replace(region, cx=region.cx + 70) for region in found]

        def _reading(self, region):
            reading = super()._reading(region)
            return replace(reading, score=0.8 + 0.1 * (region.track_id == NO_ID))

    camera = camera_on(Careless(person(200, 200)), detect_interval=1)
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
def test_only_persons_and_bodies_of_enough_score_count(camera_on, crowd, person, settings, there):
    camera = camera_on(crowd(person(200, 200, score=0.6, detected=0.8)), **settings)
    assert bool(camera.shoot()) is there


def test_a_body_whose_score_falls_is_dropped_and_the_others_go_on(camera_on, four):
    camera = camera_on(four, detect_interval=100)
    camera.shoot()
    four.people[1].score = 0.4
    assert ids(camera.shoot()) == [0, 2, 3]
    four.people[1].score = 0.9
    assert ids(camera.shoot()) == [0, 2, 3], "not followed any more"


def test_a_body_that_cannot_be_followed_is_not_reported(camera_on, crowd, person):
    head = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    only_a_head = tuple(joint for joint in COCO17.joints if joint not in head)
    camera = camera_on(crowd(person(200, 200, unseen=only_a_head)))
    assert camera.shoot() == []


def test_an_instance_says_what_was_read_and_by_which_network(camera_on, crowd, person):
    one = person(200, 200, score=0.7)
    (body,) = camera_on(crowd(one, layout=MEDIAPIPE33)).shoot()
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
