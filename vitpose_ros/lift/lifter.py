"""Metres for the joints that one camera sees.

For each hand or body, in this order:

1. With depth, a reading at each joint that is seen in this image: the nearest surface there, with
   the joint a radius behind it. Readings that bones do not allow are dropped, and those of joints
   that lie behind another finger or the palm.
2. Hands whose model gives a shape are fitted as a whole (hand_fit.py). A joint that ends where its
   reading has it is measured (Z_MEASURED); any other is not what the depth image shows at its
   pixel, and is inferred from the rest (Z_INFERRED).
3. Other hands, and bodies: readings as they are, and the missing joints from them, by the model's
   shape or the bones.
4. Without any reading: a hand of known size is fitted by its size alone (Z_ASSUMED). The size is a
   setting, or what depth measured of this track before. Bodies are not: people differ in size, and
   one image does not tell a child from a distant adult.

Metres that a network gave itself stay. Without the camera's geometry nothing is lifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import HAND21, Layout
from vitpose_ros.lift.anatomy import HAND_LENGTH_M, HAND_TREE, RADIUS_STD, radii_m, reach_m
from vitpose_ros.lift.hand_fit import HandFit, Readings, fit_hand, with_lengths
from vitpose_ros.lift.infer import aligned, inferred, overlapping, plausible
from vitpose_ros.lift.settings import LARGEST_HAND_M, SMALLEST_HAND_M, LiftSettings
from vitpose_ros.lift.surface import nearest_surface, typical_depth_m
from vitpose_ros.limits import hand_starts
from vitpose_ros.types import NO_ID, Depth, Frame, Instance, JointState, Keypoints, ZSource

Array = npt.NDArray[np.float64]

WINDOW_RADII = 0.5
"""Depth is read in a disc around the joint, of this many radii of the flesh."""

_HAND_BONES = tuple((a, b) for a, b, _ in HAND_TREE)
_PALM = np.isin(np.arange(len(HAND21)), (0, 1, 5, 9, 13, 17))
_AGREES = 2.5
"""Standard deviations: farther from it, a joint of a hand is not what depth shows at its pixel."""

_FIT_STD = {ZSource.MEASURED: 1.6, ZSource.INFERRED: 1.5, ZSource.ASSUMED: 1.0}
"""Of the fit, as multiples of what its terms say: they are not independent. Chosen so that 68 % of
the errors on rendered hands are within one standard deviation."""
_DOUBT = 0.7
"""How much of the difference from the model's shape counts as uncertainty."""
_DISTANCE_STD = 0.07
"""Of a hand that is placed by its size, as a share of its distance."""

_LONG_BONES = [bone for bone in HAND_TREE if bone[2] > 0.4]
_LONG_FROM, _LONG_TO = [bone[0] for bone in _LONG_BONES], [bone[1] for bone in _LONG_BONES]
_LONG_SHARES = np.array([bone[2] for bone in _LONG_BONES])
_LEAST_LONG = 3
_MEMORY = 60
"""Images over which a measured hand's size is averaged."""


@dataclass
class _Size:
    """The length of a hand as depth measured it, mean over the last images."""

    length_m: float
    images: int = 1

    def take(self, length_m: float) -> None:
        self.images = min(self.images + 1, _MEMORY)
        self.length_m += (length_m - self.length_m) / self.images


