"""The models on this machine: finding and checking them. Nothing is ever downloaded here."""

from __future__ import annotations

import logging
import os
import shlex
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from vitpose_ros.models.catalogue import Catalogue, Entry, ModelFile, load_catalogue
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import (
    MANIFEST_NAME,
    NETWORK_NAME,
    Record,
    looks_like_pickle,
    read_records,
    sha256_of,
    write_record,
)
from vitpose_ros.models.manifest import Manifest, own_entries, read_manifest

ENVIRONMENT = "VITPOSE_ROS_MODELS"

QUICK_LIMIT = 64 * 2**20
"""Files up to this size (bytes) are hashed at every start: 0.2 s at most. Larger ones are trusted
while their size and time of change are those of the last full hash."""

_log = logging.getLogger(__name__)


class State(Enum):
    """How a model stands in the store."""

    ABSENT = "absent"
    """No file of it is there."""
    DAMAGED = "damaged"
    """A file is missing, truncated or altered."""
    UNCHECKED = "unchecked"
    """All there, but no sha256 is known, and the store is read-only, so that none can be
    recorded.
    """
    RECORDED = "recorded"
    """The sha256 is the one recorded when the model was pulled or used first."""
    VERIFIED = "verified"
    """The sha256 is the catalogue's."""
    PULLED = "pulled"
    """The checkpoint is there and as it should be, but not converted yet."""
    CONVERTED = "converted"
    """The sha256 is the one that the conversion wrote down, after comparing the network with its
    checkpoint.
    """


@dataclass(frozen=True)
class Status:
    """A model's state, and the sentence that says what is wrong ("" when nothing is)."""

    entry: Entry
    state: State
    problem: str = ""


@dataclass(frozen=True)
class LocalModel:
    """A model whose files are there and were checked.

    Attributes
    ----------
    entry : what the catalogue says about it.
    paths : its files, in the catalogue's order; of a converted model, the network's.
    manifest : what the conversion wrote down; None for a model that needs none.
    """

    entry: Entry
    paths: tuple[Path, ...]
    manifest: Manifest | None = None

    @property
    def path(self) -> Path:
        """The file of a model that has only one; ModelError names them when there are several.

        The weights that a large ONNX file keeps beside itself do not count.
        """
        if len(self.paths) != 1 and self.paths[0].name != NETWORK_NAME:
            names = ", ".join(path.name for path in self.paths)
            raise ModelError(
                f"the model '{self.entry.name}' has several files ({names}); "
                "ask for one with file(NAME)."
            )
        return self.paths[0]

    def file(self, name: str) -> Path:
        """The file of that name; ModelError names those that there are."""
        for path in self.paths:
            if path.name == name:
                return path
        names = ", ".join(path.name for path in self.paths)
        raise ModelError(f"the model '{self.entry.name}' has no file '{name}'; it has {names}.")


def default_root() -> Path:
    """The store's folder: VITPOSE_ROS_MODELS, else vitpose_ros/models in the user's data folder
    (XDG_DATA_HOME).
    """
    if os.environ.get(ENVIRONMENT):
        return Path(os.environ[ENVIRONMENT]).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return base / "vitpose_ros" / "models"


