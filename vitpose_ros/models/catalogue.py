"""The catalogue of models: `config/models.yaml`, read once into frozen dataclasses, every field
checked.

Users add entries of their own with a second file of the same format: the environment variable
VITPOSE_ROS_CATALOGUE, or `--catalogue` on the command line. The format is explained in the shipped
file itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.models.errors import CatalogueError, UnknownModelError
from vitpose_ros.models.files import (
    MANIFEST_NAME,
    NETWORK_NAME,
    RECORD_NAME,
    WEIGHTS_NAME,
    refuse_pickle_name,
    shipped,
)
from vitpose_ros.models.parse_source import parse_sources
from vitpose_ros.models.reader import Reader, load_yaml
from vitpose_ros.models.sources import Source

FORMAT = 1
"""The version of the file format that this code reads."""

ENVIRONMENT = "VITPOSE_ROS_CATALOGUE"

TASKS: Mapping[str, tuple[str, ...]] = {
    "hand_detector": (),
    "hand_keypoints": ("hand",),
    "person_detector": (),
    "body_keypoints": ("body", "animal"),
    "body_model": (),
}
"""What a model is for, and the kinds of layout that it may have (none: it has no layout)."""

CONVERSIONS = ("huggingface", "vitpose_pth")
"""Checkpoints that `vitpose_ros models convert` reads: a repository of the Hugging Face hub
(config.json and model.safetensors), and a .pth file of ViTPose's authors, of easy_ViTPose or of
MMPose."""

EXPERTS: Mapping[str, str] = {
    "coco": "coco17",
    "aic": "aic14",
    "mpii": "mpii16",
    "ap10k": "ap10k17",
    "apt36k": "apt36k17",
    "wholebody": "coco_wholebody133",
}
"""The data sets that ViTPose+ was trained on, in the order of its experts, and their layouts."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What a model may be called."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Accuracy:
    """One published figure: what was measured, on which data, and who says so."""

    metric: str
    value: float
    dataset: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class Licence:
    """Under which terms the weights are given: a short name (SPDX where one exists) and where the
    text stands.
    """

    name: str
    url: str


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes
    ----------
    name : its name in the store.
    sources : where it can be had, tried in this order.
    size : bytes, or None where not known beforehand.
    sha256 : 64 lower-case hexadecimal digits, or None where not known: then the first pull records
        it.
    pickle : True for a checkpoint that may be a pickle: it is kept for the conversion, which reads
        it without running code (torch.load with weights_only), and given to nobody else.
    """

    name: str
    sources: tuple[Source, ...]
    size: int | None = None
    sha256: str | None = None
    pickle: bool = False


@dataclass(frozen=True)
class Conversion:
    """How an entry's files become an ONNX file: one of CONVERSIONS, and which of EXPERTS is taken
    where the checkpoint has several (None: it has only one).
    """

    format: str
    expert: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes
    ----------
    name : its name everywhere: command line, parameters, messages, folder in the store.
    task : one of TASKS.
    architecture : the recipe that reads it ("mediapipe", "vitpose", ...): preprocessing and
        decoding follow from it.
    layout : the joints it gives; None for a detector.
    input_width, input_height : the network's input, px; None where it has no image input.
    parameters : number of weights, or None where not counted.
    licence, origin : terms, and the page of whoever made it.
    accuracy : published figures; empty where none is published.
    verified_here : True when this project's tests run these very files.
    files : at least one. Those of a model with a conversion are its checkpoint.
    convert : how its checkpoint becomes a network; None where its files are the network.
    settings : further numbers, words and lists that its architecture needs.
    """

    name: str
    task: str
    architecture: str
    layout: Layout | None
    input_width: int | None
    input_height: int | None
    parameters: int | None
    licence: Licence
    origin: str
    accuracy: tuple[Accuracy, ...]
    verified_here: bool
    files: tuple[ModelFile, ...]
    convert: Conversion | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int | None:
        """Bytes of all files together, or None when one is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Catalogue:
    """All entries, in the order of the files."""

    entries: tuple[Entry, ...]

    def names(self, task: str | None = None) -> list[str]:
        """Names of all models, or of one task's."""
        return [entry.name for entry in self.entries if task is None or entry.task == task]

    def get(self, name: str, task: str | None = None) -> Entry:
        """The entry of that name; UnknownModelError says what is accepted (for `task`, when
        given).
        """
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is not None and task in (None, entry.task):
            return entry
        wanted = f" for the task {task}" if task else ""
        accepted = f"accepted{wanted}: {', '.join(self.names(task)) or 'none'}"
        problem = (
            f"the model '{name}' is not in the catalogue"
            if entry is None
            else f"the model '{name}' is for the task {entry.task}, not for {task}"
        )
        raise UnknownModelError(
            f"{problem}; {accepted}. `vitpose_ros models list` shows all of them."
        )