class Lifter:
    """Lifts the joints of one camera's images.

    Parameters
    ----------
    settings : see `LiftSettings`.
    """

    def __init__(self, settings: LiftSettings) -> None:
        self.update(settings)
        self.reset()

    def update(self, settings: LiftSettings) -> None:
        """Use other settings from the next image on."""
        self._settings = settings

    def reset(self) -> None:
        """Forget all tracks."""
        self._sizes: dict[tuple[int, int], _Size] = {}

    def __call__(self, frame: Frame, instances: Sequence[Instance]) -> list[Instance]:
        """The instances of an image with xyz, xyz_std and z_source in the camera's optical frame;
        see `lift.lift`. An instance without track is lifted from this image alone.
        """
        ids = {i.track_id for i in instances}
        self._sizes = {key: size for key, size in self._sizes.items() if key[0] in ids}
        lifted = []
        for instance in instances:
            if not instance.is_lost and frame.camera is not None:
                joints = self._lifted(frame, instance.track_id, instance.raw)
                if joints is not instance.raw:
                    instance = replace(instance, keypoints=joints, raw=joints)
            lifted.append(instance)
        return lifted

    def _lifted(self, frame: Frame, track_id: int, joints: Keypoints) -> Keypoints:
        todo = joints.z_source == ZSource.NONE
        if not (todo & (joints.state != JointState.ABSENT)).any():
            return joints
        count = len(joints.layout)
        xyz, std = np.full((count, 3), np.nan), np.full(count, np.nan)
        source = np.zeros(count, np.uint8)
        for part, layout in _parts(joints.layout):
            key = (track_id, int(part[0]))
            xyz[part], std[part], source[part] = self._part(frame, key, joints, part, layout)
        todo &= source != ZSource.NONE
        if not todo.any():
            return joints
        return replace(
            joints,
            xyz=np.where(todo[:, None], xyz, joints.xyz).astype(np.float32),
            xyz_std=np.where(todo, std, joints.xyz_std).astype(np.float32),
            z_source=np.where(todo, source, joints.z_source).astype(np.uint8),
        )

    def _part(
        self,
        frame: Frame,
        key: tuple[int, int],
        joints: Keypoints,
        part: npt.NDArray[np.intp],
        layout: Layout,
    ) -> tuple[Array, Array, npt.NDArray[np.uint8]]:
        """xyz, xyz_std and z_source of the joints `part`, which are a hand or a body."""
        assert frame.camera is not None
        hand = layout.kind == "hand"
        uv, shape = joints.uv[part].astype(np.float64), joints.shape_xyz[part].astype(np.float64)
        seen = joints.state[part] >= JointState.MEASURED
        length_m = self._hand_length(key) if hand else None
        scale = 1.0 if length_m is None else length_m / HAND_LENGTH_M
        own = _rows(layout, part)
        reach = reach_m(layout)[np.ix_(own, own)] * scale
        rays = frame.camera.rays(uv)
        xyz, std = np.full((len(part), 3), np.nan), np.full(len(part), np.nan)
        if frame.depth is not None:
            radii = radii_m(layout)[own] * scale
            at = np.where(seen[:, None], uv, np.nan)
            xyz, std = self._measured(frame, frame.depth, at, rays, radii)
            xyz[~plausible(xyz, reach)] = np.nan
        measured = ~np.isnan(xyz[:, 2])
        std[~measured] = np.nan
        # rad; NaN where the model tells none
        across = joints.uv_std[part].astype(np.float64) / frame.camera.fx
        if hand and measured.any():
            length_m = self._learnt(key, xyz) or HAND_LENGTH_M
        fit = None
        if length_m is not None:
            shape = with_lengths(shape, length_m)
            xyz = _unhidden(xyz, shape, rays, radii_m(HAND21) * length_m / HAND_LENGTH_M)
            measured = ~np.isnan(xyz[:, 2])
            std[~measured] = np.nan
            readings = Readings(np.linalg.norm(xyz, axis=1), std) if measured.any() else None
            fit = fit_hand(shape, length_m, rays, across, seen, readings)
        if fit is not None:
            xyz, std, kind = _fitted(fit, rays, xyz, std)
        elif measured.any():
            model = aligned(shape, xyz, scaled=not hand)
            xyz, std = inferred(xyz, std, rays, reach, model)
            kind = np.where(measured, ZSource.MEASURED, ZSource.INFERRED)
        else:
            kind = np.zeros(len(part), np.uint8)
        unknown = np.isnan(xyz[:, 2])
        std = np.fmax(std, across * np.linalg.norm(xyz, axis=1))
        std, kind = np.where(unknown, np.nan, std), np.where(unknown, ZSource.NONE, kind)
        return xyz, std, kind.astype(np.uint8)

    def _measured(
        self, frame: Frame, depth: Depth, uv: Array, rays: Array, radii: Array
    ) -> tuple[Array, Array]:
        """Joints behind the surface that the depth image shows at their pixels."""
        camera = frame.camera
        assert camera is not None
        distance = typical_depth_m(depth, uv)
        if np.isnan(distance):
            return np.full((len(uv), 3), np.nan), np.full(len(uv), np.nan)
        window = np.maximum(radii, radii.max() / 4)  # points on the skin have no radius
        surface = nearest_surface(depth, uv, WINDOW_RADII * window * camera.fx / distance)
        behind = self._settings.skin_scale * radii
        xyz = camera.points(rays, surface.depth_m) + behind[:, None] * rays
        return xyz, np.hypot(surface.std_m, RADIUS_STD * radii)

    def _hand_length(self, key: tuple[int, int]) -> float | None:
        """The length of this hand, m; None if nothing is known of it."""
        if self._settings.hand_size_m > 0:
            return self._settings.hand_size_m
        size = self._sizes.get(key)
        return None if size is None else size.length_m

    def _learnt(self, key: tuple[int, int], xyz: Array) -> float | None:
        """The length of a hand, measured by the bones of its palm; None while it is not known."""
        lengths = np.sqrt(np.square(xyz[_LONG_TO] - xyz[_LONG_FROM]).sum(axis=1)) / _LONG_SHARES
        known = lengths[~np.isnan(lengths)]
        if len(known) < _LEAST_LONG:
            return self._hand_length(key)
        length = float(np.clip(np.median(known), SMALLEST_HAND_M, LARGEST_HAND_M))
        size = self._sizes.get(key)
        if size is not None:
            size.take(length)
        elif key[0] != NO_ID:
            self._sizes[key] = _Size(length)
        return self._hand_length(key) or length


