"""A rendered image with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import ByteArray, FloatArray, Side


@dataclass(frozen=True)
class TrueHand:
    """The ground truth of one hand.

    Attributes
    ----------
    side : left or right.
    uv : (21, 2) float32, px; may lie outside the image.
    xyz : (21, 3) float32, metres in the camera's optical frame.
    visible : (21,) bool, inside the image and not occluded by the same hand, the other one, or an
        object.
    width, height : of the image, px.
    """

    side: Side
    uv: FloatArray
    xyz: FloatArray
    visible: npt.NDArray[np.bool_]
    width: int
    height: int

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(21,) bool, whether the joint lies inside the image, visible or not."""
        u, v = np.round(self.uv).T
        return (u >= 0) & (v >= 0) & (u < self.width) & (v < self.height) & (self.xyz[:, 2] > 0)

    @property
    def in_view(self) -> bool:
        """Whether all 21 joints lie inside the image."""
        return bool(self.inside.all())

    @property
    def palm_px(self) -> float:
        """The palm length in the image, from the wrist to the middle finger's MCP joint, px: the
        unit of errors.
        """
        return float(np.linalg.norm(self.uv[WRIST] - self.uv[MIDDLE_MCP]))


@dataclass(frozen=True)
class Rendering:
    """An image and its ground truth.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    depth_m : (H, W) float32, metres along the optical axis, without noise; NaN where no surface is.
    hands : the true hands, the right hand first.
    time_s : the requested time.
    """

    image: ByteArray
    depth_m: FloatArray
    hands: tuple[TrueHand, ...]
    time_s: float
