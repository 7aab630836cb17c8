"""Selects the engine that runs a top-down model on this machine, and says why.

This happens once, when the node is configured. Nothing is built here: where a TensorRT engine would
be faster, the reason includes the command that builds one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.torch import TorchEngine
from vitpose_ros.engines.trt.key import PRECISIONS, Here, machine_here
from vitpose_ros.engines.trt.library import library_problem, missing
from vitpose_ros.engines.trt.shelf import EngineShelf
from vitpose_ros.engines.trt.variants import TENSORRT, TENSORRT_RTX, TensorRt
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.cpu_precision import select_cpu_engine
from vitpose_ros.keypoints.engine_gate import network_hashes, network_of, pass_once
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.layouts import Layout
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import LocalModel

ENGINES = ("auto", "tensorrt", "tensorrt-rtx", "torch", "openvino")
"""OpenVINO runs on the CPU, the others on an NVIDIA GPU; "auto" takes the first that works."""

FIRST_BATCHES = (1, 2)
"""The most frequent batch sizes; an engine on a GPU is warmed up for them while it is loaded."""

_TENSORRT_PRECISIONS = {"auto": PRECISIONS, "fp32": ("fp32",), "fp16": ("mixed",), "bf16": ()}
"""TensorRT's precisions that each of ours accepts, fastest first."""

_GPU_FILES = (
    "/proc/driver/nvidia/version",
    "/dev/nvidiactl",
    "/dev/nvhost-gpu",
    "/etc/nv_tegra_release",
    "/dev/dxg",  # Windows Subsystem for Linux
)


@dataclass(frozen=True)
class Selection:
    """An engine, and why it was selected, in sentences for the log."""

    engine: Engine
    reason: str


_Loaded = tuple[Engine, str]
"""An engine, and why a lower precision was refused; "" where none was."""


def has_gpu() -> bool:
    """Whether an NVIDIA driver is present; no library is loaded to find out."""
    return any(Path(name).exists() for name in _GPU_FILES)


def select_engine(
    model: LocalModel, kind: str = "auto", precision: str = "auto", threads: int = 0, gpu: int = 0
) -> Selection:
    """The engine for a top-down model.

    Parameters
    ----------
    model : from the model store.
    kind : one of ENGINES. "auto" is TensorRT, or TensorRT for RTX, where an engine for this GPU was
        built, else torch where it finds the GPU, else OpenVINO. One that fails to load, e.g.
        because the GPU's memory is full, is skipped, and the reason says so.
    precision : "fp32"; "fp16", which is mixed precision on a GPU; "bf16", on a CPU only; or "auto":
        the fastest that is available and agrees with float32.
    threads : CPU threads; 0 uses all cores.
    gpu : the GPU's number.

    Raises
    ------
    EngineError, ModelError : the requested engine cannot be used here, or "auto" finds none; with
        reasons and remedies.
    ValueError : the kind is unknown.
    """
    if kind not in ENGINES:
        raise ValueError(f"engine: expected one of {', '.join(ENGINES)}, got {kind!r}")
    name = model.entry.name
    if kind != "auto":
        engine, refused = _LOADERS[kind](model, precision, threads, gpu)
        return Selection(engine, _sentences(f"{name}: {engine.name}, as requested", refused))
    if not has_gpu():
        engine, refused = _load_openvino(model, precision, threads, gpu)
        no_gpu = f"{name}: {engine.name}, since no NVIDIA GPU was found"
        return Selection(engine, _sentences(no_gpu, refused))
    reasons: list[str] = []
    for one, load in _LOADERS.items():
        if one == TENSORRT_RTX.name and not _concerns(model, TENSORRT_RTX):
            continue
        try:
            engine, refused = load(model, precision, threads, gpu)
        except (EngineError, ModelError) as error:
            reasons.append(f"{one} not used: {error}")
        else:
            return Selection(engine, _sentences(f"{name}: {engine.name}", *reasons, refused))
    raise EngineError(_sentences(f"'{name}' runs on no engine here", *reasons))


def _sentences(*parts: str) -> str:
    return ". ".join(part.rstrip(". ") for part in parts if part)


def _concerns(model: LocalModel, variant: TensorRt) -> bool:
    """Whether a library is installed, or the model has engines of it: most GPUs need only one."""
    return not library_problem(variant) or _built(EngineShelf(model.path.parent), variant)


def _built(shelf: EngineShelf, variant: TensorRt) -> bool:
    return any(e.manifest is None or e.manifest.variant is variant for e in shelf.list())


def _load_tensorrt(model: LocalModel, precision: str, threads: int, gpu: int) -> _Loaded:
    del threads
    return _load_built(model, precision, gpu, TENSORRT)


