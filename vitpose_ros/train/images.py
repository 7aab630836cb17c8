"""Opens the images that labels are for: files, frames of videos, and messages of bags."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vitpose_ros.offline.bag import ImageSettings
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.items import BAG, MANIFEST, VIDEO, Item, kind_of
from vitpose_ros.offline.opening import open_source
from vitpose_ros.train.errors import TrainError
from vitpose_ros.train.labels import LabelFile, Labels
from vitpose_ros.types import ByteArray

_FRAME = re.compile(r"(.+)#\d+")
_MESSAGE = re.compile(r"(/.*)/\d+")
_MEGAPIXELS = 1000.0  # no limit


def read_images(labels: Labels, folder: Path | None) -> Iterator[tuple[int, ByteArray]]:
    """Every labelled image, with its index.

    Parameters
    ----------
    labels : whose images.
    folder : where they are: for what `vitpose_ros annotate INPUT -o OUT` wrote, INPUT or the folder
        above it. None looks where annotation.json says, and beside the annotation file.

    Raises
    ------
    TrainError : an image is missing, cannot be decoded, or has another size than its labels say.
    """
    for number, file in enumerate(labels.files):
        wanted = {
            image.name: index for index, image in enumerate(labels.images) if image.file == number
        }
        if not wanted:
            continue
        for index, image in _read(file, wanted, folder):
            width, height = labels.images[index].size
            if image.shape[:2] != (height, width):
                raise TrainError(
                    f"'{labels.images[index].name}' has {image.shape[1]}x{image.shape[0]} px, but "
                    f"{file.path} was made for {width}x{height}: these are not the images that "
                    "were labelled, or they were resized since"
                )
            yield index, image


def _read(
    file: LabelFile, wanted: Mapping[str, int], folder: Path | None
) -> Iterator[tuple[int, ByteArray]]:
    first = next(iter(wanted))
    about = _about(file)
    if found := _MESSAGE.fullmatch(first):
        places = _places(file, folder, about, file.below.name)
        yield from _from_recording(file, wanted, BAG, places, found[1], about)
    elif found := _FRAME.fullmatch(first):
        places = _places(file, folder, about, found[1])
        yield from _from_recording(file, wanted, VIDEO, places, "", about)
    else:
        yield from _from_files(file, wanted, _places(file, folder, about, file.below.name))


def _about(file: LabelFile) -> dict[str, Any]:
    """What an annotation was made from, and how; empty where annotate did not make it."""
    path = file.path.parent / MANIFEST
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainError(f"{path} cannot be read: {error}") from error


def _places(
    file: LabelFile, folder: Path | None, about: Mapping[str, Any], name: str
) -> list[Path]:
    """Where a recording, or a folder of images, may be."""
    given = about.get("input", {})
    if folder is None:
        return [*([Path(given["path"])] if "path" in given else []), file.path.parent]
    name = given.get("name", name)
    places = [folder / file.below.parent / name, folder / file.below, folder / name, folder]
    return list(dict.fromkeys(places))


def _from_files(
    file: LabelFile, wanted: Mapping[str, int], folders: list[Path]
) -> Iterator[tuple[int, ByteArray]]:
    places = {
        name: next((f / name for f in folders if (f / name).is_file()), None) for name in wanted
    }
    missing = [name for name, place in places.items() if place is None]
    if missing:
        raise TrainError(
            f"{len(missing)} of {len(wanted)} images of {file.path} are missing, the first is "
            f"'{missing[0]}'; looked in {', '.join(map(str, folders))}. Give the images' folder "
            "with --images"
        )
    for name, index in wanted.items():
        image = cv2.imread(str(places[name]), cv2.IMREAD_COLOR)
        if image is None:
            raise TrainError(
                f"{places[name]} cannot be decoded; replace it, or remove it from {file.path}"
            )
        yield index, np.asarray(image, np.uint8)


def _from_recording(
    file: LabelFile,
    wanted: Mapping[str, int],
    kind: str,
    places: list[Path],
    topic: str,
    about: Mapping[str, Any],
) -> Iterator[tuple[int, ByteArray]]:
    """The wanted images of a bag or a video."""
    path = next((place for place in places if place.exists() and kind_of(place) == kind), None)
    if path is None:
        raise TrainError(
            f"the {kind} that {file.path} was made from is missing; looked for "
            f"{', '.join(map(str, places))}. Give the folder of the recordings with --images"
        )
    used = about.get("settings", {}).get("parameters", {})
    settings = ImageSettings(
        topic,
        "",
        _MEGAPIXELS,
        used.get("image_rectified", "auto"),
        used.get("input_mirrored", False),
    )
    left = {name.rsplit("#", 1)[-1]: index for name, index in wanted.items()}
    try:
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            item = Item(path, path.name, kind)
            source, _ = open_source(item, settings, None, False, work, stack)
            for shot in source:
                index = left.pop(shot.name.rsplit("#", 1)[-1], None)
                if index is not None:
                    yield index, shot.frame.image
    except OfflineError as error:
        raise TrainError(str(error)) from error
    if left:
        raise TrainError(
            f"{len(left)} of {len(wanted)} images of {file.path} are not in {path}, the first is "
            f"'{next(iter(left))}': it was made from another recording"
        )
