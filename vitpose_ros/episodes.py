"""Episodes of a recording: the stamps between which a demonstration lies.

The marks are rcl_interfaces/Log messages on `episode_marks`: `name` is START or END, `stamp` the
moment. Every bag tool can show them, and nothing needs a message definition of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

START, END = "episode_start", "episode_end"
TOPIC = "episode_marks"


@dataclass(frozen=True)
class Episode:
    """A part of a recording.

    Attributes
    ----------
    start_ns, end_ns : stamps of its marks; end_ns is None where the recording ended first.
    """

    start_ns: int
    end_ns: int | None


def episodes(marks: Iterable[tuple[int, str]]) -> list[Episode]:
    """The episodes that marks define.

    Parameters
    ----------
    marks : (stamp_ns, START or END) in order. A second START begins anew: the episode before it
        was given up. An END without START counts for nothing.
    """
    found: list[Episode] = []
    start_ns: int | None = None
    for stamp_ns, name in marks:
        if name == START:
            start_ns = stamp_ns
        elif name == END and start_ns is not None:
            found.append(Episode(start_ns, stamp_ns))
            start_ns = None
    if start_ns is not None:
        found.append(Episode(start_ns, None))
    return found
