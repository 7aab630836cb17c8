"""Which engine is chosen, on machines that have this or that; the engines themselves are played."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import Machine, Profile, Recipe
from vitpose_ros.engines.trt.manifest import EngineManifest
from vitpose_ros.engines.trt.shelf import StoredEngine
from vitpose_ros.keypoints import choose
from vitpose_ros.keypoints.choose import choose_engine
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import LocalModel

ORIN = Machine("10.3.0", "Orin", "8.7", "12.6", "linux-aarch64")
HASHES = {"mixed": "b" * 64, "tf32": "a" * 64, "fp32": "a" * 64}


@dataclasses.dataclass
class Played:
    """An engine in name only."""

    name: str
    warmed: tuple[int, ...] = ()

    def warm_up(self, batches):
        self.warmed = tuple(batches)


@dataclasses.dataclass
class Host:
    """What the machine of a test has."""

    gpu: bool = True
    tensorrt: bool = True
    torch: bool = True
    shelf: tuple[StoredEngine, ...] = ()
    broken: tuple[str, ...] = ()  # precisions in which torch gives other joints
    mixed: bool = True  # whether the model has a mixed network


def stored(precision: str, machine: Machine = ORIN) -> StoredEngine:
    recipe = Recipe(HASHES[precision], precision, Profile(1, 4, 16))
    manifest = EngineManifest("vitpose-s", machine, recipe, 1, "c" * 64, 1.0, "2026-01-01")
    return StoredEngine(Path("/store/vitpose-s/engines") / manifest.key, manifest)


@pytest.fixture
def host(monkeypatch) -> Host:
    made = Host()

    class Shelf(choose.EngineShelf):
        def list(self):
            return list(made.shelf)

    def network_of(model, precision):
        if precision == "mixed" and not made.mixed:
            raise ModelError("no mixed-precision network; make it with: models convert --mixed")
        return Path(f"/store/vitpose-s/{precision}.onnx")

    def torch(path, device):
        if not made.torch:
            raise EngineError("the torch engine needs the Python package torch")
        return Played(f"torch {device} {path.stem}")

    def require(engine, *_):
        if any(name in engine.name for name in made.broken):
            raise EngineError(f"'vitpose-s' on {engine.name} differs from float32")

    monkeypatch.setattr(choose, "gpu_is_there", lambda: made.gpu)
    monkeypatch.setattr(choose, "EngineShelf", Shelf)
    monkeypatch.setattr(choose, "missing", lambda: [] if made.tensorrt else ["no TensorRT."])
    monkeypatch.setattr(choose, "machine_here", lambda gpu: ORIN)
    monkeypatch.setattr(choose, "network_hashes", lambda model: dict(HASHES))
    monkeypatch.setattr(choose, "network_of", network_of)
    monkeypatch.setattr(
        choose, "TensorRtEngine", lambda path, hashes, gpu: Played(f"tensorrt {path.name} {gpu}")
    )
    monkeypatch.setattr(choose, "TorchEngine", torch)
    monkeypatch.setattr(choose, "OpenVinoEngine", lambda path, threads: Played("reference"))
    monkeypatch.setattr(choose, "gate_crops", lambda codec, layout: None)
    monkeypatch.setattr(choose, "require", require)
    monkeypatch.setattr(
        choose, "choose_cpu", lambda path, codec, layout, name, precision, threads: Played(
            f"openvino {precision} {threads}"
        )
    )  # fmt: skip
    return made


MODEL = LocalModel(load_catalogue().get("vitpose-s"), (Path("/store/vitpose-s/model.onnx"),))


def test_a_machine_without_a_gpu_takes_the_cpu_and_loads_no_gpu_library(host, monkeypatch):
    def never(*_):
        raise AssertionError("looked for a GPU's library")

    host.gpu = False
    for name in ("missing", "TensorRtEngine", "TorchEngine"):
        monkeypatch.setattr(choose, name, never)
    chosen = choose_engine(MODEL, "auto", "auto", threads=3)
    assert chosen.engine.name == "openvino auto 3"
    assert chosen.why == "vitpose-s: OpenVINO, since there is no NVIDIA GPU"


def test_an_engine_that_was_built_for_this_gpu_is_taken_and_warmed_up(host):
    host.shelf = (stored("fp32"), stored("mixed"))
    chosen = choose_engine(MODEL, gpu=1)
    assert chosen.engine.name == f"tensorrt {stored('mixed').key} 1"
    assert chosen.engine.warmed == choose.FIRST_BATCHES
    assert "TensorRT" in chosen.why


@pytest.mark.parametrize(
    ("precision", "there", "taken"),
    [
        ("auto", ("fp32", "tf32"), "tf32"),
        ("fp32", ("mixed", "fp32"), "fp32"),
        ("fp16", ("mixed", "fp32"), "mixed"),
    ],
)
def test_the_precision_decides_between_engines(host, precision, there, taken):
    host.shelf = tuple(stored(one) for one in there)
    assert stored(taken).key in choose_engine(MODEL, "auto", precision).engine.name


def test_without_an_engine_torch_is_taken_and_the_command_that_builds_one_is_named(host):
    chosen = choose_engine(MODEL)
    assert chosen.engine.name == "torch cuda:0 mixed"
    assert chosen.engine.warmed == choose.FIRST_BATCHES
    assert "vitpose_ros engine build vitpose-s" in chosen.why


def test_an_engine_of_another_gpu_is_not_taken_and_the_difference_is_named(host):
    host.shelf = (stored("mixed", dataclasses.replace(ORIN, gpu="RTX 4090")),)
    chosen = choose_engine(MODEL)
    assert chosen.engine.name.startswith("torch")
    assert "it was built for the GPU RTX 4090; here is the GPU Orin" in chosen.why


def test_without_tensorrt_and_torch_the_cpu_is_taken_and_both_reasons_are_named(host):
    host.shelf, host.tensorrt, host.torch = (stored("mixed"),), False, False
    chosen = choose_engine(MODEL)
    assert chosen.engine.name.startswith("openvino")
    assert "not TensorRT: no TensorRT." in chosen.why
    assert "not torch: the torch engine needs the Python package torch" in chosen.why


@pytest.mark.parametrize("fault", [{"broken": ("mixed",)}, {"mixed": False}])
def test_torch_falls_back_to_fp32_where_the_mixed_network_is_not_well(host, fault):
    for name, value in fault.items():
        setattr(host, name, value)
    assert choose_engine(MODEL, "torch", "auto").engine.name == "torch cuda:0 fp32"
    with pytest.raises((EngineError, ModelError)):
        choose_engine(MODEL, "torch", "fp16")


def test_an_engine_that_was_asked_for_is_never_replaced(host):
    with pytest.raises(EngineError, match="vitpose_ros engine build vitpose-s"):
        choose_engine(MODEL, "tensorrt")
    host.shelf, host.tensorrt = (stored("mixed"),), False
    with pytest.raises(EngineError, match="no TensorRT"):
        choose_engine(MODEL, "tensorrt")
    host.torch = False
    with pytest.raises(EngineError, match="Python package torch"):
        choose_engine(MODEL, "torch")
    assert choose_engine(MODEL, "openvino", "fp32").engine.name == "openvino fp32 0"


def test_an_engine_that_does_not_fit_names_the_build_for_the_precision(host):
    host.shelf = (stored("mixed"),)
    with pytest.raises(EngineError, match="engine build vitpose-s --precision fp32"):
        choose_engine(MODEL, "tensorrt", "fp32")


@pytest.mark.parametrize("kind", ["tensorrt", "torch"])
def test_bf16_is_for_cpus(host, kind):
    with pytest.raises(EngineError, match="not bf16"):
        choose_engine(MODEL, kind, "bf16")
    assert choose_engine(MODEL, "auto", "bf16").engine.name == "openvino bf16 0"


def test_an_unknown_engine_is_refused(host):
    with pytest.raises(ValueError, match="expected one of auto, tensorrt, torch, openvino"):
        choose_engine(MODEL, "cuda")
