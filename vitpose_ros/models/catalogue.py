"""The catalogue of models: `config/models.yaml`, read into frozen dataclasses with every field
checked.

Users' own models are in a second file of the same format, named by the environment variable
VITPOSE_ROS_CATALOGUE or by `--catalogue`, and in that of the store (`own_catalogue`). The shipped
file explains the format.
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
from vitpose_ros.models.content import refuse_pickle_name
from vitpose_ros.models.errors import CatalogueError, UnknownModelError
from vitpose_ros.models.files import (
    CATALOGUE_NAME,
    MANIFEST_NAME,
    NETWORK_NAME,
    RECORD_NAME,
    WEIGHTS_NAME,
    shipped,
    user_path,
)
from vitpose_ros.models.parse_source import parse_sources
from vitpose_ros.models.reader import Reader, load_yaml
from vitpose_ros.models.sources import Source

FORMAT = 1
"""The version of the file format."""

ENVIRONMENT = "VITPOSE_ROS_CATALOGUE"

TASKS: Mapping[str, tuple[str, ...]] = {
    "hand_detector": (),
    "hand_keypoints": ("hand",),
    "person_detector": (),
    "body_keypoints": ("body", "animal"),
    "body_lifting": ("body",),
    "robot_hand": (),
}
"""What a model is for, and the kinds of layout that it may have; a detector has none. A lifting
network's layout is that of the joints that it reads. A robot_hand is no network but the description
of a robot, with its meshes."""

NO_IMAGE = ("body_lifting", "robot_hand")
"""Tasks of models that read no image."""

CONVERSIONS = ("huggingface", "vitpose_pth")
"""Checkpoints that `vitpose_ros models convert` reads: a Hugging Face repository (config.json and
model.safetensors), or a .pth file from ViTPose's authors, easy_ViTPose or MMPose."""

EXPERTS: Mapping[str, str] = {
    "coco": "coco17",
    "aic": "aic14",
    "mpii": "mpii16",
    "ap10k": "ap10k17",
    "apt36k": "apt36k17",
    "wholebody": "coco_wholebody133",
}
"""ViTPose+'s training sets, in the order of its experts, and their layouts."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What a model may be called."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNKNOWN = "unknown"
"""The sha256 of a file whose hash nobody has published: the first pull records it."""

_SHA256 = re.compile(rf"[0-9a-f]{{64}}|{UNKNOWN}")


@dataclass(frozen=True)
class Accuracy:
    """One published figure: the metric, the data set, and the publication."""

    metric: str
    value: float
    dataset: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class Licence:
    """The weights' licence: a short name (SPDX if there is one), and its text's address, or ""."""

    name: str
    url: str

    def __str__(self) -> str:
        return f"{self.name}, {self.url}" if self.url else self.name


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes
    ----------
    name : its name in the store.
    sources : where to get it, tried in this order.
    size : bytes, None if unknown.
    sha256 : 64 lower-case hexadecimal digits, None if unknown: the first pull records it.
    pickle : True for a checkpoint that may be a pickle. Only the conversion reads it, and without
        running code (torch.load with weights_only).
    """

    name: str
    sources: tuple[Source, ...]
    size: int | None = None
    sha256: str | None = None
    pickle: bool = False


@dataclass(frozen=True)
class Conversion:
    """How an entry's files become an ONNX file: one of CONVERSIONS, and one of EXPERTS if the
    checkpoint has several, else None.
    """

    format: str
    expert: str | None = None


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes
    ----------
    name : its name on the command line, in parameters, messages and the store.
    task : one of TASKS.
    architecture : "mediapipe", "vitpose", ...; it determines preprocessing and decoding.
    layout : the joints it gives; None for a detector.
    input_width, input_height : the network's input, px; 0 for the tasks in NO_IMAGE.
    parameters : number of weights, None if not counted.
    licence, origin : the weights' terms, and their authors' page.
    accuracy : published figures, possibly none.
    verified_here : True if this project's tests run these very files.
    files : at least one; the checkpoint if the model has a conversion.
    convert : how the checkpoint becomes a network; None if the files are the network.
    settings : anything else the architecture needs.
    """

    name: str
    task: str
    architecture: str
    layout: Layout | None
    input_width: int
    input_height: int
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
        """The total of all file sizes, bytes; None if one is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Catalogue:
    """All entries, in the order in which they were read."""

    entries: tuple[Entry, ...]

    def names(self, task: str | None = None) -> list[str]:
        """The names of all models, or of those for one task."""
        return [entry.name for entry in self.entries if task is None or entry.task == task]

    def get(self, name: str, task: str | None = None) -> Entry:
        """The entry of that name; UnknownModelError if there is none, or none for `task`."""
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is not None and task in (None, entry.task):
            return entry
        wanted = f" for the task {task}" if task else ""
        accepted = f"accepted{wanted}: {', '.join(self.names(task)) or 'none'}"
        problem = f"the model '{name}' is not in the catalogue"
        if entry is not None:
            problem = f"the model '{name}' is for the task {entry.task}, not for {task}"
        raise UnknownModelError(
            f"{problem}; {accepted}. `vitpose_ros models list` shows all of them."
        )