def shipped_path() -> Path:
    """The catalogue that comes with the package: inside it where it is installed, beside it in a
    checkout.

    Raises
    ------
    CatalogueError : when it is in neither place.
    """
    path = shipped("config", "models.yaml")
    if path.is_file():
        return path
    raise CatalogueError(
        f"the model catalogue models.yaml is neither at {path} nor beside the package; "
        "build or install the package again."
    )


def load_catalogue(own: Path | None = None) -> Catalogue:
    """The shipped catalogue, and the user's: `own`, or else the file that VITPOSE_ROS_CATALOGUE
    names.

    Raises
    ------
    CatalogueError : when a file cannot be read, is not of the format, or repeats a name.
    """
    paths = [shipped_path()]
    if own is None and os.environ.get(ENVIRONMENT):
        own = Path(os.environ[ENVIRONMENT]).expanduser()
    if own is not None:
        paths.append(own)
    return read_catalogue(paths)


def read_catalogue(paths: Iterable[Path]) -> Catalogue:
    """Exactly these files as one catalogue; CatalogueError as in `load_catalogue`."""
    entries: dict[str, Entry] = {}
    for path in paths:
        for entry in _read_file(path):
            if entry.name in entries:
                raise CatalogueError(
                    f"{path}: model '{entry.name}': another catalogue has an entry of this name "
                    "already; give yours another name."
                )
            entries[entry.name] = entry
    return Catalogue(tuple(entries.values()))


def _read_file(path: Path) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"the catalogue {path} cannot be read: {error}.") from error
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise CatalogueError(f"the catalogue {path} is not valid YAML: {error}.") from error
    top = Reader(str(path), "", content)
    if top.integer("format") != FORMAT:
        raise top.error("format", f"this version reads format {FORMAT}, got {content['format']}")
    models = top.mapping("models")
    top.finish()
    return [_read_entry(str(path), str(name), value) for name, value in models.items()]


def _read_entry(path: str, name: str, content: Any) -> Entry:
    reader = Reader(f"{path}: model '{name}'", "", content)
    if not NAME.fullmatch(name):
        raise CatalogueError(
            f"{path}: model '{name}': a name has lower-case letters, digits, '.', '_' and '-', "
            "and begins with a letter or digit."
        )
    task = reader.choice("task", TASKS)
    size = reader.child("input", optional=task == "body_model")
    convert = _read_conversion(reader)
    entry = Entry(
        name=name,
        task=task,
        architecture=reader.text("architecture"),
        layout=_read_layout(reader, task),
        input_width=size.integer("width", least=1) if size else None,
        input_height=size.integer("height", least=1) if size else None,
        parameters=reader.optional_integer("parameters", least=1),
        licence=_read_licence(reader.required_child("licence")),
        origin=reader.text("origin"),
        accuracy=tuple(_read_accuracy(child) for child in reader.children("accuracy")),
        verified_here=reader.boolean("verified_here"),
        files=tuple(_read_model_file(child, convert) for child in reader.children("files")),
        convert=convert,
        settings=reader.settings("settings"),
    )
    if size:
        size.finish()
    reader.finish()
    _check_files(reader, entry)
    return entry


