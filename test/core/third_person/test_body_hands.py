"""Persons first, then their hands: whose each hand is, in a stream and in static mode.

Networks are played.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17, COCO_WHOLEBODY133, HALPE136, HAND21
from vitpose_ros.pipeline import Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import NO_ID, Side, TrackState, ZSource

STEP_NS = 33_000_000
ARMS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("wrist", "elbow"))


# --- hands of bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("right", [0.9, 0.1])
def test_each_hand_has_its_bodys_id_and_the_side_of_its_wrist_whatever_it_looks_like(
    camera_on, split, two, right
):
    camera = camera_on(two)
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


def test_a_mirrored_image_exchanges_left_and_right_of_bodies_and_hands_and_nothing_else(
    camera_on, split, two
):
    plain, mirrored = camera_on(two).shoot(), camera_on(two, input_mirrored=True).shoot()
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


def test_in_metres_a_mirrored_body_is_turned_round_as_its_names_are(
    camera_on, split, crowd, person
):
    shape = np.arange(17 * 3, dtype=np.float32).reshape(17, 3)

    class Solid(crowd):
        def _reading(self, region):
            reading = super()._reading(region)
            sources = np.full(17, ZSource.MEASURED, np.uint8)
            solid = replace(reading.keypoints, shape_xyz=shape, xyz=shape + 100, z_source=sources)
            return replace(reading, keypoints=solid)

    (body,), _ = split(camera_on(Solid(person(300, 200)), input_mirrored=True).shoot())
    order = list(COCO17.flip_permutation())
    mirrored = shape[order] * (-1, 1, 1)
    np.testing.assert_array_equal(body.keypoints.shape_xyz, mirrored)
    np.testing.assert_array_equal(body.keypoints.xyz, (shape[order] + 100) * (-1, 1, 1))
    np.testing.assert_array_equal(body.raw.shape_xyz, mirrored)


def test_ids_of_bodies_and_hands_are_all_different_and_stay(camera_on, two):
    camera = camera_on(two)
    first = [instance.track_id for instance in camera.shoot().instances]
    assert len(set(first)) == 6
    for _ in range(5):
        for person in two.people:
            person.x += 3
        result = camera.shoot()
        assert [instance.track_id for instance in result.instances] == first
    assert {i.track_state for i in result.instances} == {TrackState.CONFIRMED}


def test_more_hands_than_max_hands_are_kept_in_third_person_also_when_a_setting_changes(
    camera_on, two
):
    camera = camera_on(two, max_hands=1)
    first = [instance.track_id for instance in camera.shoot().instances]
    assert len(first) == 6, "max_persons bounds them"
    camera.pipeline.update(Settings(HandSettings(max_hands=1, search=False)))
    assert [instance.track_id for instance in camera.shoot().instances] == first


def test_a_hand_whose_wrist_is_far_away_belongs_to_nobody_and_has_its_own_side_in_time(
    camera_on, split, two
):
    camera = camera_on(two)
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
def test_of_hands_that_are_nobodys_those_followed_longest_stay_up_to_max_hands(
    camera_on, split, two, most
):
    camera = camera_on(two, max_hands=most)
    before = split(camera.shoot())[1]
    camera.hands.more = [(*uv[0], 20) for uv in camera.hands.hands()]
    two.people.clear()  # mannequins' hands, or what the network takes for hands
    for _ in range(3):
        bodies, hands = split(camera.shoot())
        assert bodies == []
        assert [h.track_id for h in hands] == [h.track_id for h in before[:most]]
        assert {hand.parent_id for hand in hands} == {NO_ID}
    assert len(camera.hands.read[-1]) == most, "the others are not read any more"


def test_hands_that_are_nobodys_take_nothing_from_those_of_bodies(camera_on, split, two, person):
    camera = camera_on(two, max_hands=2)
    camera.shoot()
    camera.hands.more = [(*uv[0], 20) for uv in camera.hands.hands()]
    for one in two.people:
        one.x += 1000
    camera.shoot()
    two.people[:] = [person(200, 400)]
    bodies, hands = split(camera.shoot())
    assert [hand.parent_id for hand in hands].count(NO_ID) == 2
    assert [hand.parent_id for hand in hands].count(bodies[0].track_id) == 2


def test_a_hand_where_a_body_should_have_it_is_the_bodys_though_the_elbow_is_hidden(
    camera_on, split, crowd, person
):
    one = person(300, 200, unseen=("left_elbow",))
    (body,), hands = split(camera_on(crowd(one, layout=COCO_WHOLEBODY133)).shoot())
    assert sorted((hand.parent_id, hand.side) for hand in hands) == [
        (body.track_id, Side.LEFT),
        (body.track_id, Side.RIGHT),
    ]


def test_a_body_without_hands_in_view_is_reported_alone(camera_on, split, two):
    camera = camera_on(two)
    camera.hands.missing |= {(1, "left"), (1, "right")}
    bodies, hands = split(camera.shoot())
    assert {hand.parent_id for hand in hands} == {bodies[0].track_id}
    assert len(hands) == 2


def test_a_body_whose_arms_are_not_seen_gives_no_place_to_look_at(camera_on, split, crowd, person):
    camera = camera_on(crowd(person(300, 200, unseen=ARMS)))
    camera.hands.missing |= {(0, "left"), (0, "right")}
    bodies, hands = split(camera.shoot())
    assert len(bodies) == 1
    assert hands == []
    assert camera.hands.read == []


def test_hands_are_followed_and_not_read_a_second_time_at_their_wrists(camera_on, two):
    camera = camera_on(two)
    for _ in range(5):
        camera.shoot()
    assert [len(regions) for regions in camera.hands.read] == [4] * 5


def test_a_hand_that_was_hidden_is_looked_for_at_its_wrist_in_each_image(camera_on, split, two):
    camera = camera_on(two)
    camera.shoot()
    camera.hands.missing.add((0, "left"))
    assert len(split(camera.shoot())[1]) == 3
    camera.hands.missing.clear()
    _, hands = split(camera.shoot())
    assert len(hands) == 4
    assert len({hand.track_id for hand in hands}) == 4


def test_two_wrists_at_one_hand_give_it_once(camera_on, split, crowd, person):
    # The other's left wrist is where this one's right wrist is: they hold hands, and one is hidden.
    near, far = person(400, 200), person(400 - 140, 200)
    camera = camera_on(crowd(near, far))
    camera.hands.missing.add((0, "right"))
    _, hands = split(camera.shoot())
    assert len(hands) == 3
    assert len({(hand.parent_id, hand.side) for hand in hands}) == 3


def test_of_two_hands_at_one_wrist_only_the_nearer_belongs_to_it(camera_on, split, two):
    camera = camera_on(two)
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


@pytest.mark.parametrize("layout", [COCO_WHOLEBODY133, HALPE136], ids=lambda layout: layout.name)
def test_a_whole_body_takes_over_the_joints_of_its_hands(layout, camera_on, split, crowd, person):
    one = person(300, 200, score=0.6)
    camera = camera_on(crowd(one, layout=layout))
    camera.hands.missing.add((0, "right"))
    (body,), (hand,) = split(camera.shoot())
    points = {
        side: [layout.index(f"{side}_hand_{joint}") for joint in HAND21.joints]
        for side in ("left", "right")
    }
    np.testing.assert_array_equal(body.keypoints.uv[points["left"]], hand.keypoints.uv)
    assert body.keypoints.score[points["left"]] == pytest.approx(0.8)
    assert body.keypoints.score[points["right"]] == pytest.approx(0.6)
    np.testing.assert_array_equal(body.raw.uv[points["left"]], hand.raw.uv)
    wrist = layout.index("left_wrist")
    np.testing.assert_array_equal(body.keypoints.uv[wrist], hand.keypoints.uv[0])


def test_a_jump_of_time_gives_bodies_and_hands_new_ids(camera_on, two):
    camera = camera_on(two)
    before = {instance.track_id for instance in camera.shoot().instances}
    result = camera.shoot(-10 * 10**9)
    assert result.reset
    assert not before & {instance.track_id for instance in result.instances}
    assert len(result.instances) == 6


# --- static ------------------------------------------------------------------------------------


def test_in_static_mode_images_of_persons_stand_alone(camera_on, split, two):
    camera = camera_on(two, static=True)
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
