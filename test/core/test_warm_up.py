"""Before the first image every network has run, on each batch that comes first."""

from __future__ import annotations

import numpy as np
import pytest

from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector
from vitpose_ros.detect.palms import PalmDetector
from vitpose_ros.engines.base import EngineError, TensorSpec
from vitpose_ros.keypoints.bodies import TopDownBodies
from vitpose_ros.keypoints.heatmap import HeatmapCodec
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import COCO17
from vitpose_ros.measure import Networks
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.types import Frame

SHAPES = {  # each network's input and outputs
    "palms": ((192, 192, 3), (2016, 18), (2016, 1)),
    "hands": ((224, 224, 3), (63,), (1,), (1,), (63,)),
    "persons": ((224, 224, 3), (2254, 12), (2254, 1)),
    "bodies": ((3, 256, 192), (17, 64, 48)),
}
BOTH = {"palms", "persons"}
DETECTORS = {"egocentric": {"palms"}, "third_person": BOTH, "auto": BOTH}
READERS = {"egocentric": {"hands"}}


class Counting:
    """An engine that counts its runs by their batch size; it sees nothing in any image."""

    def __init__(self, name):
        self.name = name
        given, *wanted = SHAPES[name]
        self.inputs = (TensorSpec("in", (None, *given)),)
        self.outputs = tuple(TensorSpec(f"o{i}", (None, *s)) for i, s in enumerate(wanted))
        self.batches = []
        self.broken = False

    def run(self, tensors):
        if self.broken:
            raise EngineError(f"'{self.name}' is broken")
        self.batches.append(len(tensors["in"]))
        return {
            spec.name: np.full((self.batches[-1], *spec.shape[1:]), -9, np.float32)
            for spec in self.outputs
        }


def made(view, flip_test=False):
    """A pipeline of a view with its real parts, and their engines by name."""
    engines = {name: Counting(name) for name in SHAPES}
    palms = PalmDetector(engines["palms"], "palms")
    hands = HandLandmarks(engines["hands"], "hands")
    codec = HeatmapCodec((192, 256), (48, 64))
    model = TopDown(engines["bodies"], codec, COCO17, "bodies", flip_test=flip_test)
    persons = MediaPipePersonDetector(engines["persons"], "persons")
    networks = Networks(
        hands,
        palms,
        None if view == "egocentric" else persons,
        None if view == "egocentric" else TopDownBodies(model),
    )
    return Pipeline(networks, view=view), engines


@pytest.mark.parametrize("view", DETECTORS)
def test_every_network_of_the_view_runs_and_readers_on_one_and_on_two(view):
    pipeline, engines = made(view)
    pipeline.warm_up()
    readers = READERS.get(view, {"hands", "bodies"})
    assert {name for name, engine in engines.items() if engine.batches} == (
        DETECTORS[view] | readers
    )
    for name in readers:
        assert sorted(engines[name].batches) == [1, 2], name
    assert set(pipeline.models) == DETECTORS[view] | readers


def test_the_mirrored_run_of_the_flip_test_is_warmed_up_too():
    pipeline, engines = made("third_person", flip_test=True)
    pipeline.warm_up()
    assert sorted(engines["bodies"].batches) == [1, 1, 2, 2]


@pytest.mark.parametrize("view", DETECTORS)
def test_it_leaves_no_trace_in_the_images_that_follow(view):
    pipeline, _ = made(view)
    pipeline.warm_up()
    result = pipeline(Frame(np.zeros((30, 40, 3), np.uint8), 10**18))
    assert result.reset and result.instances == ()
    assert not pipeline(Frame(np.zeros((30, 40, 3), np.uint8), 10**18 + 33_000_000)).reset


@pytest.mark.parametrize("name", SHAPES)
def test_a_network_that_cannot_run_is_seen_before_the_first_image(name):
    pipeline, engines = made("auto")
    engines[name].broken = True
    with pytest.raises(EngineError, match=f"'{name}' is broken"):
        pipeline.warm_up()
