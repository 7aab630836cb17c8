"""The core's data types: frozen dataclasses whose shapes are checked when they are made.

Pixels: u to the right, v down, (0, 0) at the centre of the top left pixel (OpenCV, and ROS's
camera_info). Boxes are (x, y, width, height). Camera frames are optical: x right, y down, z
forward, metres. Angles are radians, positive turning x towards y (clockwise as seen in the image).
Arrays inside these objects are not to be written to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import Layout
from vitpose_ros.transform import Transform

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]

Pixels = slice | npt.NDArray[np.intp]

NO_ID = -1

_NOT_GIVEN: Any = None
"""The default of a field whose default depends on the other fields."""


class Side(IntEnum):
    """Whose hand it is, seen from its owner; the values of Skeleton.msg."""

    UNKNOWN = 0
    LEFT = 1
    RIGHT = 2


class JointState(IntEnum):
    """How a joint is known, from least to best; the values of Skeleton.msg."""

    ABSENT = 0
    PREDICTED = 1
    OCCLUDED = 2
    MEASURED = 3
    VISIBLE = 4


class TrackState(IntEnum):
    """How sure an identity is; the values of Skeleton.msg."""

    NONE = 0
    TENTATIVE = 1
    CONFIRMED = 2
    LOST = 3


class View(IntEnum):
    """How an image was searched; the values of SkeletonArray.msg."""

    EGOCENTRIC = 1
    THIRD_PERSON = 2


class ZSource(IntEnum):
    """Where a joint's metric position comes from; the values of Skeleton.msg."""

    NONE = 0
    MEASURED = 1
    TRIANGULATED = 2
    INFERRED = 3
    ASSUMED = 4
    TRUTH = 5


class Correction(IntFlag):
    """What was done to a joint beyond smoothing; the values of Skeleton.msg."""

    NONE = 0
    OUTLIER = 1
    BONE_LENGTH = 2
    JOINT_LIMIT = 4


def _check_shape(
    owner: str, name: str, array: npt.NDArray, shape: tuple[int, ...], dtype: type
) -> None:
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{owner}.{name}: expected {np.dtype(dtype).name} {shape}, got {_described(array)}"
        )


def _described(given: object) -> str:
    """What was given in place of an array, for an error."""
    return f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else repr(type(given))


@dataclass(frozen=True)
class Depth:
    """A depth image, pixel for pixel that of its colour image.

    Attributes
    ----------
    image : (H, W) uint16 or float32: distance along the optical axis. 0, and in float32 any value
        that is not finite and positive, means that there is no measurement.
    unit_m : metres per unit: 0.001 for 16UC1, 1.0 for 32FC1 (REP 118).
    """

    image: npt.NDArray[np.uint16] | FloatArray
    unit_m: float

    def __post_init__(self) -> None:
        image = self.image
        if (
            not isinstance(image, np.ndarray)
            or image.ndim != 2
            or image.dtype not in (np.uint16, np.float32)
        ):
            raise ValueError(
                f"Depth.image: expected uint16 or float32 (H, W), got {_described(image)}"
            )
        if not math.isfinite(self.unit_m) or self.unit_m <= 0:
            raise ValueError(f"Depth.unit_m: expected a positive number, got {self.unit_m}")

    def metres(self, rows: Pixels = slice(None), columns: Pixels = slice(None)) -> FloatArray:
        """Depth in metres of a part of the image, or at pixels by their rows and columns, float32;
        NaN where there is no measurement.
        """
        values = self.image[rows, columns].astype(np.float32) * np.float32(self.unit_m)
        values[~(np.isfinite(values) & (values > 0))] = np.nan
        return values


@dataclass(frozen=True)
class Frame:
    """One image of a camera, with what is known of that camera.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR as OpenCV has it.
    stamp_ns : time of capture, ns. Every temporal step uses this and no other clock.
    frame_id : the camera's optical frame, in which metric positions are given; '' if not named.
    camera : its geometry, for images of this size; None if not known.
    depth : the depth image of the same moment and size; None if there is none.
    to_target : from the camera's optical frame to the frame of all metric results; None: they are
        in the optical frame. Where it is not known (`Transform.unknown`), nothing is metric.
    to_rig : from the camera's optical frame to the frame that several calibrated cameras have in
        common; None for a camera by itself.
    """

    image: ByteArray
    stamp_ns: int = 0
    frame_id: str = ""
    camera: CameraModel | None = None
    depth: Depth | None = None
    to_target: Transform | None = None
    to_rig: Transform | None = None

    def __post_init__(self) -> None:
        image = self.image
        if (
            not isinstance(image, np.ndarray)
            or image.ndim != 3
            or image.shape[2] != 3
            or image.dtype != np.uint8
        ):
            raise ValueError(
                f"Frame.image: expected uint8 (H, W, 3) in BGR order, got {_described(image)}"
            )
        size = f"{self.width}x{self.height}"
        if self.width == 0 or self.height == 0:
            raise ValueError(f"Frame.image: an image of {size} pixels has no content")
        camera, depth = self.camera, self.depth
        if camera is not None and (camera.width, camera.height) != (self.width, self.height):
            raise ValueError(
                f"Frame.camera: expected a camera model for {size} px, as the image has, got one "
                f"for {camera.width}x{camera.height}; CameraModel.scaled_to may convert it"
            )
        if depth is not None and depth.image.shape != image.shape[:2]:
            raise ValueError(
                f"Frame.depth: expected {size} px, as the image has, got "
                f"{depth.image.shape[1]}x{depth.image.shape[0]}"
            )

    @property
    def width(self) -> int:
        """Columns, px."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Rows, px."""
        return int(self.image.shape[0])


