"""Joints in metres from what several cameras see at one time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.lift.across_views import Group, group_views, pixel_std
from vitpose_ros.lift.shared_ids import SharedIds, Sighting
from vitpose_ros.lift.triangulate import PosedCamera, triangulate
from vitpose_ros.types import NO_ID, Frame, Instance, JointState, Keypoints, ZSource


@dataclass(frozen=True)
class Shared:
    """What cameras had in common in one image of each.

    Attributes
    ----------
    objects : hands and bodies in any camera.
    triangulated : those with a joint from two or more cameras.
    contradicted : for each camera, the share of its measured joints of shared objects that the
        other cameras contradict; NaN without such joints.
    """

    objects: int
    triangulated: int
    contradicted: tuple[float, ...]


class Views:
    """Finds the same hands and bodies in several cameras, triangulates them, and gives them one id.

    Attributes
    ----------
    shared : what the cameras of the last images had in common; in the order of these images.
    """

    def __init__(self) -> None:
        self.shared = Shared(0, 0, ())
        self._ids = SharedIds()
        self._common: Mapping[Sighting, int] = {}
        self._alive: dict[int, list[int]] = {}
        self._together: set[frozenset[Sighting]] = set()

    def __call__(
        self,
        numbers: Sequence[int],
        frames: Sequence[Frame],
        instances: Sequence[Sequence[Instance]],
    ) -> list[list[Instance]]:
        """The instances of several cameras, with the joints that two or more of them fix.

        Parameters
        ----------
        numbers : of the cameras that have an image now, the same camera always with the same one.
        frames : their images. Cameras with `camera` and `to_rig` take part.
        instances : what was found in each, with tracks, lifted by each camera alone.

        Returns
        -------
        The same instances in the same order. A triangulated joint is TRIANGULATED, in each camera's
        own optical frame, also where that camera only guesses it. Where some joints are, those of
        an assumed distance (ASSUMED) become unknown: they would be elsewhere.
        """
        cameras = [_posed(frame) for frame in frames]
        groups = group_views(cameras, instances, self._renumbered(numbers))
        result = [list(found) for found in instances]
        contradicted = np.zeros((len(frames), 2))
        triangulated = 0
        for group in groups:
            if len(group) < 2:
                continue
            of = [cameras[camera] for camera in group]
            posed = [camera for camera in of if camera is not None]
            joints = [instances[camera][index].raw for camera, index in group.items()]
            std = np.stack([pixel_std(one) for one in joints])
            found = triangulate(posed, np.stack([one.uv for one in joints]).astype(float), std)
            fixed = np.asarray(np.isfinite(found.xyz).all(axis=1))
            if not fixed.any():
                continue
            triangulated += 1
            spread_m = np.full(len(fixed), np.nan)
            spread_m[fixed] = np.sqrt(np.linalg.eigvalsh(found.covariance[fixed])[:, -1])
            measured = np.isfinite(std)
            for row, (camera, index) in enumerate(group.items()):
                own = result[camera][index]
                xyz = posed[row].pose.inverse().points(found.xyz)
                lifted = _with_positions(own.raw, xyz, spread_m)
                result[camera][index] = replace(own, raw=lifted, keypoints=lifted)
                asked = measured[row] & (measured.sum(axis=0) >= 2)
                contradicted[camera] += (asked & ~found.used[row]).sum(), asked.sum()
        with np.errstate(invalid="ignore"):
            shares = contradicted[:, 0] / contradicted[:, 1]
        self.shared = Shared(len(groups), triangulated, tuple(shares.tolist()))
        self._remember(numbers, instances, groups)
        return result

    def label(self, number: int, instances: Sequence[Instance]) -> tuple[Instance, ...]:
        """Instances of a camera with the ids that are common to all cameras. A lost track whose
        hand or body was found again under another id of that camera is left out.
        """
        labelled = []
        for instance in instances:
            if instance.track_id == NO_ID:
                labelled.append(instance)
                continue
            own = self._common.get((number, instance.track_id))
            if own is None:
                continue
            parent = self._common.get((number, instance.parent_id), NO_ID)
            labelled.append(replace(instance, track_id=own, parent_id=parent))
        return tuple(labelled)

    def _renumbered(self, numbers: Sequence[int]) -> set[frozenset[Sighting]]:
        """The pairs of the previous images, with the places of the cameras in these images."""
        place = {number: index for index, number in enumerate(numbers)}
        return {
            frozenset((place[number], track) for number, track in pair)
            for pair in self._together
            if all(number in place for number, _ in pair)
        }

    def _remember(
        self,
        numbers: Sequence[int],
        instances: Sequence[Sequence[Instance]],
        groups: Sequence[Group],
    ) -> None:
        for number, found in zip(numbers, instances, strict=True):
            self._alive[number] = [one.track_id for one in found if one.track_id != NO_ID]
        sightings = [
            [
                (numbers[camera], instances[camera][index].track_id)
                for camera, index in group.items()
                if instances[camera][index].track_id != NO_ID
            ]
            for group in groups
        ]
        sightings = [group for group in sightings if group]
        seen = {sighting for group in sightings for sighting in group}
        alive = {(number, track) for number, own in self._alive.items() for track in own}
        self._common = self._ids.update(sightings, alive - seen)
        self._together = {
            frozenset((a, b)) for group in sightings for a in group for b in group if a < b
        }


def _posed(frame: Frame) -> PosedCamera | None:
    if frame.camera is None or frame.to_rig is None or not frame.to_rig.known:
        return None
    return PosedCamera(frame.camera, frame.to_rig)


def _with_positions(
    joints: Keypoints, xyz: npt.NDArray[np.float64], spread_m: npt.NDArray[np.float64]
) -> Keypoints:
    """Joints with the triangulated ones of a camera; those that are absent there stay absent."""
    fixed = np.isfinite(xyz).all(axis=1) & (joints.state != JointState.ABSENT)
    loose = ~fixed & (joints.z_source == ZSource.ASSUMED)
    kept = np.where(loose[:, None], np.nan, joints.xyz)
    source = np.where(loose, ZSource.NONE, joints.z_source)
    return replace(
        joints,
        xyz=np.where(fixed[:, None], xyz, kept).astype(np.float32),
        xyz_std=np.where(fixed, spread_m, np.where(loose, np.nan, joints.xyz_std)).astype(
            np.float32
        ),
        z_source=np.where(fixed, ZSource.TRIANGULATED, source).astype(np.uint8),
    )
