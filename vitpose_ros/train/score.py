"""How good joints are, against labels: AP as in COCO, and errors relative to the object's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import MIDDLE_MCP, WRIST, Layout
from vitpose_ros.oks import oks

OKS_STEPS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""COCO's thresholds of OKS, over which AP is a mean."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Score:
    """How good a network is on the validation labels.

    Attributes
    ----------
    ap : COCO's average precision over OKS_STEPS, 0 .. 1: each object is read once, in its own
        crop, and its score is the joints' mean. NaN where the layout has no sigmas.
    oks : the mean.
    error_percent : median distance of a labelled joint from its label, in per cent of the object's
        size (see `size_name`); an absent joint is infinitely far.
    p95_percent : the 95th percentile.
    empty_score : the joints' median score in crops without an object, their 95th percentile; NaN
        without such crops.
    objects, joints : how many counted.
    """

    ap: float
    oks: float
    error_percent: float
    p95_percent: float
    empty_score: float
    objects: int
    joints: int

    @property
    def rank(self) -> tuple[float, float]:
        """The larger, the better: by AP where there is one, then by the median error."""
        return (0.0 if np.isnan(self.ap) else self.ap, -self.error_percent)

    def plain(self) -> dict[str, float | int | None]:
        """For JSON: what is not known is None."""
        return {
            name: round(value, 5) if np.isfinite(value) else None
            for name, value in vars(self).items()
        }


def size_name(layout: Layout) -> str:
    """What errors are a percentage of."""
    return "palm" if layout.kind == "hand" else "object's size"


def text(found: Mapping[str, Any], unit: str) -> str:
    """The figures of `Score.plain` as a part of a sentence."""

    def percent(value: float | None) -> str:
        return "unbounded" if value is None else f"{value:.1f} %"

    ap = "" if found["ap"] is None else f"AP {100 * found['ap']:.1f}, "
    return (
        f"{ap}error {percent(found['error_percent'])} (95 % within "
        f"{percent(found['p95_percent'])}) of the {unit}"
    )


def score(
    xy: npt.NDArray,
    scores: npt.NDArray,
    true: npt.NDArray,
    weight: npt.NDArray,
    area: npt.NDArray,
    layout: Layout,
) -> Score:
    """Compare joints with labels.

    Parameters
    ----------
    xy, scores : (N, K, 2) px of the crop, NaN where absent, and (N, K): what was found.
    true, weight, area : of the labels; see `crops.Batch`.
    layout : of the joints.
    """
    shown, labelled = area > 0, weight > 0
    labelled &= shown[:, None]
    shown &= labelled.any(axis=1)
    away = np.linalg.norm(xy - true, axis=2)
    share = np.where(np.isfinite(away), away, np.inf) / _size(true, area, layout)[:, None]
    errors = share[labelled]
    similar = np.array(
        [
            oks(true[i], np.nan_to_num(xy[i], nan=1e9), area[i], layout.sigmas, labelled[i])
            for i in np.flatnonzero(shown)
        ]
    )
    nothing = np.median(scores[area == 0], axis=1)
    return Score(
        ap=_ap(similar, scores[shown].mean(axis=1)),
        oks=float(np.mean(similar)) if len(similar) else np.nan,
        error_percent=_percent(errors, 50),
        p95_percent=_percent(errors, 95),
        empty_score=float(np.percentile(nothing, 95)) if len(nothing) else np.nan,
        objects=int(shown.sum()),
        joints=int(labelled.sum()),
    )


def _percent(errors: npt.NDArray, share: float) -> float:
    if not len(errors):
        return float("nan")
    return 100 * float(np.percentile(errors, share, method="lower"))


def _size(true: npt.NDArray, area: npt.NDArray, layout: Layout) -> npt.NDArray[np.float64]:
    """Sizes, px: the palm of a hand where it is labelled, else the root of the area."""
    size = np.sqrt(np.maximum(area, 1.0))
    if layout.kind == "hand":
        palm = np.linalg.norm(true[:, MIDDLE_MCP] - true[:, WRIST], axis=1)
        size = np.where(np.isfinite(palm) & (palm > 1), palm, size)
    return np.asarray(size, np.float64)


def _ap(similar: npt.NDArray, scores: npt.NDArray) -> float:
    """COCO's AP where each object has exactly one detection, its own."""
    if not len(similar) or np.isnan(similar).any():
        return float("nan")
    ranked = similar[np.argsort(-scores, kind="stable")]
    count = np.arange(1, len(ranked) + 1)
    values = []
    for threshold in OKS_STEPS:
        right = np.cumsum(ranked >= threshold)
        precision = np.maximum.accumulate((right / count)[::-1])[::-1]
        place = np.searchsorted(right / len(ranked), _RECALLS, side="left")
        values.append(np.append(precision, 0.0)[place].mean())
    return float(np.mean(values))