@dataclass(frozen=True)
class Region:
    """A rotated rectangle of the image that is believed to hold one object.

    Attributes
    ----------
    cx, cy : centre, px.
    width, height : sides along the rectangle's own axes, px.
    rotation_rad : angle from the image's x axis to the rectangle's own, positive towards the
        image's y axis.
    score : confidence, 0 .. 1.
    track_id : the track that it follows, or NO_ID.
    """

    cx: float
    cy: float
    width: float
    height: float
    rotation_rad: float = 0.0
    score: float = 1.0
    track_id: int = NO_ID

    def __post_init__(self) -> None:
        numbers = (self.cx, self.cy, self.width, self.height, self.rotation_rad, self.score)
        if not all(map(math.isfinite, numbers)) or self.width <= 0 or self.height <= 0:
            raise ValueError(
                "Region: expected finite numbers and positive sides, got "
                f"centre ({self.cx}, {self.cy}), size {self.width} x {self.height}, rotation "
                f"{self.rotation_rad}"
            )


@dataclass(frozen=True)
class Crop:
    """A region of one image, for a network to read. Crops of several images share one batch.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    region : the part of it to read, px; it may reach beyond the image.
    """

    image: ByteArray
    region: Region


@dataclass(frozen=True)
class Keypoints:
    """The joints of one object, in its layout's order.

    Attributes
    ----------
    layout : the layout of the K joints.
    uv : (K, 2) float32, px; NaN where the joint is absent.
    score : (K,) float32, 0 .. 1; 0 where absent, NaN where the model gives no scores per joint.
    state : (K,) uint8, values of JointState.
    xyz : (K, 3) float32, metres in the camera's optical frame, once lifted in the target frame
        (`Frame.to_target`); NaN where unknown.
    xyz_std : (K,) float32, m, standard deviation of xyz in the direction in which it is known
        worst, mostly along the ray; NaN where xyz is NaN, or where it is not known.
    z_source : (K,) uint8, values of ZSource; NONE exactly where xyz is NaN.
    shape_xyz : (K, 3) float32, the model's own estimate of the shape: metres, axes as of xyz,
        origin at the object's centre; NaN where the model gives none.
    corrected : (K,) uint8, values of Correction: OUTLIER where this image's own joint was not
        believed, BONE_LENGTH and JOINT_LIMIT where the joint was moved to what a skeleton can do.
    uv_std : (K,) float32, px, the standard deviation of u and of v, each on its own: 0 only for the
        exact truth of a rendered scene, NaN where unknown, and always where the joint is absent.
    """

    layout: Layout
    uv: FloatArray
    score: FloatArray
    state: ByteArray
    xyz: FloatArray = _NOT_GIVEN
    z_source: ByteArray = _NOT_GIVEN
    shape_xyz: FloatArray = _NOT_GIVEN
    corrected: ByteArray = _NOT_GIVEN
    uv_std: FloatArray = _NOT_GIVEN
    xyz_std: FloatArray = _NOT_GIVEN

    def __post_init__(self) -> None:
        count = len(self.layout)
        for name in ("xyz", "shape_xyz"):
            if getattr(self, name) is _NOT_GIVEN:
                object.__setattr__(self, name, np.full((count, 3), np.nan, np.float32))
        if self.z_source is _NOT_GIVEN:
            object.__setattr__(self, "z_source", np.zeros(count, np.uint8))
        if self.corrected is _NOT_GIVEN:
            object.__setattr__(self, "corrected", np.zeros(count, np.uint8))
        if self.uv_std is _NOT_GIVEN:
            object.__setattr__(self, "uv_std", np.full(count, np.nan, np.float32))
        if self.xyz_std is _NOT_GIVEN:
            object.__setattr__(self, "xyz_std", np.full(count, np.nan, np.float32))
        _check_shape("Keypoints", "uv", self.uv, (count, 2), np.float32)
        _check_shape("Keypoints", "score", self.score, (count,), np.float32)
        _check_shape("Keypoints", "state", self.state, (count,), np.uint8)
        _check_shape("Keypoints", "xyz", self.xyz, (count, 3), np.float32)
        _check_shape("Keypoints", "z_source", self.z_source, (count,), np.uint8)
        _check_shape("Keypoints", "shape_xyz", self.shape_xyz, (count, 3), np.float32)
        _check_shape("Keypoints", "corrected", self.corrected, (count,), np.uint8)
        _check_shape("Keypoints", "uv_std", self.uv_std, (count,), np.float32)
        _check_shape("Keypoints", "xyz_std", self.xyz_std, (count,), np.float32)
        absent = self.state == JointState.ABSENT
        if not np.array_equal(absent, np.isnan(self.uv).any(axis=1)):
            raise ValueError(
                "Keypoints: a joint's uv is NaN exactly where its state is ABSENT; here they "
                "disagree"
            )
        unknown = np.isnan(self.xyz).any(axis=1)
        if not np.array_equal(self.z_source == ZSource.NONE, unknown):
            raise ValueError(
                "Keypoints: a joint's xyz is NaN exactly where its z_source is NONE; here they "
                "disagree"
            )
        known = ~np.isnan(self.uv_std)
        if (absent & known).any() or not (self.uv_std[known] >= 0).all():
            raise ValueError(
                "Keypoints: a joint's uv_std is NaN where its state is ABSENT, and elsewhere NaN "
                "or at least 0 px"
            )
        if not np.isnan(self.xyz_std[unknown]).all():
            raise ValueError("Keypoints: a joint's xyz_std is NaN where its xyz is")

    @classmethod
    def absent(cls, layout: Layout) -> Keypoints:
        """Joints of which none is known."""
        count = len(layout)
        return cls(
            layout,
            np.full((count, 2), np.nan, np.float32),
            np.zeros(count, np.float32),
            np.full(count, JointState.ABSENT, np.uint8),
        )

    def scored(self, least: float) -> npt.NDArray[np.bool_]:
        """(K,) which joints are there and have at least this score; where the model gives none per
        joint, which are there.
        """
        return (self.state != JointState.ABSENT) & ~(self.score < least)

    def pick(self, joints: Sequence[int], layout: Layout) -> Keypoints:
        """The joints with these indices, in this order, as the joints of another layout."""
        order = list(joints)
        arrays = (f.name for f in fields(self) if f.name != "layout")
        return Keypoints(layout, **{name: getattr(self, name)[order] for name in arrays})

    def box(self) -> tuple[float, float, float, float]:
        """(x, y, width, height) in px of the smallest upright box around the joints; NaN when
        every joint is absent.
        """
        present = self.uv[self.state != JointState.ABSENT]
        if present.size == 0:
            return float("nan"), float("nan"), float("nan"), float("nan")
        (x0, y0), (x1, y1) = present.min(axis=0), present.max(axis=0)
        return float(x0), float(y0), float(x1 - x0), float(y1 - y0)


