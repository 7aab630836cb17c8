"""Writes an entry into the user's catalogue, and brings its file into the store."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from vitpose_ros.engines.base import EngineError
from vitpose_ros.engines.openvino import OpenVinoEngine
from vitpose_ros.models.catalogue import FORMAT, Catalogue, Entry, ModelFile, read_catalogue
from vitpose_ros.models.errors import CatalogueError, ModelError
from vitpose_ros.models.files import disk_sentences, sha256_of, write_whole
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.pull import pull
from vitpose_ros.models.sources import FileSource
from vitpose_ros.models.store import LocalModel, ModelStore

_ENTRY_START = re.compile(r"^( +)\S.*:", re.MULTILINE)


def with_file(entry: Entry, path: Path) -> Entry:
    """The entry with a file on this machine, its size and its hash."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name).lstrip("._-") or "network.onnx"
    source = FileSource(path.resolve())
    file = ModelFile(name, (source,), path.stat().st_size, sha256_of(path))
    return replace(entry, files=(file,))


def install(store: ModelStore, entry: Entry, catalogue: Path, progress: Progress) -> LocalModel:
    """Copy an entry's file into the store, load it from there, and write the entry.

    Nothing is kept of a model that fails.

    Raises
    ------
    ModelError : the file cannot be copied, does not load from its new place, or the catalogue
        cannot be written.
    """
    text = extended(catalogue, entry)
    planned = copy.copy(store)
    planned.catalogue = Catalogue((*store.catalogue.entries, entry))
    (model,) = pull(planned, [entry.name], progress=progress)
    try:
        OpenVinoEngine(model.path)
    except EngineError as error:
        _remove(model)
        raise ModelError(
            f"{entry.files[0].sources[0]} cannot be moved into the store: {error}. Are its weights "
            "in a file beside it? Save both as one: "
            "python3 -c \"import onnx; onnx.save(onnx.load('IN.onnx'), 'OUT.onnx')\""
        ) from error
    try:
        _write(catalogue, text)
    except ModelError:
        _remove(model)
        raise
    return model


def _remove(model: LocalModel) -> None:
    folder = model.path.parent
    for name in (model.path.name, "checksums.json"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _write(catalogue: Path, text: str) -> None:
    with disk_sentences(catalogue.parent):
        catalogue.parent.mkdir(parents=True, exist_ok=True)
        write_whole(catalogue, text)


def extended(catalogue: Path, entry: Entry) -> str:
    """A catalogue's text with one more entry at its end; comments and everything else stay.

    Raises
    ------
    ModelError : the file is no catalogue, or is written in a way that an entry cannot be appended
        to; the message contains the entry.
    """
    if catalogue.is_file():
        before = read_catalogue([catalogue])
        text = catalogue.read_text(encoding="utf-8")
        text = text if text.endswith("\n") else text + "\n"
    else:
        before, text = Catalogue(()), f"format: {FORMAT}\nmodels:\n"
    models = text[text.rfind("\nmodels:") :]
    found = _ENTRY_START.search(models)
    whole = text + _block(entry, len(found.group(1)) if found else 2)
    part = catalogue.with_name(f".{catalogue.name}.{os.getpid()}.try")
    try:
        with disk_sentences(catalogue.parent):
            catalogue.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(whole, encoding="utf-8")
        same = read_catalogue([part]).entries == (*before.entries, entry)
    except CatalogueError:
        same = False
    finally:
        part.unlink(missing_ok=True)
    if not same:
        raise ModelError(
            f"an entry cannot be appended to {catalogue}: it does not end with its models, one "
            f"below the other. Add this one under 'models:' yourself, and pull it with: "
            f"vitpose_ros models pull {entry.name}\n{_block(entry, 2)}"
        )
    return whole


def _block(entry: Entry, indent: int) -> str:
    """The entry as YAML."""
    fields: dict[str, Any] = {"task": entry.task, "architecture": entry.architecture}
    if entry.layout is not None:
        fields["layout"] = entry.layout.name
    if entry.input_width:
        fields["input"] = {"width": entry.input_width, "height": entry.input_height}
    licence = {"name": entry.licence.name}
    fields["licence"] = licence | ({"url": entry.licence.url} if entry.licence.url else {})
    fields |= {"origin": entry.origin, "accuracy": [], "verified_here": False}
    if entry.settings:
        fields["settings"] = dict(entry.settings)
    fields["files"] = [
        {
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "source": {"file": str(source.path)},
        }
        for file in entry.files
        for source in file.sources
        if isinstance(source, FileSource)
    ]
    text = yaml.safe_dump({entry.name: fields}, sort_keys=False, allow_unicode=True, width=100)
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())
