"""Object keypoint similarity (OKS): how alike two sets of joints are, 0 .. 1, and suppression of
duplicates with it.

OKS = mean over the joints of exp(-d^2 / (2 (2 sigma)^2 area)), d the distance in px and area the
object's in px^2, as COCO's evaluation has it (pycocotools, `computeOks`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import Keypoints

SAME_BODY_OKS = 0.9
"""Two bodies more alike than this are one body seen twice (MMPose's top-down default)."""


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
    area : px^2 of the object, positive; of two estimates the mean of both areas.
    sigmas : K numbers, the layout's. Joints whose sigma is NaN have no known scale: they are left
        out.
    counted : (K,) which joints count; all by default. Joints with a NaN coordinate never do.

    Returns
    -------
    0 .. 1; NaN when no joint counts, since nothing is known then.

    Raises
    ------
    ValueError : shapes that do not fit, or an area that is not positive.
    """
    known = np.asarray(sigmas, np.float64)
    if a.shape != b.shape or a.shape != (len(known), 2):
        raise ValueError(
            f"oks: expected two arrays ({len(known)}, 2) for {len(known)} sigmas, got {a.shape} "
            f"and {b.shape}"
        )
    if not (np.isfinite(area) and area > 0):
        raise ValueError(f"oks: expected a positive area in px^2, got {area}")
    squared = ((a.astype(np.float64) - b) ** 2).sum(axis=1)
    use = np.isfinite(squared) & np.isfinite(known)
    if counted is not None:
        use &= counted
    if not use.any():
        return float("nan")
    return float(np.exp(-squared[use] / (2 * (2 * known[use]) ** 2 * area)).mean())


def pair_oks(a: Keypoints, b: Keypoints, areas: tuple[float, float], threshold: float) -> float:
    """The similarity of two estimates, over the joints that both give with at least that score.

    Parameters
    ----------
    a, b : of one layout.
    areas : px^2 of each; their mean is taken.
    threshold : joints of a lower score do not count, in either.

    Returns
    -------
    0 .. 1; NaN when no joint is supported in both.

    Raises
    ------
    ValueError : different layouts, or areas that are not positive.
    """
    if a.layout is not b.layout:
        raise ValueError(
            f"pair_oks: layouts '{a.layout.name}' and '{b.layout.name}' have no joints in common"
        )
    both = (a.score >= threshold) & (b.score >= threshold)
    return oks(a.uv, b.uv, (areas[0] + areas[1]) / 2, a.layout.sigmas, both)


def oks_nms(
    bodies: Sequence[Keypoints],
    scores: Sequence[float],
    areas: Sequence[float],
    limit: float = SAME_BODY_OKS,
    threshold: float = 0.3,
) -> list[int]:
    """Which of several estimates stay when each body may be there only once.

    The best one stays; what is more alike to it than `limit` goes; and so on. Estimates that have
    no supported joint in common are different bodies.

    Parameters
    ----------
    bodies : of one layout.
    scores : one for each; the higher stays. A score that is not finite is lower than any other.
    areas : px^2 of each, for instance of the regions that they were found in.
    limit : similarity above which two are one.
    threshold : joints of a lower score do not count.

    Returns
    -------
    Indices of those that stay, best first.
    """
    rank = np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf, posinf=-np.inf)
    kept: list[int] = []
    for i in np.argsort(-rank, kind="stable").tolist():
        # A similarity of NaN compares false: it suppresses nothing.
        if not any(
            pair_oks(bodies[i], bodies[k], (areas[i], areas[k]), threshold) > limit for k in kept
        ):
            kept.append(i)
    return kept
