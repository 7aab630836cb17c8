"""Tells from mirrored crops which lattice a network of heatmaps was trained with.

With stride s, the map's pixel x lies at s x of a classic crop, and mirroring the crop moves a joint
in the map that is mirrored back by 1 - 1 / s pixels to the left: 0.75 for s = 4. On UDP's lattice
it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.keypoints.heatmap import heat_of, refine
from vitpose_ros.types import FloatArray

MIN_JOINTS = 6
"""Fewer confident joints tell nothing."""

MIN_HEAT = 0.2
"""A joint is confident where both maps have this maximum, ..."""

NEAR_PX = 2.0
"""... and both positions lie within this of one another, map px; others are mistakes."""


@dataclass(frozen=True)
class Residual:
    """How far joints lie in mirrored crops from where they lie in the crops themselves.

    Attributes
    ----------
    shift_px : the median of x in the mirrored crop, mirrored back, minus x; map px. NaN of no
        joint.
    error_px : the standard error of that median.
    joints : the number of confident joints.
    classic_px : the shift of a network with the classic lattice, negative.
    """

    shift_px: float
    error_px: float
    joints: int
    classic_px: float

    @property
    def udp(self) -> bool | None:
        """Whether the lattice is UDP's; None where the joints do not tell."""
        middle = self.classic_px / 2
        margin = abs(self.shift_px - middle)  # NaN compares false
        if self.joints < MIN_JOINTS or not margin > max(2 * self.error_px, 0.2 * abs(middle)):
            return None
        if not abs(self.shift_px - (0.0 if self.shift_px > middle else self.classic_px)) < 0.4:
            return None
        return self.shift_px > middle

    def __str__(self) -> str:
        return (
            f"mirrored crops move {self.joints} joints by {self.shift_px:+.2f} +- "
            f"{self.error_px:.2f} heatmap px; a network with UDP's lattice moves them by 0, one "
            f"with the classic lattice by {self.classic_px:+.2f}"
        )


def mirror_residual(
    direct: FloatArray, mirrored: FloatArray, permutation: Sequence[int], stride: float
) -> Residual:
    """Compare the heatmaps of crops with those of the same crops mirrored.

    Parameters
    ----------
    direct, mirrored : (N, K, H, W) as the network gives them.
    permutation : each joint's counterpart; see `Layout.flip_permutation`.
    stride : pixels of the crop per heatmap pixel.
    """
    back = np.ascontiguousarray(mirrored[:, list(permutation), :, ::-1])
    if is_logits(direct):
        direct, back = heat_of(direct), heat_of(back)
    (x, sure), (x_back, sure_back) = _columns(direct), _columns(back)
    shift = (x_back - x)[sure & sure_back]
    shift = shift[np.abs(shift) <= NEAR_PX]
    classic = -(1 - 1 / stride)
    if not len(shift):
        return Residual(float("nan"), float("nan"), 0, classic)
    middle = float(np.median(shift))
    spread = 1.4826 * float(np.median(np.abs(shift - middle)))
    return Residual(middle, 1.25 * spread / len(shift) ** 0.5, len(shift), classic)


def is_logits(maps: npt.NDArray) -> bool:
    """Whether maps hold logits, not heat: heat is hardly ever below -1."""
    return bool(np.nanmin(maps, initial=0.0) < -1.0)


def _columns(maps: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(N, K): the columns of the maxima, map px, and whether they are confident."""
    count, joints, _, width = maps.shape
    flat = maps.reshape(count, joints, -1)
    n, k = (index.ravel() for index in np.indices((count, joints)))
    y, x = np.divmod(flat.argmax(axis=2).ravel().astype(np.int64), width)
    columns = refine(maps, n, k, x, y)[:, 0].reshape(count, joints)
    return columns, np.isfinite(columns) & (flat.max(axis=2) >= MIN_HEAT)
