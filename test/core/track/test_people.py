"""Persons who cross, hide each other and come out again: played networks with noise."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.layouts import COCO17
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.types import JointState, Keypoints


class Walkers:
    """Plays detector and network on persons who walk past each other, near ones before far ones.

    Each joint has noise, some are guessed badly, and one who is mostly hidden is not found; a
    region that holds two is read as the one nearer to the camera where they overlap most.
    """

    name, engine, layout = "walkers", "a played engine", COCO17

    def __init__(self, person, camera, starts, speeds, sizes, seed=0, noise=0.02, interval=10):
        self.people = [person(x, 240, size) for x, size in zip(starts, sizes, strict=True)]
        self.speeds, self.noise = speeds, noise
        self.rng = np.random.default_rng(seed)
        self.camera = camera(self, self, (1280, 480), detect_interval=interval)

    def hidden(self, one):
        """Whether one stands behind another who is nearer, that is, larger."""
        return any(
            other.size > one.size and abs(other.x - one.x) < 0.35 * other.size
            for other in self.people
            if other is not one
        )

    def regions(self, detector, image, threshold):
        return [p.region() for p in self.people if not self.hidden(p)]

    def __call__(self, crops):
        return [self.read(crop.region) for crop in crops]

    def read(self, region):
        def distance(person):
            return abs(person.region().cx - region.cx) / region.width

        seen = [p for p in self.people if not self.hidden(p)]
        person = min(seen, key=distance, default=None)
        if person is None or distance(person) > 0.5:
            return None
        true = person.keypoints(COCO17)
        uv = true.uv + self.rng.normal(0, self.noise * person.size, true.uv.shape)
        wild = self.rng.uniform(size=17) < 0.03  # a joint taken for another person's, or none's
        uv[wild] += self.rng.normal(0, 0.5 * person.size, (int(wild.sum()), 2))
        score = np.where(wild, 0.35, self.rng.uniform(0.5, 0.95, 17)).astype(np.float32)
        score[self.rng.uniform(size=17) < 0.1] = 0.1
        joints = Keypoints(COCO17, uv.astype(np.float32), score, true.state)
        return BodyMeasurement(joints, 0.9, body_region(joints, padding=1.1))

    def walk(self):
        """One image: {id: the number of the person on whom it lies}, of those who are seen."""
        for person, speed in zip(self.people, self.speeds, strict=True):
            person.x += speed
        owners = {}
        for body in (b for b in self.camera.shoot() if not b.is_lost):
            errors = [
                np.nanmedian(np.abs(body.raw.uv - person.keypoints(COCO17).uv))
                for person in self.people
            ]
            owners[body.track_id] = int(np.argmin(errors))
        return owners


def switches(walkers, images):
    """How often an id lies on another person than before, and the ids at the end."""
    owner, count = {}, 0
    for _ in range(images):
        now = walkers.walk()
        count += sum(owner.get(i, person) != person for i, person in now.items())
        owner.update(now)
    return count, now


@pytest.mark.parametrize("seed", range(11))
@pytest.mark.parametrize("speed", [4, 8, 16])
def test_two_persons_who_cross_keep_their_ids(person, speed, seed, body_camera):
    walkers = Walkers(person, body_camera, (200, 1000), (speed, -speed), (100, 90), seed)
    count, last = switches(walkers, 800 // speed)
    assert count == 0
    assert last == {0: 0, 1: 1}, "and both have the id that they began with"


@pytest.mark.parametrize("seed", range(3))
def test_two_persons_who_meet_and_go_back_keep_their_ids(person, seed, body_camera):
    walkers = Walkers(person, body_camera, (300, 900), (8, -8), (100, 90), seed)
    assert switches(walkers, 36)[0] == 0
    walkers.speeds = (-8, 8)
    count, last = switches(walkers, 36)
    assert (count, last) == (0, {0: 0, 1: 1})


def test_four_persons_who_walk_about_keep_their_ids(person, body_camera):
    sizes = (110, 100, 90, 80)
    walkers = Walkers(person, body_camera, (100, 400, 700, 1000), (6, 3, -4, -7), sizes)
    count, last = switches(walkers, 130)
    assert count == 0
    assert sorted(last.values()) == [0, 1, 2, 3]


def test_one_who_was_hidden_for_long_is_a_new_one(person, body_camera):
    walkers = Walkers(person, body_camera, (300, 600), (0, -8), (100, 90))
    assert switches(walkers, 36)[0] == 0
    walkers.speeds = (0, 0)  # behind the other one
    switches(walkers, 40)
    walkers.speeds = (0, -8)
    count, last = switches(walkers, 30)
    assert (count, last) == (0, {0: 0, 2: 1})


def test_while_one_is_hidden_the_detector_looks_more_often_and_then_not(person, body_camera):
    walkers = Walkers(person, body_camera, (300, 600), (0, -8), (100, 90), interval=100)
    looks = []
    regions = walkers.regions
    walkers.regions = lambda *given: looks.append(len(owners)) or regions(*given)
    for _ in range(100):
        owners = walkers.camera.tracker._bodies._tracks.all
        walkers.walk()
    assert 4 <= len(looks) <= 8, "at the start, and while one was hidden"


def test_lost_bodies_have_no_joints_and_are_not_more_than_there_is_room_for(
    crowd, person, body_camera
):
    people = crowd(*(person(80 + 150 * i, 200, 60) for i in range(4)))
    shoot = body_camera(people, people, max_persons=4).shoot
    for _ in range(4):
        shoot()
    gone = [people.people.pop() for _ in range(2)]
    bodies = shoot()
    lost = [body for body in bodies if body.is_lost]
    assert [body.track_id for body in bodies] == [0, 1, 2, 3]
    assert [body.track_id for body in lost] == [2, 3]
    for body in lost:
        assert (body.keypoints.state == JointState.ABSENT).all()
        assert 0 < body.score < 0.9
    people.people += [person(100, 420, 40), *gone[:1]]
    assert len(shoot()) <= 4
