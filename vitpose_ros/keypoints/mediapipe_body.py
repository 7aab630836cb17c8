"""MediaPipe's body landmark network: from rotated square crops to 33 joints each.

Constants are those of MediaPipe's graphs pose_landmark_by_roi_cpu and
tensors_to_pose_landmarks_and_segmentation. The network has an input of 256x256 pixels. It outputs
39 points in these pixels with logits of visibility and of presence in the image, heatmaps that
refine them, the probability that there is a body, and points in metres around the mid-hip. Points
33 and 34 define the crop for the next image. The segmentation mask is not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.detect.mediapipe_person import aligned_region
from vitpose_ros.engines.base import Engine, EngineError
from vitpose_ros.geometry import apply_affine, crop_rgb, region_to_image
from vitpose_ros.layouts import MEDIAPIPE33
from vitpose_ros.types import Crop, FloatArray, JointState, Keypoints, Region

INPUT_PX = 256
JOINTS = 33
SEEN = 0.5
"""A joint with a lower visibility or presence is inferred, not seen."""

_POINTS, _VALUES = 39, 5  # x, y, z in input px, logits of visibility and presence
_AUXILIARY = slice(33, 35)
_MAP_PX = 64
_KERNEL = 7  # of the refinement, heatmap px
_MIN_CONFIDENCE = 0.5
_SHAPES: dict[str, tuple[int, ...]] = {
    "points": (_POINTS * _VALUES,),
    "presence": (1,),
    "heatmap": (_MAP_PX, _MAP_PX, _POINTS),
    "world": (_POINTS * 3,),
}


@dataclass(frozen=True)
class BodyEstimate:
    """A body as the network measured it in one crop.

    Attributes
    ----------
    uv : (33, 2) float32, px of the image.
    visibility : (33,) float32, probability that the joint is in the image and not hidden.
    joint_presence : (33,) float32, probability that it is in the image.
    shape_xyz : (33, 3) float32, metres around the mid-hip, axes of the optical frame (x right, y
        down, z forward).
    presence : probability that the region shows a body, 0 .. 1.
    next_region : where to look for it in the next image, from this image alone (in a video,
        MediaPipe smooths the two points that define it); None if these points coincide.
    """

    uv: FloatArray
    visibility: FloatArray
    joint_presence: FloatArray
    shape_xyz: FloatArray
    presence: float
    next_region: Region | None

    def keypoints(self, width: int, height: int) -> Keypoints:
        """The joints in the layout mediapipe33, for an image of that size (px).

        A joint's score is the lower of visibility and presence; below `SEEN`, or outside the
        image, it is OCCLUDED.
        """
        u, v = self.uv.T
        inside = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
        score = np.minimum(self.visibility, self.joint_presence)
        seen = inside & (score >= SEEN)
        return Keypoints(
            layout=MEDIAPIPE33,
            uv=self.uv,
            score=score,
            state=np.where(seen, JointState.VISIBLE, JointState.OCCLUDED).astype(np.uint8),
            shape_xyz=self.shape_xyz,
        )


class BodyLandmarks:
    """Measures the joints of bodies.

    Parameters
    ----------
    engine : runs the network: one input (N, 256, 256, 3); among its outputs, in any order,
        (N, 195), (N, 1), (N, 64, 64, 39) and (N, 117).
    name : the network's name in the model catalogue.

    Raises
    ------
    EngineError : the network's inputs or outputs do not fit.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.engine = engine.name
        self._engine = engine
        self._outputs = _names(engine, name)

    def __call__(self, crops: Sequence[Crop]) -> list[BodyEstimate | None]:
        """Measure the joints in each crop.

        Parameters
        ----------
        crops : rotated squares around bodies; edge pixels are repeated beyond the image.

        Returns
        -------
        One estimate for each crop, in their order, px of its image; None if an output is not
        finite.
        """
        if not crops:
            return []
        tensor = np.empty((len(crops), INPUT_PX, INPUT_PX, 3), np.float32)
        for crop, target in zip(crops, tensor, strict=True):
            crop_rgb(crop.image, crop.region, target)
        run = self._engine.run({self._engine.inputs[0].name: tensor})
        points, presence, heatmap, world = (run[self._outputs[key]] for key in _SHAPES)
        return [
            _estimate(crop.region, points[i], float(presence[i, 0]), heatmap[i], world[i])
            for i, crop in enumerate(crops)
        ]


