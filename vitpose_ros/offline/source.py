"""What every input gives: images in order, each with its own time."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from vitpose_ros.ingest.images import ImageError
from vitpose_ros.types import Frame

AHEAD = 8
"""Images that are decoded ahead of the networks."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Shot:
    """An image of a recording.

    Attributes
    ----------
    frame : the image with its own time.
    log_ns : when the recording received it, ns; its own time where the input tells no other.
    name : how datasets refer to it.
    """

    frame: Frame
    log_ns: int
    name: str


@dataclass
class Losses:
    """What of an input could not be used.

    Attributes
    ----------
    refused : number of images by the kind of their fault.
    examples : the first error of each kind.
    notes : sentences about the input as a whole.
    """

    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def refuse(self, error: ImageError) -> None:
        """Count an image that cannot be used."""
        self.refused[error.kind] += 1
        self.examples.setdefault(error.kind, str(error))

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def sentences(self) -> list[str]:
        """Everything as text."""
        refused = [
            f"images not used: {count}, the first because {self.examples[kind]}"
            for kind, count in sorted(self.refused.items())
        ]
        return [*self.notes, *refused]


class Source(Protocol):
    """An opened input. It can be read several times."""

    losses: Losses
    """What the last reading could not use."""

    @property
    def expected(self) -> int | None:
        """About how many images it has; None if that is not known."""
        ...

    def __iter__(self) -> Iterator[Shot]:
        """Read from the start."""
        ...

    def close(self) -> None:
        """Release its files."""
        ...


def read_ahead(items: Iterator[_T]) -> Generator[_T, None, None]:
    """The same items, produced on another thread, up to AHEAD before they are asked for."""
    ready: queue.Queue[tuple[_T | None, BaseException | None, bool]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(entry: tuple[_T | None, BaseException | None, bool]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - raised on the other thread
            put((None, error, True))

    thread = threading.Thread(target=work, name="read_ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, ended = ready.get()
            if error is not None:
                raise error
            if ended:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
