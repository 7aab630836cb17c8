"""`vitpose_ros models add`: what a file is, whether it works, and its entry in the catalogue."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.add.choose import NeedsOptionError, UnknownKindError, choose
from vitpose_ros.models.add.kinds import (
    INPUT,
    KINDS,
    NO_SIZE,
    Fit,
    Wanted,
    Watched,
    find_fits,
    joints_of,
    own_size,
)
from vitpose_ros.models.add.measure import measure
from vitpose_ros.models.add.metadata import Metadata, read_metadata
from vitpose_ros.models.add.picture import sheet
from vitpose_ros.models.add.samples import Box, Sample, load_sample
from vitpose_ros.models.add.trial import Trial, run_trial
from vitpose_ros.models.add.write import install, with_file
from vitpose_ros.models.catalogue import NAME, Entry, Licence
from vitpose_ros.models.content import content_problem, refuse_pickle_name
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import disk_sentences
from vitpose_ros.models.progress import Progress, size_text
from vitpose_ros.models.store import LocalModel, ModelStore

OWN = "given"
"""Where a setting comes from that the user gave."""

_FROM_FILE = "from the file's metadata"

_FEW = 4  # kinds whose reasons are all told


@dataclass(frozen=True)
class Request:
    """What the user gave.

    Attributes
    ----------
    path : of the file.
    name : of the model.
    picture : where to write the picture.
    task, architecture, layout : of the catalogue entry; None to find out.
    size : (width, height) of the input, px; None for the file's.
    settings : of the catalogue entry.
    licence, licence_url, origin : of the weights; "" if not known.
    image, box : the image to try it on; see `samples.load_sample`.
    """

    path: Path
    name: str
    picture: Path
    task: str | None = None
    architecture: str | None = None
    layout: str | None = None
    size: tuple[int, int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    licence_url: str = ""
    origin: str = ""
    image: Path | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Added:
    """A model that was added: in the store, and what it found on the image."""

    model: LocalModel
    trial: Trial


def default_name(path: Path) -> str:
    """A model's name from its file's."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "mine"


