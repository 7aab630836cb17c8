"""The models on this machine: finding and checking them. Nothing is ever downloaded here."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
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
"""Files up to this size (bytes) are hashed at every start: 0.2 s at most. Larger ones are trusted while their size and time of
change are those of the last full hash."""

_log = logging.getLogger(__name__)


class State(Enum):
    """How a model stands in the store."""

    ABSENT = "absent"
    """No file of it is there."""
    DAMAGED = "damaged"
    """A file is missing, truncated or altered."""
    UNCHECKED = "unchecked"
    """All there, but there is no hash to check against yet."""
    RECORDED = "recorded"
    """The sha256 is the one recorded when the model was pulled first."""
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
                f"the model '{self.entry.name}' has several files ({names}); ask for one with file(NAME)."
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
    """The store's folder: VITPOSE_ROS_MODELS, else vitpose_ros/models in the user's data folder (XDG_DATA_HOME)."""
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
        ModelError : the name is unknown or of another task, or a file is missing, truncated or altered; the text says what is
            accepted and which command helps.
        """
        entry = self.catalogue.get(name, task)
        status = self.status(entry, remember=True)
        if status.problem:
            raise ModelError(status.problem)
        return LocalModel(entry, tuple(self.path(entry, file) for file in entry.files))

    def list(self, task: str | None = None) -> list[Status]:
        """Every model of the catalogue, or of one task, with its state by the same check as `get`."""
        return [
            self.status(entry) for entry in self.catalogue.entries if task in (None, entry.task)
        ]

    def verify(self, name: str) -> Status:
        """A model's state after hashing every byte of its files, however large."""
        return self.status(self.catalogue.get(name), full=True, remember=True)

    def path(self, entry: Entry, file: ModelFile) -> Path:
        """Where a model's file belongs."""
        return self.root / entry.name / file.name

    def status(self, entry: Entry, full: bool = False, remember: bool = False) -> Status:
        """A model's state.

        Parameters
        ----------
        full : hash large files too, even when they look unchanged.
        remember : write down the result of a full hash (and, where the catalogue has none, the hash itself at first use).
        """
        paths = [self.path(entry, file) for file in entry.files]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            state = State.ABSENT if len(missing) == len(paths) else State.DAMAGED
            return Status(
                entry,
                state,
                f"the model '{entry.name}' is not in the store: {missing[0]} is missing. "
                f"Get it with: vitpose_ros models pull {entry.name}",
            )
        try:
            states = [self._check(entry, file, full, remember) for file in entry.files]
        except _DamagedError as error:
            return Status(
                entry,
                State.DAMAGED,
                f"{error} Get it again with: vitpose_ros models pull --force {entry.name}",
            )
        except OSError as error:
            return Status(
                entry, State.DAMAGED, f"the model '{entry.name}' cannot be read: {error}."
            )
        order = (State.UNCHECKED, State.RECORDED, State.VERIFIED)
        return Status(entry, min(states, key=order.index))

    def _check(self, entry: Entry, file: ModelFile, full: bool, remember: bool) -> State:
        path = self.path(entry, file)
        found = path.stat()
        record = read_records(path.parent).get(file.name)
        size = (
            file.size
            if file.size is not None
            else record.size
            if record and not file.sha256
            else None
        )
        if size is not None and found.st_size != size:
            what = "truncated" if found.st_size < size else "altered"
            raise _DamagedError(
                f"{path} is {what}: it has {found.st_size} bytes, expected are {size}."
            )
        expected = file.sha256 or (record.sha256 if record else None)
        unchanged = record is not None and (record.size, record.mtime_ns) == (
            found.st_size,
            found.st_mtime_ns,
        )
        if full or not unchanged or found.st_size <= QUICK_LIMIT:
            sha256 = sha256_of(path)
        else:
            sha256 = record.sha256  # type: ignore[union-attr]  # unchanged: there is a record
        if expected is not None and sha256 != expected:
            raise _DamagedError(
                f"{path} is altered: its sha256 is {sha256}, expected is {expected}."
            )
        if expected is None and looks_like_pickle(path):
            raise _DamagedError(
                f"{path} is a pickle, and loading one runs code of whoever wrote it."
            )
        if remember and not unchanged:
            source = record.source if record else "found in the store"
            self._remember(path, Record(sha256, found.st_size, found.st_mtime_ns, source))
        if file.sha256:
            return State.VERIFIED
        return State.RECORDED if record else State.UNCHECKED

    def _remember(self, path: Path, record: Record) -> None:
        try:
            write_record(path.parent, path.name, record)
        except OSError as error:  # a store that is read-only works, only not as quickly
            _log.warning(
                "the check of %s cannot be written down (%s); it is made again at the next start",
                path,
                error,
            )


class _DamagedError(ModelError):
    """A file is not what it should be."""
