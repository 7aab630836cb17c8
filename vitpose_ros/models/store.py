"""The models on this machine: finds and checks them, and never downloads."""

from __future__ import annotations

import logging
import os
import shlex
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from vitpose_ros.models.catalogue import (
    Catalogue,
    Entry,
    ModelFile,
    load_catalogue,
    own_catalogue,
    read_catalogue,
)
from vitpose_ros.models.content import content_problem
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.files import (
    MANIFEST_NAME,
    NETWORK_NAME,
    STORE_ENVIRONMENT,
    Record,
    read_records,
    sha256_of,
    user_path,
    write_record,
)
from vitpose_ros.models.manifest import Manifest, own_entries, read_manifest

QUICK_LIMIT = 64 * 2**20
"""Files up to this size, bytes, are hashed at every start, which takes up to 0.2 s. Larger ones are
trusted while their size and modification time match the last full hash."""

_log = logging.getLogger(__name__)


class State(Enum):
    """A model's state in the store."""

    ABSENT = "absent"
    """None of its files are there."""
    DAMAGED = "damaged"
    """A file is missing, truncated or altered."""
    UNCHECKED = "unchecked"
    """Complete, but no sha256 is known, and a read-only store cannot record one."""
    RECORDED = "recorded"
    """The sha256 matches the one recorded when the model was first pulled or used."""
    VERIFIED = "verified"
    """The sha256 matches the catalogue."""
    PULLED = "pulled"
    """The checkpoint is intact, but not converted yet."""
    CONVERTED = "converted"
    """The sha256 matches the one that the conversion recorded."""


@dataclass(frozen=True)
class Status:
    """A model's state, and a sentence about what is wrong, "" if nothing is."""

    entry: Entry
    state: State
    problem: str = ""


@dataclass(frozen=True)
class LocalModel:
    """A model whose files are there and passed their check.

    Attributes
    ----------
    entry : its catalogue entry.
    paths : its files in the catalogue's order; for a converted model, the network's files.
    manifest : the conversion's manifest; None for a model that needs no conversion.
    """

    entry: Entry
    paths: tuple[Path, ...]
    manifest: Manifest | None = None

    @property
    def path(self) -> Path:
        """The file of a single-file model; ModelError if it has several.

        The separate weights of a large ONNX file do not count.
        """
        if len(self.paths) != 1 and self.paths[0].name != NETWORK_NAME:
            names = ", ".join(path.name for path in self.paths)
            raise ModelError(
                f"the model '{self.entry.name}' has several files ({names}); "
                "ask for one with file(NAME)."
            )
        return self.paths[0]

    def file(self, name: str) -> Path:
        """The file of that name; ModelError if the model has no such file."""
        for path in self.paths:
            if path.name == name:
                return path
        names = ", ".join(path.name for path in self.paths)
        raise ModelError(f"the model '{self.entry.name}' has no file '{name}'; it has {names}.")


def default_root() -> Path:
    """The store's folder: VITPOSE_ROS_MODELS, else vitpose_ros/models in the user's data folder
    (XDG_DATA_HOME).

    Raises
    ------
    ModelError : neither variable is set and the user has no home.
    """
    if os.environ.get(STORE_ENVIRONMENT):
        return user_path(os.environ[STORE_ENVIRONMENT]).absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):
        return Path(data) / "vitpose_ros" / "models"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ModelError(
            f"there is no folder for the models: no home directory is known for user id "
            f"{os.getuid()} (HOME is not set, as is common in containers). Set {STORE_ENVIRONMENT} "
            "to a folder."
        ) from error
    return home / ".local" / "share" / "vitpose_ros" / "models"


