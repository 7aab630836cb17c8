"""Files in the store: paths, hashes and their records, atomic writing, and the lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from vitpose_ros.models.errors import ModelError

STORE_ENVIRONMENT = "VITPOSE_ROS_MODELS"

RECORD_NAME = "checksums.json"
"""The file in each model's folder that holds the results of the last full hash."""

MANIFEST_NAME, NETWORK_NAME, WEIGHTS_NAME = "model.json", "model.onnx", "model.onnx.data"
"""What a conversion writes into a model's folder: the manifest, the network, and its weights if the
network is larger than the 2 GiB that one ONNX file can hold."""

CATALOGUE_NAME = "models.yaml"
"""The store's own catalogue, beside the models' folders."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class Record:
    """The result of the last full hash of one file.

    Attributes
    ----------
    sha256, size, mtime_ns : of the file at that time. A file too large to hash at every start
        counts as unchanged while its size and time are.
    source : where the file came from, for the user.
    """

    sha256: str
    size: int
    mtime_ns: int
    source: str = ""


def user_path(text: str) -> Path:
    """A path that a user gave, with ~ replaced by their home.

    Raises
    ------
    ModelError : ~ is used, but this user has no home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ModelError(
            f"'{text}' cannot be resolved: no home directory is known for user id {os.getuid()} "
            "(HOME is not set, as is common in containers). Give an absolute path."
        ) from error


def shipped(folder: str, name: str) -> Path:
    """The path of a file that comes with the package: inside it when installed, beside it in a
    checkout. If it is in neither place, the first of them.
    """
    package = Path(__file__).parent.parent
    places = [package, package.parent, package.resolve().parent]
    paths = [place / folder / name for place in places]
    return next((path for path in paths if path.is_file()), paths[0])


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 lower-case hexadecimal digits; OSError when it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_records(folder: Path) -> dict[str, Record]:
    """The records of a model's folder by file name; empty if there are none or they are
    unreadable.
    """
    try:
        content = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        return {str(name): Record(**values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_record(folder: Path, name: str, record: Record) -> None:
    """Add or replace one file's record; OSError if the folder cannot be written."""
    records = read_records(folder) | {name: record}
    text = json.dumps({key: asdict(records[key]) for key in sorted(records)}, indent=2) + "\n"
    write_whole(folder / RECORD_NAME, text)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the whole new one; OSError if the folder
    cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, target: Path) -> None:
    """Move a complete temporary file to the target atomically: a reader sees the old file or the
    new one, never a part of it.
    """
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(part, target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def copy_stream(source: BinaryIO, target: Path, advance: Callable[[int], None]) -> None:
    """Write a stream to a file and report the number of bytes written so far."""
    done = 0
    with target.open("wb") as out:
        while chunk := source.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            advance(done)


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the store's lock; if another process has it, report that once and wait. The lock ends
    with the process that holds it.
    """
    with (folder / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            waiting(f"another process is writing to {folder}; waiting for it to finish")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def disk_sentences(folder: Path) -> Iterator[None]:
    """Turn OSErrors into a ModelError that says what the user can do."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        other = f"choose another folder for the models with --store or {STORE_ENVIRONMENT}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = f"the disk is full at {path}; free some space, or {other}"
        elif error.errno in (errno.EACCES, errno.EPERM):
            problem = f"no permission to write {path}; change its owner or mode, or {other}"
        elif error.errno == errno.EROFS:
            problem = f"{path} is read-only; {other}"
        else:
            problem = f"cannot read or write {path}: {error.strerror or error}; {other}"
        raise ModelError(f"{problem}.") from error
