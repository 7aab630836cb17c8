"""What is exported: annotated recordings, and where their images are."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitpose_ros.offline.bag import Bag, ImageSettings
from vitpose_ros.offline.errors import OfflineError, UsageError
from vitpose_ros.offline.items import BAG, MANIFEST, Item, find_items, kind_of
from vitpose_ros.offline.opening import open_source
from vitpose_ros.offline.read_skeletons import BAG_NAME
from vitpose_ros.offline.source import Source


@dataclass(frozen=True)
class Recording:
    """An annotated recording.

    Attributes
    ----------
    folder : that annotate wrote.
    item : where its images are; its name is the folder's below the input.
    about : the content of annotation.json.
    """

    folder: Path
    item: Item
    about: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Of the recording that was annotated."""
        return str(self.about["input"]["sha256"])

    def open(self, work: Path, stack: contextlib.ExitStack) -> tuple[Source, Bag | None]:
        """Its images, read as annotate read them, and its bag if it has one.

        Parameters
        ----------
        work : where a recording that was cut off may be repaired.
        stack : closes them.

        Raises
        ------
        OfflineError : it cannot be read.
        """
        settings = self.about["settings"]
        parameters = settings["parameters"]
        of_images = ImageSettings(
            settings["topic"],
            "",  # no depth: the metres are in the annotation
            float(parameters["max_megapixels"]),
            parameters["image_rectified"],
            parameters["input_mirrored"],
        )
        return open_source(self.item, of_images, settings["rate_hz"], False, work, stack)


def find_recordings(inputs: Sequence[Path], recordings: Sequence[Path]) -> list[Recording]:
    """The annotated recordings in and below folders, by name.

    Parameters
    ----------
    inputs : what annotate wrote: single folders, or folders of them.
    recordings : where to look for what was annotated: files, or folders to search. Needed for what
        is no longer where it was.

    Raises
    ------
    UsageError : an input does not exist or has nothing annotated, or the images of one of them are
        not found.
    """
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for given in inputs:
        path = Path(os.path.abspath(given))
        if not path.is_dir():
            raise UsageError(f"{given} is no folder that annotate wrote")
        below = _annotated(path)
        if not below:
            raise UsageError(
                f"{given} has nothing annotated in it: run `vitpose_ros annotate RECORDINGS -o "
                f"{given}` first"
            )
        for folder in below:
            name = folder.name if folder == path else folder.relative_to(path).as_posix()
            if name in found and found[name][0] != folder:
                raise UsageError(
                    f"{found[name][0]} and {folder} have the same name: give the folder above them"
                )
            found[name] = folder, _about(folder)
    known: dict[str, list[Item]] = {}
    for given in recordings:
        for item in find_items([given], Path(os.devnull)):
            known.setdefault(item.path.name, []).append(item)
    return [
        Recording(folder, replace(_images(folder, about, known), name=name), about)
        for name, (folder, about) in sorted(found.items())
    ]


def _annotated(folder: Path) -> list[Path]:
    """The folder, or those below it, that annotate finished."""
    if (folder / MANIFEST).is_file():
        return [folder]
    below = (one for one in sorted(folder.iterdir()) if one.is_dir())
    return [path for one in below if not one.name.startswith(".") for path in _annotated(one)]


def _about(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        static = about["settings"]["static"] and not about["settings"]["with_input"]
        about["settings"]["parameters"]["max_megapixels"], about["input"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be used ({error!r}): annotate the recording again"
        ) from error
    if static:
        raise UsageError(
            f"{folder} was annotated with --static: its images are no sequence, so they make no "
            "episode"
        )
    return about


def _images(folder: Path, about: dict[str, Any], known: dict[str, list[Item]]) -> Item:
    """Where the images of an annotation are."""
    if about["settings"]["with_input"]:
        return Item(folder / BAG_NAME, folder.name, BAG)
    name, then = about["input"]["name"], Path(about["input"].get("path", ""))
    candidates = list(known.get(name, []))
    if then.is_absolute() and then.exists() and (kind := kind_of(then)):
        candidates.append(Item(then, folder.name, kind))
    for item in candidates:
        if item.look() == about["input"]["files"]:
            return item
    for item in candidates:  # copied, so that times of change differ
        if item.digest() == about["input"]["sha256"]:
            return item
    if candidates:
        raise UsageError(
            f"{candidates[0].path} is not the recording from which {folder} was made: it changed, "
            "or another one has its name. Annotate it again"
        )
    raise UsageError(
        f"the recording '{name}', from which {folder} was made, is not where it was ({then}): name "
        "the folder in which it is now with --recordings"
    )


def source_error(recording: Recording, detail: str) -> OfflineError:
    """The error for images that are not those that were annotated."""
    return OfflineError(
        f"{recording.item.path} does not give the images that were annotated ({detail}): annotate "
        "it again"
    )
