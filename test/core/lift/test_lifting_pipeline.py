"""A lifting network in the pipeline, from the user's own catalogue to published shapes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.lifting_network import load_lifting_network
from vitpose_ros.layouts import COCO17, MPII16
from vitpose_ros.measure import Networks
from vitpose_ros.models.catalogue import read_catalogue, shipped_path
from vitpose_ros.models.errors import CatalogueError, ModelError
from vitpose_ros.models.pull import pull
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings, process
from vitpose_ros.smooth.settings import preset
from vitpose_ros.types import Frame

sys.path.insert(0, str(Path(__file__).parent))
import lifting_networks as nets

CATALOGUE = """
format: 1
models:
  my-lifter:
    task: body_lifting
    architecture: {architecture}
    layout: h36m17
    licence: {{name: CC-BY-NC-4.0, url: "https://example.org/licence"}}
    origin: https://example.org
    accuracy: []
    verified_here: false
    files:
      - {{name: lifter.onnx, sha256: unknown, source: {{file: {path}}}}}
"""


class NoHands:
    name, engine = "hands", "a played engine"

    def __call__(self, crops):
        return [None] * len(crops)


@pytest.fixture
def store(tmp_path):
    """A function: a store with a lifting network of the user's own."""

    def make(architecture="motionbert", write="motionbert"):
        path = nets.WRITE[write](tmp_path / "lifter.onnx")
        own = tmp_path / "own.yaml"
        own.write_text(CATALOGUE.format(architecture=architecture, path=path))
        made = ModelStore(tmp_path / "store", read_catalogue([shipped_path(), own]))
        pull(made, ["my-lifter"])
        return made

    return make


def lifting_pipeline(store, crowd, **settings):
    reader = load_lifting_network(store, "my-lifter", crowd.layout, threads=1)
    networks = Networks(NoHands(), None, crowd.detector, crowd, reader)
    return Pipeline(networks, Settings(**settings), view="third_person")


def frame(n):
    return Frame(np.zeros((480, 640, 3), np.uint8), 1 + n * 33_000_000)


def test_bodies_are_published_with_the_networks_shape_and_without_positions(store, crowd, person):
    pipeline = lifting_pipeline(store(), crowd(person(200, 150), person(450, 150)))
    results = [pipeline(frame(n)) for n in range(12)]
    assert pipeline.models[-1] == "my-lifter"
    for result in results:
        assert "my-lifter" in result.models
        assert len(result.instances) == 2
        for body in result.instances:
            joints = body.keypoints
            assert np.isfinite(joints.shape_xyz[COCO17.index("left_wrist")]).all()
            assert np.isnan(joints.shape_xyz[COCO17.index("nose")]).all()
            assert np.isnan(joints.xyz).all() and not joints.z_source.any()


def test_shapes_are_smoothed_like_other_joints(store, crowd, person):
    people = crowd(person(200, 150))
    pipeline = lifting_pipeline(store(), people, smoothing=preset("steady"))
    for n in range(12):
        people.people[0].size = 100.0 + 4 * (n % 2)
        body = pipeline(frame(n)).instances[0]
    wrist = COCO17.index("left_wrist")
    assert not np.array_equal(body.raw.shape_xyz[wrist], body.keypoints.shape_xyz[wrist])


def test_cameras_share_the_network_and_not_its_memory(store, crowd, person):
    people = crowd(person(200, 150))
    left, alone = lifting_pipeline(store(), people), lifting_pipeline(store(), people)
    right = Pipeline(left.networks, view="third_person")
    for n in range(8):
        both = process([left, right], [frame(n), frame(n)])
        expected = alone(frame(n))
        for result in both:
            np.testing.assert_array_equal(
                result.instances[0].keypoints.shape_xyz, expected.instances[0].keypoints.shape_xyz
            )


def test_an_image_without_bodies_does_not_name_the_network(store, crowd):
    pipeline = lifting_pipeline(store(), crowd())
    assert "my-lifter" not in pipeline(frame(0)).models


def test_the_licence_and_the_window_are_told_when_it_is_loaded(store, model_path):
    own = store()
    for name in filter(None, vars(Models()).values()):
        target = own.root / name
        target.mkdir(parents=True)
        (target / model_path(name).name).write_bytes(model_path(name).read_bytes())
    told = []
    pipeline = load_pipeline(
        own, Models(lifting_model="my-lifter"), view="third_person", tell=told.append
    )
    assert told == [
        "my-lifter: shape of bodies from 9 images at 50 Hz; licence of its weights: CC-BY-NC-4.0, "
        "https://example.org/licence"
    ]
    assert pipeline.models[-1] == "my-lifter"
    pipeline.warm_up()


@pytest.mark.parametrize(
    ("architecture", "write", "layout", "message"),
    [
        ("videopose3d", "motionbert", COCO17, "'my-lifter' has the shapes of motionbert"),
        ("martinez", "martinez", COCO17, "settings.mean_2d: expected 32 numbers"),
        ("motionbert", "motionbert", MPII16, "which the layout 'mpii16' lacks"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_when_it_is_loaded(
    store, architecture, write, layout, message
):
    with pytest.raises(EngineError, match=message):
        load_lifting_network(store(architecture, write), "my-lifter", layout)


def test_a_model_of_another_task_is_refused(store):
    with pytest.raises(ModelError, match="is for the task hand_keypoints, not for body_lifting"):
        load_lifting_network(store(), "mediapipe-hand-full", COCO17)


def test_a_lifting_network_has_no_image_size(store, tmp_path):
    store()
    own = tmp_path / "own.yaml"
    text = own.read_text()
    own.write_text(text.replace("layout:", "input: {width: 1, height: 1}\n    layout:"))
    with pytest.raises(CatalogueError, match="field 'input': unknown field"):
        read_catalogue([own])
