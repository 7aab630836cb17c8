"""Joints of a whole recording: smoothed without lag, gaps bridged from both sides.

The counterpart of `smoother` and `instances` for files, where the future is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.filters import Array, Mask
from vitpose_ros.layouts import Layout
from vitpose_ros.smooth.biomechanics import Biomechanics
from vitpose_ros.smooth.gate import Gate
from vitpose_ros.smooth.local_fit import SIGMA_S, bridge, local_fit
from vitpose_ros.smooth.scale import object_size
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.types import Correction, Instance, JointState, Keypoints, TrackState, ZSource

TEXT = f"offline local_quadratic sigma_s={SIGMA_S:g}"
"""The value of SkeletonArray.smoothing."""

_BRIDGE_S = 0.1
"""Metres that are missing while the joint is seen in the image are bridged for so long."""

_Rows = dict[str, npt.NDArray]
_Images = list[list[Instance]]


class WholeSmoother:
    """Smooths all tracks of a recording.

    It takes the settings of the causal smoother. Its own filter has one strength: without lag
    there is nothing to trade. Only an infinite min_cutoff_hz turns it off.

    Parameters
    ----------
    layouts : of the instances, in the order in which they are published.
    smoothing : see `SmoothingSettings`; a gap of up to hold_s is bridged.
    biomechanics : keep bone lengths, and joints within their limits, in metres.
    """

    def __init__(
        self, layouts: Iterable[Layout], smoothing: SmoothingSettings, biomechanics: bool = False
    ) -> None:
        self._layouts, self._settings = list(layouts), smoothing
        self._biomechanics = biomechanics

    def __call__(
        self, stamps_ns: Sequence[int], images: Sequence[Sequence[Instance]]
    ) -> _Images:
        """The instances of all images as they are published.

        Parameters
        ----------
        stamps_ns : times of the images. They rise within each track.
        images : the instances of each image, as measured; a track's id stands once in an image.

        Returns
        -------
        Those with a known joint, in the order of the layouts, then of ids; `raw` stays as it is. A
        track is LOST in images where only a bridged gap gives its joints.
        """
        order = [layout.name for layout in self._layouts]
        published: _Images = [[] for _ in images]
        for track in _tracks(images).values():
            for index, instance in self._track(stamps_ns, track):
                published[index].append(instance)
        for found in published:
            found.sort(key=lambda one: (order.index(one.layout.name), one.track_id))
        if self._biomechanics:
            steps = {layout.name: Biomechanics(layout) for layout in self._layouts}
            return self._correct(steps, stamps_ns, published)
        return published

    def _track(
        self, stamps_ns: Sequence[int], track: dict[int, Instance]
    ) -> list[tuple[int, Instance]]:
        """One track's instances by image, its gaps included."""
        first, last = min(track), max(track)
        images = range(first, last + 1)
        layout = track[first].layout
        nothing = Keypoints.absent(layout)
        given = [track[i].raw if i in track else nothing for i in images]
        time_s = np.array([stamps_ns[i] - stamps_ns[first] for i in images]) * 1e-9
        smoothed = smooth_track(layout, self._settings, time_s, given)
        result = []
        seen = track[first]
        for index, joints in zip(images, smoothed, strict=True):
            here = track.get(index)
            if here is not None:
                seen = here
            if joints is None:
                continue
            if here is None:
                age_s = seen.track_age_s + (stamps_ns[index] - stamps_ns[first]) * 1e-9
                known = joints.score[np.isfinite(joints.score) & (joints.state > 0)]
                here = replace(
                    seen,
                    raw=nothing,
                    keypoints=nothing,
                    track_state=TrackState.LOST,
                    track_age_s=age_s,
                    score=float(known.mean()) if known.size else seen.score,
                )
            result.append((index, replace(here, keypoints=joints)))
        return result

    def _correct(
        self, steps: dict[str, Biomechanics], stamps_ns: Sequence[int], images: _Images
    ) -> _Images:
        last = {one.track_id: index for index, found in enumerate(images) for one in found}
        alive: dict[int, Instance] = {}
        corrected: _Images = []
        for index, (stamp_ns, found) in enumerate(zip(stamps_ns, images, strict=True)):
            ids = {one.track_id for one in found}
            alive |= {one.track_id: one for one in found}
            done: list[Instance] = []
            for name, bones in steps.items():
                same = [one for one in alive.values() if one.layout.name == name]
                joints = bones(
                    stamp_ns,
                    [one.track_id for one in same],
                    [one.keypoints if one.track_id in ids else None for one in same],
                    [one.side for one in same],
                )
                pairs = zip(same, joints, strict=True)
                done += [replace(one, keypoints=moved) for one, moved in pairs if moved is not None]
            corrected.append(done)
            alive = {i: one for i, one in alive.items() if last[i] > index}
        return corrected


