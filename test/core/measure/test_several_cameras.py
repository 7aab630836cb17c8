"""Images of several cameras in one run of the networks: nothing differs from each on its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vitpose_ros.factory import load_networks
from vitpose_ros.measure import Networks, measure
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings, process
from vitpose_ros.settings import HandSettings
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.track.tracker import Tracker
from vitpose_ros.types import Frame

STEP_NS = 33_333_333


@pytest.fixture(scope="module")
def networks(model_path):
    """A function: the networks of a view, each set loaded once."""
    for name in ("palm-full", "hand-full", "person", "body-full"):
        model_path(f"mediapipe-{name}")
    loaded = {}

    def load(view):
        if view not in loaded:
            loaded[view] = load_networks(ModelStore(), view=view, threads=1)
        return loaded[view]

    return load


def assert_equal(one, other):
    assert (one.models, one.reset, one.view) == (other.models, other.reset, other.view)
    assert len(one.instances) == len(other.instances)
    for a, b in zip(one.instances, other.instances, strict=True):
        identity = [
            (i.track_id, i.parent_id, i.side, i.track_state, i.score, i.model) for i in (a, b)
        ]
        assert identity[0] == identity[1]
        for joints, same in ((a.keypoints, b.keypoints), (a.raw, b.raw)):
            for name in ("uv", "score", "state", "shape_xyz"):
                np.testing.assert_array_equal(getattr(joints, name), getattr(same, name))


def scenes(sizes):
    films = [Scene("reach", seed, *size) for seed, size in enumerate(sizes)]
    for i in itertools.count():
        yield [Frame(film.render(i / 30).image, 10**18 + i * STEP_NS) for film in films]


@pytest.mark.parametrize("sizes", [((640, 480), (640, 480)), ((640, 480), (800, 600), (320, 240))])
def test_cameras_measured_together_give_exactly_what_each_gives_alone(networks, sizes):
    shared = networks("egocentric")
    together = [Pipeline(shared) for _ in sizes]
    alone = [Pipeline(shared) for _ in sizes]
    found = 0
    for frames in itertools.islice(scenes(sizes), 12):
        for result, pipeline, frame in zip(process(together, frames), alone, frames, strict=True):
            assert_equal(result, pipeline(frame))
            found += len(result.instances)
    assert found > 12, "hands were there to compare"


def test_cameras_of_third_persons_measured_together_give_what_each_gives_alone(
    networks, real_image
):
    shared = networks("third_person")
    images = real_image("people_demo.jpg"), real_image("000000000785.jpg")
    together, alone = ([Pipeline(shared, view="third_person") for _ in images] for _ in range(2))
    for i in range(3):
        frames = [Frame(image, 10**18 + i * STEP_NS) for image in images]
        for result, pipeline, frame in zip(process(together, frames), alone, frames, strict=True):
            assert result.instances
            assert_equal(result, pipeline(frame))


class Counting:
    """A played network that counts its runs by the crops of each."""

    engine = "a played engine"

    def __init__(self, name):
        self.name, self.batches = name, []

    def __call__(self, crops, threshold=None):
        self.batches.append(len(crops))
        return [[] if threshold is not None else None for _ in crops]


def test_crops_of_all_cameras_go_through_the_detector_in_one_batch():
    palms, hands = Counting("palms"), Counting("hands")
    pipelines = [Pipeline(Networks(hands, palms)) for _ in range(1)]
    shared = pipelines[0].networks
    pipelines += [Pipeline(shared) for _ in range(3)]
    image = np.zeros((1080, 1920, 3), np.uint8)
    results = process(pipelines, [Frame(image)] * 4)
    assert palms.batches == [8], "the whole image and one tile of each"
    assert [result.models for result in results] == [("palms",)] * 4


def test_each_image_is_measured_by_its_own_settings():
    palms, hands = Counting("palms"), Counting("hands")
    shared = Networks(hands, palms)
    searching = Pipeline(shared)
    still = Pipeline(shared, Settings(HandSettings(search=False, detection_threshold=0.9)))
    process([searching, still], [Frame(np.zeros((1080, 1920, 3), np.uint8))] * 2)
    assert sorted(palms.batches) == [1, 2], "another threshold is another run"


def test_pipelines_of_other_networks_and_one_named_twice_are_refused():
    first, second = (Pipeline(Networks(Counting("h"), Counting("p"))) for _ in range(2))
    frames = [Frame(np.zeros((48, 64, 3), np.uint8))] * 2
    for pipelines in ([first, second], [first, first]):
        with pytest.raises(ValueError, match="one Pipeline per camera"):
            process(pipelines, frames)
    assert process([], []) == []


def test_what_is_measured_is_of_this_image_alone(networks):
    """The same image and the same crops give the same readings, whatever was measured before."""
    shared, scene = networks("egocentric"), Scene("reach", 0)
    frames = [Frame(scene.render(t).image, 10**18) for t in (0.5, 0.9)]
    tracker = Tracker("egocentric", None)
    plan = tracker.plan(frames[0], HandSettings(), Pipeline(shared).settings.persons)
    first, _, again = (measure(shared, [frame], [plan])[0] for frame in (*frames, frames[0]))
    assert first.hands
    for one, other in zip(first.hands, again.hands, strict=True):
        np.testing.assert_array_equal(one.uv, other.uv)
        assert (one.presence, one.right) == (other.presence, other.right)