@dataclass(frozen=True)
class Instance:
    """One body or hand in one image, with what is known of its identity.

    Attributes
    ----------
    keypoints : the joints as published: smoothed when a filter is in use.
    raw : the joints as measured in this image; the same object as `keypoints` when nothing is
        smoothed.
    score : confidence that it is what the layout's kind says, 0 .. 1.
    model : the network that gave the keypoints, by its name in the model catalogue.
    side, side_score : which hand, and the probability of that, 0.5 .. 1 (NaN when UNKNOWN).
    track_id, parent_id, track_state, track_age_s : identity; see Skeleton.msg.
    """

    keypoints: Keypoints
    score: float
    model: str
    raw: Keypoints = _NOT_GIVEN
    side: Side = Side.UNKNOWN
    side_score: float = float("nan")
    track_id: int = NO_ID
    parent_id: int = NO_ID
    track_state: TrackState = TrackState.NONE
    track_age_s: float = 0.0

    def __post_init__(self) -> None:
        if self.raw is _NOT_GIVEN:
            object.__setattr__(self, "raw", self.keypoints)
        if self.raw.layout is not self.keypoints.layout:
            raise ValueError(
                f"Instance: raw joints are of layout '{self.raw.layout.name}', "
                f"smoothed ones of '{self.keypoints.layout.name}'; both must be the same"
            )

    @property
    def layout(self) -> Layout:
        """The layout of its joints."""
        return self.keypoints.layout

    @property
    def is_lost(self) -> bool:
        """Whether it was not measured in this image, but may be found again."""
        return self.track_state is TrackState.LOST
