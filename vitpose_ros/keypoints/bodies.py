"""Body readers: from crops to measurements of bodies."""

from __future__ import annotations

from collections.abc import Sequence

from vitpose_ros.detect.bodies import body_region
from vitpose_ros.detect.mediapipe_person import MediaPipePersonDetector, box_region
from vitpose_ros.detect.persons import PersonDetector
from vitpose_ros.keypoints.mediapipe_body import BodyLandmarks
from vitpose_ros.keypoints.topdown import TopDown
from vitpose_ros.layouts import MEDIAPIPE33
from vitpose_ros.measurements import BodyMeasurement
from vitpose_ros.types import ByteArray, Crop, Keypoints, Region

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


def _measurement(keypoints: Keypoints) -> BodyMeasurement | None:
    counted = keypoints.score[keypoints.score >= _JOINT_SCORE]
    if counted.size == 0:
        return None
    # The model adds its own padding: here only the joints' extent matters.
    region = body_region(keypoints, _JOINT_SCORE, padding=1.1)
    return BodyMeasurement(keypoints, float(min(counted.mean(), 1.0)), region)
