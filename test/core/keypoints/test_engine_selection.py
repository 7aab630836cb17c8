"""Which engine is selected on which machine, and the reason given; the engines are stand-ins."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.gpu_errors import failure
from vitpose_ros.engines.torch import TorchEngine
from vitpose_ros.engines.trt.key import Machine, Portable, Profile, Recipe
from vitpose_ros.engines.trt.manifest import EngineManifest
from vitpose_ros.engines.trt.shelf import StoredEngine
from vitpose_ros.keypoints import engine_selection as selection
from vitpose_ros.keypoints.engine_selection import select_engine
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import LocalModel

ORIN = Machine("10.3.0", "Orin", "8.7", "12.6", "linux-aarch64")
HASHES = {"mixed": "b" * 64, "tf32": "a" * 64, "fp32": "a" * 64}


@dataclasses.dataclass
class StandIn:
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
    rtx: bool = False
    capability: str = "8.9"  # of the GPU that TensorRT for RTX finds
    torch: bool = True
    shelf: tuple[StoredEngine, ...] = ()
    differing: tuple[str, ...] = ()  # precisions whose joints differ from float32's on torch
    mixed: bool = True  # whether the model has a mixed network
    full: tuple[str, ...] = ()  # engines that find the GPU's memory full
    fp16: bool = True  # whether the CPU has it

    def has(self, variant) -> bool:
        return self.rtx if variant.portable else self.tensorrt

    def machine(self, variant) -> Machine:
        if not variant.portable:
            return ORIN
        return Machine("1.7.1", "RTX", self.capability, "12.9", "linux-x86_64", variant.name)


def refuse_memory(host, name):
    if any(name.startswith(kind) for kind in host.full):
        raise EngineError(failure(f"loading {name}", "CUDA out of memory. Tried to allocate 2 GiB"))


RTX = Portable("1.7.1", ("8.6", "8.9"))


def stored(precision: str, machine: Machine | Portable = ORIN) -> StoredEngine:
    recipe = Recipe(HASHES[precision], precision, Profile(1, 4, 16))
    manifest = EngineManifest("vitpose-s", machine, recipe, 1, "c" * 64, 1.0, "2026-01-01")
    return StoredEngine(Path("/store/vitpose-s/engines") / manifest.key, manifest)


@pytest.fixture
def host(monkeypatch) -> Host:
    made = Host()

    class Shelf(selection.EngineShelf):
        def list(self):
            return list(made.shelf)

    def network_of(model, precision):
        if precision == "mixed" and not made.mixed:
            raise ModelError("no mixed-precision network; make it with: models convert --mixed")
        return Path(f"/store/vitpose-s/{precision}.onnx")

    def tensorrt(path, hashes, gpu):
        refuse_memory(made, f"tensorrt {path.name}")
        return StandIn(f"tensorrt {path.name} {gpu}")

    def torch(path, device):
        if not made.torch:
            raise EngineError("the torch engine needs the Python package torch")
        refuse_memory(made, f"torch {path.stem}")
        return StandIn(f"torch {device} {path.stem}")

    def require(engine, *_):
        if any(name in engine.name for name in made.differing):
            raise EngineError(f"'vitpose-s' on {engine.name} differs from float32")

    def pass_once(model, folder, machine, device):
        for precision in made.differing:
            if folder.name == stored(precision, RTX).key:
                raise EngineError(f"'vitpose-s' on tensorrt-rtx {precision} differs from float32")

    def cpu(path, codec, layout, name, precision, threads):
        refused = "" if made.fp16 else "fp16 not used: this CPU has no fp16 instructions"
        return StandIn(f"openvino {precision} {threads}"), refused

    for name, value in {
        "has_gpu": lambda: made.gpu,
        "EngineShelf": Shelf,
        "missing": lambda variant: [] if made.has(variant) else [f"no {variant.title}."],
        "library_problem": lambda variant: "" if made.has(variant) else "absent",
        "machine_here": lambda gpu, variant: made.machine(variant),
        "pass_once": pass_once,
        "network_hashes": lambda model: dict(HASHES),
        "network_of": network_of,
        "TensorRtEngine": tensorrt,
        "TorchEngine": torch,
        "OpenVinoEngine": lambda path, threads: StandIn("reference"),
        "gate_crops": lambda codec, layout: None,
        "require": require,
        "select_cpu_engine": cpu,
    }.items():
        monkeypatch.setattr(selection, name, value)
    known = ("7.5", "8.6", "8.9")
    monkeypatch.setattr(selection.TENSORRT_RTX, "capabilities", lambda: known, raising=False)
    return made


MODEL = LocalModel(load_catalogue().get("vitpose-s"), (Path("/store/vitpose-s/model.onnx"),))


def test_a_machine_without_a_gpu_takes_the_cpu_and_loads_no_gpu_library(host, monkeypatch):
    def never(*_):
        raise AssertionError("looked for a GPU's library")

    host.gpu = False
    for name in ("missing", "library_problem", "TensorRtEngine", "TorchEngine"):
        monkeypatch.setattr(selection, name, never)
    selected = select_engine(MODEL, "auto", "auto", threads=3)
    assert selected.engine.name == "openvino auto 3"
    assert selected.reason == ("vitpose-s: openvino auto 3, since no NVIDIA GPU was found")


def test_an_engine_that_was_built_for_this_gpu_is_taken_and_warmed_up(host):
    host.shelf = (stored("fp32"), stored("mixed"))
    selected = select_engine(MODEL, gpu=1)
    assert selected.engine.name == f"tensorrt {stored('mixed').key} 1"
    assert selected.engine.warmed == selection.FIRST_BATCHES
    assert selected.reason == f"vitpose-s: tensorrt {stored('mixed').key} 1"


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
    assert stored(taken).key in select_engine(MODEL, "auto", precision).engine.name


def test_without_an_engine_torch_is_taken_and_the_command_that_builds_one_is_named(host):
    selected = select_engine(MODEL)
    assert selected.engine.name == "torch cuda:0 mixed"
    assert selected.engine.warmed == selection.FIRST_BATCHES
    assert "vitpose_ros engine build vitpose-s" in selected.reason


def test_an_engine_of_another_gpu_is_not_taken_and_the_difference_is_named(host):
    host.shelf = (stored("mixed", dataclasses.replace(ORIN, gpu="RTX 4090")),)
    selected = select_engine(MODEL)
    assert selected.engine.name.startswith("torch")
    assert "it was built for the GPU RTX 4090; here is the GPU Orin" in selected.reason


def test_without_tensorrt_and_torch_the_cpu_is_taken_and_both_reasons_are_named(host):
    host.shelf, host.tensorrt, host.torch = (stored("mixed"),), False, False
    selected = select_engine(MODEL)
    assert selected.engine.name.startswith("openvino")
    assert selected.reason == (
        "vitpose-s: openvino auto 0. tensorrt not used: no TensorRT. "
        "torch not used: the torch engine needs the Python package torch"
    )


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"differing": ("mixed",)}, "'vitpose-s' on torch cuda:0 mixed differs from float32"),
        ({"mixed": False}, "no mixed-precision network; make it with: models convert --mixed"),
        ({"full": ("torch mixed",)}, "too little free memory"),
    ],
)
def test_torch_falls_back_to_fp32_where_mixed_precision_fails_and_says_why(host, fault, why):
    for name, value in fault.items():
        setattr(host, name, value)
    for kind in ("torch", "auto"):
        selected = select_engine(MODEL, kind, "auto")
        assert selected.engine.name == "torch cuda:0 fp32"
        assert "mixed precision not used: " in selected.reason and why in selected.reason
    with pytest.raises((EngineError, ModelError), match=why):
        select_engine(MODEL, "torch", "fp16")


@pytest.mark.parametrize(
    ("full", "taken"),
    [
        (("tensorrt",), "torch cuda:0 mixed"),
        (("tensorrt", "torch"), "openvino auto 0"),
    ],
)
def test_auto_takes_the_next_engine_where_the_gpus_memory_is_full_and_says_so(host, full, taken):
    host.shelf, host.full = (stored("mixed"),), full
    selected = select_engine(MODEL)
    assert selected.engine.name == taken
    for kind in full:
        assert f"{kind} not used: loading {kind}" in selected.reason
    assert "the GPU has too little free memory" in selected.reason
    with pytest.raises(EngineError, match="too little free memory"):
        select_engine(MODEL, "tensorrt")


def test_an_error_of_cuda_itself_at_loading_is_skipped_too(host, monkeypatch):
    def refuse():
        raise RuntimeError("CUDA error: out of memory")

    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True, device_count=refuse))
    monkeypatch.setattr("vitpose_ros.engines.torch.import_torch", lambda: torch)
    monkeypatch.setattr(selection, "TorchEngine", TorchEngine)
    selected = select_engine(MODEL)
    assert selected.engine.name == "openvino auto 0"
    assert "with torch failed: the GPU has too little free memory" in selected.reason


def test_where_no_engine_works_every_reason_is_given(host, monkeypatch):
    def broken(*_):
        raise EngineError("the package openvino is missing")

    monkeypatch.setattr(selection, "select_cpu_engine", broken)
    host.torch = False
    with pytest.raises(EngineError) as said:
        select_engine(MODEL)
    for text in ("engine build vitpose-s", "package torch", "package openvino is missing"):
        assert text in str(said.value)


@pytest.mark.parametrize("kind", ["auto", "openvino"])
def test_the_reason_says_why_the_cpu_does_not_run_fp16(host, kind):
    host.gpu = host.fp16 = False
    assert select_engine(MODEL, kind).reason.endswith(
        ". fp16 not used: this CPU has no fp16 instructions"
    )


def test_an_engine_of_a_slower_precision_is_taken_and_the_faster_one_is_explained(host):
    other = stored("mixed", dataclasses.replace(ORIN, gpu="RTX 4090"))
    host.shelf = (other, stored("fp32"))
    reason = select_engine(MODEL).reason
    assert f"mixed and tf32 not used: {other.key}: it was built for the GPU RTX 4090" in reason
    host.shelf = (stored("tf32"),)
    reason = select_engine(MODEL).reason
    assert reason.endswith(
        "mixed not used: not built; build it with: vitpose_ros engine build vitpose-s"
    )


def test_an_engine_that_was_asked_for_is_never_replaced(host):
    with pytest.raises(EngineError, match="vitpose_ros engine build vitpose-s"):
        select_engine(MODEL, "tensorrt")
    host.shelf, host.tensorrt = (stored("mixed"),), False
    with pytest.raises(EngineError, match="no TensorRT"):
        select_engine(MODEL, "tensorrt")
    host.torch = False
    with pytest.raises(EngineError, match="Python package torch"):
        select_engine(MODEL, "torch")
    assert select_engine(MODEL, "openvino", "fp32").engine.name == "openvino fp32 0"


def test_an_engine_that_does_not_fit_names_the_build_for_the_precision(host):
    host.shelf = (stored("mixed"),)
    with pytest.raises(EngineError, match="engine build vitpose-s --precision fp32"):
        select_engine(MODEL, "tensorrt", "fp32")


@pytest.mark.parametrize("kind", ["tensorrt", "torch"])
def test_bf16_is_for_cpus(host, kind):
    with pytest.raises(EngineError, match="not bf16"):
        select_engine(MODEL, kind, "bf16")
    assert select_engine(MODEL, "auto", "bf16").engine.name == "openvino bf16 0"


def test_an_unknown_engine_is_refused(host):
    accepted = "expected one of auto, tensorrt, tensorrt-rtx, torch, openvino"
    with pytest.raises(ValueError, match=accepted):
        select_engine(MODEL, "cuda")


def test_auto_takes_tensorrt_for_rtx_where_only_that_has_an_engine(host):
    host.tensorrt, host.rtx, host.shelf = False, True, (stored("mixed", RTX),)
    selected = select_engine(MODEL)
    assert selected.engine.name == f"tensorrt {stored('mixed', RTX).key} 0"
    assert "tensorrt not used: no TensorRT engine of 'vitpose-s' has been built" in selected.reason


def test_a_portable_engine_runs_every_batch_size_before_a_robot_moves(host):
    host.rtx, host.shelf = True, (stored("mixed", RTX),)
    assert select_engine(MODEL, "tensorrt-rtx").engine.warmed == tuple(range(1, 17))


def test_each_library_takes_its_own_engines_only(host):
    host.rtx, host.shelf = True, (stored("mixed"), stored("mixed", RTX))
    assert stored("mixed").key in select_engine(MODEL, "tensorrt").engine.name
    assert stored("mixed", RTX).key in select_engine(MODEL, "tensorrt-rtx").engine.name
    host.shelf = (stored("mixed"),)
    with pytest.raises(EngineError, match="engine build vitpose-s --engine tensorrt-rtx"):
        select_engine(MODEL, "tensorrt-rtx")


def test_auto_does_not_mention_tensorrt_for_rtx_where_it_is_neither_installed_nor_used(host):
    assert "tensorrt-rtx" not in select_engine(MODEL).reason
    host.rtx = True
    assert "tensorrt-rtx not used: no TensorRT for RTX engine" in select_engine(MODEL).reason


@pytest.mark.parametrize(
    ("capability", "why"),
    [
        ("6.1", r"GPU of the Turing generation \(compute capability 7\.5\) or later; RTX has 6"),
        ("9.0", r"for compute capability 7\.5, 8\.6, 8\.9; RTX has 9\.0. Set engine to tensorrt"),
    ],
)
def test_a_gpu_that_the_library_does_not_know_is_named_and_no_build_is_advised(
    host, capability, why
):
    host.rtx, host.capability, host.shelf = True, capability, (stored("mixed", RTX),)
    with pytest.raises(EngineError, match=why) as said:
        select_engine(MODEL, "tensorrt-rtx")
    assert "engine build" not in str(said.value)
    assert select_engine(MODEL).engine.name == "torch cuda:0 mixed"


@pytest.mark.parametrize(
    ("version", "capabilities", "why"),
    [
        ("1.6.0", ("8.9",), "built by TensorRT for RTX 1.6.0; here is TensorRT for RTX 1.7.1"),
        ("1.7.1", ("8.6", "12.0"), "built for compute capability 8.6, 12.0; RTX has 8.9"),
    ],
)
def test_an_engine_of_another_version_or_gpu_is_named(host, version, capabilities, why):
    host.rtx, host.shelf = True, (stored("mixed", Portable(version, capabilities)),)
    with pytest.raises(EngineError, match=why):
        select_engine(MODEL, "tensorrt-rtx")
    selected = select_engine(MODEL)
    assert selected.engine.name == "torch cuda:0 mixed" and why in selected.reason


def test_a_portable_engine_that_differs_on_this_gpu_gives_way_to_the_next_precision(host):
    host.rtx, host.shelf = True, (stored("mixed", RTX), stored("tf32", RTX))
    host.differing = ("mixed",)
    selected = select_engine(MODEL, "tensorrt-rtx")
    assert stored("tf32", RTX).key in selected.engine.name
    assert "mixed not used: 'vitpose-s' on tensorrt-rtx mixed differs" in selected.reason
    with pytest.raises(EngineError, match="mixed differs from float32"):
        select_engine(MODEL, "tensorrt-rtx", "fp16")
