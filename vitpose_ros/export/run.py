"""All recordings of a command, into one dataset."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vitpose_ros.export.card import coverage
from vitpose_ros.export.episodes import Episode, Export, Outcome, Sink
from vitpose_ros.export.features import offsets_ms
from vitpose_ros.export.recordings import Recording
from vitpose_ros.offline.errors import OfflineError, UsageError
from vitpose_ros.offline.items import Item


class Watcher(Protocol):
    """Is told how a run goes on."""

    def say(self, text: str) -> None:
        """A sentence for the user."""
        ...

    def progress(self, item: Item, done: int, expected: int | None) -> None:
        """Images of a recording that are read, of about so many."""
        ...

    def finished(self, item: Item, text: str, failed: bool) -> None:
        """What became of a recording."""
        ...


@dataclass(frozen=True)
class Figures:
    """What a summary tells of an episode.

    Attributes
    ----------
    frames, over_gaps : how many it has, and how many of them show an image of another moment.
    offset_ms, worst_ms : by how much images are off their frames, on average and at most.
    seen : by side, the share of frames with a valid joint.
    by_arrival : topics whose times are those of the recording.
    """

    frames: int
    over_gaps: int
    offset_ms: float
    worst_ms: float
    seen: dict[str, float]
    by_arrival: tuple[str, ...]

    @classmethod
    def of(cls, episode: Episode, metric: bool) -> Figures:
        """The figures of an episode, with hands in metres or in the image."""
        offsets = offsets_ms(episode)
        return cls(
            len(episode.frames),
            int((~episode.frames.fresh).sum()),
            float(offsets.mean()),
            float(offsets.max()),
            coverage(episode, metric),
            episode.topics.by_arrival if episode.topics else (),
        )


@dataclass
class Summary:
    """What a run did.

    Attributes
    ----------
    episodes : that were written.
    known : how many the dataset had before, and were given again.
    dropped, failed : why episodes, and recordings, are not in it.
    """

    episodes: list[Figures] = field(default_factory=list)
    known: int = 0
    dropped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def _seen(self, side: str) -> float:
        """Frames in which a hand was measured."""
        return sum(one.seen[side] * one.frames for one in self.episodes)

    def sentences(self, fps: int) -> list[str]:
        """For people."""
        frames = sum(one.frames for one in self.episodes)
        lines = [f"{len(self.episodes)} episodes, {frames} frames, {frames / fps / 3600:.2f} h"]
        if frames:
            seen = ", ".join(
                f"{side} in {100 * self._seen(side) / frames:.1f} %"
                for side in self.episodes[0].seen
            )
            lines.append(f"frames with a measured hand: {seen}")
            mean_ms = sum(one.offset_ms * one.frames for one in self.episodes) / frames
            lines.append(
                f"images are off their frames by {mean_ms:.1f} ms on average, "
                f"{max(one.worst_ms for one in self.episodes):.1f} ms at most; "
                f"{sum(one.over_gaps for one in self.episodes)} frames show an image over a gap"
            )
        if arrival := sorted({topic for one in self.episodes for topic in one.by_arrival}):
            lines.append(
                f"{', '.join(arrival)}: messages without stamps; used are the times at which the "
                "recording received them"
            )
        if self.known:
            lines.append(f"{self.known} episodes were in the dataset before: passed over")
        return [*lines, *(f"dropped: {text}" for text in self.dropped)]


def run(
    recordings: Sequence[Recording], export: Export, sink: Sink, watcher: Watcher, metric: bool
) -> Summary:
    """Write the episodes of all recordings. One that cannot be used is reported, and the others go
    on.

    Raises
    ------
    UsageError : the dataset, or the command, does not fit.
    OfflineError : the disk is full.
    """
    summary = Summary()
    for recording in recordings:
        try:
            outcome = export(recording, sink, _telling(watcher, recording.item))
        except UsageError:
            raise
        except OfflineError as error:
            outcome = Outcome([], [], error=str(error))
        summary.episodes += [Figures.of(one, metric) for one in outcome.episodes]
        summary.dropped += outcome.dropped
        summary.known += outcome.known
        if outcome.error:
            summary.failed.append(f"{recording.item.name}: {outcome.error}")
        watcher.finished(recording.item, _text(outcome), failed=bool(outcome.error))
    return summary


def _telling(watcher: Watcher, item: Item) -> Callable[[int, int | None], None]:
    return lambda done, expected: watcher.progress(item, done, expected)


def _text(outcome: Outcome) -> str:
    if outcome.error:
        written = len(outcome.episodes)
        return (
            f"{outcome.error}; {written} episodes were written before" if written else outcome.error
        )
    parts = [f"{len(outcome.episodes)} episodes"]
    if outcome.known:
        parts.append(f"{outcome.known} known before")
    if outcome.dropped:
        parts.append(f"{len(outcome.dropped)} dropped")
    return "; ".join([", ".join(parts), *outcome.notes])


def disk_full(error: BaseException) -> bool:
    """Whether an error, of whatever library, is that of a full disk."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
