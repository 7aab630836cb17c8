"""Runs a network on one image, and draws what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.draw import draw_instances
from vitpose_ros.geometry import letterbox_region
from vitpose_ros.keypoints.mediapipe_hand import HandLandmarks
from vitpose_ros.keypoints.recipes import TURNED
from vitpose_ros.layouts import COCO17, HAND21, Layout
from vitpose_ros.measurements import HandMeasurement, JointWindow
from vitpose_ros.models.add.kinds import Fit
from vitpose_ros.models.add.samples import Sample
from vitpose_ros.types import (
    ByteArray,
    Crop,
    FloatArray,
    Instance,
    JointState,
    Keypoints,
    Region,
)

THRESHOLD = 0.3
"""Objects of a lower score are not shown."""

_BOX_COLOUR = (60, 220, 60)
_SHOWN = 6  # objects named in the text


@dataclass(frozen=True)
class Trial:
    """What a network found.

    Attributes
    ----------
    evidence : how much it found: the mean score of the joints of crops; the sum of the scores of
        objects in a whole image. Settings are compared by it.
    found : number of objects.
    text : for people.
    picture : what it found, drawn over the image.
    """

    evidence: float
    found: int
    text: str
    picture: ByteArray


def run_trial(fit: Fit, sample: Sample) -> Trial:
    """Run a network on an image.

    Raises
    ------
    EngineError : the network fails.
    """
    task, model = fit.entry.task, fit.model
    if task == "body_lifting":
        return _lift(fit)
    if task == "person_detector":
        return _boxes(sample, [(_corner_box(r), r.score) for r in model(sample.image, THRESHOLD)])
    if task == "hand_detector":
        window = letterbox_region(sample.image.shape[1], sample.image.shape[0])
        found = model([Crop(sample.image, window)], THRESHOLD)[0]
        return _boxes(sample, [(one.box, one.score) for one in found])
    if task == "hand_keypoints":
        return _joints(fit, sample, _hands(fit, sample), crops=True)
    if hasattr(model, "format"):  # persons and joints in one pass
        bodies = model(sample.image, THRESHOLD)
        return _joints(fit, sample, [(b.keypoints, b.score) for b in bodies], crops=False)
    return _joints(fit, sample, _bodies(fit, sample), crops=True)


def _bodies(fit: Fit, sample: Sample) -> list[tuple[Keypoints, float]]:
    if fit.entry.architecture != "mediapipe":
        crops = [Crop(sample.image, region) for region in sample.regions]
        return [(joints, _mean_score(joints)) for joints in fit.model(crops)]
    regions = fit.model.regions(lambda image, threshold: sample.regions, sample.image, THRESHOLD)
    found = fit.model([Crop(sample.image, region) for region in regions])
    return [(one.keypoints, one.score) for one in found if one is not None]


def _hands(fit: Fit, sample: Sample) -> list[tuple[Keypoints, float]]:
    turned = bool(fit.entry.settings.get(TURNED, False)) or isinstance(fit.model, HandLandmarks)
    regions = sample.turned if turned else sample.regions
    crops = [Crop(sample.image, region) for region in regions]
    if isinstance(fit.model, HandLandmarks):
        return [(_of_hand(h), h.presence) for h in fit.model(crops) if h is not None]
    return [(joints, _mean_score(joints)) for joints in fit.model(crops)]


def _of_hand(hand: HandMeasurement) -> Keypoints:
    score = np.full(len(HAND21), hand.presence, np.float32)
    state = JointState.MEASURED if hand.presence >= 0.5 else JointState.OCCLUDED
    return Keypoints(HAND21, hand.uv, score, np.full(len(HAND21), state, np.uint8))


def _mean_score(joints: Keypoints) -> float:
    return float(np.clip(np.nan_to_num(joints.score), 0, 1).mean())


def _joints(
    fit: Fit, sample: Sample, found: Sequence[tuple[Keypoints, float]], crops: bool
) -> Trial:
    shown = [(j, s) for j, s in found if (j.state != JointState.ABSENT).any()]
    picture = sample.image.copy()
    draw_instances(picture, [Instance(j, min(s, 1.0), fit.entry.name) for j, s in shown])
    layout = fit.entry.layout
    measured = [int((j.state >= JointState.MEASURED).sum()) for j, _ in shown]
    parts = [
        f"{count} of {len(j.layout)} joints, mean score {_mean_score(j):.2f}"
        for count, (j, _) in zip(measured, shown, strict=True)
    ]
    evidence = [_mean_score(j) for j, _ in found]
    total = sum(evidence) if not crops else float(np.mean(evidence)) if evidence else 0.0
    what = "hand" if layout is HAND21 else "body"
    return Trial(total, len(shown), _listed(what, parts), picture)


def _boxes(sample: Sample, found: Sequence[tuple[Sequence[float], float]]) -> Trial:
    picture = sample.image.copy()
    for (x, y, width, height), score in found:
        start, end = (round(x), round(y)), (round(x + width), round(y + height))
        cv2.rectangle(picture, start, end, (20, 20, 20), 4, cv2.LINE_AA)
        cv2.rectangle(picture, start, end, _BOX_COLOUR, 2, cv2.LINE_AA)
        place = (start[0] + 4, max(start[1] + 18, 18))
        for colour, thickness in (((20, 20, 20), 3), (_BOX_COLOUR, 1)):
            cv2.putText(
                picture, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, colour, thickness,
                cv2.LINE_AA,
            )  # fmt: skip
    scores = [f"score {score:.2f}" for _, score in found]
    return Trial(float(sum(s for _, s in found)), len(found), _listed("box", scores), picture)


def _listed(what: str, parts: Sequence[str]) -> str:
    if not parts:
        return f"no {what} found"
    more = f"; and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    plural = {"body": "bodies", "box": "boxes"}.get(what, f"{what}s")
    return f"{len(parts)} {what if len(parts) == 1 else plural}: {'; '.join(parts[:_SHOWN])}{more}"


def _corner_box(region: Region) -> tuple[float, float, float, float]:
    left, top = region.cx - region.width / 2, region.cy - region.height / 2
    return left, top, region.width, region.height


# --- lifting: a standing person of known size, seen from the front

_STAND = {
    "nose": (0.0, -0.67), "left_eye": (0.03, -0.70), "right_eye": (-0.03, -0.70),
    "left_ear": (0.07, -0.68), "right_ear": (-0.07, -0.68),
    "left_shoulder": (0.18, -0.50), "right_shoulder": (-0.18, -0.50),
    "left_elbow": (0.26, -0.22), "right_elbow": (-0.26, -0.22),
    "left_wrist": (0.28, 0.03), "right_wrist": (-0.28, 0.03),
    "left_hip": (0.11, 0.0), "right_hip": (-0.11, 0.0),
    "left_knee": (0.12, 0.42), "right_knee": (-0.12, 0.42),
    "left_ankle": (0.13, 0.84), "right_ankle": (-0.13, 0.84),
}  # fmt: skip
"""x and y of COCO's joints, m, from between the hips; x to the image's right, y down."""

_PX_PER_M, _WIDTH, _HEIGHT = 220.0, 640, 480


def _lift(fit: Fit) -> Trial:
    uv = np.array([_STAND[joint] for joint in COCO17.joints]) * _PX_PER_M + (320, 225)
    count = len(fit.model.offsets_s)
    joints = np.concatenate([uv, np.ones((len(uv), 1))], axis=1)
    window = JointWindow(np.repeat(joints[None], count, axis=0), _WIDTH, _HEIGHT, float("nan"))
    (shape,) = fit.model([window])
    known = np.isfinite(shape).all(axis=1)
    picture = np.concatenate(
        [
            _stick(COCO17, uv, "read: 2D, px"),
            _stick(COCO17, shape[:, :2] * _PX_PER_M + (320, 225), "given: front, m"),
            _stick(COCO17, shape[:, [2, 1]] * _PX_PER_M + (320, 225), "given: side, m"),
        ],
        axis=1,
    )
    if not known.any():
        return Trial(0.0, 0, "no finite joint", picture)
    tall = float(np.ptp(shape[known, 1]))
    deep = float(np.ptp(shape[known, 2]))
    text = (
        f"of a person who stands upright, 1.34 m from ankles to shoulders: {int(known.sum())} "
        f"joints of coco17, {tall:.2f} m high and {deep:.2f} m deep"
    )
    return Trial(float(known.mean()), 1, text, picture)


def _stick(layout: Layout, places: npt.NDArray, title: str) -> ByteArray:
    canvas = np.full((_HEIGHT, _WIDTH, 3), 245, np.uint8)
    uv: FloatArray = np.asarray(places, np.float32)
    known = np.isfinite(uv).all(axis=1)
    state = np.where(known, JointState.MEASURED, JointState.ABSENT).astype(np.uint8)
    joints = Keypoints(layout, uv, np.asarray(known, np.float32), state)
    draw_instances(canvas, [Instance(joints, 1.0, title)])
    cv2.putText(
        canvas, title, (12, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (40, 40, 40), 1, cv2.LINE_AA
    )
    return canvas