def add_model(
    store: ModelStore,
    catalogue: Path,
    request: Request,
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> Added:
    """Find out what a file is, try it, and add it to a catalogue.

    Parameters
    ----------
    store : it will be copied there.
    catalogue : the user's, where the entry is written.
    tell : receives a line for each thing found out.

    Raises
    ------
    NeedsOptionError : something must be given by option; the picture shows the candidates.
    ModelError : the file cannot be read, is of no known kind, fails, or cannot be stored.
    """
    _check(store, request)
    try:
        engine = Watched(OpenVinoEngine(request.path))
    except EngineError as error:
        raise ModelError(f"{request.path} cannot be used: {error}.") from error
    tell(
        f"{request.path.name}: {size_text(request.path.stat().st_size)}, "
        f"{_listed('input', engine.inputs)}, {_listed('output', engine.outputs)}"
    )
    batches = {spec.shape[0] for spec in engine.inputs if spec.shape} - {None, 1}
    if batches:
        raise ModelError(
            f"{request.path} is made for a batch of {batches.pop()}. Export it for a batch of 1, "
            "or for any."
        )
    own = own_size(engine)
    if own is not None and request.size not in (None, own):
        raise ModelError(f"{request.path} has an input of {own[0]}x{own[1]} px; leave {INPUT} out.")
    metadata = read_metadata(request.path)
    wanted, given = _wanted(request, metadata, tell)
    fits = find_fits(engine, request.name, wanted)
    if not fits.found:
        raise UnknownKindError(_of_no_kind(engine, request, wanted, fits.reasons))
    sample = functools.cache(
        lambda task: load_sample(task, request.image, request.box, store, tell)
    )
    try:
        fit = choose(engine, fits.found, metadata, sample, tell)
        entry = fit.entry
        layout = f", layout {entry.layout.name}" if entry.layout else ""
        size = ""
        if entry.input_width:
            size = f", input {entry.input_width}x{entry.input_height} ({fit.size_from})"
        tell(f"it is {fit.kind.title} ({fit.kind.signature}){layout}{size}")
        image = functools.partial(sample, fit.entry.task)
        measured = measure(engine, fit, given, image)
        for line in measured.findings:
            tell(f"  {line}")
        if measured.questions:
            raise NeedsOptionError(measured.questions, measured.tiles)
        trial = run_trial(measured.fit, image() if entry.task != "body_lifting" else _nothing())
        _refuse_not_finite(engine, request)
    except EngineError as error:
        raise ModelError(f"{request.path} cannot be used: {error}.") from error
    except NeedsOptionError as error:
        _draw(request.picture, error.tiles, tell)
        raise
    source = "" if entry.task == "body_lifting" else f" on {image().source}"
    tell(f"tried{source}: {trial.text}")
    _draw(request.picture, [(_caption(measured.fit, trial), trial)], tell)
    if not trial.found and image().rendered:
        tell(
            "  that is no proof against it: many networks see nothing in rendered images. Try "
            "--image with a photograph before you rely on it"
        )
    entry = with_file(_described(measured.fit.entry, request, metadata), request.path)
    return Added(install(store, entry, catalogue, progress or Progress()), trial)


def _check(store: ModelStore, request: Request) -> None:
    path = request.path
    if not NAME.fullmatch(request.name):
        raise ModelError(
            f"the name '{request.name}' is not valid: a name consists of lower-case letters, "
            "digits, '.', '_' and '-', and starts with a letter or digit."
        )
    if request.name in store.catalogue.names():
        raise ModelError(
            f"there is a model '{request.name}' already; give yours another name. To replace your "
            "own, delete its entry from your catalogue and its folder from the store first."
        )
    known = list(dict.fromkeys(kind.architecture for kind in KINDS))
    if request.architecture not in (None, *known):
        raise ModelError(
            f"unknown architecture '{request.architecture}'; known are {', '.join(known)}. A "
            "ViTPose is a heatmap with --codec udp --pixels imagenet."
        )
    if not path.is_file():
        raise ModelError(f"there is no file {path}.")
    if problem := refuse_pickle_name(path.name):
        raise ModelError(f"{problem}. For checkpoints of ViTPose: vitpose_ros models convert.")
    if problem := content_problem(path, path.name, pickle=False):
        raise ModelError(f"{path} {problem}.")


def _wanted(
    request: Request, metadata: Metadata, tell: Callable[[str], None]
) -> tuple[Wanted, dict[str, str]]:
    """What is known before the shapes are looked at, and where each setting comes from."""
    settings = {**metadata.settings, **request.settings}
    if {"pixels", "mean", "std"} & set(request.settings):
        settings = dict(request.settings)
    given = {key: OWN if key in request.settings else _FROM_FILE for key in settings}
    said = {
        "input": "x".join(map(str, metadata.size or ())),
        "classes": ", ".join(f"{n} {name}" for n, name in list(metadata.classes.items())[:5]),
        "joints": str(metadata.joints or ""),
        "layout": metadata.layout or "",
        "licence": metadata.licence,
    }
    if shown := "; ".join(f"{key} {value}" for key, value in said.items() if value):
        tell(f"its metadata: {shown}")
    return (
        Wanted(
            task=request.task,
            architecture=request.architecture,
            layout=request.layout or metadata.layout,
            size=request.size or metadata.size,
            size_from=OWN if request.size else _FROM_FILE,
            joints=None if request.layout else metadata.joints,
            settings=settings,
        ),
        given,
    )


def _of_no_kind(
    engine: Watched, request: Request, wanted: Wanted, reasons: Mapping[Any, str]
) -> str:
    head = (
        f"{request.path.name} is no network that is known here: {_listed('input', engine.inputs)}, "
        f"{_listed('output', engine.outputs)}."
    )
    if wanted.layout is None or wanted.joints is not None:
        other = joints_of(engine, request.name, replace(wanted, joints=None))
        if other:
            counts = "; ".join(f"{kind.title}, {count} joints" for kind, count in other.items())
            return (
                f"{head} Its shapes fit {counts}, but no layout has that number. Layouts are data: "
                "add one to vitpose_ros/layouts.py."
            )
    if unset := [why for why in reasons.values() if ": settings." in why]:
        return f"{head} {unset[0]}. Give it with --setting NAME=VALUE."
    shape = engine.inputs[0].shape if len(engine.inputs) == 1 else ()
    open_image = len(shape) == 4 and 3 in shape[1::2] and None in shape[1:]
    if open_image and NO_SIZE in reasons.values():
        return f"{head} It takes images of any size: give the one it was trained for with {INPUT}."
    for given, relaxed in (
        ("the settings given", replace(wanted, settings={}) if wanted.settings else None),
        (f"the layout {wanted.layout}", replace(wanted, layout=None) if wanted.layout else None),
        ("--task and --architecture", replace(wanted, task=None, architecture=None)),
    ):
        others = [] if relaxed is None else find_fits(engine, request.name, relaxed).found
        if others:
            fitting = ", ".join(
                dict.fromkeys(
                    f"{fit.kind.what}" + (f" {fit.entry.layout.name}" if fit.entry.layout else "")
                    for fit in others
                )
            )
            why = next((reasons[fit.kind] for fit in others if fit.kind in reasons), "")
            return f"{head} Without {given}, it fits {fitting}. {why}".rstrip()
    if len(reasons) <= _FEW:
        return "\n".join([head, *(f"- no {kind.what}: {why}" for kind, why in reasons.items())])
    known = dict.fromkeys(f"- {kind.architecture}: {kind.signature}" for kind in reasons)
    hint = "--architecture NAME says why it is not the one that you expect. Known are, by NAME:"
    return "\n".join([head, hint, *known])


def _described(entry: Entry, request: Request, metadata: Metadata) -> Entry:
    licence = request.licence or metadata.licence or "not stated"
    return replace(
        entry,
        licence=Licence(licence, request.licence_url),
        origin=request.origin or str(request.path.resolve()),
    )


def _refuse_not_finite(engine: Watched, request: Request) -> None:
    if engine.not_finite:
        raise ModelError(
            f"{request.path} gives values that are not finite (NaN or infinite) in "
            f"{', '.join(sorted(engine.not_finite))}. Is it damaged, or exported in float16? "
            "Export it in float32."
        )


def _draw(path: Path, tiles: list[tuple[str, Trial]], tell: Callable[[str], None]) -> None:
    if not tiles:
        return
    picture = sheet([(caption, trial.picture) for caption, trial in tiles])
    with disk_sentences(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(path.suffix or ".png", picture)
        if not done:
            raise ModelError(f"the picture {path} cannot be written; expected a .png or .jpg name.")
        path.write_bytes(data.tobytes())
    tell(f"look at it: {path.resolve()}")


def _caption(fit: Fit, trial: Trial) -> str:
    settings = ", ".join(f"{key} {value}" for key, value in fit.entry.settings.items())
    layout = f", {fit.entry.layout.name}" if fit.entry.layout else ""
    head = f"{fit.entry.name}: {fit.entry.architecture}{layout}"
    return f"{head}, {settings}\n{trial.text}" if settings else f"{head}\n{trial.text}"


def _listed(what: str, specs: Any) -> str:
    return f"{what}{'s' if len(specs) != 1 else ''} {', '.join(map(str, specs)) or 'none'}"


@functools.cache
def _nothing() -> Sample:
    import numpy as np

    return Sample(np.zeros((16, 16, 3), np.uint8), "nothing", False, ())
