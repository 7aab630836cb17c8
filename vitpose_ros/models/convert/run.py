"""`vitpose_ros models convert`: a checkpoint in, a checked network and its manifest out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vitpose_ros.layouts import LAYOUTS, Layout
from vitpose_ros.models.catalogue import EXPERTS, NAME, Entry
from vitpose_ros.models.convert.checkpoint import Checkpoint
from vitpose_ros.models.convert.export import DEFAULT_OPSET, INPUT, OUTPUT, compare, export
from vitpose_ros.models.convert.huggingface import CONFIG, WEIGHTS, open_huggingface
from vitpose_ros.models.convert.libraries import NEEDED, versions
from vitpose_ros.models.convert.original import open_original
from vitpose_ros.models.convert.ready import open_ready
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
"""Width and height of the published networks' input, px: what a .pth file is taken to have."""


@dataclass(frozen=True)
class Terms:
    """Under which licence weights are given and who made them; "" where the user does not say."""

    licence: str = ""
    licence_url: str = ""
    origin: str = ""


def convert_entry(
    store: ModelStore,
    name: str,
    *,
    folder: Path | None = None,
    opset: int = DEFAULT_OPSET,
    tell: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Convert a model of the catalogue that was pulled.

    Parameters
    ----------
    folder : where network and manifest go; by default the model's own, where the store finds them.
    tell : gets a line for each step.

    Raises
    ------
    ModelError : the model needs no conversion, its checkpoint is not there or not as it should be,
        or the network that came out differs from it.
    """
    entry = store.catalogue.get(name)
    if entry.convert is None:
        raise ModelError(
            f"the model '{name}' needs no conversion: what is pulled is the network itself."
        )
    paths = store.checkpoint(entry)
    records = read_records(paths[0].parent)
    sources = [
        _hashed(path, records[path.name].source if path.name in records else "") for path in paths
    ]
    tell(f"{name}: licence {entry.licence.name}, {entry.licence.url}")
    checkpoint = _open(entry, paths)
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
    return _write(folder or store.root / name, manifest, checkpoint, opset, tell)


def convert_checkpoint(
    path: Path,
    name: str,
    folder: Path,
    *,
    layout: str | None = None,
    expert: str | None = None,
    input_size: tuple[int, int] | None = None,
    score_scale: float | None = None,
    terms: Terms = Terms(),
    opset: int = DEFAULT_OPSET,
    tell: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Convert a checkpoint of the user's own, or take a ready ONNX file.

    Parameters
    ----------
    path : a folder with config.json and model.safetensors, a .pth file, or an .onnx file.
    name, folder : what the network is to be called, and where it goes.
    layout : the joints that it gives; not needed where `expert` says it.
    expert : one of EXPERTS, where the checkpoint has several.
    input_size : width and height, px, of a .pth file; by default INPUT_SIZE.
    score_scale : of an RTMPose: the score that it gives a joint it is sure of; by default 1.
    terms : for the manifest.

    Raises
    ------
    ModelError : a parameter is missing or does not fit, or as in `convert_entry`.
    """
    if not NAME.fullmatch(name):
        raise ModelError(
            f"the name '{name}' cannot be used: a name has lower-case letters, digits, '.', '_' "
            "and '-', and begins with a letter or digit."
        )
    if layout is not None and layout not in LAYOUTS:
        raise ModelError(f"unknown layout '{layout}'; known are {', '.join(LAYOUTS)}.")
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix == ".onnx":
        _refuse(path, "--expert", expert, "an ONNX file has one head")
        _refuse(path, "--input", input_size, "the file says it")
        return _take_ready(path, name, folder, layout, score_scale, terms, tell)
    _refuse(path, "--score-scale", score_scale, "the scores of a ViTPose need none")
    if suffix == ".pth":
        width, height = input_size or INPUT_SIZE
        tell(f"{name}: reading {path}")
        checkpoint = open_original(path, expert, width, height)
        if layout is not None:
            _agree(path, checkpoint, layout)
        sources = [_hashed(path, str(path))]
    elif not suffix:
        _refuse(path, "--input", input_size, "its config.json says it")
        tell(f"{name}: reading {path}")
        checkpoint = open_huggingface(path, expert, layout_named=layout is not None)
        sources = [_hashed(path / part, str(path / part)) for part in (CONFIG, WEIGHTS)]
    else:
        raise ModelError(
            f"{path} is no checkpoint: accepted are a folder with {CONFIG} and {WEIGHTS}, a .pth "
            "file and an .onnx file."
        )
    wanted = layout or (EXPERTS[checkpoint.expert] if checkpoint.expert else None)
    if wanted is None:
        fitting = [item.name for item in LAYOUTS.values() if len(item) == checkpoint.joints]
        raise ModelError(
            f"{path} gives {checkpoint.joints} joints and does not say which; name them with "
            f"--layout. Of that length: {', '.join(fitting) or 'none'}."
        )
    manifest = replace(
        _manifest(name, checkpoint, _joints(LAYOUTS[wanted], checkpoint, str(path))),
        licence=terms.licence,
        licence_url=terms.licence_url,
        origin=terms.origin,
        sources=tuple(sources),
    )
    return _write(folder, manifest, checkpoint, opset, tell)


def _open(entry: Entry, paths: Sequence[Path]) -> Checkpoint:
    convert = entry.convert
    if convert is None:
        raise ModelError(f"the model '{entry.name}' needs no conversion.")
    size = entry.input_width, entry.input_height
    if convert.format == "vitpose_pth":
        return open_original(paths[0], convert.expert, *size)
    checkpoint = open_huggingface(paths[0].parent, convert.expert, layout_named=False)
    if (checkpoint.width, checkpoint.height) != size:
        raise ModelError(
            f"the checkpoint of '{entry.name}' takes {checkpoint.width}x{checkpoint.height} px, "
            f"but the catalogue says {size[0]}x{size[1]}; correct the entry."
        )
    return checkpoint


def _agree(path: Path, checkpoint: Checkpoint, layout: str) -> None:
    """ModelError when the data set whose head was taken has another layout than the one named: the
    number of joints alone would not tell COCO's from AP-10K's.
    """
    given = EXPERTS.get(checkpoint.expert or "", layout)
    if given != layout:
        raise ModelError(
            f"{path}: the expert '{checkpoint.expert}' gives the layout {given}, not {layout}."
        )


def _joints(layout: Layout | None, checkpoint: Checkpoint, path: str) -> Layout:
    if layout is None or len(layout) != checkpoint.joints:
        wanted = f"the layout '{layout.name}' has {len(layout)}" if layout else "no layout is named"
        raise ModelError(f"{path} gives {checkpoint.joints} joints; {wanted}.")
    return layout


def _manifest(name: str, checkpoint: Checkpoint, layout: Layout) -> Manifest:
    """What is known before anything is written."""
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
    opset: int,
    tell: Callable[[str], None],
) -> Manifest:
    def make(work: Path) -> dict[str, Any]:
        network = work / NETWORK_NAME
        tell(f"{manifest.name}: writing ONNX, opset {opset}")
        export(checkpoint, network, opset)
        tell(f"{manifest.name}: comparing it with the checkpoint")
        return {"check": compare(checkpoint, network), "versions": versions(*NEEDED)}

    manifest = replace(manifest, network={**manifest.network, "opset": opset})
    return _install(folder, manifest, make, tell)


