"""The reader of each image transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vitpose_ros.ingest.images.compressed import CompressedImages
from vitpose_ros.ingest.images.raw import RawImages
from vitpose_ros.types import ByteArray

MAX_MEGAPIXELS = 50.0
"""Larger images are refused unless the user says otherwise."""


class ImageReader(Protocol):
    """Reads the image messages of one camera."""

    def check(self, message: Any) -> None:
        """Refuse, with an ImageError, what can be seen to be unusable without decoding it."""
        ...

    def decode(self, message: Any) -> ByteArray:
        """An image as (H, W, 3) uint8 in BGR order, or an ImageError."""
        ...


READERS: Mapping[str, Callable[[float, Callable[[str], None]], ImageReader]] = {
    "raw": RawImages,
    "compressed": CompressedImages,
}
"""By the parameter image_transport; each takes max_megapixels and where to tell what is worth a
line in the log."""