class ModelStore:
    """The files `<root>/<model>/<file>`, and the catalogue that describes them.

    Parameters
    ----------
    root : the folder; by default `default_root()`. It need not exist.
    catalogue : by default the shipped one and the user's (`load_catalogue`). Added to it are the
        models in the store's own catalogue, and networks in the folder that the user converted from
        checkpoints outside of the catalogue.
    """

    def __init__(self, root: Path | None = None, catalogue: Catalogue | None = None) -> None:
        self.root = default_root() if root is None else Path(root)
        listed = load_catalogue() if catalogue is None else catalogue
        added = own_catalogue(self.root)
        if added.is_file():
            listed = read_catalogue([added], listed)
        own = own_entries(self.root, listed)
        self.catalogue = Catalogue((*listed.entries, *own))
        self._own = {entry.name for entry in own}

    def get(self, name: str, task: str | None = None) -> LocalModel:
        """A model that is ready for use.

        Parameters
        ----------
        name : its name in the catalogue.
        task : the task it is needed for; a model for another task is refused.

        Raises
        ------
        ModelError : the name is unknown or for another task, a file is missing or damaged, or the
            checkpoint is not converted yet.
        """
        entry = self.catalogue.get(name, task)
        status = self.status(entry)
        if status.problem:
            raise ModelError(status.problem)
        manifest = read_manifest(self.root / name) if self.is_converted(entry) else None
        files = manifest.model_files if manifest else entry.files
        return LocalModel(entry, tuple(self.path(entry, file) for file in files), manifest)

    def checkpoint(self, entry: Entry) -> tuple[Path, ...]:
        """A checkpoint's files; ModelError as in `get`."""
        status = self._files_status(entry, full=False)
        if status.problem:
            raise ModelError(status.problem)
        return tuple(self.path(entry, file) for file in entry.files)

    def is_own(self, entry: Entry) -> bool:
        """Whether the user converted the model from a checkpoint outside of the catalogue."""
        return entry.name in self._own

    def is_converted(self, entry: Entry) -> bool:
        """Whether the model's network comes from a conversion rather than from a pull."""
        return entry.convert is not None or self.is_own(entry)

    def list(self) -> list[Status]:
        """The state of every model in the catalogue, as `get` sees it."""
        return [self.status(entry) for entry in self.catalogue.entries]

    def verify(self, name: str) -> Status:
        """A model's state after hashing all of its files completely."""
        return self.status(self.catalogue.get(name), full=True)

    def path(self, entry: Entry, file: ModelFile) -> Path:
        """The path of a model's file."""
        return self.root / entry.name / file.name

    def status(self, entry: Entry, full: bool = False) -> Status:
        """A model's state.

        Results of full hashes are recorded in the model's folder, so that large files need not be
        hashed again, and as the reference where the catalogue has no sha256.

        Parameters
        ----------
        full : hash large files, too, even if they look unchanged.
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
        """The state of the files in the catalogue, converted or not."""
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
        """_DamagedError if a network was converted from another checkpoint or for another entry."""
        if entry.convert is None:
            return  # the entry was made from the manifest
        path = self.root / entry.name / MANIFEST_NAME
        asked = (entry.name, entry.layout and entry.layout.name)
        size = (entry.input_width, entry.input_height)
        expert = manifest.network.get("expert")
        if (
            asked != (manifest.name, manifest.layout)
            or size != (manifest.input_width, manifest.input_height)
            or entry.convert.expert not in (None, expert)
        ):
            raise _DamagedError(f"{path} describes another network than the catalogue entry.")
        records = read_records(self.root / entry.name)
        sources = {source.name: source.sha256 for source in manifest.sources}
        for file in entry.files:
            record = records.get(file.name) if self.path(entry, file).is_file() else None
            expected = file.sha256 or (record.sha256 if record else None)
            if expected is not None and sources.get(file.name) != expected:
                raise _DamagedError(
                    f"the network of the model '{entry.name}' was converted from another "
                    f"{file.name}."
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
            if record and unchanged:  # only a full hash reveals it: force one next time
                self._remember(path, replace(record, mtime_ns=0))
            raise _DamagedError(
                f"{path} is altered: its sha256 is {sha256}, expected is {expected}."
            )
        if expected is None:
            problem = content_problem(path, file.name, file.pickle)
            if problem:
                raise _DamagedError(f"{path} {problem}.")
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
        """Write a record; False if the store is read-only, which makes later starts slower."""
        try:
            write_record(path.parent, path.name, record)
        except OSError as error:
            _log.warning(
                "%s will be hashed at every start, because the result cannot be stored: %s. If "
                "this folder is read-only by mistake, make it writable or set %s to another one.",
                path,
                error,
                STORE_ENVIRONMENT,
            )
            return False
        return True

    def convert_command(self, entry: Entry) -> str:
        """The command that converts a pulled model of this store."""
        return self._command("convert", entry)

    def _convert_again(self, entry: Entry) -> str:
        if entry.convert is None:
            return "Convert its checkpoint again with: vitpose_ros models convert"
        return f"Convert it again with: {self.convert_command(entry)}"

    def _command(self, action: str, entry: Entry) -> str:
        """A command for a model of this store."""
        words = [f"vitpose_ros models {action}", entry.name]
        try:
            needs_store = self.root != default_root()
        except ModelError:  # no home, hence no default
            needs_store = True
        if needs_store:
            words += ["--store", shlex.quote(str(self.root))]
        return " ".join(words)


class _DamagedError(ModelError):
    """A file fails its check."""


def _unreadable(entry: Entry, error: OSError) -> Status:
    return Status(entry, State.DAMAGED, f"the model '{entry.name}' cannot be read: {error}.")
