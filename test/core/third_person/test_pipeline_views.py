"""The views of a pipeline: how `auto` turns, and what each view needs. Networks are played."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import NO_ID, Frame, View

LEGS_AND_HEAD = tuple(
    joint for joint in COCO17.joints if joint.rpartition("_")[2] not in ("wrist", "elbow")
)


# --- auto --------------------------------------------------------------------------------------


def test_auto_turns_to_persons_and_back_and_says_so(camera_on, views, crowd, person):
    camera = camera_on(crowd(), view="auto")
    assert views(camera.shoot_for(2)) == [View.EGOCENTRIC]
    camera.crowd.people += [person(160, 200), person(460, 220)]
    turning = camera.shoot_for(2)
    assert views(turning) == [View.EGOCENTRIC, View.THIRD_PERSON]
    camera.crowd.people.clear()
    assert views(camera.shoot_for(1.9)) == [View.THIRD_PERSON]
    assert views(camera.shoot_for(3)) == [View.THIRD_PERSON, View.EGOCENTRIC]


def test_what_auto_reports_is_what_its_view_says(camera_on, split, crowd, person):
    camera = camera_on(crowd(person(300, 200)), view="auto")
    for result in camera.shoot_for(2):
        bodies, hands = split(result)
        assert len(hands) == 2
        assert len(bodies) == (result.view is View.THIRD_PERSON)
        assert {hand.parent_id for hand in hands} == ({b.track_id for b in bodies} or {NO_ID})


def test_hands_keep_their_ids_when_auto_turns(camera_on, split, crowd, person):
    camera = camera_on(crowd(person(300, 200)), view="auto")
    ids = [{hand.track_id for hand in split(result)[1]} for result in camera.shoot_for(2)]
    assert all(one == ids[0] for one in ids)


def test_after_turning_back_no_more_than_max_hands_are_reported(camera_on, split, two):
    camera = camera_on(two, view="auto")
    assert len(split(camera.shoot_for(2)[-1])[1]) == 4
    hands = camera.hands.hands()
    camera.hands.more = [(*uv[0], 20) for uv in hands]
    two.people.clear()  # only their hands are left in view
    results = camera.shoot_for(3)
    assert results[-1].view is View.EGOCENTRIC
    assert len(split(results[-1])[1]) == 2


def test_persons_are_looked_for_only_now_and_then_in_the_first_person(camera_on, crowd, person):
    camera = camera_on(crowd(), view="auto")
    results = camera.shoot_for(4)
    probed = [i for i, result in enumerate(results) if "detector" in result.models]
    assert camera.crowd.looks == len(probed)
    assert probed == list(range(0, len(results), 13))  # 0.4 s are more than 12 images


@pytest.mark.parametrize(
    "unseen",
    [LEGS_AND_HEAD, ("left_shoulder",), ("nose", "left_eye", "right_eye", "left_hip", "right_hip")],
    ids=["arms only", "one shoulder", "neither face nor hips"],
)
def test_the_wearer_of_the_camera_is_no_person_to_turn_to(camera_on, views, crowd, person, unseen):
    camera = camera_on(crowd(person(300, 200, unseen=unseen)), view="auto")
    assert views(camera.shoot_for(4)) == [View.EGOCENTRIC]


def test_a_body_that_mirrored_readings_do_not_confirm_is_an_arm(camera_on, views, crowd, person):
    camera = camera_on(crowd(person(300, 200, off=0.3)), view="auto")
    assert views(camera.shoot_for(4)) == [View.EGOCENTRIC]
    camera.crowd.people[0].off = 0.05
    assert views(camera.shoot_for(2)) == [View.EGOCENTRIC, View.THIRD_PERSON]


def test_when_the_person_has_left_the_wearers_arms_do_not_keep_the_view(
    camera_on, views, crowd, person
):
    camera = camera_on(crowd(person(300, 200)), view="auto")
    assert camera.shoot_for(2)[-1].view is View.THIRD_PERSON
    camera.crowd.people[:] = [person(300, 200, off=0.3)]
    assert views(camera.shoot_for(3)) == [View.THIRD_PERSON, View.EGOCENTRIC]


def test_bodies_are_read_again_at_checks_of_auto_and_else_once_a_second(camera_on, crowd, person):
    crops = {}
    for view in ("auto", "third_person"):
        camera = camera_on(crowd(person(300, 200)), view=view)
        camera.shoot_for(2)
        crops[view] = [len(regions) for regions in camera.crowd.read_again]
    assert crops["third_person"] == [2] * 3, "when it is found, and in every 30th image"
    assert crops["auto"] == [2] * 5, "one batch of two crops every 0.4 s"


def test_a_view_that_is_chosen_stays(camera_on, views, crowd, person):
    camera = camera_on(crowd(person(300, 200)), view="egocentric")
    assert views(camera.shoot_for(3)) == [View.EGOCENTRIC]
    assert camera.crowd.looks == 0


# --- what a view needs -------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["third_person", "auto"])
def test_a_view_that_needs_persons_is_refused_without_networks_for_them(hand_world, crowd, view):
    hands = hand_world(crowd())
    with pytest.raises(ValueError, match=f"'{view}' needs a person detector and a body model"):
        Pipeline(Networks(hands, hands.detector), view=view)


def test_third_person_without_a_hand_detector_still_reads_the_hands_of_bodies(
    hand_world, split, two
):
    networks = Networks(hand_world(two), None, two.detector, two)
    pipeline = Pipeline(networks, view="third_person")
    assert pipeline.models == ("hands", "detector", "crowd")
    image = np.zeros((480, 640, 3), np.uint8)
    image[0, 0] = 255  # so that the crowd can tell a mirror image
    for i in range(3):
        assert len(split(pipeline(Frame(image, i + 1)))[1]) == 4


@pytest.mark.parametrize("view", ["egocentric", "auto"])
def test_a_view_that_finds_hands_directly_is_refused_without_a_detector_of_hands(
    hand_world, two, view
):
    with pytest.raises(ValueError, match=f"'{view}' needs a hand detector"):
        Pipeline(Networks(hand_world(two), None, two.detector, two), view=view)


def test_auto_is_refused_in_static_mode_at_the_start_and_later(camera_on, split, two):
    with pytest.raises(ValueError, match="choose the view 'egocentric' or 'third_person'"):
        camera_on(two, view="auto", static=True)
    camera = camera_on(two, view="auto", max_hands=1)
    with pytest.raises(ValueError, match="choose the view 'egocentric' or 'third_person'"):
        camera.pipeline.update(Settings(HandSettings(static=True)))
    assert len(split(camera.shoot())[1]) == 1, "the settings in use stay"


def test_an_unknown_view_is_refused_with_those_that_are_known(camera_on, crowd):
    with pytest.raises(ValueError, match="expected one of egocentric, third_person, auto, got 'x'"):
        camera_on(crowd(), view="x")
