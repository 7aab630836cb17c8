"""From frame to frame: when time jumps, and who is who. The same for hands and for bodies."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from vitpose_ros.types import Frame, Region, TrackState

MAX_GAP_S = 0.5
"""After a longer time without an image everything is elsewhere: tracking starts anew."""

CONFIRMED_FRAMES = 3
"""What was seen in so many images in a row is relied on."""


class FrameClock:
    """Notes when tracking has to start anew."""

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None  # stamp_ns, width, height
        self._asked = False

    def ask_reset(self) -> None:
        """Start anew with the next image."""
        self._asked = self._asked or self._last is not None
        self._last = None

    def start(self, frame: Frame) -> bool:
        """Note an image's time and size; True when tracking starts anew because of them, or was
        asked to.
        """
        now = (frame.stamp_ns, frame.width, frame.height)
        if self._last is not None:
            gap_s = (now[0] - self._last[0]) * 1e-9
            if not 0 < gap_s <= MAX_GAP_S or now[1:] != self._last[1:]:
                self.ask_reset()
        self._last = now
        reset, self._asked = self._asked, False
        return reset


@dataclass(frozen=True)
class Track:
    """Something that is followed: where it is looked for next, and since when."""

    region: Region
    first_stamp_ns: int
    frames: int

    def identity(self, stamp_ns: int) -> dict[str, Any]:
        """The fields of Instance that say who it is."""
        confirmed = self.frames >= CONFIRMED_FRAMES
        return {
            "track_id": self.region.track_id,
            "track_state": TrackState.CONFIRMED if confirmed else TrackState.TENTATIVE,
            "track_age_s": (stamp_ns - self.first_stamp_ns) * 1e-9,
        }


class Tracks:
    """Tracks of one kind, each with an id that is never given again.

    Parameters
    ----------
    ids : where new ids come from; shared by all kinds of one camera.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self._tracks: list[Track] = []

    @property
    def regions(self) -> list[Region]:
        """Where to look next, with the tracks' ids; those followed longest first."""
        return [track.region for track in self._tracks]

    def clear(self) -> None:
        """Follow nothing any more."""
        self._tracks.clear()

    def keep(self, most: int) -> None:
        """Follow only the `most` that were followed longest."""
        del self._tracks[most:]

    def keep_only(self, ids: Collection[int]) -> None:
        """Follow only the tracks with these ids."""
        self._tracks = [track for track in self._tracks if track.region.track_id in ids]

    def update(
        self, next_regions: Sequence[Region], stamp_ns: int
    ) -> tuple[list[dict[str, Any]], list[Region]]:
        """Take over what was found in an image.

        Parameters
        ----------
        next_regions : where to look for each object in the next image. One whose track_id is that
            of a track goes on with it; any other begins a new one.
        stamp_ns : of the image.

        Returns
        -------
        The fields of Instance that say who each object is, and the regions of tracks that ended.
        """
        before = {track.region.track_id: track for track in self._tracks}
        now = []
        for region in next_regions:
            track = before.pop(region.track_id, None)
            if track is None:
                track = Track(replace(region, track_id=next(self._ids)), stamp_ns, 1)
            else:
                track = replace(track, region=region, frames=track.frames + 1)
            now.append(track)
        self._tracks = now
        ended = [track.region for track in before.values()]
        return [track.identity(stamp_ns) for track in now], ended


@dataclass
class Work:
    """What running the networks for one image took."""

    models: list[str] = field(default_factory=list)
    stage_s: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "keypoints": 0.0})

    @contextmanager
    def stage(self, name: str, model: str) -> Iterator[None]:
        """Count the time within as a stage's, and the model as used."""
        if model not in self.models:
            self.models.append(model)
        start = time.perf_counter()
        yield
        self.stage_s[name] += time.perf_counter() - start
