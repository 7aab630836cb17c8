"""The manifest of a converted network: its origin, its inputs and outputs, and how it was checked.

It is `model.json` in the model's folder. A robot needs the network and the manifest, but neither
the checkpoint nor torch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitpose_ros.layouts import LAYOUTS
from vitpose_ros.models.catalogue import NAME, Catalogue, Entry, Licence, ModelFile
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import MANIFEST_NAME, write_whole

FORMAT = 2
"""The version of the file format."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's mean and standard deviation of red, green and blue, in 0..1: ViTPose and RTMPose are
trained with them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HashedFile:
    """A file's name, size in bytes and sha256, and where it came from ("" if the conversion wrote
    it).
    """

    name: str
    size: int
    sha256: str
    source: str = ""


@dataclass(frozen=True)
class Output:
    """A network's output tensor, float32: its name, and its shape without the batch axis."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """The record of a conversion.

    Attributes
    ----------
    name, task, architecture, layout : as in a catalogue entry; layout by name.
    joints : K, the network's number of joints.
    input_name, input_width, input_height : the image tensor (N, 3, height, width), float32.
    outputs : for a vitpose, the heatmaps (K, height, width); for an rtmpose, the curves over x
        (K, bins) and over y (K, bins).
    mean, std : of red, green and blue in 0..1; the input is normalised with them.
    parameters : number of weights, None if not counted.
    licence, licence_url, origin : the weights' terms and their authors' page; "" if unknown.
    files : the network's files, the ONNX file first.
    sources : the checkpoint's files.
    settings : as in a catalogue entry.
    network : dimensions of the architecture (width, layers, heads, head, expert), for the user.
    check : results of the comparison with the checkpoint; empty if there was none.
    training : what `vitpose_ros train` made it from, and how good it is; empty if it was not.
    versions : versions of the tools.
    date : date of the conversion, ISO 8601, UTC.
    notes : remarks, such as ignored keys of the checkpoint and why they were ignored.
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
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def model_files(self) -> tuple[ModelFile, ...]:
        """The network's files for the store's checks."""
        return tuple(ModelFile(file.name, (), file.size, file.sha256) for file in self.files)

    def entry(self) -> Entry:
        """A catalogue entry for a network that is in no catalogue."""
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
    """Write a folder's manifest atomically and return its path; OSError if that fails."""
    path = folder / MANIFEST_NAME
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2, ensure_ascii=False)
    write_whole(path, text + "\n")
    return path


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model's folder, None if there is none.

    Raises
    ------
    ModelError : it cannot be read or has an error.
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
        if version != FORMAT:
            raise ValueError(f"its format is {version!r}, but this version reads {FORMAT}")
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
        raise ModelError(f"the manifest {path} is not valid: {error}.") from error
    return manifest


def _check(manifest: Manifest) -> None:
    """ValueError if fields contradict each other."""
    names = [file.name for file in manifest.files]
    if not names or any(Path(name).name != name or name.startswith(".") for name in names):
        raise ValueError(f"its files are {names}")
    if not NAME.fullmatch(manifest.name):
        raise ValueError(f"its name is '{manifest.name}'")
    if manifest.layout not in LAYOUTS:
        raise ValueError(f"its layout '{manifest.layout}' is unknown")
    if len(LAYOUTS[manifest.layout]) != manifest.joints:
        raise ValueError(
            f"it has {manifest.joints} joints, but '{manifest.layout}' has another number"
        )
    shapes = [output.shape for output in manifest.outputs]
    if not shapes or any(shape[:1] != (manifest.joints,) for shape in shapes):
        raise ValueError(f"its outputs {shapes} are not for {manifest.joints} joints")


def own_entries(root: Path, catalogue: Catalogue) -> list[Entry]:
    """Entries for the networks in a store that are not in the catalogue: those that the user
    converted. A network with an invalid manifest is skipped with a warning.
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
            _log.warning("the model in %s is ignored: %s", folder, error)
            continue
        if manifest is not None and manifest.name == folder.name:
            entries.append(manifest.entry())
        else:
            _log.warning("the model in %s is ignored: its manifest has another name", folder)
    return entries
