"""Joints over time: smoothed, without outliers, predicted over gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.filters import Array, Mask, planar
from vitpose_ros.layouts import Layout
from vitpose_ros.smooth.channel import Channel
from vitpose_ros.smooth.predict import Velocity, grown_std
from vitpose_ros.smooth.settings import SmoothingSettings
from vitpose_ros.types import Correction, FloatArray, JointState, Keypoints, ZSource

_USUAL_PX = 12.0
"""Size of an object whose size was never known. Small, hence hardly filtered: better than late."""

_USUAL_M = {"hand": 0.09, "body": 0.5, "animal": 0.5}

_DRIFT_SIZES_S = 2.0
"""How fast the standard deviation of predicted metres grows, object sizes per second: 0.18 m/s for
a hand. On rendered hands 68 % of the predictions drift by less than 0.08 m/s, 95 % by less than
0.43 m/s."""

_BRIDGE_S = 0.1
"""Metres that are missing while the joint is seen in the image are predicted for so long."""

Tracked = tuple[int, "Keypoints | None"]


class Smoother:
    """Smooths the joints of all tracks of one layout, image by image.

    Parameters
    ----------
    layout : of all joints.
    settings : see `SmoothingSettings`.
    """

    def __init__(self, layout: Layout, settings: SmoothingSettings) -> None:
        self._layout, self._settings = layout, settings
        self._nothing = Keypoints.absent(layout)
        self.reset()

    @property
    def settings(self) -> SmoothingSettings:
        """The settings in use."""
        return self._settings

    def update(self, settings: SmoothingSettings) -> None:
        """Use other settings from the next image on; what is known of the tracks is kept."""
        self._settings = settings
        for channel in self._channels:
            channel.update(settings)

    def reset(self) -> None:
        """Forget everything."""
        self._ids: list[int] = []
        self._origin_ns: int | None = None
        self._begin(0)

    def _begin(self, count: int) -> None:
        """Begin with `count` tracks of which nothing is known."""
        layout, settings = self._layout, self._settings
        self._uv = Channel(layout, settings, _USUAL_PX)
        self._xyz = Channel(layout, settings, _USUAL_M[layout.kind])
        self._shape = Channel(layout, settings, _USUAL_M[layout.kind])
        shape = count, len(layout)
        self._score = np.zeros(shape)  # as last measured
        self._uv_std = np.full(shape, np.nan, np.float32)  # the same
        self._z_source = np.zeros(shape, np.uint8)
        self._xyz_std = np.full(shape, np.nan, np.float32)

    @property
    def _channels(self) -> tuple[Channel, Channel, Channel]:
        return self._uv, self._xyz, self._shape

    def __call__(self, stamp_ns: int, tracks: Sequence[Tracked]) -> list[Keypoints | None]:
        """Take the joints of one image.

        Parameters
        ----------
        stamp_ns : time of the image.
        tracks : (id, joints) of every track to remember; None for one that was not found in this
            image. Tracks that are left out are forgotten.

        Returns
        -------
        For each track its joints as they are to be published. A joint that was not measured, or
        was an outlier (Correction.OUTLIER), is PREDICTED, its score falling to 0 within hold_s and
        its uv_std growing, and then ABSENT. None: no joint is left.

        Raises
        ------
        ValueError : an id is given twice, or joints are of another layout.
        """
        settings = self._settings
        given = [self._checked(joints) for _, joints in tracks]
        self._follow([track_id for track_id, _ in tracks])
        if settings.does_nothing:
            return [None if _is_empty(joints) else joints for _, joints in tracks]
        if not tracks:
            return []
        if self._origin_ns is None:
            self._origin_ns = stamp_ns
        time_s = (stamp_ns - self._origin_ns) * 1e-9

        uv = planar(_stack(given, "uv")).astype(np.float64)
        score = _stack(given, "score").astype(np.float64)
        state = _stack(given, "state")
        valid = state != JointState.ABSENT
        points, age, outlier = self._uv(uv, valid, time_s)
        known, used = _within(age, settings.hold_s), age == 0.0

        np.copyto(self._score, score, where=used)
        fading = self._score * (1.0 - age / settings.hold_s) if settings.hold_s else self._score
        rows: dict[str, npt.NDArray] = {
            "uv": np.ascontiguousarray(np.where(known[..., None], points, np.nan), np.float32),
            "score": np.where(known, np.clip(fading, 0.0, 1.0), 0.0).astype(np.float32),
            "state": np.where(used, state, JointState.PREDICTED * known).astype(np.uint8),
            "uv_std": self._std(given, used, known, age),
        }
        outlier |= self._add_metres(rows, given, used, known, time_s)
        corrected = _stack(given, "corrected") | (Correction.OUTLIER * outlier).astype(np.uint8)
        rows["corrected"] = corrected
        return [
            _made(self._layout, rows, i) if there else None
            for i, there in enumerate(known.max(axis=1))
        ]

    def _std(self, given: Sequence[Keypoints], used: Mask, known: Mask, age: Array) -> FloatArray:
        """(N, K) px: as measured, or grown since the joint was measured last."""
        np.copyto(self._uv_std, _stack(given, "uv_std"), where=used)
        if used.all() or np.isnan(self._uv_std).all():
            return self._uv_std.copy()
        grown = grown_std(self._uv_std, self._uv.size, self._uv.velocity(), age)
        return np.where(used, self._uv_std, np.where(known, grown, np.float32(np.nan)))

    def velocities(self) -> list[Velocity]:
        """How the tracks of the last call move, in their order; for `predict.ahead`."""
        count, joints = len(self._ids), len(self._layout)

        def rate(channel: Channel, axes: int) -> FloatArray:
            known = channel.velocity().astype(np.float32)
            return known if known.size else np.full((count, joints, axes), np.nan, np.float32)

        uv, xyz, shape = (rate(*which) for which in zip(self._channels, (2, 3, 3), strict=True))
        return [Velocity(uv[i], xyz[i], shape[i]) for i in range(count)]

    def _add_metres(
        self,
        rows: dict[str, npt.NDArray],
        given: Sequence[Keypoints],
        used: Mask,
        known: Mask,
        time_s: float,
    ) -> Mask:
        """Add xyz, xyz_std, z_source and shape_xyz to what is published; returns the outliers.

        A joint without a 2D position gets no 3D position. Where a joint is seen but its metres are
        missing, they are predicted for 0.1 s at most: older ones would contradict the pixels.
        """
        outliers = np.zeros_like(used)
        for name, channel in (("xyz", self._xyz), ("shape_xyz", self._shape)):
            measured = planar(_stack(given, name))
            valid = used & ~np.isnan(measured[..., 0] + measured[..., 1] + measured[..., 2])
            if not channel.alive and not valid.any():
                rows[name] = np.full(measured.shape, np.nan, np.float32)
                if name == "xyz":
                    rows["z_source"] = np.zeros(used.shape, np.uint8)
                    rows["xyz_std"] = np.full(used.shape, np.nan, np.float32)
                continue
            x = np.where(valid[..., None], measured, np.nan).astype(np.float64)
            points, age, outlier = channel(x, valid, time_s)
            shown = known & _within(age, self._settings.hold_s)
            keep = shown & ~(used & (age > _BRIDGE_S))
            kept = np.where(keep[..., None], points, np.nan)
            rows[name] = np.ascontiguousarray(kept, np.float32)
            if name == "xyz":
                fresh = age == 0.0
                np.copyto(self._z_source, _stack(given, "z_source"), where=fresh)
                np.copyto(self._xyz_std, _stack(given, "xyz_std"), where=fresh)
                rows["z_source"] = np.where(keep, self._z_source, ZSource.NONE).astype(np.uint8)
                drift = _DRIFT_SIZES_S * _USUAL_M[self._layout.kind] * age
                std = np.where(keep, np.hypot(self._xyz_std, drift), np.nan)
                rows["xyz_std"] = std.astype(np.float32)
            outliers |= outlier
        return outliers

    def _checked(self, joints: Keypoints | None) -> Keypoints:
        if joints is None:
            return self._nothing
        if joints.layout is not self._layout:
            raise ValueError(
                f"this smoother is for layout '{self._layout.name}', got '{joints.layout.name}'"
            )
        return joints

    def _follow(self, ids: list[int]) -> None:
        """Give each track the row of its place in the call."""
        if ids == self._ids:
            return
        if len(set(ids)) != len(ids):
            raise ValueError(f"each track may be given only once, got the ids {ids}")
        before = {track_id: row for row, track_id in enumerate(self._ids)}
        rows = np.array([before.get(track_id, -1) for track_id in ids], np.intp)
        self._ids = ids
        if not (rows >= 0).any():
            self._begin(len(ids))
            return
        for channel in self._channels:
            channel.take(rows)
        # A fresh track's are written before they are read.
        self._score, self._z_source = self._score[rows], self._z_source[rows]
        self._uv_std = self._uv_std[rows]
        self._uv_std[rows < 0] = np.nan
        self._xyz_std = self._xyz_std[rows]


def _within(age: npt.NDArray[np.float64], hold_s: float) -> Mask:
    """Which ages are no longer than `hold_s`; an age of NaN is not."""
    with np.errstate(invalid="ignore"):
        return np.asarray(age <= hold_s)


def _stack(given: Sequence[Keypoints], name: str) -> npt.NDArray:
    """One array (N, K, ...) of all; np.stack takes four times as long."""
    parts = [getattr(joints, name) for joints in given]
    return np.concatenate(parts).reshape(len(parts), *parts[0].shape)


def _made(layout: Layout, rows: dict[str, npt.NDArray], row: int) -> Keypoints:
    """Keypoints of one row, without the checks of its constructor.

    The checks take as long as all filters for ten whole bodies, and what they check holds by the
    way in which the rows are computed; a test confirms it.
    """
    made = object.__new__(Keypoints)
    made.__dict__["layout"] = layout
    made.__dict__.update({name: values[row] for name, values in rows.items()})
    return made


def _is_empty(joints: Keypoints | None) -> bool:
    return joints is None or bool((joints.state == JointState.ABSENT).all())
