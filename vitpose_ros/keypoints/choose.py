"""Which engine runs a top-down model on this machine, and why.

It is chosen once, when the node is configured. Nothing is built here: an engine that would be
faster is named with the command that builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.engines.tensorrt import TensorRtEngine
from vitpose_ros.engines.torch import TorchEngine
from vitpose_ros.engines.trt.key import PRECISIONS, Here, machine_here
from vitpose_ros.engines.trt.library import missing
from vitpose_ros.engines.trt.shelf import EngineShelf
from vitpose_ros.keypoints.agreement import require
from vitpose_ros.keypoints.cpu_precision import choose_cpu
from vitpose_ros.keypoints.engine_gate import network_hashes, network_of
from vitpose_ros.keypoints.gate_crops import gate_crops
from vitpose_ros.keypoints.recipes import codec_of
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import LocalModel

ENGINES = ("auto", "tensorrt", "torch", "openvino")
"""What runs a top-down model: TensorRT or torch on an NVIDIA GPU, OpenVINO on the CPU; "auto" takes
the first of them that can.
"""

FIRST_BATCHES = (1, 2)
"""So many crops at once are the most frequent; a GPU prepares for them ahead."""

_ON_GPU = {"auto": PRECISIONS, "fp32": ("fp32",), "fp16": ("mixed",), "bf16": ()}
"""TensorRT's precisions for each of ours, the best first."""

_GPU_FILES = (
    "/proc/driver/nvidia/version",
    "/dev/nvidiactl",
    "/dev/nvhost-gpu",
    "/etc/nv_tegra_release",
    "/dev/dxg",  # Windows' subsystem for Linux
)


@dataclass(frozen=True)
class Chosen:
    """An engine, and a sentence for people that says why it is this one."""

    engine: Engine
    why: str


def gpu_is_there() -> bool:
    """Whether there is a driver of an NVIDIA GPU; found out without loading any library."""
    return any(Path(name).exists() for name in _GPU_FILES)


def choose_engine(
    model: LocalModel, kind: str = "auto", precision: str = "auto", threads: int = 0, gpu: int = 0
) -> Chosen:
    """The engine for a top-down model.

    Parameters
    ----------
    model : of the store.
    kind : one of ENGINES. "auto" is TensorRT where a valid engine for this GPU exists, else torch
        where it sees the GPU, else OpenVINO.
    precision : "fp32"; "fp16", which is mixed precision on a GPU; "bf16", on a CPU only; or "auto":
        the fastest that there is here and that agrees with float32.
    threads : of the CPU; 0 for all cores.
    gpu : the GPU's number.

    Raises
    ------
    EngineError : the engine that was asked for cannot be used here, with the reason and what to do;
        or none can.
    ValueError : the kind is unknown.
    """
    name = model.entry.name
    if kind not in ENGINES:
        raise ValueError(f"engine: expected one of {', '.join(ENGINES)}, got {kind!r}")
    if kind == "tensorrt":
        return Chosen(_tensorrt(model, precision, gpu), f"{name}: TensorRT, as asked for")
    if kind == "torch":
        return Chosen(_torch(model, precision, threads, gpu), f"{name}: torch, as asked for")
    if kind == "openvino":
        return Chosen(_openvino(model, precision, threads), f"{name}: OpenVINO, as asked for")
    if not gpu_is_there():
        return Chosen(
            _openvino(model, precision, threads), f"{name}: OpenVINO, since there is no NVIDIA GPU"
        )
    reasons = []
    try:
        return Chosen(_tensorrt(model, precision, gpu), f"{name}: TensorRT, the fastest here")
    except (EngineError, ModelError) as error:
        reasons.append(f"not TensorRT: {error}")
    try:
        engine: Engine = _torch(model, precision, threads, gpu)
        return Chosen(engine, f"{name}: torch. {' '.join(reasons)}")
    except (EngineError, ModelError) as error:
        reasons.append(f"not torch: {error}")
    return Chosen(
        _openvino(model, precision, threads), f"{name}: OpenVINO, on the CPU. {' '.join(reasons)}"
    )


def _tensorrt(model: LocalModel, precision: str, gpu: int) -> TensorRtEngine:
    name = model.entry.name
    shelf = EngineShelf(model.path.parent)
    wanted = _ON_GPU[precision]
    if not wanted:
        raise EngineError(f"'{name}': TensorRT engines are fp16 (mixed) or fp32, not {precision}")
    if not shelf.list():
        raise EngineError(
            f"no TensorRT engine of '{name}' is built; build one with: vitpose_ros engine build "
            f"{name}"
        )
    if problems := missing():
        raise EngineError(" ".join(problems))
    hashes = network_hashes(model)
    stored, reasons = shelf.find(Here(machine_here(gpu), hashes), wanted)
    if stored is None:
        raise EngineError(_none_fits(name, precision, reasons))
    engine = TensorRtEngine(stored.folder, hashes, gpu)
    engine.warm_up(FIRST_BATCHES)
    return engine


def _none_fits(name: str, precision: str, reasons: Sequence[str]) -> str:
    option = {"fp32": " --precision fp32", "fp16": " --precision mixed"}.get(precision, "")
    why = f" ({' '.join(reasons)})" if reasons else ""
    return (
        f"no TensorRT engine of '{name}' fits this GPU and precision {precision}{why}; build one "
        f"with: vitpose_ros engine build {name}{option}"
    )


def _torch(model: LocalModel, precision: str, threads: int, gpu: int) -> TorchEngine:
    name, device = model.entry.name, f"cuda:{gpu}"
    if precision == "bf16":
        raise EngineError(f"'{name}': torch runs fp16 (mixed) or fp32, not bf16")
    if precision != "fp32":
        try:
            engine = TorchEngine(network_of(model, "mixed"), device)
            _compare(model, engine, threads)
            engine.warm_up(FIRST_BATCHES)
            return engine
        except (EngineError, ModelError):
            if precision != "auto":
                raise
    engine = TorchEngine(network_of(model, "fp32"), device)
    engine.warm_up(FIRST_BATCHES)
    return engine


def _compare(model: LocalModel, engine: Engine, threads: int) -> None:
    """EngineError where a mixed network does not give float32's joints on this GPU."""
    codec, layout = codec_of(model.entry), model.entry.layout
    if layout is None:
        raise EngineError(f"'{model.entry.name}' gives no joints that could be compared")
    reference = OpenVinoEngine(model.path, threads)
    require(engine, reference, codec, model.entry.name, gate_crops(codec, layout))


def _openvino(model: LocalModel, precision: str, threads: int) -> OpenVinoEngine:
    codec, layout = codec_of(model.entry), model.entry.layout
    if layout is None:
        raise EngineError(f"'{model.entry.name}' gives no joints")
    return choose_cpu(model.path, codec, layout, model.entry.name, precision, threads)
