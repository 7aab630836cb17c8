"""What is to be annotated: the bags, videos and folders of images among the inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitpose_ros.offline.bag import BAG_SUFFIXES
from vitpose_ros.offline.errors import UsageError
from vitpose_ros.offline.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES

BAG, VIDEO, FOLDER = "bag", "video", "folder"
MANIFEST = "annotation.json"
"""In every finished item's folder: what it was made from, and how."""


@dataclass(frozen=True)
class Item:
    """One recording.

    Attributes
    ----------
    path : the file or folder.
    name : its folder below the output folder.
    kind : BAG, VIDEO or FOLDER.
    """

    path: Path
    name: str
    kind: str

    def files(self) -> list[Path]:
        """The files that it consists of."""
        if self.path.is_file():
            return [self.path]
        return sorted(p for p in self.path.rglob("*") if p.is_file())

    def size(self) -> int:
        """Bytes."""
        return sum(p.stat().st_size for p in self.files())

    def look(self) -> list[list[Any]]:
        """Name, size and time of change of each file: equal for an input that did not change."""
        base = self.path if self.path.is_dir() else self.path.parent
        found = [(p.relative_to(base).as_posix(), p.stat()) for p in self.files()]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in found]

    def digest(self) -> str:
        """SHA-256 of all contents."""
        digest = hashlib.sha256()
        for path in self.files():
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
        return digest.hexdigest()


def find_items(inputs: Sequence[Path], out: Path) -> list[Item]:
    """The items among files and folders.

    A folder is a bag (metadata.yaml), a folder of images, or is searched for all three. The output
    folder and finished items are passed over.

    Raises
    ------
    UsageError : an input does not exist or is of no known kind, a folder has nothing to annotate,
        or two items would have the same name.
    """
    items: list[Item] = []
    for given in inputs:
        path = Path(os.path.abspath(given))
        if not path.exists():
            raise UsageError(f"{given} does not exist")
        kind = kind_of(path)
        if kind:
            items.append(Item(path, _stem(path), kind))
            continue
        if path.is_file():
            raise UsageError(
                f"{given} is of no known kind. Accepted are bags (folders with metadata.yaml, "
                f"{', '.join(BAG_SUFFIXES)}; convert a ROS 1 .bag with rosbags-convert), videos "
                f"({', '.join(VIDEO_SUFFIXES)}) and folders of images ({', '.join(IMAGE_SUFFIXES)})"
            )
        found = list(_below(path, Path(os.path.abspath(out))))
        if not found:
            raise UsageError(f"{given} has no bag, video or image in it or below it")
        for one, kind in found:
            relative = one.relative_to(path).parent / _stem(one)
            items.append(Item(one, relative.as_posix(), kind))
    names: dict[str, Path] = {}
    for item in items:
        if item.name in names:
            raise UsageError(
                f"{names[item.name]} and {item.path} would both be written to {out / item.name}: "
                "give the folder above them, or annotate them into different folders"
            )
        names[item.name] = item.path
    return items


def kind_of(path: Path) -> str:
    """BAG, VIDEO or FOLDER; "" for what is none of these."""
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in BAG_SUFFIXES:
            return BAG
        return VIDEO if suffix in VIDEO_SUFFIXES else ""
    if (path / "metadata.yaml").is_file():
        return BAG
    children = [child for child in path.iterdir() if child.is_file()]
    if any(child.suffix.lower() in IMAGE_SUFFIXES for child in children):
        return FOLDER
    # A recorder that was killed leaves one without a description.
    own = [child for child in children if child.suffix.lower() in BAG_SUFFIXES]
    numbered = [child for child in own if child.stem.startswith(f"{path.name}_")]
    return BAG if numbered and len(numbered) == len(own) else ""


def _below(folder: Path, out: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        if path == out or path.name.startswith(".") or (path / MANIFEST).is_file():
            continue
        kind = kind_of(path)
        if kind:
            yield path, kind
        elif path.is_dir():
            yield from _below(path, out)


def _stem(path: Path) -> str:
    known = path.suffix.lower() in (*BAG_SUFFIXES, *VIDEO_SUFFIXES)
    return path.stem if path.is_file() and known else path.name
