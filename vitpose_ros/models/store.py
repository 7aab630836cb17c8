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
    Record,
    looks_like_pickle,
    read_records,
    sha256_of,
    write_record,
)

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
    paths : its files, in the catalogue's order.
    """

    entry: Entry
    paths: tuple[Path, ...]

    @property
    def path(self) -> Path:
        """The file of a model that has only one; ModelError names them when there are several."""
        if len(self.paths) != 1:
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
    catalogue : by default the shipped one and the user's (`load_catalogue`).
    """

    def __init__(self, root: Path | None = None, catalogue: Catalogue | None = None) -> None:
        self.root = default_root() if root is None else Path(root)
        self.catalogue = load_catalogue() if catalogue is None else catalogue

    def get(self, name: str, task: str | None = None) -> LocalModel:
        """A model that is ready for use.

        Parameters
        ----------
        name : its name in the catalogue.
        task : what it is needed for; a model of another task is refused.

        Raises
        ------
        ModelError : the name is unknown or of another task, or a file is missing, truncated or
            altered; the text says what is accepted and which command helps.
        """
        entry = self.catalogue.get(name, task)
        status = self.status(entry)
        if status.problem:
            raise ModelError(status.problem)
        return LocalModel(entry, tuple(self.path(entry, file) for file in entry.files))

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
        paths = [self.path(entry, file) for file in entry.files]
        try:
            missing = [path for path in paths if not path.is_file()]
            if missing:
                return Status(
                    entry,
                    State.ABSENT if len(missing) == len(paths) else State.DAMAGED,
                    f"the model '{entry.name}' is not in the store: {missing[0]} is missing. "
                    f"Get it with: {self._command(entry)}",
                )
            states = [self._check(entry, file, full) for file in entry.files]
        except _DamagedError as error:
            problem = f"{error} Get it again with: {self._command(entry, force=True)}"
            return Status(entry, State.DAMAGED, problem)
        except OSError as error:
            return Status(
                entry, State.DAMAGED, f"the model '{entry.name}' cannot be read: {error}."
            )
        order = (State.UNCHECKED, State.RECORDED, State.VERIFIED)
        return Status(entry, min(states, key=order.index))

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
        if expected is None and looks_like_pickle(path):
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

    def _command(self, entry: Entry, force: bool = False) -> str:
        """The command that brings a model into this store."""
        words = ["vitpose_ros models pull", *(["--force"] if force else []), entry.name]
        if self.root != default_root():
            words += ["--store", shlex.quote(str(self.root))]
        return " ".join(words)


class _DamagedError(ModelError):
    """A file is not what it should be."""
