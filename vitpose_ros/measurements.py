"""Data passed between the steps of the core: the plan for an image, and its measurements.

A `FramePlan` comes from the tracks and defines where to look. `Measurements` come from this image
alone: nothing in them is smoothed or averaged over time, and they have no identity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.layouts import HAND21
from vitpose_ros.settings import HandSettings, PersonSettings
from vitpose_ros.types import NO_ID, FloatArray, JointState, Keypoints, Region, View

_MIRROR_X = np.array([-1, 1, 1], np.float32)


class CropSource(Enum):
    """Why a crop was read."""

    DETECTION = "a detector found something there"
    TRACK = "a track that was seen in the previous image leads there"
    LOST_TRACK = "a lost track leads there"
    BODY = "a body has its hand there"


@dataclass(frozen=True)
class FramePlan:
    """Where to look in one image, decided before any network runs.

    Attributes
    ----------
    view : EGOCENTRIC finds hands directly; THIRD_PERSON finds bodies, their hands, then others.
    hands, persons : the settings in use for this image.
    reset : tracking restarts at this image.
    hand_crops, body_crops : where tracks lead, with their ids.
    lost_ids : the tracks among them that were not seen in the previous image.
    sides_due : detect hands even if all are tracked, if only the detector tells the sides of some.
    check_persons : read each body again to find out whether it is a person, not only new ones.
    hand_windows : where the hand detector looks while fewer than max_hands are measured, not
        counting those of bodies: the whole image first, then tiles; one of both; or nowhere.
    persons_below : the person detector runs when fewer bodies than this are measured. None: bodies
        are not measured at all.
    """

    view: View
    hands: HandSettings
    persons: PersonSettings
    reset: bool = False
    hand_crops: tuple[Region, ...] = ()
    hand_windows: tuple[Region, ...] = ()
    body_crops: tuple[Region, ...] = ()
    persons_below: int | None = None
    sides_due: bool = False
    check_persons: bool = False
    lost_ids: frozenset[int] = frozenset()

    def source(self, crop: Region, otherwise: CropSource) -> CropSource:
        """Why a crop is read: by its track, or `otherwise` where it has none."""
        if crop.track_id == NO_ID:
            return otherwise
        return CropSource.LOST_TRACK if crop.track_id in self.lost_ids else CropSource.TRACK


@dataclass(frozen=True)
class HandMeasurement:
    """A hand as a network measured it in one crop.

    Attributes
    ----------
    uv : (21, 2) float32, px of the image; NaN where the network gave no joint.
    score : (21,) float32, 0 .. 1; 0 where it gave no joint, NaN if it gives no scores per joint.
    supported : (21,) bool, whether the joint's own score supports it; networks without scores per
        joint support all.
    shape_xyz : (21, 3) float32, metres around the hand's centre, axes of the optical frame (x
        right, y down, z forward); NaN from networks that give none.
    presence : probability that the crop shows a hand, 0 .. 1.
    right : probability of a right hand, 0 .. 1; NaN from networks that do not tell.
    source : why the crop was read.
    detected_right : the same by the hand detector; NaN if it does not tell, or did not run.
    uv_std : (21,) float32, px, the standard deviation of u and of v; NaN where unknown.
    """

    uv: FloatArray
    score: FloatArray
    supported: npt.NDArray[np.bool_]
    shape_xyz: FloatArray
    presence: float
    right: float
    source: CropSource = CropSource.DETECTION
    detected_right: float = math.nan
    uv_std: FloatArray = field(default_factory=lambda: np.full(21, np.nan, np.float32))

    @cached_property
    def region(self) -> Region | None:
        """Where to look for this hand in the next image; None if `hand_region` finds no region."""
        return hand_region(self.uv, self.presence)

    def inside(self, width: int, height: int) -> npt.NDArray[np.bool_]:
        """(21,) which joints lie on the pixels of an image of that size."""
        u, v = self.uv.T
        return np.asarray((u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5))

    def mirrored(self) -> HandMeasurement:
        """The same hand, had the image not been mirrored; pixels stay those of the image."""
        return replace(
            self,
            right=1.0 - self.right,
            detected_right=1.0 - self.detected_right,
            shape_xyz=self.shape_xyz * _MIRROR_X,
        )

    def keypoints(self, width: int, height: int) -> Keypoints:
        """The joints in the layout hand21, for an image of that size (px)."""
        inside = self.inside(width, height)
        measured = inside & self.supported
        state = np.where(measured, JointState.MEASURED, JointState.OCCLUDED)
        absent = np.isnan(self.uv).any(axis=1)
        return Keypoints(
            layout=HAND21,
            uv=self.uv,
            score=self.score,
            state=np.where(absent, JointState.ABSENT, state).astype(np.uint8),
            shape_xyz=self.shape_xyz,
            # What lies outside the image was never compared with the truth.
            uv_std=np.where(inside, self.uv_std, np.float32(np.nan)),
        )


@dataclass(frozen=True)
class BodyMeasurement:
    """A body as a network measured it in one crop.

    Attributes
    ----------
    keypoints : its joints.
    score : confidence that it is a body, 0 .. 1.
    region : where to look for it in the next image; None when it cannot be followed.
    source : why the crop was read.
    disagreement : how far further readings of the same body put its trunk from this one, relative
        to the trunk; NaN if there are none. See `measure.rereading`.
    """

    keypoints: Keypoints
    score: float
    region: Region | None
    source: CropSource = CropSource.DETECTION
    disagreement: float = math.nan

    def mirrored(self) -> BodyMeasurement:
        """The same body, had the image not been mirrored: left and right joints are exchanged, and
        x in metres changes sign. In the image every point stays where it is.
        """
        layout = self.keypoints.layout
        joints = self.keypoints.pick(layout.flip_permutation(), layout)
        return replace(
            self,
            keypoints=replace(
                joints, xyz=joints.xyz * _MIRROR_X, shape_xyz=joints.shape_xyz * _MIRROR_X
            ),
        )


@dataclass(frozen=True)
class JointWindow:
    """A body's joints over time, for a lifting network.

    Attributes
    ----------
    joints : (images, K, 3): px through a lens without distortion, and score; NaN where unknown.
    width, height : of the images, px.
    focal_px : the camera's focal length; NaN if not known.
    """

    joints: npt.NDArray[np.float64]
    width: int
    height: int
    focal_px: float


class ShapeReader(Protocol):
    """Estimates the shape of bodies of one layout with K joints: a lifting network."""

    name: str
    """The network's name in the model catalogue."""
    offsets_s: npt.NDArray[np.float64]
    """(images,) the times of its window, relative to this image; none is later than it."""
    needed: npt.NDArray[np.bool_]
    """(K,) the joints that it reads."""

    def __call__(self, windows: Sequence[JointWindow]) -> list[FloatArray]:
        """Shapes (K, 3) float32, m, in the order of the windows; NaN for joints that the network
        does not give.
        """
        ...

    def warm_up(self) -> None:
        """Run the network once."""
        ...


@dataclass(frozen=True)
class Measurements:
    """What the networks measured in one image.

    Attributes
    ----------
    hands : each hand once.
    bodies : each body once; None when bodies were not measured.
    hands_searched, persons_searched : whether the detector of each ran.
    models : the networks that ran for this image, in the order of their first use.
    stage_s : wall time of "detect" and "keypoints", s, 0 for a stage that did not run. Images that
        were measured together share it: it is that of the whole batch.
    """

    hands: tuple[HandMeasurement, ...] = ()
    bodies: tuple[BodyMeasurement, ...] | None = None
    hands_searched: bool = False
    persons_searched: bool = False
    models: tuple[str, ...] = ()
    stage_s: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "keypoints": 0.0})