def _fitted(
    fit: HandFit, rays: Array, read: Array, read_std: Array
) -> tuple[Array, Array, npt.NDArray[np.integer]]:
    """xyz, xyz_std and z_source of a fitted hand, of which depth was read at some joints."""
    xyz = rays * fit.distance_m[:, None]
    off = np.linalg.norm(xyz - read, axis=1)
    known = ~np.isnan(off)
    with np.errstate(invalid="ignore"):
        measured = known & (off < _AGREES * read_std)
    if known.any():
        kind = np.where(measured, ZSource.MEASURED, ZSource.INFERRED)
        extra = _DOUBT * np.abs(fit.distance_m - fit.model_m)
    else:
        kind = np.full(len(xyz), ZSource.ASSUMED)
        extra = _DISTANCE_STD * fit.distance_m
    factor = np.array([_FIT_STD[ZSource(int(one))] for one in kind])
    return xyz, np.hypot(factor * fit.std_m, extra), kind


def _unhidden(xyz: Array, shape: Array, rays: Array, radii: Array) -> Array:
    """The measured joints of a hand without those that its other fingers or its palm hide."""
    doubtful = overlapping(xyz, radii, _HAND_BONES, _PALM)
    if not doubtful.any():
        return xyz
    model = aligned(shape, np.where(doubtful[:, None], np.nan, xyz), scaled=False)
    if model is None:
        return xyz
    with np.errstate(invalid="ignore"):
        behind = np.einsum("kd,kd->k", model - xyz, rays) > 0
    return np.where((doubtful & behind)[:, None], np.nan, xyz)


@lru_cache(maxsize=32)
def _parts(layout: Layout) -> list[tuple[npt.NDArray[np.intp], Layout]]:
    """The hands of a layout and what else it has, as joints and the layout they are lifted by."""
    starts = hand_starts(layout)
    hands = [(np.arange(start, start + len(HAND21)), HAND21) for start in starts]
    taken = [joint for part, _ in hands for joint in part]
    rest = np.setdiff1d(np.arange(len(layout)), taken)
    return ([(rest, layout)] if rest.size else []) + hands


def _rows(layout: Layout, part: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The indices of `part` in its layout."""
    return np.arange(len(layout)) if layout is HAND21 else part
