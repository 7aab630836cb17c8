"""Grey images, as of infrared and monochrome cameras, for a palm detector that knows colour.

MediaPipe's palm detector finds few hands in grey images. It finds many more when the shades are
coloured as skin is: dark ones brown, light ones pale. `benchmarks/grey_hands.py` measures it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray, FloatArray

_SAMPLES = 64  # rows and columns that are looked at
_SPREAD = 4  # levels between the channels: what chroma subsampling leaves of a grey image
_COLOURED = 0.001  # of the samples; colour cameras in dim light have 2 % or more


def _skin_tones(
    gammas: tuple[float, float, float], gains: tuple[float, float, float]
) -> npt.NDArray[np.float32]:
    """(256, 3) float32: RGB, 0 .. 1, of each shade y: gain * y ** gamma."""
    shade = np.linspace(0.0, 1.0, 256)[:, None]
    return np.clip(shade**gammas * gains, 0.0, 1.0).astype(np.float32)


TINTS = (
    _skin_tones((0.737, 1.008, 1.033), (0.979, 0.827, 0.784)),
    _skin_tones((0.685, 1.190, 1.166), (0.962, 0.949, 1.129)),
)
"""(256, 3) float32 each: RGB, 0 .. 1, of the 256 shades. Black stays black. The pair was chosen by
random search for the share of hands that one or the other finds, in the windows of
benchmarks/grey_hands.py that are marked 'tuned'."""


def tint(rgb: FloatArray, shades: npt.NDArray[np.float32]) -> None:
    """Colour a grey crop in place.

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
    image : (H, W, 3) uint8. A few thousand of its pixels are looked at.
    """
    height, width = image.shape[:2]
    step = max(1, height // _SAMPLES), max(1, width // _SAMPLES)
    samples = image[:: step[0], :: step[1]].reshape(-1, 3)
    spread = samples.max(axis=1) - samples.min(axis=1)
    return bool(np.count_nonzero(spread > _SPREAD) <= _COLOURED * len(spread))
