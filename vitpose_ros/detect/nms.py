"""Non-maximum suppression: reduces several boxes of one object to one."""

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
    """Merge the best box and those that overlap it into their score-weighted mean, with the best
    score; repeat with the rest.

    Source: MediaPipe's NonMaxSuppressionCalculator, algorithm WEIGHTED.

    Parameters
    ----------
    coordinates : (N, C): x0, y0, x1, y1 of the box, then any further coordinates to average with
        it.
    scores : (N,), not negative.
    threshold : boxes with a higher intersection over union with the best one are the same object.

    Returns
    -------
    A (C,) row and a score for each object, best first.
    """
    order = np.argsort(-scores, kind="stable")
    coordinates, scores = coordinates[order].astype(np.float64), scores[order].astype(np.float64)
    merged = []
    while len(scores):
        same = iou_with(coordinates[0, :4], coordinates[:, :4]) > threshold
        same[0] = True  # a box without area does not even overlap itself
        merged.append(
            (np.average(coordinates[same], axis=0, weights=scores[same]), float(scores[0]))
        )
        coordinates, scores = coordinates[~same], scores[~same]
    return merged


def greedy_nms(boxes: npt.NDArray, scores: npt.NDArray, threshold: float) -> npt.NDArray[np.intp]:
    """Keep the best box, remove those that overlap it, and repeat with the rest.

    Parameters
    ----------
    boxes : (N, 4) x0, y0, x1, y1.
    scores : (N,).
    threshold : boxes with a higher intersection over union with a better one are removed.

    Returns
    -------
    Indices of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou_with(boxes[best], boxes[order]) <= threshold]
    return np.array(kept, np.intp)
