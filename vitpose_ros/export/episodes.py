"""From an annotated recording to its episodes, image by image."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.export.frames import DroppedError, Frames, cut
from vitpose_ros.export.hands import HandOverTime, hands_over_time
from vitpose_ros.export.recordings import Recording, source_error
from vitpose_ros.export.topics import Recorded as RecordedTopics
from vitpose_ros.export.topics import read_topics
from vitpose_ros.offline.errors import OfflineError
from vitpose_ros.offline.read_skeletons import RecordedImage, read_skeletons
from vitpose_ros.offline.source import Source, read_ahead
from vitpose_ros.types import Side


@dataclass(frozen=True)
class Episode:
    """One demonstration, at a constant rate.

    Attributes
    ----------
    source, sha256 : the recording.
    start_ns, end_ns : its marks; the first and the last stamp without marks.
    frames : which images it has.
    hands : by side, over the frames; nothing is `measured` in a frame that is not fresh.
    topics : what the robot's topics told; None if none is exported.
    frame_id : of metric positions.
    size : (width, height) of the images, px.
    """

    source: str
    sha256: str
    start_ns: int
    end_ns: int
    frames: Frames
    hands: dict[Side, HandOverTime]
    topics: RecordedTopics | None
    frame_id: str
    size: tuple[int, int]


class Sink(Protocol):
    """Writes a dataset. For each episode: `accept`, then `image` for each frame, then `end`."""

    def knows(self, sha256: str, start_ns: int) -> bool:
        """Whether the dataset has an episode already."""
        ...

    def accept(self, episode: Episode) -> None:
        """Prepare an episode.

        Raises
        ------
        DroppedError : the dataset is better without it.
        OfflineError : it does not fit the dataset.
        """
        ...

    def image(self, image: npt.NDArray[np.uint8], starts: bool) -> None:
        """The next frame's image, BGR."""
        ...

    def end(self, episode: Episode, camera: CameraModel | None) -> None:
        """The episode is complete."""
        ...


@dataclass
class Outcome:
    """What became of a recording.

    Attributes
    ----------
    episodes : that were written.
    dropped : why others were not.
    known : how many the dataset had before.
    notes : sentences about the recording.
    error : why it was given up, with episodes missing; "" if it was not.
    """

    episodes: list[Episode]
    dropped: list[str]
    known: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Export:
    """What all recordings have in common.

    Attributes
    ----------
    fps : frames per second.
    topics : the robot's, in the order of the dataset.
    rejected : by the folder of a recording, the episodes to leave out, by their number from 0, and
        why.
    """

    fps: int
    topics: tuple[str, ...] = ()
    rejected: Mapping[Path, Mapping[int, str]] = field(default_factory=dict)

    def __call__(
        self,
        recording: Recording,
        sink: Sink,
        tell: Callable[[int, int | None], None] = lambda done, expected: None,
    ) -> Outcome:
        """Write the episodes of a recording.

        Parameters
        ----------
        tell : called with the images done, and how many there are.

        Raises
        ------
        OfflineError : it cannot be used at all.
        """
        recorded = read_skeletons(recording.folder)
        images = recorded.images
        stamps = [image.stamp_ns for image in images]
        _check(images)
        with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
            source, bag = recording.open(Path(work), stack)
            topics = None
            if self.topics:
                if bag is None:
                    raise OfflineError(
                        f"{recording.item.path} is no bag: it has no topics for --state and "
                        "--action"
                    )
                topics = read_topics(bag, self.topics)
            outcome = Outcome([], [], notes=tuple(recorded.notes))
            accepted: list[Episode] = []
            hands = hands_over_time(images)
            marks = recording.about.get("episodes") or [[stamps[0], stamps[-1]]]
            unwanted = self.rejected.get(recording.folder, {})
            for number, (start_ns, end_ns) in enumerate(marks, 1):
                if sink.knows(recording.sha256, start_ns):
                    outcome.known += 1
                    continue
                try:
                    if number - 1 in unwanted:
                        raise DroppedError(f"it was rejected: {unwanted[number - 1]}")
                    frames = cut(stamps, start_ns, end_ns, self.fps)
                    episode = Episode(
                        recording.item.name,
                        recording.sha256,
                        start_ns,
                        stamps[-1] if end_ns is None else end_ns,
                        frames,
                        {side: _of_frames(hand, frames) for side, hand in hands.items()},
                        topics,
                        images[0].frame_id,
                        images[0].size,
                    )
                    sink.accept(episode)
                except DroppedError as error:
                    which = f", episode {number} of {len(marks)}" if len(marks) > 1 else ""
                    outcome.dropped.append(f"{recording.item.name}{which}: {error}")
                    continue
                accepted.append(episode)
            try:
                _write(recording, source, stamps, accepted, sink, tell, outcome.episodes)
            except OfflineError as error:
                outcome.error = str(error)
        return outcome


def _check(images: Sequence[RecordedImage]) -> None:
    for before, image in itertools.pairwise(images):
        if image.stamp_ns <= before.stamp_ns:
            raise OfflineError(
                f"its stamps go back from {before.stamp_ns * 1e-9:.3f} to "
                f"{image.stamp_ns * 1e-9:.3f} s, as in a bag that was played twice: split the "
                "recording there"
            )
        if image.size != before.size:
            raise OfflineError(
                f"its images change from {before.size[0]}x{before.size[1]} to "
                f"{image.size[0]}x{image.size[1]} px at {image.stamp_ns * 1e-9:.3f} s; a dataset "
                "has one size: split the recording there"
            )


def _of_frames(hand: HandOverTime, frames: Frames) -> HandOverTime:
    index, fresh = frames.image, frames.fresh
    return replace(
        hand,
        uv=hand.uv[index],
        xyz=hand.xyz[index],
        measured=hand.measured[index] & fresh[:, None],
        z_source=hand.z_source[index],
        confidence=hand.confidence[index],
        wrist=hand.wrist[index],
        wrist_measured=hand.wrist_measured[index] & fresh,
    )


def _uses(episodes: Sequence[Episode]) -> Iterator[tuple[Episode, int]]:
    """Every frame of every episode, in the order of the images."""
    for episode in episodes:
        for number in range(len(episode.frames)):
            yield episode, number


def _write(
    recording: Recording,
    source: Source,
    stamps: Sequence[int],
    episodes: Sequence[Episode],
    sink: Sink,
    tell: Callable[[int, int | None], None],
    done: list[Episode],
) -> None:
    """Read the images once, and give the sink those that it needs; `done` gets what is complete."""
    uses = _uses(episodes)
    use = next(uses, None)
    if use is None:
        return
    last = int(episodes[-1].frames.image[-1]) + 1
    camera: CameraModel | None = None
    with contextlib.closing(read_ahead(iter(source))) as shots:
        for index, shot in enumerate(shots):
            if index >= len(stamps) or shot.frame.stamp_ns != stamps[index]:
                raise source_error(recording, f"image {index + 1} has another stamp")
            camera = shot.frame.camera or camera
            while use is not None and use[0].frames.image[use[1]] == index:
                episode, number = use
                sink.image(shot.frame.image, number == 0)
                if number == len(episode.frames) - 1:
                    sink.end(episode, camera)
                    done.append(episode)
                use = next(uses, None)
            tell(index + 1, last)
            if use is None:
                return
    raise source_error(recording, f"it ends before {episodes[-1].frames.stamp_ns[-1] * 1e-9:.3f} s")
