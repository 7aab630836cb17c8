"""Third person: hands of people of whom no more is in view. Networks are played."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.types import NO_ID, Side, TrackState, View

AT = (560.0, 80.0, 20.0)  # x, y, size of a lone hand, px: far from everybody
STEP_NS = 33_000_000


def alone(hands):
    return [hand for hand in hands if hand.parent_id == NO_ID]


@pytest.fixture
def table(camera_on, crowd):
    """A function: a camera on a table at which nobody is in view but hands at these places."""

    def make(*places, **settings):
        camera = camera_on(crowd(), **settings)
        camera.hands.more = list(places)
        return camera

    return make


@pytest.mark.parametrize(("right", "side"), [(0.95, Side.RIGHT), (0.05, Side.LEFT)])
@pytest.mark.parametrize("static", [False, True])
def test_a_hand_of_a_person_out_of_view_is_found_with_its_own_side(
    table, split, right, side, static
):
    camera = table(AT, static=static)
    camera.hands.right = right
    for result in (camera.shoot(), camera.shoot() if static else camera.shoot_for(0.5)[-1]):
        bodies, (hand,) = split(result)
        assert bodies == [] and result.view is View.THIRD_PERSON
        assert (hand.parent_id, hand.side) == (NO_ID, side)
        assert hand.keypoints.uv[0] == pytest.approx(AT[:2])
    assert hand.track_state is (TrackState.NONE if static else TrackState.CONFIRMED)


def test_beside_a_person_the_hand_of_another_is_found_and_is_nobodys(camera_on, split, two):
    camera = camera_on(two)
    camera.hands.more = [(320.0, 60.0, 20.0)]
    for result in [camera.shoot() for _ in range(5)]:
        bodies, hands = split(result)
        (lone,) = alone(hands)
        assert lone.raw.uv[0] == pytest.approx((320, 60))
        assert len(bodies) == 2 and len(hands) == 5


def test_a_hand_that_a_wrist_does_not_lead_to_is_the_bodys_once_the_detector_finds_it(
    camera_on, split, two
):
    class Deaf(type(camera_on(two).hands)):
        """Reads nothing in the regions of arms, whose side is 1.5 forearms."""

        def _estimate(self, region):
            return None if abs(region.width - 76.5) < 1 else super()._estimate(region)

    camera = camera_on(two)
    camera.hands.__class__ = Deaf
    bodies, hands = split(camera.shoot())
    assert sorted((hand.parent_id, hand.side) for hand in hands) == sorted(
        (body.track_id, side) for body in bodies for side in (Side.LEFT, Side.RIGHT)
    )


def test_a_hand_keeps_its_id_when_its_body_comes_into_view_and_when_it_leaves(table, split, person):
    camera = table()
    somebody = person(300, 200)
    camera.hands.more = [(*somebody.joint("right_wrist"), 20.0)]
    (first,) = split(camera.shoot_for(0.5)[-1])[1]
    assert first.parent_id == NO_ID
    camera.hands.more.clear()
    camera.crowd.people.append(somebody)
    camera.hands.missing.add((0, "left"))
    (body,), (owned,) = split(camera.shoot())
    assert (owned.track_id, owned.parent_id) == (first.track_id, body.track_id)
    camera.shoot_for(0.3)
    camera.hands.more = [(*somebody.joint("right_wrist"), 20.0)]
    camera.crowd.people.clear()
    camera.hands.missing.clear()
    parents = []
    for result in camera.shoot_for(2):  # the body is lost first, and then gone
        (hand,) = split(result)[1]
        assert hand.track_id == first.track_id
        parents.append(hand.parent_id)
    assert [parent for parent, _ in itertools.groupby(parents)] == [body.track_id, NO_ID]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_max_hands_limits_the_hands_of_nobody_and_then_the_detector_pauses(
    camera_on, split, two, most
):
    camera = camera_on(two, max_hands=most)
    camera.hands.more = [(x, 60.0, 20.0) for x in (260.0, 320.0, 380.0)]
    camera.shoot_for(0.5)
    looks = camera.hands.palm_looks
    for result in camera.shoot_for(1):
        _, hands = split(result)
        assert len(alone(hands)) == min(most, 3)
        assert len(hands) == 4 + min(most, 3)
    assert (camera.hands.palm_looks == looks) is (most <= 3), "while all are tracked"


def test_the_detector_looks_ten_times_per_second_at_the_whole_image_and_at_a_tile_in_turn(
    camera_on, two
):
    camera = camera_on(two)
    windows = []
    played = camera.hands.detector

    class Noting(type(played)):
        def __call__(self, crops, threshold):
            windows.append([crop.region.width for crop in crops])
            return super().__call__(crops, threshold)

    played.__class__ = Noting
    results = camera.shoot_for(4)
    looked = [i for i, result in enumerate(results) if "palms" in result.models]
    assert looked == list(range(0, len(results), 4)), "0.1 s are more than 3 images"
    first, *others = windows
    assert len(first) == 2, "while no hand is followed"
    assert all(len(one) == 1 for one in others)
    assert {one[0] for one in others[1::2]} == {640.0}
    tiles = {one[0] for one in others[::2]}
    assert len(tiles) > 1 and 640.0 not in tiles


def test_the_place_where_a_lone_hand_was_lost_is_searched_and_that_of_an_owned_one_is_not(
    camera_on, split, two
):
    camera = camera_on(two)
    camera.hands.more = [(320.0, 60.0, 20.0)]
    camera.shoot_for(0.5)
    camera.hands.missing.add((0, "left"))
    assert not camera.pipeline._tracker._search._lost
    camera.shoot_for(0.2)
    assert not camera.pipeline._tracker._search._lost, "its wrist shows where it is"
    camera.hands.more.clear()
    camera.shoot()
    assert camera.pipeline._tracker._search._lost


def test_two_right_hands_of_nobody_are_both_right_and_both_are_found_again(table, split):
    camera = table((200.0, 80.0, 20.0), (440.0, 80.0, 20.0))
    before = split(camera.shoot_for(0.6)[-1])[1]
    assert [hand.side for hand in before] == [Side.RIGHT] * 2
    hidden = camera.hands.more.pop()
    camera.shoot_for(0.3)
    camera.hands.more.append(hidden)
    after = split(camera.shoot_for(0.3)[-1])[1]
    assert [hand.track_id for hand in after] == [hand.track_id for hand in before]


@pytest.mark.parametrize(("others", "kept"), [(0.2, False), (0.99, True)])
def test_a_detected_hand_of_which_the_network_is_not_sure_needs_further_readings(
    camera_on, split, two, others, kept
):
    class Unsure(type(camera_on(two).hands)):
        """Sure of hands at arms; of the lone one only in further readings, or never."""

        tells_presence = True

        def __call__(self, crops):
            found = super().__call__(crops)
            lone = [hand is not None and hand.uv[0, 1] < 100 for hand in found]
            presence = 0.95 if len(crops) == 1 else others
            return [
                replace(hand, presence=presence) if own else hand
                for hand, own in zip(found, lone, strict=True)
            ]

    camera = camera_on(two)
    camera.hands.__class__ = Unsure
    camera.hands.more = [(320.0, 60.0, 20.0)]
    _, hands = split(camera.shoot())
    assert len(hands) == 4 + kept


def test_a_detected_hand_near_the_edge_of_a_followed_one_is_the_same_hand(camera_on, split, two):
    camera = camera_on(two)
    camera.shoot()
    owned = camera.hands.hands()[0]
    played = camera.hands.detector

    class Twice(type(played)):
        def __call__(self, crops, threshold):
            again = owned[[0, 5, 9, 13, 17, 1, 2]] + 3
            return [[Palm((*(owned[9] - 12), 30, 30), again, 0.9)] for _ in crops]

    played.__class__ = Twice
    for result in camera.shoot_for(1):
        assert alone(split(result)[1]) == []


# --- bodies that networks invent in arms ---------------------------------------------------------


def test_an_invented_body_gives_its_side_and_id_to_no_hand_until_further_readings_confirm_it(
    camera_on, split, crowd, person
):
    camera = camera_on(crowd(person(300, 200, off=0.3)))
    camera.hands.right = 0.95
    camera.shoot_for(0.5)
    (body,), hands = split(camera.shoot())
    assert [(hand.side, hand.parent_id) for hand in hands] == [(Side.RIGHT, NO_ID)] * 2
    ids = {hand.track_id for hand in hands}
    camera.crowd.people[0].off = 0.05
    _, hands = split(camera.shoot_for(0.4)[-1])  # unsure bodies are read again every 10 images
    assert {hand.track_id for hand in hands} == ids
    assert {hand.side for hand in hands} == {Side.LEFT, Side.RIGHT}
    assert {hand.parent_id for hand in hands} == {body.track_id}


@pytest.mark.parametrize(("denied_s", "owned"), [(0.9, True), (1.8, False)])
def test_a_person_stays_one_through_a_bad_check_and_is_none_after_two(
    camera_on, split, crowd, person, denied_s, owned
):
    camera = camera_on(crowd(person(300, 200)))
    camera.shoot_for(0.2)
    camera.crowd.people[0].off = 0.3
    checks = len(camera.crowd.read_again)
    (body,), hands = split(camera.shoot_for(denied_s)[-1])
    assert len(camera.crowd.read_again) - checks == (1 if owned else 2)
    assert {hand.parent_id for hand in hands} == {body.track_id if owned else NO_ID}


def test_in_static_mode_an_invented_body_has_no_hands_either(camera_on, split, crowd, person):
    camera = camera_on(crowd(person(300, 200, off=0.3)), static=True)
    for _ in range(3):
        bodies, hands = split(camera.shoot())
        assert len(bodies) == 1
        assert [hand.parent_id for hand in hands] == [NO_ID] * 2
