"""Builds an engine from an ONNX file; it is kept only after the comparison with float32."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import Machine, Recipe, key_of, machine_here
from vitpose_ros.engines.trt.library import Errors, make_logger, require
from vitpose_ros.engines.trt.manifest import PLAN_NAME, EngineManifest, write_manifest
from vitpose_ros.engines.trt.progress import BuildProgress, duration_text, make_monitor
from vitpose_ros.engines.trt.shelf import EngineShelf, StoredEngine, look
from vitpose_ros.engines.trt.timing import cache_path, read_cache, write_cache
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
    recipe: Recipe,
    judge: Judge,
    *,
    force: bool = False,
    device: int = 0,
    stream: TextIO | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> StoredEngine:
    """Build an engine, compare it with float32, and put it on the shelf.

    It is made in a hidden folder that is renamed only after the gate has passed, so the shelf never
    shows an incomplete engine.

    Parameters
    ----------
    shelf : of the model.
    onnx : the network in the recipe's precision.
    recipe : what to build.
    judge : the accuracy gate.
    force : build even where the engine exists.
    device : the GPU's number.
    stream : where to show the progress; None for nowhere.
    tell : receives a line per step.

    Raises
    ------
    EngineError : TensorRT or torch is missing, TensorRT cannot build the network, or the engine
        disagrees with float32.
    ModelError : the disk is full, or the folder is not writable.
    """
    torch = require()
    machine = machine_here(device)
    existing = look(shelf.folder / key_of(machine, recipe))
    if existing.manifest and not existing.problem and not force:
        tell(f"{shelf.model}: {existing.folder} exists already; --force builds it again")
        return existing
    with disk_sentences(shelf.folder):
        shelf.folder.mkdir(parents=True, exist_ok=True)
        with locked(shelf.folder, lambda _: tell("waiting for another build in the same folder")):
            _sweep(shelf.folder)
            progress = BuildProgress(
                stream, f"{shelf.model} {recipe.precision}", _expected_s(shelf, machine, recipe)
            )
            tell(_announcement(shelf, machine, recipe))
            with torch.cuda.device(device):
                plan = _watched_build(
                    onnx, recipe, cache_path(shelf.folder, machine), progress, device
                )
            manifest = EngineManifest(
                shelf.model,
                machine,
                recipe,
                len(plan),
                hashlib.sha256(plan).hexdigest(),
                round(progress.elapsed_s, 1),
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            tell(f"{shelf.model}: built in {duration_text(progress.elapsed_s)}")
            return _judged(shelf, plan, manifest, judge, tell)


def _judged(
    shelf: EngineShelf,
    plan: bytes,
    manifest: EngineManifest,
    judge: Judge,
    tell: Callable[[str], None],
) -> StoredEngine:
    """Write the engine, compare it, and publish it; a refused one is deleted."""
    with tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=shelf.folder) as temporary:
        work = Path(temporary) / "engine"
        work.mkdir()
        (work / PLAN_NAME).write_bytes(plan)
        write_manifest(work, manifest)
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


def _expected_s(shelf: EngineShelf, machine: Machine, recipe: Recipe) -> float | None:
    """How long the last build of this precision, batch sizes and options took here, s."""
    times = [
        (stored.manifest.date, stored.manifest.build_s)
        for stored in shelf.list()
        if stored.manifest
        and stored.manifest.machine == machine
        and replace(stored.manifest.recipe, onnx_sha256=recipe.onnx_sha256) == recipe
    ]
    return max(times)[1] if times else None


def _announcement(shelf: EngineShelf, machine: Machine, recipe: Recipe) -> str:
    profile = recipe.profile
    return (
        f"{shelf.model}: building {recipe.precision} for {machine.gpu} with TensorRT "
        f"{machine.tensorrt}, batches {profile.min_batch} to {profile.max_batch}. This takes "
        "minutes, longer on a Jetson; Ctrl-C stops it"
    )


def _watched_build(
    onnx: Path, recipe: Recipe, cache: Path, progress: BuildProgress, device: int
) -> bytes:
    """Build in a thread of its own, so that this one can show the time and handle Ctrl-C: TensorRT
    rarely calls back.
    """
    torch = require()
    results: list[bytes] = []
    failures: list[BaseException] = []
    over = threading.Event()  # an interrupted Thread.join may report a running thread as ended
    begin = threading.Event()  # set once Ctrl-C is handled, which it is not while a thread starts

    def work() -> None:
        begin.wait()
        try:
            with torch.cuda.device(device):
                results.append(_build(onnx, recipe, cache, progress))
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


def _build(onnx: Path, recipe: Recipe, cache: Path, progress: BuildProgress) -> bytes:
    """Parse, configure and build with TensorRT."""
    import tensorrt as trt

    errors = Errors()
    logger = make_logger(errors)
    try:
        builder = trt.Builder(logger)
    except (RuntimeError, TypeError) as error:  # TypeError: its C++ factory returned nothing
        raise EngineError(f"TensorRT cannot start a build: {errors} ({error})") from error
    # TensorRT 10 types networks weakly by default; 11 always strongly, and ignores the flag.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise EngineError(
            f"TensorRT {trt.__version__} cannot read '{onnx}': {' | '.join(reasons) or errors}"
        )
    config = builder.create_builder_config()
    config.builder_optimization_level = recipe.options["level"]
    if recipe.options["workspace_mib"] is not None:
        size = recipe.options["workspace_mib"] * 2**20
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    if recipe.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, but not full float32
    config.add_optimization_profile(_profile(builder, network, recipe, onnx))
    monitor = make_monitor(progress)
    config.progress_monitor = monitor
    _use_cache(config, cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"TensorRT {trt.__version__} cannot build '{onnx}': {errors}")
    _keep_cache(config, cache)
    return bytes(plan)


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


def _use_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    """Give TensorRT the stored timing cache, or an empty one where it refuses that."""
    for content in (read_cache(path), b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _keep_cache(config: tensorrt.IBuilderConfig, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        write_cache(path, bytes(cache.serialize()))
