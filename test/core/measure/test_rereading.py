"""Whether further readings of a body or a hand agree with the first one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vitpose_ros.detect.palms import Palm
from vitpose_ros.layouts import COCO17, MEDIAPIPE33
from vitpose_ros.measure import Networks
from vitpose_ros.measure.rereading import TRUNK, disagreement
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import Crop, Frame, JointState, Region


@pytest.mark.parametrize("layout", [COCO17, MEDIAPIPE33], ids=lambda layout: layout.name)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_a_disagreement_is_the_joints_distance_over_the_largest_one_in_the_trunk(
    person, layout, share
):
    one = person(300, 200).keypoints(layout)
    trunk = one.uv[[layout.index(name) for name in TRUNK]]
    largest = max(math.dist(a, b) for a in trunk for b in trunk)
    step = np.array((0.6, 0.8), np.float32) * np.float32(share * largest)
    other = replace(one, uv=one.uv + step)
    assert disagreement(one, other) == pytest.approx(share, abs=1e-5)


def test_single_wild_joints_and_those_of_arms_and_legs_change_nothing(person):
    one = person(300, 200).keypoints(COCO17)
    uv = one.uv.copy()
    uv[[i for i, name in enumerate(COCO17.joints) if name not in TRUNK]] += 500
    uv[COCO17.index("nose")] += 500
    assert disagreement(one, replace(one, uv=uv)) == 0.0


def test_joints_that_are_not_measured_do_not_count_and_two_are_too_few(person):
    one = person(300, 200).keypoints(COCO17)
    moved = one.uv.copy()
    hips = [COCO17.index(f"{side}_hip") for side in ("left", "right")]
    moved[hips] += 500
    unsure = one.state.copy()
    unsure[hips] = JointState.OCCLUDED
    assert disagreement(replace(one, state=unsure), replace(one, uv=moved)) == 0.0
    unsure[:5] = JointState.OCCLUDED  # the face: only the shoulders are left
    assert np.isnan(disagreement(replace(one, state=unsure), one))


# --- hands -------------------------------------------------------------------------------------

STEP_NS = 33_333_333


class Reader:
    """Reads a hand in the middle of each crop; its presence depends on the crop."""

    name, engine, turned, tells_presence = "hands", "a played engine", True, True

    def __init__(self, presence):
        self.presence, self.batches = presence, []

    def __call__(self, crops):
        self.batches.append(len(crops))
        return [self.hand(crop) for crop in crops]

    def hand(self, crop):
        fingers, steps = np.divmod(np.arange(20), 4)
        x = np.concatenate([[0.0], (fingers - 2) * 0.3]) * 50 + 300
        y = np.concatenate([[0.0], -0.6 - 0.2 * steps]) * 50 + 250
        mirrored = (crop.image[0, -1] == 255).all()
        uv = np.stack([639 - x if mirrored else x, y], axis=1).astype(np.float32)
        nothing = np.full(21, np.nan, np.float32), np.ones(21, bool), np.full((21, 3), np.nan, "f4")
        presence = self.presence(mirrored, crop.region.rotation_rad)
        return None if presence is None else HandMeasurement(uv, *nothing, presence, 0.9)


class Palms:
    """Finds the palm of that hand in the whole image."""

    name = "palms"

    def __init__(self, reader):
        image = np.zeros((480, 640, 3), np.uint8)
        image[0, 0] = 255  # so that the reader can tell a mirror image
        self.frame_image = image
        uv = reader.hand(Crop(image, Region(300, 220, 100, 100))).uv
        self.palm = Palm((275, 200, 50, 50), uv[[0, 5, 9, 13, 17, 1, 2]], 0.9)

    def __call__(self, crops, threshold):
        return [[self.palm], *([] for _ in crops[1:])]


def follow(presence, images=4, tells_presence=True, **settings):
    """The number of hands in each image, and the sizes of the hand model's batches."""
    reader = Reader(lambda mirrored, rotation: 1.0)
    palms = Palms(reader)
    reader.presence, reader.tells_presence, reader.batches = presence, tells_presence, []
    pipeline = Pipeline(
        Networks(reader, palms), Settings(HandSettings(max_hands=1, search=False, **settings))
    )
    frames = [Frame(palms.frame_image, 1 + i * STEP_NS) for i in range(images)]
    return [len(pipeline(frame).instances) for frame in frames], reader.batches


def test_a_detected_hand_that_is_sure_is_not_read_again():
    assert follow(lambda mirrored, rotation: 0.98) == ([1] * 4, [1] * 4)


def test_a_hand_whose_further_readings_confirm_it_is_read_again_once():
    assert follow(lambda mirrored, rotation: 0.91) == ([1] * 4, [1, 4, 1, 1, 1])


@pytest.mark.parametrize("other", [0.6, None], ids=["unsure", "no reading"])
def test_what_looks_like_a_hand_in_one_crop_only_is_none(other):
    counts, batches = follow(lambda mirrored, rotation: other if mirrored else 0.95)
    assert counts == [0] * 4
    assert batches == [1, 4] * 4, "it is tried again in each image"


def test_readings_of_mirrored_and_turned_crops_count_alike():
    for wrong in (lambda mirrored, rotation: mirrored, lambda mirrored, rotation: rotation > 0.3):
        presence = lambda *crop, wrong=wrong: 0.5 if wrong(*crop) else 0.96  # noqa: E731
        assert follow(presence)[0] == [0] * 4


def test_a_tracked_hand_may_become_unsure():
    seen = iter([0.98, *[0.6] * 10])
    assert follow(lambda mirrored, rotation: next(seen)) == ([1] * 4, [1] * 4)


def test_in_static_mode_and_with_models_without_a_presence_every_hand_is_kept():
    unsure = lambda mirrored, rotation: 0.6  # noqa: E731
    assert follow(unsure, static=True) == ([1] * 4, [1] * 4)
    assert follow(unsure, tells_presence=False) == ([1] * 4, [1] * 4)
