"""`vitpose_ros engine build|list|check|remove`."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vitpose_ros.cli.options import add_action, add_store, open_store, print_table
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.build import build_engine
from vitpose_ros.engines.trt.key import (
    MAX_LEVEL,
    PRECISIONS,
    Machine,
    Portable,
    Profile,
    Recipe,
    machine_here,
    network_hash,
)
from vitpose_ros.engines.trt.library import library_problem, missing
from vitpose_ros.engines.trt.progress import duration_text
from vitpose_ros.engines.trt.shelf import EngineShelf, StoredEngine
from vitpose_ros.engines.trt.variants import TENSORRT, TENSORRT_RTX, VARIANTS, TensorRt
from vitpose_ros.keypoints.engine_gate import (
    DAMAGED,
    FITS,
    OTHER,
    UNKNOWN,
    engine_gate,
    engine_state,
    network_hashes,
    network_of,
)
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import disk_sentences
from vitpose_ros.models.progress import size_text
from vitpose_ros.models.store import ModelStore


def register(subparsers: Any, epilog: str) -> None:
    """Add `engine` and its actions to the tool's parser."""
    text = "build, list, check and remove engines of TensorRT and TensorRT for RTX"
    parser = add_action(subparsers, "engine", text, epilog)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    _add_build(actions, epilog)

    action = add_action(
        actions, "list", "list the engines, and which of them this machine can use", epilog
    )
    action.add_argument("names", nargs="*", metavar="MODEL", help="models (default: all)")
    action.add_argument("--json", action="store_true", help="print JSON")
    action.add_argument("--device", type=int, default=0, help="the GPU's number (default: 0)")
    add_store(action, _list)

    action = add_action(
        actions, "check", "run the engines for this machine and compare them with float32", epilog
    )
    action.add_argument("names", nargs="*", metavar="MODEL", help="models (default: all)")
    _add_gate(action)
    add_store(action, _check)

    action = add_action(actions, "remove", "delete engines", epilog)
    action.add_argument("name", metavar="MODEL")
    action.add_argument(
        "keys", nargs="*", metavar="KEY", help="a key from `engine list`, or its beginning"
    )
    action.add_argument("--all", action="store_true", help="all engines of the model")
    action.add_argument(
        "--unusable",
        action="store_true",
        help="all engines that are damaged or made for another machine",
    )
    action.add_argument("--device", type=int, default=0, help="the GPU's number (default: 0)")
    add_store(action, _remove)


def _add_build(actions: Any, epilog: str) -> None:
    action = add_action(
        actions,
        "build",
        "build an engine for this GPU and compare it with float32; or, with TensorRT for RTX, for "
        "any RTX GPU, on any x86-64 machine",
        epilog,
    )
    action.add_argument(
        "names", nargs="+", metavar="MODEL", help="a model's name from `vitpose_ros models list`"
    )
    action.add_argument(
        "--engine",
        choices=tuple(VARIANTS),
        help="the library that builds and runs it (default: tensorrt; tensorrt-rtx with --for)",
    )
    action.add_argument(
        "--for",
        dest="capabilities",
        metavar="CC[,CC]",
        help="compute capabilities of the GPUs that will run the engine, such as 89 or 8.6,8.9; "
        "only with tensorrt-rtx (default: all that the library names, without Turing's 7.5)",
    )
    action.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="mixed: float16, but float32 where float16 fails; tf32: float32 with products rounded "
        "to TensorFloat-32; fp32 (default: mixed if the model has such a network, otherwise tf32)",
    )
    action.add_argument(
        "--max-batch", type=int, default=16, help="the largest batch of crops (default: 16)"
    )
    action.add_argument(
        "--opt-batch", type=int, help="the batch to optimise for (default: 4, at most --max-batch)"
    )
    action.add_argument(
        "--level",
        type=int,
        default=3,
        metavar=f"0..{MAX_LEVEL}",
        help="how thoroughly TensorRT optimises (default: 3)",
    )
    action.add_argument(
        "--workspace",
        type=int,
        metavar="MIB",
        help="the limit of GPU memory for a layer (default: none)",
    )
    _add_gate(action)
    action.add_argument(
        "--force", action="store_true", help="build again even if the engine is there"
    )
    action.add_argument("--quiet", action="store_true", help="print errors only")
    add_store(action, _build)


