from __future__ import annotations

from dataclasses import replace

import pytest

from vitpose_ros.doctor import networks
from vitpose_ros.doctor.findings import Level
from vitpose_ros.doctor.networks import check_networks
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import Machine, Recipe
from vitpose_ros.engines.trt.manifest import PLAN_NAME, EngineManifest, write_manifest
from vitpose_ros.factory import Models
from vitpose_ros.keypoints import engine_gate
from vitpose_ros.models.store import ModelStore


def test_a_store_without_models_is_a_problem_with_the_command_that_fills_it(tmp_path):
    store, *_, networks = check_networks(tmp_path / "store", Models(), "egocentric")
    assert store.level is Level.NOTE
    assert "no model" in store.value
    assert networks.level is Level.PROBLEM
    assert networks.remedy == ("vitpose_ros models pull mediapipe-palm-full mediapipe-hand-full")


def test_third_person_needs_the_hand_detector_too(tmp_path):
    *_, networks = check_networks(tmp_path, Models(), "third_person")
    assert networks.level is Level.PROBLEM
    assert "mediapipe-palm-full" in networks.remedy


def test_a_name_that_no_catalogue_has_is_a_problem_that_names_it(tmp_path):
    *_, networks = check_networks(tmp_path, Models(hand_model="nonsense"), "egocentric")
    assert networks.level is Level.PROBLEM
    assert networks.remedy == "choose other models than nonsense"


@pytest.mark.parametrize("hardware", ["cpu", "jetson", "gpu"])
def test_the_choice_of_each_preset_is_shown_with_what_is_missing(tmp_path, monkeypatch, hardware):
    monkeypatch.setattr("vitpose_ros.presets.hardware_here", lambda: hardware)
    found = {f.name: f for f in check_networks(tmp_path, Models(), "third_person")}
    for name in ("lightweight", "balanced", "performance", "exact"):
        text = found[f"preset {name}"].value
        assert "since " in text and "not in the store: mediapipe-palm" in text
    exact = {"cpu": "rtmpose-l-384 288x384", "jetson": "vitpose-plus-b 192x256"}
    assert exact.get(hardware, "vitpose-plus-l 192x256") in found["preset exact"].value


def test_the_networks_of_a_preset_are_those_that_are_run(tmp_path):
    *_, last = check_networks(tmp_path, Models(), "egocentric", "lightweight")
    assert last.remedy == "vitpose_ros models pull mediapipe-palm-lite mediapipe-hand-lite"


def test_networks_that_are_there_are_run(tmp_path):
    *_, networks = check_networks(None, Models(), "egocentric")
    assert networks.level is Level.OK
    assert "mediapipe-hand-full on openvino CPU" in networks.value


ORIN = Machine("10.3.0", "Orin", "8.7", "12.6", "linux-aarch64")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A store with one engine of the tiny ViTPose, on a machine with TensorRT; the gate is played.

    Gives a function that runs the check and gives the engine's finding.
    """
    folder = tmp_path / "vitpose-tiny-synthetic" / "engines"
    recipe = Recipe("a" * 64, "mixed")
    manifest = EngineManifest(
        "vitpose-tiny-synthetic", ORIN, recipe, 4, "b" * 64, 60.0, "2026-11-21"
    )
    work = folder / manifest.key
    work.mkdir(parents=True)
    (work / PLAN_NAME).write_bytes(b"plan")
    write_manifest(work, manifest)
    monkeypatch.setattr(networks, "missing", lambda variant: [])
    monkeypatch.setattr(networks, "machine_here", lambda variant: ORIN)
    monkeypatch.setattr(networks, "engine_gate", lambda model: lambda at: GOOD)
    monkeypatch.setattr(engine_gate, "network_hashes", lambda model: {"mixed": "a" * 64})
    monkeypatch.setattr(ModelStore, "get", lambda self, name, task=None: name)

    def check():
        findings = check_networks(tmp_path, Models(), "egocentric")
        return next(f for f in findings if f.name.startswith(("engine vit", "TensorRT")))

    check.folder = work
    return check


GOOD = {"joint_px": 0.02, "score": 0.001}


def test_an_engine_that_loads_and_agrees_is_shown_with_its_figures(shelf):
    found = shelf()
    assert found.level is Level.OK
    assert "joints within 0.02 px" in found.value


@pytest.mark.parametrize(
    "text", ["joints by 3 px. Build it in float32 instead", "too little free memory. Close ..."]
)
def test_an_engine_that_fails_is_a_problem_with_the_advice_of_its_error(shelf, monkeypatch, text):
    def refuse(folder):
        raise EngineError(text)

    monkeypatch.setattr(networks, "engine_gate", lambda model: refuse)
    found = shelf()
    assert (found.level, found.value) == (Level.PROBLEM, text)
    assert "--force" not in found.remedy, "building again is no remedy for a full memory"


def test_a_gpu_that_does_not_answer_is_a_problem(shelf, monkeypatch):
    def refuse(variant):
        raise EngineError("asking GPU 0 for its name failed: CUDA error: unknown error")

    monkeypatch.setattr(networks, "machine_here", refuse)
    found = shelf()
    assert found.level is Level.PROBLEM and "CUDA error" in found.value


def test_an_engine_of_another_machine_is_only_noted(shelf, monkeypatch):
    monkeypatch.setattr(networks, "machine_here", lambda variant: replace(ORIN, gpu="RTX 4090"))
    found = shelf()
    assert found.level is Level.NOTE
    assert "here is the GPU RTX 4090" in found.value


def test_a_damaged_engine_is_a_warning_and_is_not_loaded(shelf, monkeypatch):
    monkeypatch.setattr(networks, "engine_gate", None)  # calling it would fail
    (shelf.folder / PLAN_NAME).write_bytes(b"pl")
    found = shelf()
    assert found.level is Level.WARNING
    assert "truncated" in found.value


def test_engines_without_tensorrt_are_a_warning_with_what_lacks(shelf, monkeypatch):
    monkeypatch.setattr(networks, "missing", lambda variant: ["TensorRT cannot be imported."])
    found = shelf()
    assert found.level is Level.WARNING
    assert "1 stored, which cannot be used: TensorRT cannot be imported." in found.value
