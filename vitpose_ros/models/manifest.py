"""The manifest beside a converted network: what it was made from, what it is, and how it was
checked.

It is `model.json` in the model's folder. It makes the folder complete by itself: a robot needs the
network and the manifest, and neither the checkpoint nor torch.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import NAME, Catalogue, Entry, Licence, ModelFile
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import MANIFEST_NAME, put_in_place

FORMAT = 2
"""The version of the file format that is written. Format 1 is read too: it knew heatmaps only, and
named them by output_name, output_width and output_height instead of `outputs`."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and deviation of red, green and blue in 0..1: every ViTPose and RTMPose was
trained so."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HashedFile:
    """A file as it was read or written: its name, bytes and sha256, and where it came from ("" for
    what the conversion itself wrote).
    """

    name: str
    size: int
    sha256: str
    source: str = ""


@dataclass(frozen=True)
class Output:
    """One of a network's output tensors, float32: its name, and its shape without the batch."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What a conversion writes down.

    Attributes
    ----------
    name, task, architecture, layout : as in a catalogue's entry; layout by name.
    joints : K, the number of the network's joints.
    input_name, input_width, input_height : the image tensor (N, 3, height, width), float32.
    outputs : of a vitpose, the heatmaps (K, height, width); of an rtmpose, the curves over x
        (K, bins) and over y (K, bins).
    mean, std : of red, green and blue in 0..1, subtracted and divided before the network.
    parameters : number of weights, or None where they were not counted.
    licence, licence_url, origin : terms of the weights and their maker's page; "" where unknown.
    files : the network, its ONNX file first.
    sources : the checkpoint.
    settings : as in a catalogue's entry.
    network : numbers of the architecture (width, layers, heads, head, expert), for people.
    check : how the network was compared with the checkpoint's own model; empty for a ready one.
    versions : of the tools.
    date : of the conversion, ISO 8601, UTC.
    notes : what else is worth knowing: keys that were left out and why.
    """

    name: str
    task: str
    architecture: str
    layout: str
    joints: int
    input_name: str
    input_width: int
    input_height: int
    outputs: tuple[Output, ...]
    parameters: int | None
    licence: str
    licence_url: str
    origin: str
    files: tuple[HashedFile, ...]
    sources: tuple[HashedFile, ...]
    date: str
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    settings: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    check: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def model_files(self) -> tuple[ModelFile, ...]:
        """The network's files, as the store checks them."""
        return tuple(ModelFile(file.name, (), file.size, file.sha256) for file in self.files)

    def entry(self) -> Entry:
        """The catalogue's entry of a network that no catalogue has."""
        return Entry(
            name=self.name,
            task=self.task,
            architecture=self.architecture,
            layout=LAYOUTS[self.layout],
            input_width=self.input_width,
            input_height=self.input_height,
            parameters=self.parameters,
            licence=Licence(self.licence or "not stated", self.licence_url),
            origin=self.origin,
            accuracy=(),
            verified_here=False,
            files=self.model_files,
            settings=self.settings,
        )


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write a folder's manifest at once or not at all; its path. OSError when that fails."""
    path = folder / MANIFEST_NAME
    part = folder / f".{MANIFEST_NAME}.{os.getpid()}.part"
    try:
        text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2, ensure_ascii=False)
        part.write_text(text + "\n", encoding="utf-8")
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model's folder, None where there is none.

    Raises
    ------
    ModelError : when it cannot be read or is not of the format; the text names the file.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"the manifest {path} cannot be read: {error}.") from error
    try:
        version = content.pop("format")
        if version == 1:
            content = _from_format_1(content)
        elif version != FORMAT:
            raise ValueError(f"it is of format {version!r}; this version reads 1 and {FORMAT}")
        content["outputs"] = tuple(
            Output(output["name"], tuple(output["shape"])) for output in content["outputs"]
        )
        for name in ("files", "sources"):
            content[name] = tuple(HashedFile(**file) for file in content[name])
        for name in ("mean", "std", "notes"):
            content[name] = tuple(content[name])
        manifest = Manifest(**content)
        _check(manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the manifest {path} is not one of this package: {error}.") from error
    return manifest


def _from_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of format 2; KeyError when one of format 1 is missing."""
    fields = dict(content)
    name, width, height = (fields.pop(f"output_{part}") for part in ("name", "width", "height"))
    return {**fields, "outputs": [{"name": name, "shape": [fields["joints"], height, width]}]}


def _check(manifest: Manifest) -> None:
    """ValueError or KeyError when parts do not fit together."""
    names = [file.name for file in manifest.files]
    if not names or any(Path(name).name != name or name.startswith(".") for name in names):
        raise ValueError(f"its files are {names}")
    if not NAME.fullmatch(manifest.name):
        raise ValueError(f"its name is '{manifest.name}'")
    if manifest.layout not in LAYOUTS:
        raise ValueError(f"its layout '{manifest.layout}' is unknown")
    if len(LAYOUTS[manifest.layout]) != manifest.joints:
        raise ValueError(f"its {manifest.joints} joints are not those of '{manifest.layout}'")
    shapes = [output.shape for output in manifest.outputs]
    if not shapes or any(shape[:1] != (manifest.joints,) for shape in shapes):
        raise ValueError(f"its outputs {shapes} are not of {manifest.joints} joints")


def own_entries(root: Path, catalogue: Catalogue) -> list[Entry]:
    """Entries of the networks in a store that no catalogue has: those that were converted from
    checkpoints of the user's own. One whose manifest cannot be read is warned of and left out.
    """
    known = {entry.name for entry in catalogue.entries}
    entries = []
    for path in sorted(root.glob(f"*/{MANIFEST_NAME}")):
        folder = path.parent
        if folder.name in known:
            continue
        try:
            manifest = read_manifest(folder)
        except ModelError as error:
            _log.warning("the model in %s is left out: %s", folder, error)
            continue
        if manifest is not None and manifest.name == folder.name:
            entries.append(manifest.entry())
        else:
            _log.warning("the model in %s is left out: its manifest has another name", folder)
    return entries