def _read_layout(reader: Reader, task: str) -> Layout | None:
    kinds = TASKS[task]
    if not kinds:
        if reader.take("layout") is not None:
            raise reader.error("layout", f"a model of the task {task} has none; leave it out")
        return None
    layout = LAYOUTS[reader.choice("layout", LAYOUTS)]
    if layout.kind not in kinds:
        raise reader.error(
            "layout",
            f"'{layout.name}' is of kind {layout.kind}; the task {task} takes {' or '.join(kinds)}",
        )
    return layout


def _read_conversion(reader: Reader) -> Conversion | None:
    child = reader.child("convert", optional=True)
    if child is None:
        return None
    conversion = Conversion(
        format=child.choice("format", CONVERSIONS),
        expert=child.optional_choice("expert", EXPERTS),
    )
    child.finish()
    return conversion


def _read_licence(reader: Reader) -> Licence:
    licence = Licence(reader.text("name"), reader.url("url"))
    reader.finish()
    return licence


def _read_accuracy(reader: Reader) -> Accuracy:
    accuracy = Accuracy(
        metric=reader.text("metric"),
        value=reader.number("value"),
        dataset=reader.text("dataset"),
        source=reader.url("source"),
        note=reader.optional_text("note") or "",
    )
    reader.finish()
    return accuracy


def _read_model_file(reader: Reader, convert: Conversion | None) -> ModelFile:
    name = reader.matching(
        "name", _FILE, "a file name without folders (letters, digits, '.', '_', '-')"
    )
    pickle = convert is not None and convert.format == "vitpose_pth" and name.endswith(".pth")
    refusal = None if pickle else refuse_pickle_name(name)
    kept = (RECORD_NAME, MANIFEST_NAME) + ((NETWORK_NAME, WEIGHTS_NAME) if convert else ())
    if refusal or name in kept:
        raise reader.error("name", refusal or f"'{name}' is kept for the store's own files")
    sha256 = reader.take("sha256")
    if sha256 is not None and not _SHA256.fullmatch(str(sha256)):
        raise reader.error("sha256", f"expected 64 lower-case hexadecimal digits, got '{sha256}'")
    file = ModelFile(
        name=name,
        sources=parse_sources(reader),
        size=reader.optional_integer("size", least=1),
        sha256=None if sha256 is None else str(sha256),
        pickle=pickle,
    )
    reader.finish()
    return file


def _check_files(reader: Reader, entry: Entry) -> None:
    if not entry.files:
        raise reader.error("files", "a model has at least one file")
    names = [file.name for file in entry.files]
    if len(set(names)) != len(names):
        raise reader.error("files", f"names repeat: {', '.join(names)}")
    if entry.convert is not None:
        _check_conversion(reader, entry, entry.convert)
    if entry.verified_here and any(file.sha256 is None for file in entry.files):
        raise reader.error(
            "verified_here", "true needs the sha256 of every file: that is what was verified"
        )


def _check_conversion(reader: Reader, entry: Entry, convert: Conversion) -> None:
    names = {file.name for file in entry.files}
    if convert.format == "huggingface" and names != {"config.json", "model.safetensors"}:
        raise reader.error(
            "files", "the conversion 'huggingface' takes config.json and model.safetensors"
        )
    if convert.format == "vitpose_pth" and len(names) != 1:
        raise reader.error("files", "the conversion 'vitpose_pth' takes one .pth file")
    if entry.layout is None or entry.input_width is None:
        raise reader.error("convert", f"a model of the task {entry.task} cannot be converted")
    if convert.expert is not None and EXPERTS[convert.expert] != entry.layout.name:
        raise reader.error(
            "convert.expert",
            f"'{convert.expert}' gives the layout {EXPERTS[convert.expert]}, "
            f"but the entry's is {entry.layout.name}",
        )
