"""Downloads a zip archive by http or https, and takes one file out of it."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import urlsplit

from vitpose_ros.models.archive import take_member
from vitpose_ros.models.fetch_url import fetch_url
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import ArchiveSource, UrlSource


def fetch_archive(
    source: ArchiveSource, target: Path, progress: Progress, size: int | None = None
) -> None:
    """Write the member to `target`.

    The archive lies beside `target` while it is downloaded, and is continued there by the next pull
    when the connection broke (see `fetch_url`). It is removed once it is complete, be it good or
    not.

    Parameters
    ----------
    size : bytes that the member must have, if known.

    Raises
    ------
    SourceError : as `fetch_url` and `archive.take_member`.
    """
    archive = target.with_name(f"{target.name}.zip")
    label = f"the archive {posixpath.basename(urlsplit(source.url).path) or source.url}"
    fetch_url(UrlSource(source.url), archive, progress)
    try:
        take_member(archive, source.member, target, label, progress, size)
    finally:
        archive.unlink(missing_ok=True)
