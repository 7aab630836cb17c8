"""`vitpose_ros models convert`: from a checkpoint to a checked network and its manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vitpose_ros.keypoints.recipes import CODEC, EXPERT_CODECS
from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.models.catalogue import EXPERTS, NAME, Entry
from vitpose_ros.models.convert.checkpoint import Checkpoint
from vitpose_ros.models.convert.export import INPUT, OPSET, OUTPUT, compare, export
from vitpose_ros.models.convert.huggingface import CONFIG, WEIGHTS, open_huggingface
from vitpose_ros.models.convert.libraries import NEEDED, versions
from vitpose_ros.models.convert.original import open_original
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import (
    NETWORK_NAME,
    Record,
    disk_sentences,
    locked,
    put_in_place,
    read_records,
    sha256_of,
    write_record,
)
from vitpose_ros.models.manifest import HashedFile, Manifest, Output, write_manifest
from vitpose_ros.models.store import ModelStore

INPUT_SIZE = (192, 256)
"""Width and height of the published networks' input, px; assumed for a .pth file."""


def convert_entry(
    store: ModelStore,
    name: str,
    *,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Convert a pulled model of the catalogue.

    Parameters
    ----------
    folder : where to write the network and the manifest; by default the model's folder.
    tell : receives a line of text for each step.

    Raises
    ------
    ModelError : the model needs no conversion, its checkpoint is missing or damaged, or the
        network differs from it.
    """
    entry = store.catalogue.get(name)
    if entry.convert is None:
        raise ModelError(f"the model '{name}' needs no conversion: its file is a network already.")
    paths = store.checkpoint(entry)
    records = read_records(paths[0].parent)
    sources = [
        _hashed(path, records[path.name].source if path.name in records else "") for path in paths
    ]
    tell(f"{name}: licence {entry.licence}")
    checkpoint = open_entry(store, entry)
    if entry.layout is not None:
        _agree(paths[0], checkpoint, entry.layout.name)
    manifest = replace(
        _manifest(name, checkpoint, _joints(entry.layout, checkpoint, str(paths[0].parent))),
        task=entry.task,
        architecture=entry.architecture,
        licence=entry.licence.name,
        licence_url=entry.licence.url,
        origin=entry.origin,
        sources=tuple(sources),
    )
    return _write(folder or store.root / name, manifest, checkpoint, tell)


def convert_checkpoint(
    path: Path,
    name: str,
    folder: Path,
    *,
    layout: str | None = None,
    expert: str | None = None,
    input_size: tuple[int, int] | None = None,
    licence: str = "",
    origin: str = "",
    settings: Mapping[str, Any] | None = None,
    judge: Callable[[Path], Mapping[str, Any]] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Convert a checkpoint outside of the catalogue.

    Parameters
    ----------
    path : a folder with config.json and model.safetensors, or a .pth file.
    name, folder : the network's name and where to write it.
    layout : its joints; not needed if `expert` determines them.
    expert : one of EXPERTS, if the checkpoint has several.
    input_size : width and height of a .pth file's input, px; by default INPUT_SIZE.
    licence, origin, settings : for the manifest; settings, in addition to the expert's codec.
    judge : called with the path of a checkpoint's network before it is put in place. It raises a
        ModelError to refuse it; what it returns is the manifest's `training`.

    Raises
    ------
    ModelError : a parameter is missing or does not fit, or as for `convert_entry`.
    """
    if not NAME.fullmatch(name):
        raise ModelError(
            f"the name '{name}' is not valid: a name consists of lower-case letters, digits, '.', "
            "'_' and '-', and starts with a letter or digit."
        )
    if layout is not None and layout not in LAYOUTS:
        raise ModelError(f"unknown layout '{layout}'; known are {', '.join(LAYOUTS)}.")
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix == ".onnx":
        raise ModelError(
            f"{path} is a network already and needs no conversion; add it with: "
            f"vitpose_ros models add {path} {name} --layout {layout or 'LAYOUT'}"
        )
    if suffix == ".pth":
        width, height = input_size or INPUT_SIZE
        tell(f"{name}: reading {path}")
        checkpoint = open_original(path, expert, width, height)
        if layout is not None:
            _agree(path, checkpoint, layout)
        sources = [_hashed(path, str(path))]
    elif not suffix:
        _refuse(path, "--input", input_size, "its config.json determines it")
        tell(f"{name}: reading {path}")
        checkpoint = open_huggingface(path, expert, layout_named=layout is not None)
        sources = [_hashed(path / part, str(path / part)) for part in (CONFIG, WEIGHTS)]
    else:
        raise ModelError(
            f"{path} is not a checkpoint: accepted are a folder with {CONFIG} and {WEIGHTS}, and "
            "a .pth file."
        )
    wanted = layout or (EXPERTS[checkpoint.expert] if checkpoint.expert else None)
    if wanted is None:
        fitting = [item.name for item in LAYOUTS.values() if len(item) == checkpoint.joints]
        raise ModelError(
            f"{path} has {checkpoint.joints} joints, but does not say which; give --layout. "
            f"Layouts with that number: {', '.join(fitting) or 'none'}."
        )
    manifest = replace(
        _manifest(name, checkpoint, _joints(LAYOUTS[wanted], checkpoint, str(path))),
        licence=licence,
        origin=origin,
        sources=tuple(sources),
        settings={**_codec(checkpoint), **(settings or {})},
    )
    return _write(folder, manifest, checkpoint, tell, judge)


def open_entry(store: ModelStore, entry: Entry) -> Checkpoint:
    """Read a pulled checkpoint of the catalogue.

    Raises
    ------
    ModelError : there is none, it is missing or damaged, or it is another network.
    """
    convert = entry.convert
    if convert is None:
        raise ModelError(f"the model '{entry.name}' needs no conversion.")
    paths = store.checkpoint(entry)
    size = entry.input_width, entry.input_height
    if convert.format == "vitpose_pth":
        return open_original(paths[0], convert.expert, *size)
    checkpoint = open_huggingface(paths[0].parent, convert.expert, layout_named=False)
    if (checkpoint.width, checkpoint.height) != size:
        raise ModelError(
            f"the checkpoint of '{entry.name}' has an input of {checkpoint.width}x"
            f"{checkpoint.height} px, but its catalogue entry has {size[0]}x{size[1]}; correct the "
            "entry."
        )
    return checkpoint


def _agree(path: Path, checkpoint: Checkpoint, layout: str) -> None:
    """ModelError if the chosen expert's layout differs from the given one. Their numbers of joints
    may be equal, as for COCO and AP-10K.
    """
    given = EXPERTS.get(checkpoint.expert or "", layout)
    if given != layout:
        raise ModelError(
            f"{path}: the expert '{checkpoint.expert}' has the layout {given}, not {layout}."
        )


def _codec(checkpoint: Checkpoint) -> dict[str, str]:
    """The setting of a head that is not on UDP's lattice."""
    kind = EXPERT_CODECS.get(checkpoint.expert or "")
    return {CODEC: kind} if kind else {}


def _joints(layout: Layout | None, checkpoint: Checkpoint, path: str) -> Layout:
    if layout is None or len(layout) != checkpoint.joints:
        wanted = f"the layout '{layout.name}' has {len(layout)}" if layout else "no layout is given"
        raise ModelError(f"{path} has {checkpoint.joints} joints, but {wanted}.")
    return layout


def _manifest(name: str, checkpoint: Checkpoint, layout: Layout) -> Manifest:
    """The fields that are known before anything is written."""
    return Manifest(
        name=name,
        task="hand_keypoints" if layout.kind == "hand" else "body_keypoints",
        architecture="vitpose",
        layout=layout.name,
        joints=len(layout),
        input_name=INPUT,
        input_width=checkpoint.width,
        input_height=checkpoint.height,
        outputs=(Output(OUTPUT, (len(layout), checkpoint.height // 4, checkpoint.width // 4)),),
        parameters=checkpoint.parameters,
        licence="",
        licence_url="",
        origin="",
        files=(),
        sources=(),
        date="",
        network=checkpoint.network,
        notes=checkpoint.notes,
    )


def _write(
    folder: Path,
    manifest: Manifest,
    checkpoint: Checkpoint,
    tell: Callable[[str], None],
    judge: Callable[[Path], Mapping[str, Any]] | None = None,
) -> Manifest:
    def make(work: Path) -> dict[str, Any]:
        network = work / NETWORK_NAME
        tell(f"{manifest.name}: writing ONNX, opset {OPSET}")
        export(checkpoint, network)
        tell(f"{manifest.name}: comparing the network with the checkpoint")
        fields = {"check": compare(checkpoint, network), "versions": versions(*NEEDED)}
        return fields if judge is None else {**fields, "training": judge(network)}

    manifest = replace(manifest, network={**manifest.network, "opset": OPSET})
    return _install(folder, manifest, make, tell)


def _install(
    folder: Path,
    manifest: Manifest,
    make: Callable[[Path], dict[str, Any]],
    tell: Callable[[str], None],
) -> Manifest:
    """Make and check a network in a hidden folder, then move its files into place, the manifest
    last.
    """
    with disk_sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            locked(folder, tell),
            tempfile.TemporaryDirectory(prefix=".convert-", dir=folder) as temporary,
        ):
            work = Path(temporary)
            fields = make(work)
            files = []
            for path in sorted(work.iterdir()):  # the network before its weights
                target = folder / path.name
                put_in_place(path, target)
                file = _hashed(target, "")
                files.append(file)
                record = Record(file.sha256, file.size, target.stat().st_mtime_ns, "models convert")
                write_record(folder, target.name, record)
            date = datetime.now(timezone.utc).isoformat(timespec="seconds")
            manifest = replace(manifest, files=tuple(files), date=date, **fields)
            write_manifest(folder, manifest)
    tell(
        f"{manifest.name}: {folder / NETWORK_NAME}, layout {manifest.layout}, {_checked(manifest)}"
    )
    return manifest


def _checked(manifest: Manifest) -> str:
    if not manifest.check:
        return "not compared with a checkpoint"
    return f"heatmaps differ from the checkpoint's by up to {manifest.check['max_difference']:.2g}"


def _hashed(path: Path, source: str) -> HashedFile:
    return HashedFile(path.name, path.stat().st_size, sha256_of(path), source)


def _refuse(path: Path, option: str, value: object, reason: str) -> None:
    if value is not None:
        raise ModelError(f"{path}: omit {option}; {reason}.")
