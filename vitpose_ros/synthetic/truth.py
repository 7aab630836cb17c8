"""What a rendering tells: the image, its depth, and the hands as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import ByteArray, FloatArray, Side


@dataclass(frozen=True)
class TrueHand:
    """One hand as it is.

    Attributes
    ----------
    side : whose hand it is.
    uv : (21, 2) float32, px; may lie outside the image.
    xyz : (21, 3) float32, metres in the camera's optical frame.
    visible : (21,) bool, inside the image and not hidden by another hand, a thing, or another part
        of the same hand.
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
        """(21,) bool, whether the joint's pixel exists, hidden or not."""
        u, v = np.round(self.uv).T
        return (u >= 0) & (v >= 0) & (u < self.width) & (v < self.height) & (self.xyz[:, 2] > 0)

    @property
    def in_view(self) -> bool:
        """All 21 joints lie inside the image."""
        return bool(self.inside.all())

    @property
    def palm_px(self) -> float:
        """Distance from the wrist to the middle finger's MCP joint in the image, px: the size that
        errors are divided by.
        """
        return float(np.linalg.norm(self.uv[WRIST] - self.uv[MIDDLE_MCP]))


@dataclass(frozen=True)
class Rendering:
    """What the camera sees at one time, and what is true.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    depth_m : (H, W) float32, metres along the optical axis, without noise; NaN where nothing is
        hit.
    hands : the true hands, the right one first.
    time_s : the time asked for.
    """

    image: ByteArray
    depth_m: FloatArray
    hands: tuple[TrueHand, ...]
    time_s: float