class ModelStore:
    """The folder `<root>/<model>/<file>` and the catalogue that says what should lie in it.

    Parameters
    ----------
    root : the folder; by default `default_root()`. It need not exist.
    catalogue : by default the shipped one and the user's (`load_catalogue`). Networks in the folder
        that it does not name, converted from checkpoints of the user's own, join it.
    """

    def __init__(self, root: Path | None = None, catalogue: Catalogue | None = None) -> None:
        self.root = default_root() if root is None else Path(root)
        listed = load_catalogue() if catalogue is None else catalogue
        own = own_entries(self.root, listed)
        self.catalogue = Catalogue((*listed.entries, *own))
        self._own = {entry.name for entry in own}

    def get(self, name: str, task: str | None = None) -> LocalModel:
        """A model that is ready for use.

        Parameters
        ----------
        name : its name in the catalogue.
        task : what it is needed for; a model of another task is refused.

        Raises
        ------
        ModelError : the name is unknown or of another task, a file is missing, truncated or
            altered, or the checkpoint is not converted yet; the text says what is accepted and
            which command helps.
        """
        entry = self.catalogue.get(name, task)
        status = self.status(entry)
        if status.problem:
            raise ModelError(status.problem)
        manifest = read_manifest(self.root / name) if self.is_converted(entry) else None
        files = manifest.model_files if manifest else entry.files
        return LocalModel(entry, tuple(self.path(entry, file) for file in files), manifest)

    def checkpoint(self, entry: Entry) -> tuple[Path, ...]:
        """The files of a model that is to be converted; ModelError as in `get`."""
        status = self._files_status(entry, full=False)
        if status.problem:
            raise ModelError(status.problem)
        return tuple(self.path(entry, file) for file in entry.files)

    def is_own(self, entry: Entry) -> bool:
        """Whether a model was converted from the user's own checkpoint: no catalogue has it."""
        return entry.name in self._own

    def is_converted(self, entry: Entry) -> bool:
        """Whether a model's network is what a conversion made, rather than what was pulled."""
        return entry.convert is not None or self.is_own(entry)

    def list(self, task: str | None = None) -> list[Status]:
        """Every model of the catalogue, or of one task, with its state as `get` sees it."""
        return [
            self.status(entry) for entry in self.catalogue.entries if task in (None, entry.task)
        ]

    def verify(self, name: str) -> Status:
        """A model's state after hashing every byte of its files, however large."""
        return self.status(self.catalogue.get(name), full=True)

    def path(self, entry: Entry, file: ModelFile) -> Path:
        """Where a model's file belongs."""
        return self.root / entry.name / file.name

    def status(self, entry: Entry, full: bool = False) -> Status:
        """A model's state.

        What a full hash found is written down in the model's folder: large files need not be hashed
        again, and where the catalogue has no sha256, the one found first is what counts from then
        on.

        Parameters
        ----------
        full : hash large files too, even when they look unchanged.
        """
        if not self.is_converted(entry):
            return self._files_status(entry, full)
        folder = self.root / entry.name
        try:
            manifest = read_manifest(folder)
            if manifest is None:
                return self._unconverted(entry, full)
            self._check_made_for(entry, manifest)
            for file in manifest.model_files:
                if not self.path(entry, file).is_file():
                    raise _DamagedError(f"{self.path(entry, file)} is missing.")
                self._check(entry, file, full)
        except ModelError as error:
            return Status(entry, State.DAMAGED, f"{error} {self._convert_again(entry)}")
        except OSError as error:
            return _unreadable(entry, error)
        if full and entry.convert and all(self.path(entry, f).is_file() for f in entry.files):
            checkpoint = self._files_status(entry, full)
            if checkpoint.problem:
                return checkpoint
        return Status(entry, State.CONVERTED)

    def _files_status(self, entry: Entry, full: bool) -> Status:
        """The state of what the catalogue names, whether or not it still has to be converted."""
        paths = [self.path(entry, file) for file in entry.files]
        try:
            missing = [path for path in paths if not path.is_file()]
            if missing:
                return Status(
                    entry,
                    State.ABSENT if len(missing) == len(paths) else State.DAMAGED,
                    f"the model '{entry.name}' is not in the store: {missing[0]} is missing. "
                    f"Get it with: {self._command('pull', entry)}"
                    + (f"; then: {self.convert_command(entry)}" if entry.convert else ""),
                )
            states = [self._check(entry, file, full) for file in entry.files]
        except _DamagedError as error:
            problem = f"{error} Get it again with: {self._command('pull --force', entry)}"
            return Status(entry, State.DAMAGED, problem)
        except OSError as error:
            return _unreadable(entry, error)
        order = (State.UNCHECKED, State.RECORDED, State.VERIFIED)
        return Status(entry, min(states, key=order.index))

    def _unconverted(self, entry: Entry, full: bool) -> Status:
        status = self._files_status(entry, full)
        if status.problem:
            return status
        return Status(
            entry,
            State.PULLED,
            f"the model '{entry.name}' is pulled but not converted. Convert it with: "
            f"{self.convert_command(entry)}",
        )

    def _check_made_for(self, entry: Entry, manifest: Manifest) -> None:
        """_DamagedError when a network was made from another checkpoint, or for another entry."""
        if entry.convert is None:
            return  # an own network's entry is its manifest
        path = self.root / entry.name / MANIFEST_NAME
        asked = (entry.name, entry.layout and entry.layout.name)
        size = (entry.input_width, entry.input_height)
        expert = manifest.network.get("expert")
        if (
            asked != (manifest.name, manifest.layout)
            or size != (manifest.input_width, manifest.input_height)
            or entry.convert.expert not in (None, expert)
        ):
            raise _DamagedError(f"{path} is of another network than the catalogue's entry.")
        records = read_records(self.root / entry.name)
        sources = {source.name: source.sha256 for source in manifest.sources}
        for file in entry.files:
            record = records.get(file.name) if self.path(entry, file).is_file() else None
            expected = file.sha256 or (record.sha256 if record else None)
            if expected is not None and sources.get(file.name) != expected:
                raise _DamagedError(
                    f"the network of the model '{entry.name}' was made from another {file.name}."
                )

    def _check(self, entry: Entry, file: ModelFile, full: bool) -> State:
        path = self.path(entry, file)
        found = path.stat()
        record = read_records(path.parent).get(file.name)
        size = file.size
        if size is None and file.sha256 is None and record is not None:
            size = record.size
        if size is not None and found.st_size != size:
            what = "truncated" if found.st_size < size else "altered"
            raise _DamagedError(
                f"{path} is {what}: it has {found.st_size} bytes, expected are {size}."
            )
        expected = file.sha256 or (record.sha256 if record else None)
        stamp = (found.st_size, found.st_mtime_ns)
        unchanged = record is not None and (record.size, record.mtime_ns) == stamp
        if record is None or full or not unchanged or found.st_size <= QUICK_LIMIT:
            sha256 = sha256_of(path)
        else:
            sha256 = record.sha256
        if expected is not None and sha256 != expected:
            if record and unchanged:  # only the full hash saw it: let no quick check trust it again
                self._remember(path, replace(record, mtime_ns=0))
            raise _DamagedError(
                f"{path} is altered: its sha256 is {sha256}, expected is {expected}."
            )
        if expected is None and not file.pickle and looks_like_pickle(path):
            raise _DamagedError(
                f"{path} is a pickle, and loading one runs code of whoever wrote it."
            )
        if not unchanged:
            source = record.source if record else "found in the store"
            fresh = Record(sha256, found.st_size, found.st_mtime_ns, source)
            recorded = self._remember(path, fresh) or record is not None
        else:
            recorded = True
        if file.sha256:
            return State.VERIFIED
        return State.RECORDED if recorded else State.UNCHECKED

    def _remember(self, path: Path, record: Record) -> bool:
        """Write a record down; False where the store is read-only: it still works, only slower."""
        try:
            write_record(path.parent, path.name, record)
        except OSError as error:
            _log.warning(
                "the check of %s cannot be recorded and is made at every start: %s", path, error
            )
            return False
        return True

    def convert_command(self, entry: Entry) -> str:
        """The command that converts a pulled model in this store."""
        return self._command("convert", entry)

    def _convert_again(self, entry: Entry) -> str:
        if entry.convert is None:
            return "Convert its checkpoint again with: vitpose_ros models convert"
        return f"Convert it again with: {self.convert_command(entry)}"

    def _command(self, action: str, entry: Entry) -> str:
        """A command about a model in this store."""
        words = [f"vitpose_ros models {action}", entry.name]
        if self.root != default_root():
            words += ["--store", shlex.quote(str(self.root))]
        return " ".join(words)


class _DamagedError(ModelError):
    """A file is not what it should be."""


def _unreadable(entry: Entry, error: OSError) -> Status:
    return Status(entry, State.DAMAGED, f"the model '{entry.name}' cannot be read: {error}.")
