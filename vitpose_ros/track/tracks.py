"""Tracks: objects from image to image, each with an id that is never used again."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.track.regions import SteadyRegions
from vitpose_ros.types import FloatArray, Instance, Keypoints, Region, TrackState

CONFIRMED_FRAMES = 3
"""A track seen in this many images in a row is confirmed."""

LOST_S = 1.0
"""A confirmed track that is missed can be found again, with its id, for this time."""

LOOK_S = 0.4
"""For this time a lost track's predicted position is read in each image."""

_MOTION_S = 0.15  # time constant with which the motion of a lost track decays
_VELOCITY_S = 0.05  # time constant of the average of the velocity
_STILL = np.zeros(2)


@dataclass(frozen=True)
class Reading:
    """One object measured in one image, as far as it tells identity.

    Attributes
    ----------
    uv : (K, 2), px; NaN where unknown.
    sure : (K,) which joints count when two objects are compared; their uv is known.
    size : of the object, px: the palm's longest side, or the root of a body's area.
    region : where to look for it in the next image if it does not move.
    """

    uv: FloatArray
    sure: npt.NDArray[np.bool_]
    size: float
    region: Region


@dataclass(frozen=True)
class Track:
    """An object over time.

    Attributes
    ----------
    track_id : never used again.
    reading : the last one.
    region : that of the last reading, smoothed over time, with the track's id.
    velocity : (2,) px/s, of the object as a whole.
    first_ns, seen_ns : stamps of the first and the last reading.
    images : number of images in which it was seen.
    state : TENTATIVE, CONFIRMED, or LOST when it was missed in the last image.
    """

    track_id: int
    reading: Reading
    region: Region
    velocity: npt.NDArray[np.float64]
    first_ns: int
    seen_ns: int
    images: int = 1
    state: TrackState = TrackState.TENTATIVE

    def moved_px(self, stamp_ns: int) -> npt.NDArray[np.float64]:
        """(2,) px from the last reading to the position predicted for a time; velocity decays."""
        dt_s = max((stamp_ns - self.seen_ns) * 1e-9, 0.0)
        return self.velocity * (_MOTION_S * -math.expm1(-dt_s / _MOTION_S))

    def region_at(self, stamp_ns: int) -> Region:
        """Where to look for it at a time."""
        dx, dy = self.moved_px(stamp_ns).tolist()
        r = self.region
        return Region(
            r.cx + dx, r.cy + dy, r.width, r.height, r.rotation_rad, r.score, self.track_id
        )

    def identity(self, stamp_ns: int) -> dict[str, Any]:
        """The fields of Instance that give its identity."""
        return {
            "track_id": self.track_id,
            "track_state": self.state,
            "track_age_s": (stamp_ns - self.first_ns) * 1e-9,
        }


