"""MediaPipe's palm detector: windows of an image in, palms out.

Its numbers are those of MediaPipe's graph palm_detection_cpu.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.ssd import Detection, SsdDetector, SsdRecipe
from vitpose_ros.engines.base import Engine
from vitpose_ros.types import ByteArray, Region

INPUT_PX = 192
POINTS = 7
"""Points of a palm: the hand joints 0, 5, 9, 13, 17, 1, 2 (wrist, finger roots, thumb)."""

_RECIPE = SsdRecipe("palm", INPUT_PX, (8, 16, 16, 16), POINTS, signed=False)

Palm = Detection
"""A palm in an image; its points are those of `POINTS`."""


def anchors() -> npt.NDArray[np.float32]:
    """(2016, 2) anchor centres, x and y as fractions of the input, in the order of the outputs."""
    return _RECIPE.anchors()


class PalmDetector(SsdDetector):
    """Finds palms in square windows of an image.

    Parameters
    ----------
    engine : runs the network: one input (N, 192, 192, 3), outputs (N, 2016, 18) and (N, 2016, 1).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : when the network has other inputs or outputs.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name, _RECIPE)

    def __call__(
        self, image: ByteArray, windows: Sequence[Region], threshold: float
    ) -> list[list[Palm]]:
        """Look for palms; see `SsdDetector.search`."""
        return self.search(image, windows, threshold)