def _load_tensorrt_rtx(model: LocalModel, precision: str, threads: int, gpu: int) -> _Loaded:
    """Raise EngineError at once where the library knows no GPU like this one: no build helps."""
    del threads
    if not missing(TENSORRT_RTX):
        machine = machine_here(gpu, TENSORRT_RTX)
        if reason := TENSORRT_RTX.unsupported(machine.gpu, machine.compute_capability):
            raise EngineError(reason)
    return _load_built(model, precision, gpu, TENSORRT_RTX)


def _load_built(model: LocalModel, precision: str, gpu: int, variant: TensorRt) -> _Loaded:
    name = model.entry.name
    shelf = EngineShelf(model.path.parent)
    accepted = _TENSORRT_PRECISIONS[precision]
    if not accepted:
        raise EngineError(
            f"'{name}': {variant.title} engines are fp16 (mixed) or fp32, not {precision}"
        )
    build = f"vitpose_ros engine build {name}"
    if variant is not TENSORRT:
        build += f" --engine {variant.name}"
    if not _built(shelf, variant):
        raise EngineError(
            f"no {variant.title} engine of '{name}' has been built; build one with: {build}"
        )
    if problems := missing(variant):
        raise EngineError(" ".join(problems))
    hashes = network_hashes(model)
    machine = machine_here(gpu, variant)
    reasons: tuple[str, ...] = ()
    left = accepted
    while True:
        stored, unfit = shelf.find(Here(machine, hashes), left)
        reasons = tuple(dict.fromkeys((*reasons, *unfit)))
        if stored is None or stored.manifest is None:
            raise EngineError(_none_fits(name, variant, precision, reasons, build))
        used = accepted.index(stored.manifest.recipe.precision)
        try:
            if variant.portable:
                pass_once(model, stored.folder, machine, gpu)
            break
        except EngineError as error:  # it differs from float32: the next precision
            reasons, left = (*reasons, f"{error}."), accepted[used + 1 :]
    engine = TensorRtEngine(stored.folder, hashes, gpu)
    largest = stored.manifest.recipe.profile.max_batch
    # A portable engine compiles kernels at each first run: none of them while a robot moves.
    engine.warm_up(range(1, largest + 1) if variant.portable else FIRST_BATCHES)
    faster = accepted[:used]
    if not faster:
        return engine, ""
    why = " ".join(reasons) or f"not built; build it with: {build}"
    return engine, f"{' and '.join(faster)} not used: {why}"


def _none_fits(
    name: str, variant: TensorRt, precision: str, reasons: Sequence[str], build: str
) -> str:
    option = {"fp32": " --precision fp32", "fp16": " --precision mixed"}.get(precision, "")
    why = f" ({' '.join(reasons)})" if reasons else ""
    return (
        f"no {variant.title} engine of '{name}' fits this GPU and precision {precision}{why}; "
        f"build one with: {build}{option}"
    )


def _load_torch(model: LocalModel, precision: str, threads: int, gpu: int) -> _Loaded:
    device, refused = f"cuda:{gpu}", ""
    if precision == "bf16":
        raise EngineError(f"'{model.entry.name}': torch runs fp16 (mixed) or fp32, not bf16")
    if precision != "fp32":
        try:
            engine = TorchEngine(network_of(model, "mixed"), device)
            _compare(model, engine, threads)
            engine.warm_up(FIRST_BATCHES)
            return engine, ""
        except (EngineError, ModelError) as error:
            if precision != "auto":
                raise
            refused = f"mixed precision not used: {error}"
    engine = TorchEngine(network_of(model, "fp32"), device)
    engine.warm_up(FIRST_BATCHES)
    return engine, refused


def _compare(model: LocalModel, engine: Engine, threads: int) -> None:
    """Raise EngineError where a mixed network disagrees with float32 on this GPU."""
    codec, layout = codec_of(model.entry), _layout(model)
    reference = OpenVinoEngine(model.path, threads)
    require(engine, reference, codec, model.entry.name, gate_crops(codec, layout))


def _load_openvino(model: LocalModel, precision: str, threads: int, gpu: int) -> _Loaded:
    del gpu
    codec, layout = codec_of(model.entry), _layout(model)
    return select_cpu_engine(model.path, codec, layout, model.entry.name, precision, threads)


def _layout(model: LocalModel) -> Layout:
    if model.entry.layout is None:
        raise EngineError(
            f"'{model.entry.name}' cannot be used for joints: it has the task {model.entry.task}. "
            "Choose a ViTPose or RTMPose model"
        )
    return model.entry.layout


_LOADERS: dict[str, Callable[[LocalModel, str, int, int], _Loaded]] = {
    "tensorrt": _load_tensorrt,
    "tensorrt-rtx": _load_tensorrt_rtx,
    "torch": _load_torch,
    "openvino": _load_openvino,
}