def _take_ready(
    path: Path,
    name: str,
    folder: Path,
    layout: str | None,
    score_scale: float | None,
    terms: Terms,
    tell: Callable[[str], None],
) -> Manifest:
    if layout is None:
        raise ModelError(
            f"{path} does not say which joints it gives; name them with --layout, one of "
            f"{', '.join(LAYOUTS)}."
        )
    chosen = LAYOUTS[layout]
    found = open_ready(path, chosen)
    if found.architecture != "rtmpose":
        _refuse(path, "--score-scale", score_scale, "the scores of a ViTPose need none")
    manifest = Manifest(
        name=name,
        task="hand_keypoints" if chosen.kind == "hand" else "body_keypoints",
        layout=layout,
        joints=len(chosen),
        **vars(found),
        parameters=None,
        licence=terms.licence,
        licence_url=terms.licence_url,
        origin=terms.origin,
        files=(),
        sources=(_hashed(path, str(path)),),
        date="",
        settings={} if score_scale is None else {"score_scale": score_scale},
        network={"expert": None},
        notes=(
            "a ready ONNX file, taken as it is: not compared with the checkpoint behind it",
            "mean and std are those that the architecture is trained with; the file says none",
        ),
    )

    def make(work: Path) -> dict[str, Any]:
        shutil.copyfile(path, work / NETWORK_NAME)
        open_ready(work / NETWORK_NAME, chosen)  # away from what lies beside the original
        return {"versions": versions()}

    return _install(folder, manifest, make, tell)


def _install(
    folder: Path,
    manifest: Manifest,
    make: Callable[[Path], dict[str, Any]],
    tell: Callable[[str], None],
) -> Manifest:
    """Make a network in a hidden folder; only when it is whole and checked does it take its place,
    the manifest last.
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
        return "not compared with its checkpoint"
    return f"heatmaps within {manifest.check['max_difference']:.2g} of the checkpoint's"


def _hashed(path: Path, source: str) -> HashedFile:
    return HashedFile(path.name, path.stat().st_size, sha256_of(path), source)


def _refuse(path: Path, option: str, value: object, reason: str) -> None:
    if value is not None:
        raise ModelError(f"{path}: leave out {option}; {reason}.")
