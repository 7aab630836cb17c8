"""What a network says of one region that may hold a hand; the same for all hand networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import FloatArray


@dataclass(frozen=True)
class HandEstimate:
    """A hand in a region, or what the network takes for one.

    Attributes
    ----------
    uv : (21, 2) float32, px of the image; NaN where the network gave no joint.
    score : (21,) float32, 0 .. 1; 0 where it gave none.
    seen : (21,) bool, whether the network says that it sees the joint, and does not only infer it.
    shape_xyz : (21, 3) float32, metres around the hand's centre, axes of the optical frame (x
        right, y down, z forward); NaN from networks that give none.
    presence : probability that the region holds a hand, 0 .. 1.
    right : probability that it is a right hand, if the image is not mirrored, 0 .. 1; NaN from
        networks that do not tell.
    """

    uv: FloatArray
    score: FloatArray
    seen: npt.NDArray[np.bool_]
    shape_xyz: FloatArray
    presence: float
    right: float
