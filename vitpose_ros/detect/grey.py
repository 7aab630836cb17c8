"""Tints grey images, from infrared or monochrome cameras, for a palm detector trained on colour.

MediaPipe's palm detector finds few hands in grey images. It finds many more if grey levels are
mapped to skin tones, from dark brown to pale. Measured by `benchmarks/grey_hands.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray, FloatArray

_SAMPLES = 64  # rows and columns
_SPREAD = 4  # levels between the channels: what chroma subsampling leaves of a grey image
_COLOURED = 0.001  # of the samples; colour cameras in dim light have 2 % or more


def _skin_tones(
    gammas: tuple[float, float, float], gains: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """(256, 3) float32 RGB, 0 .. 1, for each grey level y: gain * y ** gamma."""
    shade = np.linspace(0.0, 1.0, 256)[:, None]
    return np.clip(shade**gammas * gains, 0.0, 1.0).astype(np.float32)


TINTS = (
    _skin_tones((0.737, 1.008, 1.033), (0.979, 0.827, 0.784)),
    _skin_tones((0.685, 1.190, 1.166), (0.962, 0.949, 1.129)),
)
"""(256, 3) float32 RGB each, 0 .. 1, for the 256 grey levels. Black stays black. A random search
chose the pair with the largest share of hands found with either tint, on the windows that
benchmarks/grey_hands.py reports as 'tuned'."""


def tint(rgb: FloatArray, shades: npt.NDArray[np.float32]) -> None:
    """Tint a grey crop in place.

    Parameters
    ----------
    rgb : (H, W, 3) float32, 0 .. 1.
    shades : one of TINTS.
    """
    levels = np.rint(rgb[..., 1] * np.float32(255)).astype(np.uint8)
    np.take(shades, levels, axis=0, out=rgb, mode="clip")


def looks_grey(image: ByteArray) -> bool:
    """Whether an image has no colour: blue, green and red are equal nearly everywhere.

    Parameters
    ----------
    image : (H, W, 3) uint8. A few thousand of its pixels are checked.
    """
    height, width = image.shape[:2]
    step = max(1, height // _SAMPLES), max(1, width // _SAMPLES)
    # Channel by channel: reductions over an axis of three take ten times as long.
    b, g, r = np.ascontiguousarray(image[:: step[0], :: step[1]].transpose(2, 0, 1))
    spread = np.maximum(np.maximum(b, g), r) - np.minimum(np.minimum(b, g), r)
    return bool(np.count_nonzero(spread > _SPREAD) <= _COLOURED * spread.size)
