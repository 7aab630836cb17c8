"""Progress of a pull: a bar on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TextIO

from rich import progress
from rich.console import Console


class Progress:
    """The events of a pull. This class ignores them all."""

    def note(self, text: str) -> None:
        """One line of text for the user."""

    def start(self, label: str, total: int | None) -> None:
        """A download of `total` bytes (None if unknown) begins."""

    def advance(self, done: int) -> None:
        """`done` bytes have arrived so far."""

    def finish(self) -> None:
        """The download ended, successfully or not."""


class LogProgress(Progress):
    """Lines for logs: one at the start, then one every `interval_s` seconds."""

    def __init__(
        self, stream: TextIO, interval_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._interval_s, self._clock = stream, interval_s, clock
        self._label, self._total, self._last_s = "", "", 0.0

    def note(self, text: str) -> None:
        """Write a line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def start(self, label: str, total: int | None) -> None:
        """Write the label and the size."""
        self._label, self._last_s = label, self._clock()
        self._total = f" of {size_text(total)}" if total else ""
        self.note(f"{label}: {size_text(total)}" if total else label)

    def advance(self, done: int) -> None:
        """Write a line if the last one is old."""
        if self._clock() - self._last_s >= self._interval_s:
            self._last_s = self._clock()
            self.note(f"{self._label}: {size_text(done)}{self._total}")


class BarProgress(Progress):
    """A bar on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(file=stream),
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
        """Remove the bar."""
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


def make_progress(stream: TextIO, quiet: bool = False) -> Progress:
    """Nothing when quiet, a bar on a terminal, else lines."""
    if quiet:
        return Progress()
    return BarProgress(stream) if stream.isatty() else LogProgress(stream)


def size_text(size: int | None) -> str:
    """A number of bytes in powers of 1000; 'unknown' for None."""
    if size is None:
        return "unknown"
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