def _add_gate(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="images with one person or hand each, for the comparison (default: rendered ones)",
    )
    action.add_argument("--device", type=int, default=0, help="the GPU's number (default: 0)")


def _build(options: argparse.Namespace) -> int:
    store = open_store(options)
    variant = VARIANTS[options.engine or (TENSORRT_RTX if options.capabilities else TENSORRT).name]
    if options.capabilities and not variant.portable:
        options.parser.error("--for is for --engine tensorrt-rtx; TensorRT builds for the GPU here")
    models = [store.get(name) for name in dict.fromkeys(options.names)]
    opt = min(4, options.max_batch) if options.opt_batch is None else options.opt_batch
    profile = Profile(1, opt, options.max_batch)

    def tell(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr)

    target: Machine | Portable | None = None
    for model in models:
        precision = options.precision or _best_precision(network_hashes(model))
        network = network_of(model, precision)
        recipe = Recipe(
            network_hash(network),
            precision,
            profile,
            {"level": options.level, "workspace_mib": options.workspace},
        )
        gate = engine_gate(model, options.images, options.device)
        target = target or _target(variant, options)
        stored = build_engine(
            EngineShelf(store.root / model.entry.name),
            network,
            target,
            recipe,
            None if variant.portable else gate,
            force=options.force,
            device=options.device,
            stream=None if options.quiet else sys.stderr,
            tell=tell,
        )
        if stored.manifest and not options.quiet:
            text = "the first start on a GPU compares it with float32"
            if not variant.portable:
                text = _figures(stored.manifest.gate)
            print(f"{model.entry.name}: {stored.folder}, {text}")
    return 0


def _target(variant: TensorRt, options: argparse.Namespace) -> Machine | Portable:
    """What to build for. A portable engine needs the library only, no GPU and no torch."""
    if not variant.portable:
        _need(variant)
        return machine_here(options.device)
    if problem := library_problem(variant):
        raise EngineError(problem)
    return Portable(variant.load().__version__, TENSORRT_RTX.chosen(options.capabilities))


def _best_precision(hashes: dict[str, str]) -> str:
    return "mixed" if "mixed" in hashes else "tf32"


def _need(variant: TensorRt) -> None:
    if problems := missing(variant):
        raise EngineError(" ".join(problems))


def _figures(gate: Any) -> str:
    """The results of the comparison, in words."""
    if not gate:
        return "not compared with float32"
    joints = (
        f"joints by up to {gate['joint_px']:.2g} px, scores by up to {gate['score']:.2g}"
        if gate["joints"]
        else "no joints compared, because float32 found none in these images: try --images"
    )
    return f"differs from float32: outputs by up to {gate['output']:.2g}, {joints}"


def _list(options: argparse.Namespace) -> int:
    store = open_store(options)
    here = _here(options.device)
    found = [
        (stored, *engine_state(store, stored, name, here))
        for name, stored in _stored(store, options.names)
    ]
    if options.json:
        print(json.dumps([_as_json(*item) for item in found], indent=2))
        return 0
    rows = []
    for stored, state, _ in found:
        made = stored.manifest
        row = [stored.folder.parent.parent.name, stored.key]
        row += (
            [
                made.recipe.precision,
                f"1-{made.recipe.profile.max_batch}",
                made.machine.label,
                f"{'RTX ' if made.variant.portable else ''}{made.machine.tensorrt}",
                size_text(made.size),
                duration_text(made.build_s),
                made.date[:10],
            ]
            if made
            else ["?"] * 7
        )
        rows.append([*row, state])
    print_table(
        ("model", "key", "precision", "batch", "for", "tensorrt", "size", "build", "date", "state"),
        rows,
    )
    print(f"store: {store.root}")
    if not found:
        print("no engines; build one with: vitpose_ros engine build MODEL")
    for stored, state, reasons in found:
        if state in (OTHER, DAMAGED):
            print(f"{stored.folder.parent.parent.name} {stored.key}: {' '.join(reasons)}")
    for variant in VARIANTS.values():
        if any(s.manifest and s.manifest.variant is variant for s, _, _ in found) and (
            why := " ".join(missing(variant))
        ):
            print(f"cannot tell which of them this machine can use: {why}")
    return 0


