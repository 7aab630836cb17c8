"""An item's images, whatever its kind."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vitpose_ros.offline.bag import Bag, BagSource, ImageSettings
from vitpose_ros.offline.files import FolderSource, VideoSource
from vitpose_ros.offline.items import BAG, FOLDER, Item
from vitpose_ros.offline.source import Source


def open_source(
    item: Item,
    settings: ImageSettings,
    rate_hz: float | None,
    static: bool,
    work: Path,
    stack: contextlib.ExitStack,
) -> tuple[Source, Bag | None]:
    """The images of an item, and its bag if it is one.

    Parameters
    ----------
    item : what to open.
    settings : of the images in a bag; max_megapixels holds for all kinds.
    rate_hz, static : of a folder of images; see `FolderSource`.
    work : where a recording that was cut off may be repaired.
    stack : closes what was opened.

    Raises
    ------
    OfflineError : it cannot be read.
    """
    if item.kind == BAG:
        bag = Bag(item.path, work)
        stack.callback(bag.close)
        return BagSource(bag, settings), bag
    if item.kind == FOLDER:
        return FolderSource(item.path, settings.max_megapixels, rate_hz, static), None
    return VideoSource(item.path, settings.max_megapixels), None
