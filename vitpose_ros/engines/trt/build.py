"""Builds an engine from an ONNX file. One for the GPU here is kept only after the comparison with
float32; a portable one is compared when a GPU first loads it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import Machine, Portable, Recipe, key_of
from vitpose_ros.engines.trt.library import Errors, make_logger, one_line
from vitpose_ros.engines.trt.manifest import PLAN_NAME, EngineManifest, write_manifest
from vitpose_ros.engines.trt.progress import BuildProgress, duration_text, make_monitor
from vitpose_ros.engines.trt.shelf import EngineShelf, StoredEngine, look
from vitpose_ros.engines.trt.variants import VARIANTS
from vitpose_ros.models.files import disk_sentences, locked

if TYPE_CHECKING:
    import tensorrt

Judge = Callable[[Path], Mapping[str, Any]]
"""The accuracy gate: takes an engine's folder and returns the figures for the manifest, or raises
EngineError where the engine must not be used.
"""

_TICK_S = 0.2
_WORK_PREFIX = ".build-"


def build_engine(
    shelf: EngineShelf,
    onnx: Path,
    target: Machine | Portable,
    recipe: Recipe,
    judge: Judge | None,
    *,
    force: bool = False,
    device: int = 0,
    stream: TextIO | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> StoredEngine:
    """Build an engine, compare it with float32 where it runs here, and put it on the shelf.

    It is made in a hidden folder that is renamed only after the gate has passed, so the shelf never
    shows an incomplete engine.

    Parameters
    ----------
    shelf : of the model.
    onnx : the network in the recipe's precision.
    target : the machine here, which must have torch and TensorRT (`library.require`); or what a
        portable engine is for, which needs TensorRT for RTX only.
    recipe : what to build.
    judge : the accuracy gate; None for a portable engine.
    force : build even where the engine exists.
    device : the number of the GPU here.
    stream : where to show the progress; None for nowhere.
    tell : receives a line per step.

    Raises
    ------
    EngineError : TensorRT cannot build the network, or the engine disagrees with float32.
    ModelError : the disk is full, or the folder is not writable.
    """
    existing = look(shelf.folder / key_of(target, recipe))
    if existing.manifest and not existing.problem and not force:
        tell(f"{shelf.model}: {existing.folder} exists already; --force builds it again")
        return existing
    with disk_sentences(shelf.folder):
        shelf.folder.mkdir(parents=True, exist_ok=True)
        with locked(shelf.folder, lambda _: tell("waiting for another build in the same folder")):
            _sweep(shelf.folder)
            progress = BuildProgress(
                stream, f"{shelf.model} {recipe.precision}", _expected_s(shelf, target, recipe)
            )
            tell(_announcement(shelf, target, recipe))
            plan = _watched_build(onnx, target, recipe, shelf.folder, progress, device)
            manifest = EngineManifest(
                shelf.model,
                target,
                recipe,
                len(plan),
                hashlib.sha256(plan).hexdigest(),
                round(progress.elapsed_s, 1),
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            tell(f"{shelf.model}: built in {duration_text(progress.elapsed_s)}")
            return _put(shelf, plan, manifest, judge, tell)


def _put(
    shelf: EngineShelf,
    plan: bytes,
    manifest: EngineManifest,
    judge: Judge | None,
    tell: Callable[[str], None],
) -> StoredEngine:
    """Write the engine, compare it, and publish it; a refused one is deleted."""
    with tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=shelf.folder) as temporary:
        work = Path(temporary) / "engine"
        work.mkdir()
        (work / PLAN_NAME).write_bytes(plan)
        write_manifest(work, manifest)
        if judge is None:
            return shelf.put(work, manifest)
        tell(f"{shelf.model}: comparing it with float32")
        try:
            figures = dict(judge(work))
        except EngineError as error:
            raise EngineError(f"{error}. The engine was deleted") from error
        write_manifest(work, replace(manifest, gate=figures))
        return shelf.put(work, manifest)


def _sweep(folder: Path) -> None:
    """Delete what interrupted builds left; the lock is held, so none of them still runs."""
    for path in folder.iterdir():
        if path.is_dir() and path.name.startswith("."):
            shutil.rmtree(path)


def _expected_s(
    shelf: EngineShelf, target: Machine | Portable, recipe: Recipe
) -> float | None:
    """How long the last build of this precision, batch sizes and options took here, s."""
    times = [
        (stored.manifest.date, stored.manifest.build_s)
        for stored in shelf.list()
        if stored.manifest
        and stored.manifest.machine == target
        and replace(stored.manifest.recipe, onnx_sha256=recipe.onnx_sha256) == recipe
    ]
    return max(times)[1] if times else None


def _announcement(shelf: EngineShelf, target: Machine | Portable, recipe: Recipe) -> str:
    profile, variant = recipe.profile, VARIANTS[target.library]
    time = "seconds" if variant.portable else "minutes, longer on a Jetson"
    return (
        f"{shelf.model}: building {recipe.precision} for {target.label} with {variant.title} "
        f"{target.tensorrt}, batches {profile.min_batch} to {profile.max_batch}. This takes "
        f"{time}; Ctrl-C stops it"
    )


def _watched_build(
    onnx: Path,
    target: Machine | Portable,
    recipe: Recipe,
    folder: Path,
    progress: BuildProgress,
    device: int,
) -> bytes:
    """Build in a thread of its own, so that this one can show the time and handle Ctrl-C: TensorRT
    rarely calls back.
    """
    results: list[bytes] = []
    failures: list[BaseException] = []
    over = threading.Event()  # an interrupted Thread.join may report a running thread as ended
    begin = threading.Event()  # set once Ctrl-C is handled, which it is not while a thread starts

    def work() -> None:
        begin.wait()
        try:
            with _on(target, device):
                results.append(_build(onnx, target, recipe, folder, progress))
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            failures.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=work, name="tensorrt-build", daemon=True)
    thread.start()
    interrupted = ended = False
    while not ended:
        try:
            begin.set()
            while not over.wait(_TICK_S):
                progress.tick()
            ended = True
        except KeyboardInterrupt:  # TensorRT stops at its next step
            progress.cancelled = interrupted = True
    thread.join()
    progress.finish()
    if interrupted:
        raise KeyboardInterrupt
    if failures:
        raise failures[0]
    return results[0]


def _on(target: Machine | Portable, device: int) -> AbstractContextManager[Any]:
    """Where TensorRT finds the GPU that it builds for."""
    if isinstance(target, Portable):
        return nullcontext()
    import torch

    return torch.cuda.device(device)


def _build(
    onnx: Path,
    target: Machine | Portable,
    recipe: Recipe,
    folder: Path,
    progress: BuildProgress,
) -> bytes:
    """Parse, configure and build with TensorRT."""
    variant = VARIANTS[target.library]
    if TYPE_CHECKING:
        import tensorrt as trt
    else:
        trt = variant.load()
    errors, library = Errors(), f"{variant.title} {target.tensorrt}"
    logger = make_logger(errors, variant)
    try:
        builder = trt.Builder(logger)
    except (RuntimeError, TypeError) as error:  # TypeError: its C++ factory returned nothing
        raise EngineError(f"{library} cannot start a build: {errors} ({error})") from error
    # TensorRT 10 types networks weakly by default; 11 and that for RTX always strongly.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = [_reason(parser.get_error(i)) for i in range(parser.num_errors)]
        raise EngineError(f"{library} cannot read '{onnx}': {' | '.join(reasons) or errors}")
    config = builder.create_builder_config()
    config.builder_optimization_level = recipe.options["level"]
    if recipe.options["workspace_mib"] is not None:
        size = recipe.options["workspace_mib"] * 2**20
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    if recipe.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, but not full float32
    if config.add_optimization_profile(_profile(builder, network, recipe, onnx)) < 0:
        raise EngineError(f"{library} refuses the batch sizes {recipe.profile}: {errors}")
    monitor = make_monitor(progress, variant)
    config.progress_monitor = monitor
    variant.configure(config, target, folder)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{library} cannot build '{onnx}': {errors}{_remedy(errors)}")
    variant.built(config, target, folder)
    return bytes(plan)


def _remedy(errors: Errors) -> str:
    if "FP32 GEMM is not supported" not in str(errors):
        return ""
    return (
        ". On Turing, float32 matrix products are not supported: build with --precision mixed "
        "(`vitpose_ros models convert MODEL --mixed` makes such a network), or leave 7.5 out"
    )


def _reason(error: tensorrt.ParserError) -> str:
    """What the parser says, with the operator, without which it often means little."""
    operator, node = error.node_operator(), error.node_name()
    where = f"operator {operator}{f' ({node})' if node else ''}: " if operator else ""
    return where + one_line(error.desc())


def _profile(
    builder: tensorrt.Builder, network: tensorrt.INetworkDefinition, recipe: Recipe, onnx: Path
) -> tensorrt.IOptimizationProfile:
    """The batch sizes of each input."""
    profile = builder.create_optimization_profile()
    batches = recipe.profile
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shape = [tensor.shape[axis] for axis in range(len(tensor.shape))]
        if shape[0] != -1 or -1 in shape[1:]:
            raise EngineError(
                f"'{onnx}' has the input {tensor.name} {tuple(shape)}; only its first dimension, "
                "the batch, may and must vary (-1). Convert the checkpoint again with: vitpose_ros "
                "models convert"
            )
        rest = tuple(shape[1:])
        profile.set_shape(
            tensor.name,
            (batches.min_batch, *rest),
            (batches.opt_batch, *rest),
            (batches.max_batch, *rest),
        )
    return profile

