"""What a pipeline is made of, by names; how its top-down models run."""

from __future__ import annotations

import pytest

from vitpose_ros import factory
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.cpu_precision import PRECISION_CHOICES
from vitpose_ros.keypoints.engine_selection import ENGINES
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore

DEFAULTS = Models()
NEEDED = {
    "egocentric": {DEFAULTS.hand_detector, DEFAULTS.hand_model},
    "third_person": (ALL := {name for name in vars(DEFAULTS).values() if name}),
    "auto": ALL,
}


class Asked(ModelStore):
    """The user's store, which notes what it is asked for, and lacks what a test takes away."""

    def __init__(self, lacks=()):
        super().__init__()
        self.names, self.lacks = set(), lacks

    def get(self, name, task=None):
        self.names.add(name)
        if name in self.lacks:
            raise ModelError(f"'{name}' is not here")
        return super().get(name, task)


@pytest.mark.parametrize("view", NEEDED)
def test_a_view_loads_and_names_the_networks_that_it_needs_and_no_other(view, model_path):
    for name in NEEDED[view]:
        model_path(name)
    store = Asked(lacks=NEEDED["auto"] - NEEDED[view])
    pipeline = load_pipeline(store, view=view)
    assert store.names == NEEDED[view]
    assert set(pipeline.models) == NEEDED[view]


@pytest.mark.parametrize("view", NEEDED)
def test_a_network_that_is_needed_and_missing_is_named(view, model_path):
    for name in NEEDED[view]:
        model_path(name)
    for name in NEEDED[view]:
        with pytest.raises(ModelError, match=f"'{name}' is not here"):
            load_pipeline(Asked(lacks={name}), view=view)


@pytest.mark.parametrize(
    "how", [TopDownOptions(), TopDownOptions("openvino", 0, "fp16", flip_test=True)]
)
def test_hands_and_bodies_of_top_down_models_run_as_the_options_say(how, model_path, monkeypatch):
    class LoadedError(Exception):
        pass

    def created(store, name, task, threads, options, **others):
        raise LoadedError(name, threads, options)

    for name in ("vitpose-tiny-synthetic", *NEEDED["auto"]):
        model_path(name)
    store = ModelStore()
    monkeypatch.setattr(factory, "create_top_down", created)
    hands = Models(hand_model="vitpose-tiny-synthetic")
    with pytest.raises(LoadedError) as said:
        load_pipeline(store, hands, threads=3, topdown=how)
    assert said.value.args == ("vitpose-tiny-synthetic", 3, how)


def test_hands_of_the_tiny_vitpose_are_found_with_the_flip_test_at_twice_the_runs(
    model_path, monkeypatch
):
    model_path("vitpose-tiny-synthetic")
    pipelines = [
        load_pipeline(
            ModelStore(),
            Models(hand_model="vitpose-tiny-synthetic"),
            topdown=TopDownOptions("openvino", precision="fp32", flip_test=flip_test),
        )
        for flip_test in (False, True)
    ]
    runs = []
    real = factory.OpenVinoEngine.run

    def run(engine, tensors):
        runs.append(engine.path.parent.name)
        return real(engine, tensors)

    monkeypatch.setattr(factory.OpenVinoEngine, "run", run)
    counts = []
    for pipeline in pipelines:
        runs.clear()
        pipeline.warm_up()
        counts.append(sum("tiny" in name for name in runs))
    assert counts == [2, 4]


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("precision", "int8", "one of fp32, fp16, bf16, auto"),
        ("precision", None, "one of fp32, fp16, bf16, auto"),
        ("flip_test", 1, "true or false"),
        ("engine", "cuda", "one of auto, tensorrt, tensorrt-rtx, torch, openvino"),
        ("gpu", -1, "a whole number of at least 0"),
        ("gpu", True, "a whole number of at least 0"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_accepted(field, value, accepted):
    with pytest.raises(ValueError, match=f"{field}: expected {accepted}, got"):
        TopDownOptions(**{field: value})


def test_every_precision_is_an_option():
    for precision in PRECISION_CHOICES:
        assert TopDownOptions(precision=precision).precision == precision


def test_every_engine_is_an_option():
    for engine in ENGINES:
        assert TopDownOptions(engine).engine == engine
