"""Grey images, as of infrared and monochrome cameras, for a palm detector that knows colour."""

from __future__ import annotations

import numpy as np

from vitpose_ros.types import ByteArray

_SAMPLES = 64  # rows and columns that are looked at
_SPREAD = 4  # levels between the channels: what chroma subsampling leaves of a grey image
_COLOURED = 0.001  # of the samples; colour cameras in dim light have 2 % or more


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