def refine(xy: FloatArray, heatmap: FloatArray) -> FloatArray:
    """Move points to the weighted mean of their heatmap's neighbourhood.

    Source: MediaPipe's RefineLandmarksFromHeatmapCalculator with a kernel of 7. It uses the upper
    left corner of each cell, so refined points are up to half a cell off. This is kept for parity
    with MediaPipe.

    Parameters
    ----------
    xy : (P, 2), fractions of the crop.
    heatmap : (H, W, P) logits.

    Returns
    -------
    (P, 2) float32; points outside the crop, or without a confident cell nearby, are unchanged.
    """
    height, width, _ = heatmap.shape
    reach = _KERNEL // 2
    cell = np.trunc(xy * (width, height)).astype(np.int64)  # as C++ casts
    within = ((cell >= 0) & (cell < (width, height))).all(axis=1)
    steps = np.arange(-reach, reach + 1)
    columns, rows = cell[within, :1] + steps, cell[within, 1:] + steps
    points = np.flatnonzero(within)
    logits = heatmap[
        np.clip(rows, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
        points[:, None, None],
    ].astype(np.float64)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    confidence = np.where(inside, _sigmoid(logits), 0.0)
    total = confidence.sum(axis=(1, 2))
    use = (confidence.max(axis=(1, 2), initial=0.0) >= _MIN_CONFIDENCE) & (total > 0)
    refined = np.array(xy, np.float32)
    mean_x = (confidence.sum(axis=1) * columns).sum(axis=1)[use] / total[use] / width
    mean_y = (confidence.sum(axis=2) * rows).sum(axis=1)[use] / total[use] / height
    refined[points[use]] = np.stack([mean_x, mean_y], axis=1)
    return refined


def _estimate(
    region: Region, points: FloatArray, presence: float, heatmap: FloatArray, world: FloatArray
) -> BodyEstimate | None:
    """From the crop to the image.

    The points in metres have x right, y down and z away from the camera in the rotated crop:
    rotated back about z, their axes are those of the optical frame.
    """
    if not all(np.isfinite(values).all() for values in (points, presence, heatmap, world)):
        return None
    rows = points.reshape(_POINTS, _VALUES)
    xy = refine(rows[:, :2] / np.float32(INPUT_PX), heatmap)
    uv = apply_affine(region_to_image(region, (1, 1)), xy)
    cos, sin = math.cos(region.rotation_rad), math.sin(region.rotation_rad)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    likely = min(max(presence, 0.0), 1.0)
    return BodyEstimate(
        uv=uv[:JOINTS].astype(np.float32),
        visibility=_sigmoid(rows[:JOINTS, 3]).astype(np.float32),
        joint_presence=_sigmoid(rows[:JOINTS, 4]).astype(np.float32),
        shape_xyz=(world.reshape(_POINTS, 3)[:JOINTS] @ turn.T).astype(np.float32),
        presence=likely,
        next_region=aligned_region(uv[_AUXILIARY], likely, region.track_id),
    )


def _sigmoid(logits: npt.NDArray) -> npt.NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -100.0, 100.0)))


def _names(engine: Engine, name: str) -> dict[str, str]:
    """The names of the outputs, by their keys in `_SHAPES`."""
    inputs = [spec.shape[1:] for spec in engine.inputs]
    named = {
        key: [spec.name for spec in engine.outputs if spec.shape[1:] == shape]
        for key, shape in _SHAPES.items()
    }
    if inputs != [(INPUT_PX, INPUT_PX, 3)] or any(len(names) != 1 for names in named.values()):
        found = ", ".join(map(str, (*engine.inputs, *engine.outputs)))
        wanted = ", ".join("(N, " + ", ".join(map(str, shape)) + ")" for shape in _SHAPES.values())
        raise EngineError(
            f"'{name}' is not MediaPipe's body landmark network: expected one input "
            f"(N, {INPUT_PX}, {INPUT_PX}, 3) and the outputs {wanted}; the file has {found}"
        )
    return {key: names[0] for key, names in named.items()}