def smooth_track(
    layout: Layout, settings: SmoothingSettings, time_s: Array, given: Sequence[Keypoints]
) -> list[Keypoints | None]:
    """The joints of one track.

    Parameters
    ----------
    layout : of the joints.
    settings : see `WholeSmoother`.
    time_s : (T,) rising.
    given : T times its joints, as measured.

    Returns
    -------
    T times the joints as published: those of this image smoothed, those of a bridged gap PREDICTED,
    their scores falling with the distance from the nearest measurement, and OUTLIER where this
    image's own was not believed. None where no joint is known.
    """
    if settings.does_nothing:
        return [joints if (joints.state > 0).any() else None for joints in given]
    rows: _Rows = {
        f.name: np.stack([getattr(joints, f.name) for joints in given])
        for f in fields(Keypoints)
        if f.name != "layout"
    }
    state = rows["state"]
    points, age, outlier = _channel(layout, settings, time_s, rows["uv"], state != 0)
    known, used = np.isfinite(age), age == 0.0
    nearest = _nearest(time_s, used)
    joint = np.arange(len(layout))
    fading = 1.0 - np.nan_to_num(age) / settings.hold_s if settings.hold_s else 1.0
    score = np.where(used, rows["score"], rows["score"][nearest, joint] * fading)
    rows["uv"] = np.where(known[..., None], points, np.nan)
    rows["score"] = np.where(known, score, 0.0)
    rows["uv_std"] = np.where(used, rows["uv_std"], np.nan)
    rows["state"] = np.where(used, state, JointState.PREDICTED * known)
    for name in ("xyz", "shape_xyz"):
        valid = used & np.isfinite(rows[name]).all(axis=-1)
        if not valid.any():
            rows[name] = np.full_like(rows[name], np.nan)
            continue
        points, age, jumped = _channel(layout, settings, time_s, rows[name], valid)
        outlier |= jumped
        # Where a joint is seen, older metres would contradict its pixels.
        shown = known & np.isfinite(age) & ~(used & (age > _BRIDGE_S))
        rows[name] = np.where(shown[..., None], points, np.nan)
        if name == "xyz":
            nearest = _nearest(time_s, age == 0.0)
            rows["z_source"] = np.where(shown, rows["z_source"][nearest, joint], ZSource.NONE)
            rows["xyz_std"] = np.where(age == 0.0, rows["xyz_std"], np.nan)
    if np.isnan(rows["xyz"]).all():
        rows["z_source"] = np.zeros_like(state)
        rows["xyz_std"] = np.full(state.shape, np.nan)
    rows["corrected"] = rows["corrected"] | np.where(outlier, Correction.OUTLIER, 0)
    types = {"state": np.uint8, "z_source": np.uint8, "corrected": np.uint8}
    rows = {name: row.astype(types.get(name, np.float32)) for name, row in rows.items()}
    there = np.asarray(known.any(axis=1))
    return [
        Keypoints(layout, **{name: row[i] for name, row in rows.items()}) if there[i] else None
        for i in range(len(given))
    ]


def _channel(
    layout: Layout, settings: SmoothingSettings, time_s: Array, x: npt.NDArray, valid: Mask
) -> tuple[Array, Array, Mask]:
    """One kind of coordinates of a track: (T, K, D) points, NaN where unknown; (T, K) s, the time
    to the nearest measurement that was used, NaN where too far; (T, K) which were outliers.
    """
    x = np.where(valid[..., None], x, np.nan).astype(np.float64)
    outlier = np.zeros_like(valid)
    if settings.gate:
        size = _sizes(layout, x)
        gate = Gate(layout)
        for i, now_s in enumerate(time_s.tolist()):
            outlier[i] = gate(x[i : i + 1], valid[i : i + 1], now_s, size[i : i + 1])[0]
    used = valid & ~outlier
    position, velocity = local_fit(time_s, x, used)
    if math.isinf(settings.min_cutoff_hz):
        position = np.where(used[..., None], x, np.nan)
    position, age = bridge(time_s, position, velocity, used, settings.hold_s)
    return position, age, outlier


def _sizes(layout: Layout, x: Array) -> Array:
    """(T,) object sizes; where unknown, that of the image before, or the first known one. Without
    any the gate lets everything pass.
    """
    size = object_size(layout, x)
    known = np.isfinite(size)
    if not known.any():
        return np.full(len(x), np.inf)
    index = np.maximum.accumulate(np.where(known, np.arange(len(x)), -1))
    return size[np.where(index < 0, np.argmax(known), index)]


def _nearest(time_s: Array, used: Mask) -> npt.NDArray[np.intp]:
    """(T, K) index of the nearest image in which each joint was used; 0 where none was."""
    count = len(time_s)
    index = np.broadcast_to(np.arange(count)[:, None], used.shape)
    before = np.maximum.accumulate(np.where(used, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(used, index, count)[::-1], axis=0)[::-1]
    to_before = np.where(before < 0, np.inf, time_s[:, None] - time_s[np.maximum(before, 0)])
    to_after = np.where(
        after == count, np.inf, time_s[np.minimum(after, count - 1)] - time_s[:, None]
    )
    best = np.where(to_before <= to_after, before, after)
    return np.where((best < 0) | (best == count), 0, best)


def _tracks(images: Sequence[Sequence[Instance]]) -> dict[int, dict[int, Instance]]:
    """The instances of each track that were measured, by image."""
    tracks: dict[int, dict[int, Instance]] = {}
    for index, found in enumerate(images):
        for one in found:
            if not one.is_lost:
                tracks.setdefault(one.track_id, {})[index] = one
    return tracks
