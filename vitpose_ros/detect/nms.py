"""Non-maximum suppression: several boxes of one object become one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def iou_with(box: npt.NDArray, boxes: npt.NDArray) -> npt.NDArray[np.float64]:
    """Intersection over union of one box with N; boxes are (x0, y0, x1, y1) with x0 <= x1, y0 <=
    y1.

    Returns
    -------
    (N,) float64; 0 where the union has no area.
    """
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)


def weighted_nms(
    coordinates: npt.NDArray, scores: npt.NDArray, threshold: float
) -> list[tuple[npt.NDArray[np.float64], float]]:
    """Merge what overlaps the best into its score-weighted mean; the best score stands for all.

    Source: MediaPipe's NonMaxSuppressionCalculator, algorithm WEIGHTED.

    Parameters
    ----------
    coordinates : (N, C): x0, y0, x1, y1 of the box, then any further coordinates that are averaged
        with it.
    scores : (N,), not negative.
    threshold : boxes of a higher intersection over union with the best one are the same object.

    Returns
    -------
    One (C,) row and its score for each object, best first.
    """
    order = np.argsort(-scores, kind="stable")
    coordinates, scores = coordinates[order].astype(np.float64), scores[order].astype(np.float64)
    merged = []
    while len(scores):
        same = iou_with(coordinates[0, :4], coordinates[:, :4]) > threshold
        same[0] = True  # a box without area overlaps nothing, itself included
        merged.append(
            (np.average(coordinates[same], axis=0, weights=scores[same]), float(scores[0]))
        )
        coordinates, scores = coordinates[~same], scores[~same]
    return merged


def greedy_nms(boxes: npt.NDArray, scores: npt.NDArray, threshold: float) -> npt.NDArray[np.intp]:
    """Which boxes stay when the best suppresses what overlaps it.

    Parameters
    ----------
    boxes : (N, 4) x0, y0, x1, y1.
    scores : (N,).
    threshold : boxes of a higher intersection over union with a better one go.

    Returns
    -------
    Indices of those that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou_with(boxes[best], boxes[order]) <= threshold]
    return np.array(kept, np.intp)
