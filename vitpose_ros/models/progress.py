"""Showing how far a pull is: a bar on a terminal, a plain line now and then elsewhere, nothing when
quiet.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """What a pull tells while it works."""

    def note(self, text: str) -> None:
        """One line of news."""

    def start(self, label: str, total: int | None) -> None:
        """A download of `total` bytes (None when not known) begins."""

    def advance(self, done: int) -> None:
        """`done` bytes are there so far."""

    def finish(self) -> None:
        """The download ended, well or not."""


class QuietProgress:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
        del text

    def start(self, label: str, total: int | None) -> None:
        """Say nothing."""
        del label, total

    def advance(self, done: int) -> None:
        """Say nothing."""
        del done

    def finish(self) -> None:
        """Say nothing."""


class PlainProgress:
    """Lines for logs: one at the start, one every `interval_s` seconds, one at the end."""

    def __init__(
        self, stream: TextIO, interval_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._interval_s, self._clock = stream, interval_s, clock
        self._label, self._total, self._done = "", None, 0  # type: tuple[str, int | None, int]
        self._last = 0.0

    def note(self, text: str) -> None:
        """Write a line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def start(self, label: str, total: int | None) -> None:
        """Write the label and the size."""
        self._label, self._total, self._done, self._last = label, total, 0, self._clock()
        self.note(f"{label}: {size_text(total)}" if total else label)

    def advance(self, done: int) -> None:
        """Write a line if the last one is old."""
        self._done = done
        if self._clock() - self._last >= self._interval_s:
            self._last = self._clock()
            share = (
                f" of {size_text(self._total)} ({100 * done // self._total} %)"
                if self._total
                else ""
            )
            self.note(f"{self._label}: {size_text(done)}{share}")

    def finish(self) -> None:
        """Forget the download."""
        self._label = ""


class RichProgress:
    """A bar on a terminal."""

    def __init__(self, console: Any) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: Any = None

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, label: str, total: int | None) -> None:
        """Show the bar."""
        self._task = self._bar.add_task(label, total=total)
        self._bar.start()

    def advance(self, done: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done)

    def finish(self) -> None:
        """Take the bar away."""
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


def make_progress(stream: TextIO, quiet: bool = False) -> Progress:
    """What fits the stream: nothing when quiet, a bar on a terminal with rich, else plain lines."""
    if quiet:
        return QuietProgress()
    if stream.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console

            return RichProgress(Console(file=stream))
    return PlainProgress(stream)


@contextlib.contextmanager
def watched(folder: Path, progress: Progress, interval_s: float = 0.5) -> Iterator[None]:
    """Report a folder's growth while another program (pip, the hub's client) downloads into
    it.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(interval_s):
            progress.advance(_largest_below(folder))

    thread = threading.Thread(target=watch, name="download-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _largest_below(folder: Path) -> int:
    """Bytes of the largest file: both programs fetch one file, and copy it once it is complete."""
    largest = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # files come and go while we look
            if path.is_file():
                largest = max(largest, path.stat().st_size)
    return largest


def size_text(size: int | None) -> str:
    """Bytes for people, in powers of 1000; 'unknown' for None."""
    if size is None:
        return "unknown"
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
