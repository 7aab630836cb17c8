"""Files in the store: hashing, atomic writing, the record of hashes, the lock, and the refusal of
pickles.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from vitpose_ros.models.errors import ModelError

RECORD_NAME = "checksums.json"
"""The file in each model's folder that says what was found when the model was last hashed in
full.
"""

MANIFEST_NAME, NETWORK_NAME, WEIGHTS_NAME = "model.json", "model.onnx", "model.onnx.data"
"""What a conversion leaves in a model's folder: the manifest, the network, and, only where the
network is larger than the 2 GiB that one ONNX file holds, its weights."""

CHUNK = 1 << 20

_PICKLE_SUFFIXES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib")


@dataclass(frozen=True)
class Record:
    """What the last full hash of one file found.

    Attributes
    ----------
    sha256, size, mtime_ns : of the file then; an unchanged size and time stand for an unchanged
        file when it is too large to be hashed at every start.
    source : where it came from, for people.
    """

    sha256: str
    size: int
    mtime_ns: int
    source: str = ""


def shipped(folder: str, name: str) -> Path:
    """Where a file that comes with the package lies: inside it where it is installed, beside it in
    a checkout. The first of these places, whether the file is there or not, when it is in neither.
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
    """The records of a model's folder by file name; empty when there is none or it cannot be
    understood.
    """
    try:
        content = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        return {str(name): Record(**values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_record(folder: Path, name: str, record: Record) -> None:
    """Add or replace one file's record; OSError when the folder cannot be written."""
    records = read_records(folder) | {name: record}
    text = json.dumps({key: asdict(records[key]) for key in sorted(records)}, indent=2) + "\n"
    part = folder / f".{RECORD_NAME}.{os.getpid()}.part"
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
        put_in_place(part, folder / RECORD_NAME)
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, target: Path) -> None:
    """Make a complete temporary file the target at once: whoever looks sees the old file or the new
    one, never half of it.
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
    """Write a stream to a file, telling how many bytes are written so far."""
    done = 0
    with target.open("wb") as out:
        while chunk := source.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            advance(done)


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the store's lock; when another process has it, say so once and wait. It falls with the
    process that holds it.
    """
    with (folder / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            waiting(f"another pull is writing to {folder}; waiting until it is done")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def disk_sentences(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into a sentence."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        other = "choose another store with --store or VITPOSE_ROS_MODELS"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = f"the disk is full at {path}; free some space or {other}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            problem = f"no permission for {path}; change its owner or mode, or {other}"
        else:
            problem = f"cannot read or write {path}: {error.strerror or error}"
        raise ModelError(f"{problem}.") from error


def refuse_pickle_name(name: str) -> str | None:
    """Why a file of this name is refused, or None."""
    suffix = Path(name).suffix.lower()
    if suffix not in _PICKLE_SUFFIXES:
        return None
    return (
        f"'{name}' may be a pickle, and loading one runs code of whoever wrote it; "
        "use an ONNX, TFLite or safetensors file"
    )


def looks_like_pickle(path: Path) -> bool:
    """Whether a file's content is a pickle (protocol 2 or later) or an archive that holds one, as
    torch.save writes.
    """
    with path.open("rb") as stream:
        head = stream.read(256)
    if head[:1] == b"\x80":
        try:
            opcodes = pickletools.genops(head)
            return all(next(opcodes, None) is not None for _ in range(3))
        except ValueError:
            return False
    if head[:2] == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    return False