class Tracks:
    """Tracks of one kind.

    A new track is tentative and ends when it is missed in one image. A confirmed track that is
    missed is lost, and can be found again with its id for LOST_S.

    Parameters
    ----------
    ids : where new ids come from; shared by all kinds of one camera.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self._tracks: list[Track] = []
        self._steady = SteadyRegions()

    @property
    def all(self) -> list[Track]:
        """All tracks, lost ones included, oldest first."""
        return list(self._tracks)

    @property
    def live(self) -> list[Track]:
        """Those that were seen in the last image, oldest first."""
        return [track for track in self._tracks if track.state is not TrackState.LOST]

    @property
    def latest_lost(self) -> list[Track]:
        """Those that can be found again, the one seen last first."""
        lost = [track for track in self._tracks if track.state is TrackState.LOST]
        return sorted(lost, key=lambda track: -track.seen_ns)

    @property
    def lost_ids(self) -> frozenset[int]:
        """The ids of those that can be found again."""
        return frozenset(track.track_id for track in self.latest_lost)

    def regions(self, stamp_ns: int, most: int) -> list[Region]:
        """At most `most` regions to look at, with the tracks' ids: those that are seen, oldest
        first, then those lost less than LOOK_S ago, the latest first.
        """
        just_lost = [t for t in self.latest_lost if (stamp_ns - t.seen_ns) * 1e-9 <= LOOK_S]
        return [track.region_at(stamp_ns) for track in (*self.live, *just_lost)[:most]]

    def clear(self) -> None:
        """Drop all tracks."""
        self._tracks.clear()

    def keep_only(self, ids: Collection[int]) -> None:
        """Drop all tracks except those with these ids."""
        self._tracks = [track for track in self._tracks if track.track_id in ids]

    def update(
        self, readings: Sequence[Reading], pairs: Sequence[tuple[int, int]], stamp_ns: int
    ) -> tuple[list[Track], list[Track]]:
        """Take over what was measured in an image.

        Parameters
        ----------
        readings : each object once.
        pairs : (index in `all`, index in `readings`) of the readings that continue a track.
        stamp_ns : of the image.

        Returns
        -------
        The track of each reading; and the tracks that were seen in the previous image and are
        missed in this one, as they were.
        """
        before = self._tracks
        goes_on = {reading: before[track] for track, reading in pairs}
        count = range(len(readings))
        ids = [goes_on[i].track_id if i in goes_on else next(self._ids) for i in count]
        regions = self._steady(
            stamp_ns, ids, [r.region for r in readings], [r.size for r in readings]
        )
        velocities = _velocities(goes_on, readings, stamp_ns)
        now = [
            Track(region.track_id, reading, region, _STILL, stamp_ns, stamp_ns)
            if i not in goes_on
            else _seen(goes_on[i], reading, region, velocities[i], stamp_ns)
            for i, (reading, region) in enumerate(zip(readings, regions, strict=True))
        ]
        found = {track.track_id for track in now}
        missed = [track for track in before if track.track_id not in found]
        lost = [replace(t, state=TrackState.LOST) for t in missed if _can_return(t, stamp_ns)]
        self._tracks = sorted((*now, *lost), key=lambda track: track.track_id)
        return now, [track for track in missed if track.state is not TrackState.LOST]


def as_lost(last: Instance, track: Track, stamp_ns: int, identity: dict[str, Any]) -> Instance:
    """A lost object: as it was seen last, without joints, its score falling to 0 within LOST_S.

    Parameters
    ----------
    last : the object as it was seen last.
    track : its track.
    stamp_ns : of the image.
    identity : the fields of Instance that give its identity.
    """
    joints = Keypoints.absent(last.layout)
    score = last.score * max(0.0, 1.0 - (stamp_ns - track.seen_ns) * 1e-9 / LOST_S)
    return replace(last, keypoints=joints, raw=joints, score=score, **identity)


def _can_return(track: Track, stamp_ns: int) -> bool:
    tentative = track.state is TrackState.TENTATIVE
    return not tentative and (stamp_ns - track.seen_ns) * 1e-9 <= LOST_S


def _seen(
    track: Track,
    reading: Reading,
    region: Region,
    velocity: npt.NDArray[np.float64],
    stamp_ns: int,
) -> Track:
    images = track.images + 1
    confirmed = images >= CONFIRMED_FRAMES
    state = TrackState.CONFIRMED if confirmed else TrackState.TENTATIVE
    return Track(track.track_id, reading, region, velocity, track.first_ns, stamp_ns, images, state)


def _velocities(
    goes_on: dict[int, Track], readings: Sequence[Reading], stamp_ns: int
) -> dict[int, npt.NDArray[np.float64]]:
    """The velocity of each continued track, by the index of its reading, px/s."""
    if not goes_on:
        return {}
    tracks = list(goes_on.values())
    after = [readings[i] for i in goes_on]
    both = np.stack([t.reading.sure for t in tracks]) & np.stack([r.sure for r in after])
    step = np.stack([r.uv for r in after]) - np.stack([t.reading.uv for t in tracks])
    count = both.sum(axis=1)[:, None]
    middle = _median(np.where(both[..., None], step, np.inf), count)
    dt_s = np.array([(stamp_ns - t.seen_ns) * 1e-9 for t in tracks])[:, None]
    old = np.stack([t.velocity for t in tracks])
    share = np.where(count > 0, -np.expm1(-dt_s / _VELOCITY_S), 0.0)
    new = old + share * (middle / np.maximum(dt_s, 1e-6) - old)
    return dict(zip(goes_on, new, strict=True))


def _median(steps: npt.NDArray[Any], count: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(N, 2) the median of each track's (K, 2) steps, of which `count` (N, 1) are finite. Single
    confused joints do not affect it.
    """
    rows = np.sort(steps, axis=1)
    low, high = ((np.maximum(count - i, 0) // 2)[..., None] for i in (1, 0))
    low = np.take_along_axis(rows, np.broadcast_to(low, (len(rows), 1, 2)), axis=1)
    high = np.minimum(high, np.maximum(count[..., None] - 1, 0))
    high = np.take_along_axis(rows, np.broadcast_to(high, (len(rows), 1, 2)), axis=1)
    return np.where(count > 0, ((low + high) / 2)[:, 0], 0.0)
