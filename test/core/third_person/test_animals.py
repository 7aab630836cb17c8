"""Animals in third person: followed by their own sigmas, and nothing is done for hands."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.layouts import AP10K17, APT36K17
from vitpose_ros.measure import Networks
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.types import Frame, JointState, Keypoints

SHAPE = np.array(
    [
        (-52, -42), (-51, -43), (-60, -35), (-40, -30), (45, -25),
        (-35, -15), (-37, 10), (-38, 40), (-32, -15), (-33, 10), (-30, 40),
        (40, -12), (46, 12), (42, 40), (43, -12), (50, 12), (47, 40),
    ],
    float,
)  # fmt: skip
"""A dog that walks to the left, px."""


class Kennel:
    """Plays detector and network on two dogs that pass each other."""

    name, engine = "kennel", "a played engine"

    def __init__(self, layout):
        self.layout, self.read = layout, []
        self.x = np.array([150.0, 490.0])
        self.rng = np.random.default_rng(0)

    def dog(self, number):
        middle = np.array([self.x[number], 180 + 70 * number])
        uv = SHAPE * (1 if number else -1, 1) + middle
        uv = (uv + self.rng.normal(0, 1.0, uv.shape)).astype(np.float32)
        state = np.full(17, JointState.MEASURED, np.uint8)
        return Keypoints(self.layout, uv, np.full(17, 0.8, np.float32), state)

    def regions(self, detector, image, threshold):
        return [body_region(self.dog(number)) for number in (0, 1)]

    def __call__(self, crops):
        self.read.append(len(crops))
        found = []
        for crop in crops:
            dogs = [self.dog(number) for number in (0, 1)]
            middles = [(dog.uv.min(axis=0) + dog.uv.max(axis=0)) / 2 for dog in dogs]
            off = [np.hypot(*(m - (crop.region.cx, crop.region.cy))) for m in middles]
            dog = dogs[int(np.argmin(off))]
            found.append(BodyMeasurement(dog, 0.8, body_region(dog, padding=1.1)))
        return found


@pytest.mark.parametrize("layout", [AP10K17, APT36K17])
def test_two_animals_that_pass_each_other_keep_their_ids_and_are_read_once_per_image(layout):
    kennel = Kennel(layout)
    networks = Networks(
        hand_reader=SimpleNamespace(name="none", engine="none"),
        person_detector=SimpleNamespace(name="detector"),
        body_reader=kennel,
    )
    settings = Settings(smoothing=SmoothingSettings(), biomechanics=True)
    pipeline = Pipeline(networks, settings, "third_person")
    image, ids = np.zeros((360, 640, 3), np.uint8), []
    for n in range(45):
        kennel.x = np.array([150.0 + 8 * n, 490.0 - 8 * n])
        found = pipeline(Frame(image, n * 33_333_333)).instances
        assert [instance.layout.kind for instance in found] == ["animal", "animal"]
        left = min(found, key=lambda one: one.keypoints.uv[:, 1].mean())  # the upper one
        ids.append((left.track_id, max(one.track_id for one in found)))
        for instance in found:
            assert np.isfinite(instance.keypoints.uv).all()
    assert len(set(ids)) == 1
    assert set(kennel.read) == {2}
