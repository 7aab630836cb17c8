"""The models in the store, and whether the networks that the node would use load and run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vitpose_ros.doctor.findings import Finding, Level
from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.trt.key import Machine, machine_here
from vitpose_ros.engines.trt.library import missing
from vitpose_ros.engines.trt.shelf import EngineShelf, StoredEngine
from vitpose_ros.engines.trt.variants import VARIANTS, TensorRt
from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.engine_gate import DAMAGED, OTHER, engine_gate, engine_state
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.models.catalogue import load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore, State
from vitpose_ros.presets import NONE, PRESETS, Choice, choose
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import Frame

SECTION = "Models"
_RUNS = 5


def check_networks(
    root: Path | None, models: Models, view: str, preset: str = NONE
) -> Iterator[Finding]:
    """Check the store, then load and run the pipeline of these models.

    Parameters
    ----------
    root : the store; None for the default one.
    models, view, preset : as the node would use them.
    """
    try:
        store = ModelStore(root, load_catalogue())
    except ModelError as error:
        yield Finding(SECTION, "catalogue", Level.PROBLEM, str(error), "see the message")
        return
    statuses = [status for status in store.list() if status.state is not State.ABSENT]
    damaged = [status for status in statuses if status.state is State.DAMAGED]
    pulled = [status for status in statuses if status.state is State.PULLED]
    names = ", ".join(s.entry.name for s in statuses if s not in damaged and s not in pulled)
    yield Finding(SECTION, "store", Level.NOTE, f"{store.root}: {names or 'no model'}")
    for status in damaged:
        yield Finding(
            SECTION,
            status.entry.name,
            Level.WARNING,
            status.problem,
            f"vitpose_ros models pull --force {status.entry.name}",
        )
    for status in pulled:
        yield Finding(
            SECTION,
            status.entry.name,
            Level.NOTE,
            f"pulled, not converted: {store.convert_command(status.entry)}",
        )
    yield from _engines(store)
    yield from _presets(store, view)
    tiles = HandSettings().search_tiles_per_frame
    choice = choose(preset, models, TopDownOptions(), tiles)
    yield from _runs(store, choice, view)


def _engines(store: ModelStore) -> Iterator[Finding]:
    """Check whether the engines load and agree with float32 here."""
    stored = [
        (entry.name, engine)
        for entry in store.catalogue.entries
        for engine in EngineShelf(store.root / entry.name).list()
    ]
    for variant in VARIANTS.values():
        own = [(n, e) for n, e in stored if e.manifest and e.manifest.variant is variant]
        if own:
            yield from _engines_of(store, variant, own)
    for name, engine in stored:
        if engine.manifest is None:
            yield _engine(store, name, engine, None)


def _engines_of(
    store: ModelStore, variant: TensorRt, stored: list[tuple[str, StoredEngine]]
) -> Iterator[Finding]:
    title = f"{variant.title} engines"
    if problems := missing(variant):
        yield Finding(
            SECTION,
            title,
            Level.WARNING,
            f"{len(stored)} stored, which cannot be used: {' '.join(problems)}",
            "see the message; until then networks run in torch or on the CPU",
        )
        return
    try:
        machine = machine_here(variant=variant)
    except EngineError as error:
        yield Finding(SECTION, title, Level.PROBLEM, str(error), "see the message")
        return
    for name, engine in stored:
        yield _engine(store, name, engine, machine)


def _engine(
    store: ModelStore, name: str, engine: StoredEngine, machine: Machine | None
) -> Finding:
    what = f"engine {name} {engine.key}"
    state, reasons = engine_state(store, engine, name, lambda library: machine)
    if state == OTHER:  # several machines may share a store
        return Finding(SECTION, what, Level.NOTE, f"does not fit: {' '.join(reasons)}")
    if state == DAMAGED:
        remedy = f"vitpose_ros engine build {name} --force"
        return Finding(SECTION, what, Level.WARNING, " ".join(reasons), remedy)
    try:
        figures = engine_gate(store.get(name))(engine.folder)
    except (EngineError, ModelError) as error:
        return Finding(SECTION, what, Level.PROBLEM, str(error), "do as the message says")
    return Finding(
        SECTION,
        what,
        Level.OK,
        f"loads, and agrees with float32: joints within {figures['joint_px']:.2g} px, scores "
        f"within {figures['score']:.2g}",
    )


def _presets(store: ModelStore, view: str) -> Iterator[Finding]:
    """What each preset would choose on this machine, and what it lacks."""
    for preset in PRESETS[1:]:
        choice = choose(preset, Models(), TopDownOptions(), HandSettings().search_tiles_per_frame)
        used = [store.catalogue.get(name) for name in _wanted(choice.models, view)]
        sizes = ", ".join(f"{e.name} {e.input_width}x{e.input_height}" for e in used)
        absent = [entry.name for entry in used if store.status(entry).problem]
        missing = f"; not in the store: {', '.join(absent)}" if absent else ""
        text = choice.reason.removeprefix(f"preset {preset}: ")
        yield Finding(SECTION, f"preset {preset}", Level.NOTE, f"{text} (inputs: {sizes}){missing}")


def _runs(store: ModelStore, choice: Choice, view: str) -> Iterator[Finding]:
    name, models = f"networks of view '{view}'", choice.models
    chosen: list[str] = []
    try:
        pipeline = load_pipeline(
            store, models, view=view, topdown=choice.topdown, tell=chosen.append
        )
        frame = Frame(np.zeros((480, 640, 3), np.uint8), 1)
        pipeline(frame)
        begun_s = time.perf_counter()
        for number in range(_RUNS):
            pipeline(Frame(frame.image, 2 + number))
        per_image_ms = 1e3 * (time.perf_counter() - begun_s) / _RUNS
    except ModelError as error:
        yield Finding(SECTION, name, Level.PROBLEM, str(error), _pull(store, models, view))
        return
    except (EngineError, ValueError) as error:
        remedy = "see the message, or choose another model or engine"
        yield Finding(SECTION, name, Level.PROBLEM, str(error), remedy)
        return
    for why in chosen:
        yield Finding(SECTION, "engine", Level.NOTE, why)
    yield Finding(
        SECTION,
        name,
        Level.OK,
        f"{', '.join(pipeline.models)} on {pipeline.engine}; {per_image_ms:.0f} ms for an "
        "empty image (640x480)",
    )


def _pull(store: ModelStore, models: Models, view: str) -> str:
    wanted = _wanted(models, view)
    known = set(store.catalogue.names())
    if unknown := [name for name in wanted if name not in known]:
        return f"choose other models than {' and '.join(unknown)}"
    absent = [name for name in wanted if store.status(store.catalogue.get(name)).problem]
    return f"vitpose_ros models pull {' '.join(absent)}" if absent else "see the message"


def _wanted(models: Models, view: str) -> list[str]:
    """The names of the networks that a view needs."""
    wanted = [models.hand_detector, models.hand_model]
    if view != "egocentric":
        wanted += [models.person_detector, models.body_model]
    return wanted
