"""Third person with a one-stage network: bodies from the whole image, tracked as any."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.layouts import COCO17
from vitpose_ros.measure import Networks
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.types import Crop, Frame, View


class Finder:
    """Gives the played bodies of an image, from the whole image at once."""

    name, engine, layout = "one-stage", "a played engine", COCO17

    def __init__(self, crowd):
        self.crowd, self.thresholds = crowd, []

    def __call__(self, image, threshold):
        self.thresholds.append(threshold)
        regions = self.crowd.regions(self.crowd.detector, image, threshold)
        found = self.crowd([Crop(image, region) for region in regions])
        return [body for body in found if isinstance(body, BodyMeasurement)]


@pytest.fixture
def camera(hand_world, crowd, person):
    """(crowd, finder, a function: the result of the next image)."""
    people = crowd(person(150, 200), person(450, 200))
    finder, hands = Finder(people), hand_world(people)
    pipeline = Pipeline(Networks(hands, body_finder=finder), view="third_person")
    stamp_ns = 10**18

    def shoot():
        nonlocal stamp_ns
        stamp_ns += 33_000_000
        image = np.zeros((480, 640, 3), np.uint8)
        image[0, 0] = 255  # so that the crowd can tell a mirror image
        return pipeline(Frame(image, stamp_ns))

    return people, finder, shoot


def test_bodies_of_one_stage_have_ids_and_hands(camera, split):
    _, finder, shoot = camera
    results = [shoot() for _ in range(5)]
    for result in results:
        bodies, hands = split(result)
        assert [body.track_id for body in bodies] == [b.track_id for b in split(results[0])[0]]
        assert len(bodies) == 2
        assert len(hands) == 4
        assert {hand.parent_id for hand in hands} == {body.track_id for body in bodies}
        assert result.models == ("one-stage", "hands")
        assert result.view is View.THIRD_PERSON
    assert finder.thresholds == [0.5, 0.1, *[0.5] * 4], "every image, and the first one mirrored"


def test_a_person_who_leaves_is_lost_and_comes_back_with_the_same_id(camera, split):
    people, _, shoot = camera
    first = {body.track_id for body in split([shoot() for _ in range(5)][-1])[0]}
    gone = people.people.pop()
    shoot()
    seen = [b for b in split(shoot())[0] if not b.is_lost]
    assert len(seen) == 1
    people.people.append(gone)
    assert {body.track_id for body in split(shoot())[0]} == first
