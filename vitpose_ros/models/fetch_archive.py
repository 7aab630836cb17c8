"""Downloads a zip archive over HTTP or HTTPS and extracts one file from it."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import urlsplit

from vitpose_ros.models.archive import take_member
from vitpose_ros.models.content import delivery_problem
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.fetch_url import fetch_url
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import ArchiveSource, UrlSource


def fetch_archive(
    source: ArchiveSource, target: Path, progress: Progress, size: int | None = None
) -> None:
    """Write the member to `target`.

    The archive is downloaded next to `target`, and resumed there by the next pull if the
    connection breaks (see `fetch_url`). Once complete, it is removed, valid or not.

    Parameters
    ----------
    size : the member's size in bytes, if known. The archive's size never is.

    Raises
    ------
    SourceError : as for `fetch_url` and `archive.take_member`.
    """
    archive = target.with_name(f"{target.name}.zip")
    label = f"the archive {posixpath.basename(urlsplit(source.url).path) or source.url}"
    fetch_url(UrlSource(source.url), archive, progress)
    try:
        problem = delivery_problem(archive)
        if problem:
            raise SourceError(f"{label} {problem}.")
        take_member(archive, source.member, target, label, progress, size)
    finally:
        archive.unlink(missing_ok=True)
