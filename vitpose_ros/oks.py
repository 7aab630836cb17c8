"""Object keypoint similarity (OKS) of two sets of joints, 0 to 1, and suppression of duplicates.

OKS = mean over the joints of exp(-d^2 / (2 (2 sigma)^2 area)), with the distance d in px and the
object's area in px^2, as in COCO's evaluation (pycocotools, `computeOks`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import Keypoints

SAME_BODY_OKS = 0.9
"""Two bodies with a higher similarity are duplicates (MMPose's top-down default)."""


def oks(
    a: npt.NDArray,
    b: npt.NDArray,
    area: float,
    sigmas: Sequence[float] | npt.NDArray,
    counted: npt.NDArray[np.bool_] | None = None,
) -> float:
    """The similarity of two sets of K joints.

    Parameters
    ----------
    a, b : (K, 2), px.
    area : the object's area, px^2, positive; for two estimates, the mean of their areas.
    sigmas : K numbers, the layout's. Joints with a NaN sigma are ignored.
    counted : (K,) the joints to use; all by default. Joints with a NaN coordinate are never used.

    Returns
    -------
    0 to 1; NaN if no joint is used.

    Raises
    ------
    ValueError : shapes do not fit, or the area is not positive.
    """
    known = np.asarray(sigmas, np.float64)
    if a.shape != b.shape or a.shape != (len(known), 2):
        raise ValueError(
            f"oks: expected two arrays ({len(known)}, 2) for {len(known)} sigmas, got {a.shape} "
            f"and {b.shape}"
        )
    if not (np.isfinite(area) and area > 0):
        raise ValueError(f"oks: expected a positive area in px^2, got {area}")
    if counted is not None:
        known = np.where(counted, known, np.nan)
    return float(oks_with(a, b[None], np.array([area]), known)[0])


def oks_with(
    one: npt.NDArray,
    others: npt.NDArray,
    areas: npt.NDArray[np.float64],
    sigmas: Sequence[float] | npt.NDArray,
) -> npt.NDArray[np.float64]:
    """The similarity of one set of K joints with each of N.

    Parameters
    ----------
    one, others : (K, 2) and (N, K, 2), px. Joints with a NaN coordinate are never used.
    areas : (N,) px^2, positive.
    sigmas : K numbers, the layout's. Joints with a NaN sigma are ignored.

    Returns
    -------
    (N,) 0 to 1; NaN where no joint is used.
    """
    squared = ((others.astype(np.float64) - one) ** 2).sum(axis=2)
    spread = 2 * (2 * np.asarray(sigmas, np.float64)) ** 2 * areas[:, None]
    used = np.isfinite(squared) & np.isfinite(spread)
    similar = np.exp(-np.divide(squared, spread, out=np.full(squared.shape, np.inf), where=used))
    count = used.sum(axis=1)
    return np.divide(similar.sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)


def pair_oks(a: Keypoints, b: Keypoints, areas: tuple[float, float], threshold: float) -> float:
    """The similarity of two estimates over the joints whose score reaches a threshold in both.

    Parameters
    ----------
    a, b : estimates with the same layout.
    areas : the area of each, px^2; their mean is used.
    threshold : joints with a lower score in either are ignored.

    Returns
    -------
    0 to 1; NaN if there are no such joints.

    Raises
    ------
    ValueError : different layouts, or areas that are not positive.
    """
    if a.layout is not b.layout:
        raise ValueError(
            f"pair_oks: layouts '{a.layout.name}' and '{b.layout.name}' have no joints in common"
        )
    both = a.scored(threshold) & b.scored(threshold)
    return oks(a.uv, b.uv, (areas[0] + areas[1]) / 2, a.layout.sigmas, both)


def oks_nms(
    bodies: Sequence[Keypoints],
    scores: Sequence[float],
    areas: Sequence[float],
    limit: float = SAME_BODY_OKS,
    threshold: float = 0.3,
) -> list[int]:
    """Non-maximum suppression: remove estimates that are too similar to a better one.

    Estimates without a common joint above the threshold are different bodies.

    Parameters
    ----------
    bodies : estimates with the same layout.
    scores : one per estimate; the higher one is kept. A score that is not finite ranks last.
    areas : the area of each, px^2, for example of its region.
    limit : similarity above which two estimates are duplicates.
    threshold : joints with a lower score are ignored.

    Returns
    -------
    Indices of the kept estimates, best first.
    """
    rank = np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf, posinf=-np.inf)
    kept: list[int] = []
    for i in np.argsort(-rank, kind="stable").tolist():
        # A similarity of NaN compares false and so suppresses nothing.
        if not any(
            pair_oks(bodies[i], bodies[k], (areas[i], areas[k]), threshold) > limit for k in kept
        ):
            kept.append(i)
    return kept
