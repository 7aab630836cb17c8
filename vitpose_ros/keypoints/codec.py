"""The interface of every codec: between joints and a network's outputs, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.pixels import Pixels
from vitpose_ros.keypoints.warp import Size
from vitpose_ros.types import FloatArray


@dataclass(frozen=True)
class Decoded:
    """Joints of N crops.

    Attributes
    ----------
    xy : (N, K, 2) float64, px of the crop; NaN where absent.
    score : (N, K) float32, the network's own (RTMPose's divided by its `score_scale`): 0 where
        absent, else positive; values above 1 occur.
    """

    xy: npt.NDArray[np.float64]
    score: FloatArray


class Codec(Protocol):
    """How a network's outputs represent joints."""

    @property
    def input_size(self) -> Size:
        """(width, height) of the network's input, px."""
        ...

    @property
    def udp(self) -> bool:
        """Whether its networks were trained with the UDP warp; see `keypoints.warp`."""
        ...

    @property
    def pixels(self) -> Pixels:
        """How its network reads pixels."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, in order; a file with other names must have them in this order."""
        ...

    def output_shapes(self, joints: int) -> tuple[tuple[int, ...], ...]:
        """The outputs' shapes for a number of joints, without the batch dimension."""
        ...

    def encode(self, xy: npt.NDArray) -> tuple[FloatArray, ...]:
        """The outputs that represent (N, K, 2) joints in px of the crop; zeros for a NaN joint."""
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
        """Turn the outputs of mirrored crops into those of the crops themselves.

        Parameters
        ----------
        outputs : of the mirrored crops.
        permutation : each joint's counterpart; see `Layout.flip_permutation`.
        direct : outputs of the crops themselves, for places that a mirrored crop does not cover.
        """
        ...