def _check(options: argparse.Namespace) -> int:
    store = open_store(options)
    chosen = list(_stored(store, options.names))
    for variant in VARIANTS.values():
        if any(s.manifest and s.manifest.variant is variant for _, s in chosen):
            _need(variant)
    here = _here(options.device)
    if not chosen:
        whose = f" for {', '.join(options.names)}" if options.names else ""
        raise EngineError(
            f"there is no engine{whose} in {store.root}; build one with: vitpose_ros engine build "
            f"{options.names[0] if options.names else 'MODEL'}"
        )
    good = True
    for name, stored in chosen:
        state, reasons = engine_state(store, stored, name, here)
        if state == FITS:
            try:
                gate = engine_gate(store.get(name), options.images, options.device)
                print(f"{name} {stored.key}: {_figures(gate(stored.folder))}")
                continue
            except (EngineError, ModelError) as error:
                remove = f"vitpose_ros engine remove {name} {stored.key}"
                reasons = [f"{error}. To keep it from being used, run: {remove}"]
        good = False
        print(f"vitpose_ros: {name} {stored.key}: {' '.join(reasons)}", file=sys.stderr)
    return 0 if good else 1


def _remove(options: argparse.Namespace) -> int:
    if sum((options.all, options.unusable, bool(options.keys))) != 1:
        options.parser.error("give the keys of the engines, or one of --all and --unusable")
    store = open_store(options)
    shelf = EngineShelf(store.root / store.catalogue.get(options.name).name)
    if options.keys:
        chosen = [shelf.get(key) for key in dict.fromkeys(options.keys)]
    elif options.all:
        chosen = shelf.list()
    else:
        here = _here(options.device)
        states = [(one, engine_state(store, one, options.name, here)[0]) for one in shelf.list()]
        for one, state in states:
            if state == UNKNOWN and one.manifest:
                why = " ".join(missing(one.manifest.variant))
                raise EngineError(f"cannot tell which engines are unusable: {why} Give their keys")
        chosen = [one for one, state in states if state in (OTHER, DAMAGED)]
    with disk_sentences(shelf.folder):
        for stored in chosen:
            shelf.remove(stored)
            print(f"removed {stored.folder}")
        if options.all and shelf.folder.is_dir():
            for path in shelf.folder.glob("timing-*.cache"):
                path.unlink()
    if not chosen:
        print(f"nothing to remove: the model '{options.name}' has no such engine")
    return 0


def _stored(store: ModelStore, names: list[str]) -> Iterator[tuple[str, StoredEngine]]:
    """The engines of the given models, or of all."""
    entries = [store.catalogue.get(name) for name in dict.fromkeys(names)]
    for entry in entries or store.catalogue.entries:
        for stored in EngineShelf(store.root / entry.name).list():
            yield entry.name, stored


def _here(device: int) -> Callable[[str], Machine | None]:
    """The machine with a library, by the library's name; None if that or the GPU is missing."""

    @functools.lru_cache
    def machine(name: str) -> Machine | None:
        return None if missing(VARIANTS[name]) else machine_here(device, VARIANTS[name])

    return machine


def _as_json(stored: StoredEngine, state: str, reasons: list[str]) -> dict[str, Any]:
    return {
        "model": stored.folder.parent.parent.name,
        "key": stored.key,
        "folder": str(stored.folder),
        "state": state,
        "reasons": reasons,
        "manifest": asdict(stored.manifest) if stored.manifest else None,
    }
