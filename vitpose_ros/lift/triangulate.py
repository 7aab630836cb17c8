"""Metric joints from two or more calibrated cameras: pure functions.

Each joint is the point with the least squared reprojection error, every camera weighted by the
uncertainty of its pixel. The error is linearised around the camera's ray, so that any lens model
that gives rays can be used, also beyond 90 degrees. A camera that contradicts the others is left
out, joint by joint, as long as at least two remain that agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.transform import Transform

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

MAX_CAMERAS = 8
"""Every combination of cameras may have to be tried, and their number doubles with each camera."""

GATE_SIGMAS = 4.0
"""A camera whose reprojection error exceeds this many standard deviations is left out."""

MIN_PARALLAX_RAD = math.radians(1.0)
"""Cameras whose rays differ by less do not fix a distance."""

_ROUNDS = 6
_HALF_PX = 0.5


@dataclass(frozen=True)
class PosedCamera:
    """A camera and its place among the others.

    Attributes
    ----------
    model : its geometry.
    pose : from its optical frame to the common frame of all cameras.
    """

    model: CameraModel
    pose: Transform

    def project(self, points: Array) -> Array:
        """The pixels (..., 2) of points (..., 3) of the common frame."""
        return self.model.project(self.pose.inverse().points(points))


@dataclass(frozen=True)
class Triangulated:
    """Joints in the common frame of C cameras.

    Attributes
    ----------
    xyz : (K, 3) float64, m; NaN where the cameras do not fix the joint.
    covariance : (K, 3, 3) float64, m^2; NaN with xyz. It grows with the reprojection error where
        that exceeds what the pixels' uncertainty explains.
    error_px : (C, K) float64, distance between the pixel and the reprojected joint; NaN where the
        camera was not used.
    """

    xyz: Array
    covariance: Array
    error_px: Array

    @property
    def used(self) -> Mask:
        """(C, K) which cameras each joint comes from."""
        return np.isfinite(self.error_px)


def triangulate(cameras: Sequence[PosedCamera], uv: Array, std_px: Array) -> Triangulated:
    """The joints of one object, seen by several cameras at the same time.

    A joint is NaN unless at least two cameras agree on it: each within GATE_SIGMAS of its pixel,
    the joint in front of each (z > 0 for any lens below 90 degrees), and two rays apart by at least
    MIN_PARALLAX_RAD. The largest set of cameras that agree is used. Two sets of one size that both
    agree, but on different points, leave the joint NaN, because nothing tells which one is right.

    Parameters
    ----------
    cameras : 2 .. MAX_CAMERAS of them.
    uv : (C, K, 2) px; NaN where a camera does not see the joint.
    std_px : (C, K) standard deviation of uv along each axis, px; NaN or 0 where a camera must not
        be used.

    Raises
    ------
    ValueError : too few or too many cameras, or shapes that do not fit.
    """
    count = len(cameras)
    if not 2 <= count <= MAX_CAMERAS:
        raise ValueError(f"expected 2 to {MAX_CAMERAS} cameras, got {count}")
    uv, std_px = np.asarray(uv, np.float64), np.asarray(std_px, np.float64)
    if uv.ndim != 3 or uv.shape[::2] != (count, 2) or std_px.shape != uv.shape[:2]:
        raise ValueError(
            f"expected uv ({count}, K, 2) and std_px ({count}, K), got {uv.shape}, {std_px.shape}"
        )
    sight = _Sight.of(cameras, uv, std_px)
    joints = uv.shape[1]
    found = Triangulated(
        np.full((joints, 3), np.nan),
        np.full((joints, 3, 3), np.nan),
        np.full((count, joints), np.nan),
    )
    pending = sight.usable.sum(axis=0) >= 2
    for size in range(count, 1, -1):
        if not pending.any():
            break
        pending &= ~_best_of(sight, size, pending, found)
    return found


@dataclass(frozen=True)
class _Sight:
    """What C cameras see of K joints, in the common frame.

    Attributes
    ----------
    cameras, uv, std_px : as given to `triangulate`.
    origins : (C, 3) of the rays.
    rays : (C, K, 3) unit vectors.
    whiten : (C, K, 2, 3) from a point's offset to the ray, over its distance along the ray, to the
        reprojection error in standard deviations.
    usable : (C, K) whether the camera sees the joint.
    """

    cameras: Sequence[PosedCamera]
    uv: Array
    std_px: Array
    origins: Array
    rays: Array
    whiten: Array
    usable: Mask

    @classmethod
    def of(cls, cameras: Sequence[PosedCamera], uv: Array, std_px: Array) -> _Sight:
        rays, whiten = [], []
        for camera, pixels, std in zip(cameras, uv, std_px, strict=True):
            local = camera.model.rays(pixels)
            across = _across(local)
            # How the ray turns as the pixel moves by 1 px in u and in v: a 2x2 matrix per joint.
            moved = np.stack(
                [
                    camera.model.rays(pixels + step) - camera.model.rays(pixels - step)
                    for step in (np.array((_HALF_PX, 0.0)), np.array((0.0, _HALF_PX)))
                ],
                axis=-1,
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                to_px = _inverse_2x2(across @ moved) / std[:, None, None]
            rays.append(camera.pose.directions(local))
            whiten.append(to_px @ camera.pose.directions(across))
        looking, white = np.stack(rays), np.stack(whiten)
        usable = np.isfinite(looking).all(axis=2) & np.isfinite(white).all(axis=(2, 3))
        origins = np.stack([camera.pose.translation_m for camera in cameras])
        return cls(cameras, uv, std_px, origins, looking, white, usable & (std_px > 0))


def _best_of(sight: _Sight, size: int, pending: Mask, found: Triangulated) -> Mask:
    """Fill in the joints that sets of `size` cameras agree on. Returns which joints are settled:
    filled in, or ambiguous.
    """
    joints = len(pending)
    least = np.full(joints, np.inf)
    best, spread = np.full((joints, 3), np.nan), np.full(joints, np.nan)
    settled, ambiguous = np.zeros(joints, bool), np.zeros(joints, bool)
    for chosen in map(np.array, combinations(range(len(sight.cameras)), size)):
        own = np.flatnonzero(pending & sight.usable[chosen].all(axis=0))
        if own.size == 0:
            continue
        point, covariance, errors, agreed = _solve(sight, chosen, own)
        own = own[agreed]
        point, covariance, errors = point[agreed], covariance[agreed], errors[:, agreed]
        std = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
        apart = np.linalg.norm(point - best[own], axis=1)
        ambiguous[own] |= settled[own] & (apart > GATE_SIGMAS * np.hypot(std, spread[own]))
        total = np.square(errors / sight.std_px[np.ix_(chosen, own)]).sum(axis=0)
        better = total < least[own]
        own, point, covariance = own[better], point[better], covariance[better]
        settled[own] = True
        least[own], best[own], spread[own] = total[better], point, std[better]
        found.xyz[own], found.covariance[own] = point, covariance
        found.error_px[:, own] = np.nan
        found.error_px[np.ix_(chosen, own)] = errors[:, better]
    found.xyz[ambiguous], found.covariance[ambiguous] = np.nan, np.nan
    found.error_px[:, ambiguous] = np.nan
    return settled


def _solve(sight: _Sight, chosen: Indices, own: Indices) -> tuple[Array, Array, Array, Mask]:
    """Joints `own` from the cameras `chosen`: points (J, 3), covariances (J, 3, 3), reprojection
    errors (C, J) px, and whether these cameras agree on them.
    """
    pick = np.ix_(chosen, own)
    rays, whiten = sight.rays[pick], sight.whiten[pick]
    origins = sight.origins[chosen][:, None]
    agreed = _parallax(rays) >= MIN_PARALLAX_RAD
    distance = np.ones(rays.shape[:2])
    point, information = np.full((len(own), 3), np.nan), np.zeros((len(own), 3, 3))
    for _ in range(_ROUNDS):
        rows = whiten / distance[..., None, None]
        normal = np.einsum("cjab,cjad->cjbd", rows, rows)
        information = normal.sum(axis=0)
        right = np.einsum("cjbd,cjd->jb", normal, np.broadcast_to(origins, rays.shape))
        information[~agreed] = np.eye(3)  # parallel rays make it singular
        point = np.linalg.solve(information, right[..., None])[..., 0]
        distance = np.einsum("cjd,cjd->cj", rays, point - origins)
        agreed &= (distance > 0).all(axis=0)
        distance = np.where(distance > 0, distance, 1.0)
    errors: Array = np.stack(
        [
            np.linalg.norm(sight.cameras[camera].project(point) - sight.uv[camera, own], axis=1)
            for camera in chosen
        ]
    )
    sigmas = errors / sight.std_px[pick]
    with np.errstate(invalid="ignore"):
        agreed &= (sigmas <= GATE_SIGMAS).all(axis=0)
    inflation = np.maximum(1.0, np.square(sigmas).sum(axis=0) / (2 * len(chosen) - 3))
    inflation = np.where(agreed, inflation, 1.0)
    covariance = np.asarray(np.linalg.inv(information) * inflation[:, None, None], np.float64)
    return point, covariance, errors, agreed


def _parallax(rays: Array) -> Array:
    """(J,) the largest angle between two of the rays (C, J, 3), as lines without direction, rad."""
    most = np.zeros(rays.shape[1])
    for a, b in combinations(rays, 2):
        most = np.maximum(most, np.linalg.norm(np.cross(a, b), axis=1))
    parallax: Array = np.arcsin(np.minimum(most, 1.0))
    return parallax


def _across(rays: Array) -> Array:
    """(K, 2, 3) two unit vectors perpendicular to each ray and to each other."""
    away = np.eye(3)[np.argmin(np.abs(np.nan_to_num(rays)), axis=1)]
    first = np.cross(rays, away)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(rays, first)], axis=1)


def _inverse_2x2(matrix: Array) -> Array:
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    inverse = np.stack([np.stack([d, -b], -1), np.stack([-c, a], -1)], -2)
    return np.asarray(inverse / (a * d - b * c)[..., None, None])
