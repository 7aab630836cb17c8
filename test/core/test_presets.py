"""Presets on simulated hardware: what each chooses, why, and that single choices win."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vitpose_ros import presets
from vitpose_ros.engines.trt.key import Profile
from vitpose_ros.factory import Models
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.presets import CPU, GPU, JETSON_GPU, PRESETS, TABLE, choose

NAMES = PRESETS[1:]
ALL = [(hardware, name) for hardware in TABLE for name in NAMES]


def plain(preset, hardware, models=Models(), topdown=TopDownOptions(), tiles=1):  # noqa: B008
    return choose(preset, models, topdown, tiles, hardware)


def test_every_preset_is_there_for_every_kind_of_hardware():
    assert set(TABLE) == {CPU, JETSON_GPU, GPU}
    assert all(tuple(rows) == NAMES for rows in TABLE.values())
    assert NAMES == ("lightweight", "balanced", "performance", "exact")


# Of each: hand model, person detector, body model, engine, precision, tiles.
CHOSEN = {
    (CPU, "lightweight"): ("hand-lite", "mediapipe-person", "body-full", "openvino", "auto", 1),
    (CPU, "balanced"): ("hand-full", "mediapipe-person", "body-full", "openvino", "auto", 1),
    (CPU, "performance"): ("hand-full", "yolox-tiny", "rtmpose-m", "openvino", "auto", 2),
    (CPU, "exact"): ("hand-full", "yolox-m", "rtmpose-l-384", "openvino", "fp32", 4),
    (JETSON_GPU, "lightweight"): ("hand-lite", "mediapipe-person", "rtmpose-s", "auto", "auto", 1),
    (JETSON_GPU, "balanced"): ("hand-full", "mediapipe-person", "rtmpose-m", "auto", "auto", 1),
    (JETSON_GPU, "performance"): ("hand-full", "yolox-tiny", "plus-s", "auto", "auto", 2),
    (JETSON_GPU, "exact"): ("hand-full", "yolox-s", "plus-b", "auto", "fp32", 4),
    (GPU, "lightweight"): ("hand-lite", "mediapipe-person", "rtmpose-m", "auto", "auto", 1),
    (GPU, "balanced"): ("hand-full", "yolox-tiny", "plus-s", "auto", "auto", 1),
    (GPU, "performance"): ("hand-full", "yolox-s", "plus-b", "auto", "auto", 2),
    (GPU, "exact"): ("hand-full", "yolox-m", "plus-l", "auto", "fp32", 4),
}


@pytest.mark.parametrize(("hardware", "preset"), ALL)
def test_a_preset_chooses_for_the_hardware_and_says_what_and_why(hardware, preset):
    hands, persons, body, engine, precision, tiles = CHOSEN[hardware, preset]
    found = plain(preset, hardware)
    assert hands in found.models.hand_model
    assert found.models.hand_detector.removeprefix("mediapipe-palm-") in found.models.hand_model
    assert persons in found.models.person_detector and body in found.models.body_model
    assert (found.topdown.engine, found.topdown.precision) == (engine, precision)
    assert found.tiles == tiles
    for said in (preset, *vars(found.models).values(), engine, precision):
        assert said in found.reason
    assert "since " in found.reason and "set by hand" not in found.reason


@pytest.mark.parametrize(("hardware", "preset"), ALL)
def test_what_a_preset_names_is_in_the_catalogue_with_the_right_task(hardware, preset):
    catalogue, models = load_catalogue(), TABLE[hardware][preset].models
    tasks = ("hand_detector", "hand_keypoints", "person_detector", "body_keypoints")
    assert models.lifting_model == ""
    for name, task in zip(tuple(vars(models).values())[:4], tasks, strict=True):
        assert catalogue.get(name).task == task
    Profile(1, 1, TABLE[hardware][preset].max_batch)


@pytest.mark.parametrize("hardware", TABLE)
def test_published_accuracy_never_falls_from_one_preset_to_the_next(hardware):
    catalogue, best = load_catalogue(), 0.0
    for name in NAMES:
        model = catalogue.get(TABLE[hardware][name].models.body_model)
        if model.layout.name == "coco17":  # MediaPipe's figure is of another kind
            assert model.accuracy[0].value >= best
            best = model.accuracy[0].value


def test_single_choices_win_over_the_preset_and_are_named():
    models = Models(body_model="vitpose-b", lifting_model="motionbert")
    topdown = TopDownOptions(engine="torch", gpu=1)
    found = plain("exact", GPU, models, topdown, tiles=3)
    own = {"body_model": "vitpose-b", "lifting_model": "motionbert"}
    assert found.models == replace(TABLE[GPU]["exact"].models, **own)
    assert found.topdown == TopDownOptions("torch", 1, "fp32") and found.tiles == 3
    wanted = "set by hand: body_model, engine, search_tiles_per_frame"
    assert found.reason.endswith(wanted)


def test_without_a_preset_nothing_changes_and_nothing_is_said():
    models, topdown = Models(body_model="vitpose-b"), TopDownOptions(precision="fp32")
    assert choose("", models, topdown, 5) == presets.Choice(models, topdown, 5, "")


def test_an_unknown_preset_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="expected one of lightweight, balanced, performance, ex"):
        plain("fast", CPU)


@pytest.mark.parametrize(
    ("gpu", "jetson", "kind", "why"),
    [
        (False, False, CPU, "no NVIDIA GPU was found"),
        (True, True, JETSON_GPU, "this is a Jetson"),
        (True, False, GPU, "an NVIDIA GPU was found"),
    ],
)
def test_the_hardware_is_told_by_its_driver(monkeypatch, tmp_path, gpu, jetson, kind, why):
    release = tmp_path / "nv_tegra_release"
    if jetson:
        release.write_text("# R36")
    monkeypatch.setattr(presets, "has_gpu", lambda: gpu)
    monkeypatch.setattr(presets, "JETSON", Path(release))
    assert presets.hardware_here() == kind
    assert why in choose("balanced", Models(), TopDownOptions(), 1).reason
