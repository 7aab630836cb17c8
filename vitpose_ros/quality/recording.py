"""The images behind an annotation: found again, and looked at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.draw import draw_instances
from vitpose_ros.offline.bag import ImageSettings
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.items import BAG, Item, kind_of
from vitpose_ros.offline.opening import open_source
from vitpose_ros.offline.read_skeletons import BAG_NAME, RecordedImage
from vitpose_ros.offline.source import Source, read_ahead
from vitpose_ros.quality.blur import hand_blur
from vitpose_ros.quality.hands import ENOUGH, Array, Hands, Mask
from vitpose_ros.types import Frame

THUMBNAIL_PX = 256
_QUALITY = 70  # of JPEG


class NoImages(OfflineError):  # noqa: N818 - a reason, shown on the page
    """The recording cannot be looked at; the text says why."""


def find_recording(
    manifest: Mapping[str, Any], folder: Path, given: Sequence[Item], name: str
) -> Item:
    """The recording that an item was made from.

    Parameters
    ----------
    manifest : its annotation.json.
    folder : the item's.
    given : what --recordings names.
    name : of the item.

    Raises
    ------
    NoImages : it is not there, or has changed since.
    """
    settings, before = manifest["settings"], manifest["input"]
    if settings["with_input"]:
        return Item(folder / BAG_NAME, name, BAG)
    item = next((one for one in given if one.name == name), None)
    if item is None:
        alike = [one for one in given if one.path.name == before["name"]]
        item = alike[0] if len(alike) == 1 else None
    if item is None:
        if "path" not in before:
            raise NoImages("an older version annotated it: name the recording by --recordings")
        path = Path(before["path"])
        kind = kind_of(path) if path.exists() else ""
        if not kind:
            raise NoImages(f"{path} is no longer there: name its new place by --recordings")
        item = Item(path, name, kind)
    # Times of change differ in copies; the stamps are compared with every image.
    if [file[:2] for file in item.look()] != [file[:2] for file in before["files"]]:
        raise NoImages(f"{item.path} is not what was annotated: its files differ in name or size")
    return item


@contextlib.contextmanager
def opened(item: Item, settings: Mapping[str, Any], work: Path) -> Iterator[Source]:
    """The images of a recording, read as annotate read them.

    Parameters
    ----------
    item : the recording.
    settings : of its annotation.json.
    work : where a recording that was cut off may be repaired.
    """
    parameters = settings["parameters"]
    wanted = ImageSettings(
        settings["topic"],
        "",  # depth is not looked at
        parameters["max_megapixels"],
        parameters["image_rectified"],
        parameters["input_mirrored"],
    )
    with contextlib.ExitStack() as stack:
        source, _ = open_source(
            item, wanted, settings["rate_hz"], settings["static"], work, stack
        )
        yield source


Visit = Callable[[int, Frame, float], None]
"""Is called with an image's index, the image, and the blur of its most blurred hand (NaN if that
is not known)."""


def look(
    source: Source, images: Sequence[RecordedImage], hands: Hands, needed: Mask, visit: Visit
) -> tuple[Array, Array]:
    """Look at every image once.

    Parameters
    ----------
    source : the recording.
    images : what was found in each.
    hands : the same, as arrays.
    needed : (T,) the images whose hands count.
    visit : called for every image.

    Returns
    -------
    (N,) blur, and (N,) px, median distance of a hand's joints in metres, projected, from their
    pixels; NaN where unknown.

    Raises
    ------
    NoImages : these are not the images that were annotated.
    """
    blur, reprojection = np.full(len(hands), np.nan), np.full(len(hands), np.nan)
    first = np.searchsorted(hands.image, np.arange(len(images) + 1))
    done = 0
    for shot in read_ahead(iter(source)):
        frame = shot.frame
        if done == len(images) or frame.stamp_ns != images[done].stamp_ns:
            raise NoImages("its recording has other stamps than those that were annotated")
        rows = range(first[done], first[done + 1]) if needed[done] else ()
        worst = math.nan
        for row in rows:
            if hands.measured[row]:
                blur[row] = hand_blur(frame.image, hands.uv[row])
                worst = float(np.fmax(worst, blur[row]))
                if frame.camera is not None and _in_camera(images[done]):
                    reprojection[row] = _reprojection(
                        frame.camera, hands.raw_xyz[row], hands.raw_uv[row]
                    )
        visit(done, frame, worst)
        done += 1
    if done < len(images):
        raise NoImages("its recording has fewer images than were annotated")
    return blur, reprojection


def _in_camera(image: RecordedImage) -> bool:
    return image.frame_id == image.image_frame_id


def _reprojection(camera: CameraModel, xyz: Array, uv: Array) -> float:
    away = np.linalg.norm(camera.project(xyz) - uv, axis=-1)
    known = away[np.isfinite(away)]
    return float(np.median(known)) if known.size >= ENOUGH else np.nan


def thumbnail(frame: Frame, image: RecordedImage) -> bytes:
    """A small JPEG of an image with its skeletons."""
    drawn = draw_instances(frame.image.copy(), image.instances)
    scale = THUMBNAIL_PX / max(drawn.shape[:2])
    small: npt.NDArray[Any] = drawn
    if scale < 1:
        small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    good, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not good:
        raise NoImages("OpenCV cannot write JPEG")
    return data.tobytes()