def shipped_path() -> Path:
    """The path of the catalogue that comes with the package.

    Raises
    ------
    CatalogueError : it is missing.
    """
    path = shipped("config", "models.yaml")
    if path.is_file():
        return path
    raise CatalogueError(
        f"the model catalogue {path} is missing; build or install the package again."
    )


def own_catalogue(root: Path) -> Path:
    """The path of a store's own catalogue, with the models that `vitpose_ros models add` wrote."""
    return root / CATALOGUE_NAME


def load_catalogue(own: Path | None = None) -> Catalogue:
    """The shipped catalogue and the user's: `own`, else the file in VITPOSE_ROS_CATALOGUE.

    Raises
    ------
    CatalogueError : a file cannot be read, has an error, or repeats a name.
    """
    paths = [shipped_path()]
    if own is None and os.environ.get(ENVIRONMENT):
        own = user_path(os.environ[ENVIRONMENT])
    if own is not None:
        paths.append(own)
    return read_catalogue(paths)


def read_catalogue(paths: Iterable[Path], before: Catalogue | None = None) -> Catalogue:
    """These files as one catalogue, after the entries of another; CatalogueError as for
    `load_catalogue`.
    """
    entries = {entry.name: entry for entry in before.entries} if before else {}
    for path in paths:
        for entry in _read_file(path):
            if entry.name in entries:
                raise CatalogueError(
                    f"{path}: model '{entry.name}': another catalogue already has a model of this "
                    "name; rename yours."
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
            f"{path}: model '{name}': a name consists of lower-case letters, digits, '.', '_' and "
            "'-', and starts with a letter or digit."
        )
    task = reader.choice("task", TASKS)
    size = None if task in NO_IMAGE else reader.child("input")
    convert = _read_conversion(reader)
    entry = Entry(
        name=name,
        task=task,
        architecture=reader.text("architecture"),
        layout=_read_layout(reader, task),
        input_width=size.integer("width", least=1) if size else 0,
        input_height=size.integer("height", least=1) if size else 0,
        parameters=reader.optional_integer("parameters", least=1),
        licence=_read_licence(reader.child("licence")),
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
            raise reader.error("layout", f"a {task} has no layout; leave it out")
        return None
    layout = LAYOUTS[reader.choice("layout", LAYOUTS)]
    if layout.kind not in kinds:
        raise reader.error(
            "layout",
            f"'{layout.name}' is a layout for a {layout.kind}; {task} needs one for a "
            f"{' or '.join(kinds)}",
        )
    return layout


def _read_conversion(reader: Reader) -> Conversion | None:
    child = reader.optional_child("convert")
    if child is None:
        return None
    conversion = Conversion(
        format=child.choice("format", CONVERSIONS),
        expert=child.optional_choice("expert", EXPERTS),
    )
    child.finish()
    return conversion


def _read_licence(reader: Reader) -> Licence:
    licence = Licence(reader.text("name"), reader.optional_url("url") or "")
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
        raise reader.error("name", refusal or f"'{name}' is reserved for the store")
    sha256 = reader.matching(
        "sha256",
        _SHA256,
        f"64 lower-case hexadecimal digits or '{UNKNOWN}' (the first pull records it)",
    )
    file = ModelFile(
        name=name,
        sources=parse_sources(reader),
        size=reader.optional_integer("size", least=1),
        sha256=None if sha256 == UNKNOWN else sha256,
        pickle=pickle,
    )
    reader.finish()
    return file


def _check_files(reader: Reader, entry: Entry) -> None:
    if not entry.files:
        raise reader.error("files", "a model needs at least one file")
    names = [file.name for file in entry.files]
    if len(set(names)) != len(names):
        raise reader.error("files", f"names must differ, got {', '.join(names)}")
    if entry.convert is not None:
        _check_conversion(reader, entry, entry.convert)
    if entry.verified_here and any(file.sha256 is None for file in entry.files):
        raise reader.error("verified_here", "true requires the sha256 of every file")


def _check_conversion(reader: Reader, entry: Entry, convert: Conversion) -> None:
    names = {file.name for file in entry.files}
    if convert.format == "huggingface" and names != {"config.json", "model.safetensors"}:
        raise reader.error(
            "files", "the conversion 'huggingface' needs config.json and model.safetensors"
        )
    if convert.format == "vitpose_pth" and len(names) != 1:
        raise reader.error("files", "the conversion 'vitpose_pth' needs one .pth file")
    if entry.layout is None:
        raise reader.error("convert", f"a {entry.task} cannot be converted")
    if convert.expert is not None and EXPERTS[convert.expert] != entry.layout.name:
        raise reader.error(
            "convert.expert",
            f"'{convert.expert}' has the layout {EXPERTS[convert.expert]}, but the entry has "
            f"{entry.layout.name}",
        )
