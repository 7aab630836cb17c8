"""Reads the field `source` of a file in the catalogue: one source, or a list of them."""

from __future__ import annotations

import re

from vitpose_ros.models.files import shipped, user_path
from vitpose_ros.models.reader import Reader
from vitpose_ros.models.sources import (
    ArchiveSource,
    FileSource,
    HubSource,
    Source,
    UrlSource,
    WheelSource,
)

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_MEMBER = re.compile(r"(?!/)(?!.*(^|/)\.\.?(/|$))[^\\]+")
_KINDS = ("wheel", "hub", "url", "file", "shipped")


def parse_sources(reader: Reader) -> tuple[Source, ...]:
    """The sources of one file; CatalogueError names the wrong field."""
    value = reader.take("source")
    items = value if isinstance(value, list) else [value]
    if not items:
        raise reader.error("source", "expected at least one source, got an empty list")
    many = isinstance(value, list)
    names = [f"source[{i}]" if many else "source" for i in range(len(items))]
    return tuple(_parse(reader, name, item) for name, item in zip(names, items, strict=True))


def _parse(owner: Reader, name: str, item: object) -> Source:
    if not isinstance(item, dict) or sum(kind in item for kind in _KINDS) != 1:
        raise owner.error(name, f"expected a mapping with exactly one of {', '.join(_KINDS)}")
    reader = owner.nested(name, item)
    source: Source
    if "wheel" in item:
        source = WheelSource(
            reader.matching("wheel", _PINNED, "a pinned requirement such as mediapipe==0.10.21"),
            reader.matching("member", _MEMBER, "a path inside the wheel"),
        )
    elif "hub" in item:
        source = HubSource(
            reader.matching("hub", _REPO, "a repository such as owner/name"),
            reader.matching("member", _MEMBER, "a path inside the repository"),
            reader.matching("revision", _REVISION, "a commit, tag or branch"),
        )
    elif "url" in item and "member" in item:
        source = ArchiveSource(
            reader.url("url"), reader.matching("member", _MEMBER, "a path inside the archive")
        )
    elif "url" in item:
        source = UrlSource(reader.url("url"))
    elif "shipped" in item:
        member = reader.matching("shipped", _MEMBER, "a path inside the package's assets")
        source = FileSource(shipped("assets", member))
    else:
        path = user_path(reader.text("file").removeprefix("file://"))
        if not path.is_absolute():
            raise reader.error("file", f"expected an absolute path, got '{path}'")
        source = FileSource(path)
    reader.finish()
    return source
