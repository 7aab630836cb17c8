"""What every codec offers: the meaning of a network's outputs, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.warp import Size
from vitpose_ros.types import FloatArray


@dataclass(frozen=True)
class Decoded:
    """Joints of N crops.

    Attributes
    ----------
    xy : (N, K, 2) float64, px of the crop; NaN where absent.
    score : (N, K) float32, as the network gives it (RTMPose's over its `score_scale`): 0 or less
        never occurs but as 0 for absent, and values above 1 do.
    """

    xy: npt.NDArray[np.float64]
    score: FloatArray


class Codec(Protocol):
    """How joints are written into a network's outputs."""

    @property
    def input_size(self) -> Size:
        """(width, height) of the network's input, px."""
        ...

    @property
    def udp(self) -> bool:
        """Which warp its networks were trained with; see `keypoints.warp`."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """What its outputs are called, in order; files with other names have them in this order."""
        ...

    def output_shapes(self, joints: int) -> tuple[tuple[int, ...], ...]:
        """The outputs' shapes for so many joints, without the batch dimension."""
        ...

    def encode(self, xy: npt.NDArray) -> tuple[FloatArray, ...]:
        """The outputs that stand for (N, K, 2) joints in px of the crop.

        A joint that is NaN gives zeros.
        """
        ...

    def decode(self, outputs: Sequence[FloatArray]) -> Decoded:
        """The joints in a network's outputs."""
        ...

    def unmirror(
        self,
        outputs: Sequence[FloatArray],
        permutation: Sequence[int],
        direct: Sequence[FloatArray],
    ) -> list[FloatArray]:
        """What the outputs for mirrored crops say of the crops themselves.

        Parameters
        ----------
        outputs : for the mirrored crops.
        permutation : for each joint its counterpart; see `Layout.flip_permutation`.
        direct : the outputs for the crops themselves, for places that a mirrored crop lacks.
        """
        ...
