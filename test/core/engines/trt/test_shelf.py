"""Engines as files: damaged, foreign or outdated ones are reported and never loaded."""

from __future__ import annotations

import json
import shutil

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.trt.build import build_engine
from vitpose_ros.engines.trt.key import Here, Profile, Recipe, machine_here, network_hash
from vitpose_ros.engines.trt.manifest import MANIFEST_NAME, PLAN_NAME, read_manifest, why_not


def loads(gpu):
    return [call for call in gpu.trt.calls if call[0] == "deserialize_cuda_engine"]


def alter(folder, **fields):
    """Change fields of a manifest."""
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_manifest_reads_as_it_was_written(built, network):
    manifest = read_manifest(built.folder)
    assert manifest == built.manifest
    assert manifest.key == built.folder.name == built.key
    assert manifest.gate == {"joint_px": 0.01}
    assert manifest.recipe == Recipe(network_hash(network), "fp32")
    assert manifest.size == (built.folder / PLAN_NAME).stat().st_size


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda plan: plan[:-20], r"engine.plan is truncated: it has \d+ bytes, expected"),
        (lambda plan: plan + b"x", "engine.plan is altered: it has"),
        (lambda plan: plan[:-1] + b"?", "engine.plan is altered: its sha256 differs"),
        (lambda plan: b"", "engine.plan is truncated: it has 0 bytes"),
        (lambda plan: bytes(len(plan)), "engine.plan is altered: its sha256"),
    ],
)
def test_a_damaged_file_is_refused_before_tensorrt_sees_it(gpu, built, damage, reason):
    path = built.folder / PLAN_NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EngineError, match=reason) as caught:
        TensorRtEngine(built.folder)
    assert "It was not loaded. Build it again" in str(caught.value)
    assert "vitpose_ros engine build net --precision fp32 --force" in str(caught.value)
    assert not loads(gpu)


def test_the_engine_of_another_folder_is_not_taken_for_this_one(gpu, built, shelf, network):
    recipe = Recipe(network_hash(network), "fp32", Profile(1, 3, 16))  # of the same length
    other = build_engine(shelf, network, machine_here(), recipe, lambda folder: {})
    shutil.copy(other.folder / PLAN_NAME, built.folder / PLAN_NAME)
    with pytest.raises(EngineError, match="is altered"):
        TensorRtEngine(built.folder)
    moved = built.folder.with_name("0" * 16)
    other.folder.rename(moved)
    damaged = next(stored for stored in shelf.list() if stored.key == moved.name)
    assert "holds an engine with another key" in damaged.problem
    assert not loads(gpu)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "has no manifest engine.json"),
        ("", "cannot be understood"),
        ("[]", "cannot be understood"),
        ("{}", "cannot be understood: 'format'"),
        ('{"format": 1}', "its format is not 2"),
        ('{"format": 2, "key": "x", "recipe": {}, "machine": {}}', "cannot be understood"),
    ],
)
def test_a_manifest_that_is_missing_or_no_manifest_is_named(gpu, built, shelf, content, reason):
    path = built.folder / MANIFEST_NAME
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(EngineError, match=reason):
        TensorRtEngine(built.folder)
    (stored,) = shelf.list()
    assert stored.manifest is None and "remove the engine and build it again" in stored.problem
    assert not loads(gpu)


def test_a_manifest_that_was_edited_to_fit_is_refused(built):
    machine = json.loads((built.folder / MANIFEST_NAME).read_text())["machine"]
    alter(built.folder, machine={**machine, "tensorrt": "11.4.0"})
    with pytest.raises(EngineError, match="was altered: its fields give the key"):
        read_manifest(built.folder)


def test_an_engine_of_another_tensorrt_is_refused_with_both_versions(gpu, built, fakes):
    gpu.trt.__version__ = "10.7.0"
    with pytest.raises(
        EngineError,
        match=r"cannot be used here: it was built for TensorRT 10\.3\.0; here is TensorRT 10\.7\.0"
        r".*engine build net --precision fp32 --force",
    ):
        TensorRtEngine(built.folder)
    assert not loads(gpu)


def test_an_engine_of_an_older_network_is_refused_when_the_network_is_given(gpu, built, network):
    assert TensorRtEngine(built.folder, {"fp32": network_hash(network)})
    with pytest.raises(EngineError, match="it was built from another network"):
        TensorRtEngine(built.folder, {"fp32": "0" * 64})


def test_what_tensorrt_itself_refuses_is_said_with_its_reason(gpu, built):
    gpu.trt.settings["refuse"] = "the engine plan file is incompatible"
    with pytest.raises(EngineError, match="its manifest matches this machine: the engine plan"):
        TensorRtEngine(built.folder)


def test_the_best_engine_is_found_and_the_others_say_why_not(gpu, built, shelf, network):
    sha = network_hash(network)
    here = Here(machine_here(), {"fp32": sha, "tf32": sha})
    assert why_not(built.manifest, here) == []
    recipe = Recipe(sha, "fp32", Profile(1, 4, 32))
    large = build_engine(shelf, network, machine_here(), recipe, lambda folder: {})
    best, reasons = shelf.find(here)
    assert (best.key, reasons) == (large.key, ())  # of one precision, the largest batch
    fast = build_engine(shelf, network, machine_here(), Recipe(sha, "tf32"), lambda folder: {})
    assert shelf.find(here)[0].key == fast.key
    assert shelf.find(here, ("fp32",))[0].key == large.key
    (fast.folder / PLAN_NAME).write_bytes(b"short")
    best, reasons = shelf.find(here)
    assert best.key == large.key
    assert [reason.split(": ")[0] for reason in reasons] == [fast.key]
    assert "truncated" in reasons[0]
    best, reasons = shelf.find(Here(machine_here(), {"fp32": "0" * 64}))
    assert best is None and len(reasons) == 3


def test_a_shelf_that_does_not_exist_is_empty(tmp_path):
    from vitpose_ros.engines.trt.shelf import EngineShelf

    assert EngineShelf(tmp_path / "nothing").list() == []


def test_an_engine_is_named_by_the_beginning_of_its_key(built, shelf):
    assert shelf.get(built.key[:5]).folder == built.folder
    with pytest.raises(EngineError, match=f"has no engine with the key 'zzz'; it has {built.key}"):
        shelf.get("zzz")


def test_removing_leaves_nothing(built, shelf):
    shelf.remove(built)
    assert shelf.list() == [] and not built.folder.exists()
    assert not list(shelf.folder.glob(".removed*"))
