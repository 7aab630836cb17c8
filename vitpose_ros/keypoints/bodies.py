"""Body readers: from crops to measurements of bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector, box_region
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.topdown import MEASURED_THRESHOLD, PRESENT_THRESHOLD, TopDown
from vitpose_ros.layouts import MEDIAPIPE33, Layout
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.types import ByteArray, Crop, FloatArray, JointState, Keypoints, Region

_JOINT_SCORE = 0.3  # joints with a lower score do not count in a body's score


class MediaPipeBodies:
    """Reads bodies with MediaPipe's landmarks: 33 joints, crops rotated along the body."""

    layout = MEDIAPIPE33

    def __init__(self, landmarks: BodyLandmarks) -> None:
        self.name, self.engine = landmarks.name, landmarks.engine
        self._landmarks = landmarks

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """Rotated squares: MediaPipe's own, or squares around another detector's boxes."""
        if isinstance(detector, MediaPipePersonDetector):
            return detector.body_regions(image, threshold)
        return [box_region(box) for box in detector(image, threshold)]

    def __call__(self, crops: Sequence[Crop]) -> list[BodyMeasurement | None]:
        """One measurement for each crop, in their order; None for no body."""
        return [
            None
            if estimate is None
            else BodyMeasurement(
                estimate.keypoints(crop.image.shape[1], crop.image.shape[0]),
                estimate.presence,
                estimate.next_region,
            )
            for crop, estimate in zip(crops, self._landmarks(crops), strict=True)
        ]


class TopDownBodies:
    """Reads bodies with a top-down model (ViTPose, RTMPose): upright crops, any body layout."""

    def __init__(self, model: TopDown) -> None:
        self.name, self.engine, self.layout = model.name, model.engine, model.layout
        self._model = model

    def regions(self, detector: PersonDetector, image: ByteArray, threshold: float) -> list[Region]:
        """The detector's boxes; the model adds the padding."""
        return detector(image, threshold)

    def __call__(self, crops: Sequence[Crop]) -> list[BodyMeasurement | None]:
        """One measurement for each crop, in their order; None for no body. A body's score is the
        mean score of its joints, without those with a low score.
        """
        return [_measurement(keypoints) for keypoints in self._model(crops)]


def whole_image_body(
    layout: Layout,
    uv: FloatArray,
    score: FloatArray | None,
    confidence: float,
    size: tuple[int, int],
    measured_from: float = MEASURED_THRESHOLD,
    std: FloatArray | None = None,
) -> BodyMeasurement | None:
    """A body that a network found in the whole image, with joint states by the rules of `TopDown`.

    Parameters
    ----------
    layout : of the K joints.
    uv, score : (K, 2) px and (K,), as the network gives them; not finite where it gives none. No
        scores at all if it gives none per joint.
    confidence : that it is a body, 0 .. 1.
    size : (width, height) of the image, px.
    measured_from : joints with a lower score are OCCLUDED, and do not locate the body.
    std : (K,) standard deviation of u and of v, px; None if unknown.

    Returns
    -------
    None for a body with too few joints to be tracked.
    """
    present = np.array(np.isfinite(uv).all(axis=1))
    measured = np.array(((uv >= -0.5) & (uv < np.array(size) - 0.5)).all(axis=1))
    if score is None:
        score = np.full(len(layout), np.nan, np.float32)
    else:
        present &= score >= PRESENT_THRESHOLD
        measured &= score >= measured_from
    state = np.where(measured, JointState.MEASURED, JointState.OCCLUDED)
    known = np.full(len(layout), np.nan, np.float32) if std is None else std
    keypoints = Keypoints(
        layout=layout,
        uv=np.where(present[:, None], uv, np.float32(np.nan)),
        score=np.where(present, np.minimum(score, np.float32(1)), np.float32(0)),
        state=np.where(present, state, JointState.ABSENT).astype(np.uint8),
        uv_std=np.where(present, known, np.float32(np.nan)),
    )
    region = body_region(keypoints, measured_from, padding=1.1)
    if region is None:
        return None
    confidence = min(confidence, 1.0)
    return BodyMeasurement(keypoints, confidence, replace(region, score=confidence))


def _measurement(keypoints: Keypoints) -> BodyMeasurement | None:
    counted = keypoints.score[keypoints.score >= _JOINT_SCORE]
    if counted.size == 0:
        return None
    # The model adds its own padding: here only the joints' extent matters.
    region = body_region(keypoints, _JOINT_SCORE, padding=1.1)
    return BodyMeasurement(keypoints, float(min(counted.mean(), 1.0)), region)
