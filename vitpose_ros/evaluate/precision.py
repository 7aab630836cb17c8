"""OKS AP and AR, by COCO's own evaluation (pycocotools)."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from vitpose_ros.evaluate.compare import Pictures
from vitpose_ros.evaluate.figures import Figure
from vitpose_ros.evaluate.skeletons import Part, Run, Skeleton, take
from vitpose_ros.layouts import HAND21
from vitpose_ros.offline.errors import OfflineError, missing_library
from vitpose_ros.types import JointState

AREA_PER_BOX = 0.53
"""Of an object's box, where annotations have no areas (as for CrowdPose and AI Challenger)."""

_EVERY, _MEDIUM, _LARGE = (0.0, np.inf), (32.0**2, 96.0**2), (96.0**2, np.inf)
_FIGURES = tuple(
    (kind + suffix, areas)
    for kind in ("AP", "AR")
    for suffix, areas in (
        *(("", _EVERY), ("50", _EVERY), ("75", _EVERY)),
        *(("m", _MEDIUM), ("l", _LARGE)),
    )
)
"""COCO's ten figures, and the areas of the skeletons that they are about, px^2."""
_V = {JointState.ABSENT: 0, JointState.PREDICTED: 1, JointState.OCCLUDED: 1}


def average_precision(
    pictures: Pictures, truth: Run, found: Run, part: Part, box_area: bool = False
) -> list[Figure]:
    """The ten figures of COCO's keypoint evaluation for a part, with the layout's sigmas.

    As in COCO: at most 20 skeletons per image, by score; a true one without labelled joints, or a
    crowd, neither has to be found nor counts as false. As in COCO-WholeBody: a part is measured by
    the area of the whole person, and a skeleton without any joint of the part is left out.

    Parameters
    ----------
    pictures : of both runs.
    truth, found : the runs; both COCO files.
    part : what is evaluated.
    box_area : the area is 0.53 of the annotated box.

    Raises
    ------
    OfflineError : the layout has no sigmas, a true skeleton has no area, or a found one no score;
        pycocotools is not installed.
    """
    sigmas = np.array(part.layout.sigmas)
    if not np.isfinite(sigmas).all():
        raise OfflineError(
            f"layout {part.layout.name} has no published sigmas for all of its joints, so there is "
            "no OKS"
        )
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise missing_library(error) from error
    true_hands, found_hands = (HAND21 in run.layouts for run in (truth, found))
    true: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    areas: list[tuple[float, bool]] = []  # of those that count, and whether the image is in both
    for number, (true_picture, found_picture) in enumerate(pictures.pairs, 1):
        for one in take(true_picture, part, true_hands):
            made = _true(one, truth.label, box_area)
            true.append({**made, "id": len(true) + 1, "image_id": number, "category_id": 1})
            if made["num_keypoints"] and not made["iscrowd"]:
                areas.append((made["area"], found_picture is not None))
        for one in [] if found_picture is None else take(found_picture, part, found_hands):
            if part.first is None or (one.state != JointState.ABSENT).any():
                results.append({**_result(one, found.label), "image_id": number, "category_id": 1})
    if not areas:
        return []
    with contextlib.redirect_stdout(io.StringIO()):
        ours = COCO()
        ours.dataset = {
            "images": [{"id": number} for number in range(1, len(pictures.pairs) + 1)],
            "annotations": true,
            "categories": [{"id": 1, "name": part.name}],
        }
        ours.createIndex()
        theirs = ours.loadRes(results) if results else COCO()
        evaluation = COCOeval(ours, theirs, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = []
    for (name, (low, high)), value in zip(_FIGURES, evaluation.stats, strict=True):
        mine = [seen for area, seen in areas if low <= area <= high]
        share = sum(mine) / len(mine) if mine else None
        known = float(value) if mine else None
        figures.append(Figure(name.lower(), name, "", known, len(mine), "skeletons", share))
    return figures


def _numbers(one: Skeleton) -> list[float]:
    v = [_V.get(JointState(int(state)), 2) for state in one.state]
    table = np.column_stack([np.nan_to_num(one.uv, nan=0.0), v])
    return [float(number) for number in table.ravel()]


def _true(one: Skeleton, label: str, box_area: bool) -> dict[str, Any]:
    area = AREA_PER_BOX * one.box[2] * one.box[3] if box_area else one.area_px2
    labelled = int((one.state != JointState.ABSENT).sum())
    if labelled and not (np.isfinite(area) and area > 0):
        raise OfflineError(
            f"{label}: an annotation has no area, which OKS divides by: add the area of each "
            "object in px^2 (of its segment, as in COCO), or take 0.53 of the boxes with --box-area"
        )
    return {
        "keypoints": _numbers(one),
        "num_keypoints": labelled,
        "iscrowd": int(one.crowd),
        "area": area if np.isfinite(area) else 0.0,
        "bbox": [number if np.isfinite(number) else 0.0 for number in one.box],
    }


def _result(one: Skeleton, label: str) -> dict[str, Any]:
    if not np.isfinite(one.score):
        raise OfflineError(
            f"{label}: a skeleton has no score, by which AP ranks them: add one to each (1.0 if "
            "all are alike)"
        )
    return {"keypoints": _numbers(one), "score": one.score, "bbox": list(one.box)}
