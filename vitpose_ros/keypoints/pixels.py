"""How networks read pixels: the order of the channels, and their mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray, FloatArray

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (123.675, 116.28, 103.53)
IMAGENET_STD: Triple = (58.395, 57.12, 57.375)
"""Of red, green and blue, 0 .. 255."""

_NIL: Triple = (0.0, 0.0, 0.0)
_ONE: Triple = (1.0, 1.0, 1.0)
_BYTE: Triple = (255.0, 255.0, 255.0)
_HALF: Triple = (127.5, 127.5, 127.5)


@dataclass(frozen=True)
class Pixels:
    """A network reads (value - mean) / std of pixel values 0 .. 255.

    Attributes
    ----------
    bgr : whether the first channel is blue; otherwise it is red.
    mean, std : of the network's channels, in their order.
    """

    bgr: bool = False
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(3,): the network reads value * scale + offset."""
        return 1 / np.array(self.std)

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """(3,); see `scale`."""
        return -np.array(self.mean) * self.scale

    def of_image(self, image: ByteArray) -> FloatArray:
        """(H, W, 3) float32, from a BGR image."""
        ordered = image if self.bgr else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        scaled = np.asarray(ordered, np.float32) - np.array(self.mean, np.float32)
        return np.asarray(scaled / np.array(self.std, np.float32))


IMAGENET = Pixels()

PIXELS: Mapping[str, Pixels] = {
    "imagenet": IMAGENET,
    "imagenet-bgr": Pixels(True, IMAGENET_MEAN[::-1], IMAGENET_STD[::-1]),
    "rgb": Pixels(False, _NIL, _ONE),
    "bgr": Pixels(True, _NIL, _ONE),
    "rgb01": Pixels(False, _NIL, _BYTE),
    "bgr01": Pixels(True, _NIL, _BYTE),
    "rgb-signed": Pixels(False, _HALF, _HALF),
    "bgr-signed": Pixels(True, _HALF, _HALF),
    "bgr-centred": Pixels(True, (128.0, 128.0, 128.0), (256.0, 256.0, 256.0)),
    "alphapose": Pixels(False, (103.53, 116.535, 122.4), _BYTE),
}
"""By the name in a catalogue entry. `rgb` and `bgr` are 0 .. 255, `...01` 0 .. 1, `...-signed`
-1 .. 1; `bgr-centred` is lightweight OpenPose's (BGR - 128) / 256. AlphaPose subtracts .406, .457
and .480 from red, green and blue in 0 .. 1 and does not divide."""

PIXEL_SETTINGS = ("pixels", "mean", "std")
"""Settings of a catalogue entry that `read_pixels` reads."""


def read_pixels(settings: Mapping[str, Any], default: str = "imagenet") -> Pixels:
    """The pixels that a catalogue entry's settings describe: a name in PIXELS; or `rgb` or `bgr`
    with the network's own `mean` and `std`, three numbers each, 0 .. 255, in the order of its
    channels.

    Raises
    ------
    ValueError : a setting has another value; the message names it.
    """
    name = settings.get("pixels", default)
    if name not in PIXELS:
        raise ValueError(f"settings.pixels: expected one of {', '.join(PIXELS)}, got {name!r}")
    named = PIXELS[name]
    mean, std = (_triple(settings, key) for key in ("mean", "std"))
    if mean is None and std is None:
        return named
    if name not in ("rgb", "bgr"):
        raise ValueError(
            f"settings.pixels: '{name}' has a mean and a deviation of its own; with mean or std, "
            "expected rgb or bgr, the order of the channels"
        )
    if std is not None and min(std) <= 0:
        raise ValueError(f"settings.std: expected numbers above 0, got {list(std)}")
    return Pixels(named.bgr, mean or _NIL, std or _ONE)


def _triple(settings: Mapping[str, Any], key: str) -> Triple | None:
    values = settings.get(key)
    if values is None:
        return None
    numbers = isinstance(values, list) and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v) for v in values
    )
    if not numbers or len(values) != 3:
        raise ValueError(f"settings.{key}: expected three numbers, got {values!r}")
    return float(values[0]), float(values[1]), float(values[2])
