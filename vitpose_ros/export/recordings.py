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
from vitpose_ros.offline.items import MANIFEST, Item, find_items
from vitpose_ros.offline.opening import open_source
from vitpose_ros.offline.source import Source
from vitpose_ros.quality.recording import NoImages, find_recording
from vitpose_ros.quality.report import find_annotated


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
    given = [item for one in recordings for item in find_items([one], Path(os.devnull))]
    found: dict[str, Recording] = {}
    for folder in inputs:
        for one in find_annotated(folder):
            name, about = one.shown, _about(one.folder)
            if name in found and found[name].folder != one.folder:
                raise UsageError(
                    f"{found[name].folder} and {one.folder} have the same name: give the folder "
                    "above them"
                )
            try:
                item = find_recording(about, one.folder, given, name)
            except NoImages as error:
                raise UsageError(f"{one.folder}: {error}") from error
            found[name] = Recording(one.folder, replace(item, name=name), about)
    return [found[name] for name in sorted(found)]


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


def source_error(recording: Recording, detail: str) -> OfflineError:
    """The error for images that are not those that were annotated."""
    return OfflineError(
        f"{recording.item.path} does not give the images that were annotated ({detail}): annotate "
        "it again"
    )
