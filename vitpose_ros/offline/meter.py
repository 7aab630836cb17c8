"""How far a run is: images per second and the time left, as a bar or as lines of a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from vitpose_ros.offline.items import Item
from vitpose_ros.offline.job import DONE, FAILED, SKIPPED, Outcome

_PERIOD_S = 10.0  # between lines of a log
_STEP_S = 0.2  # between updates of a bar


class Meter:
    """Shows a run to people. The time left comes from the sizes of the inputs.

    Parameters
    ----------
    items : of the run.
    stream : where it is shown: a bar on a terminal, else lines.
    quiet : show nothing but failures.
    clock : steady time, s.
    """

    def __init__(
        self,
        items: Sequence[Item],
        stream: TextIO,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._sizes = {item.name: max(item.size(), 1) for item in items}
        self._images: dict[str, int] = {}
        self._shares: dict[str, float] = {}
        self._left_out = 0.0  # bytes that need no work
        self._ended = 0
        self._begun_s: float | None = None  # at the first image: loading networks is no rate
        self._shown_s = clock()
        self._bar: Progress | None = None
        if stream.isatty() and not quiet:
            columns = (BarColumn(), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=Console(file=stream), transient=True)
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def say(self, text: str) -> None:
        """Show a sentence."""
        if not self._quiet:
            self._line(text)

    def progress(self, item: Item, done: int, expected: int | None) -> None:
        """Images of an item that are done, of about so many."""
        self._images[item.name] = done
        if self._begun_s is None:  # one image is no rate
            self._begun_s = self._shown_s = self._clock()
        if expected:
            self._shares[item.name] = min(done / expected, 1.0)
        now_s = self._clock()
        if now_s - self._shown_s >= (_STEP_S if self._bar else _PERIOD_S):
            self._shown_s = now_s
            if self._bar:
                self._bar.update(self._task, completed=self.share(), description=self.text())
            elif not self._quiet:
                self._line(self.text())

    def ended(self, item: Item, outcome: Outcome) -> None:
        """What became of an item."""
        if outcome.status != DONE:
            self._left_out += self._sizes[item.name]
        found = f"{outcome.images} images, {outcome.skeletons} skeletons"
        done = [found] if outcome.status == DONE else []
        text = "; ".join([*done, *outcome.notes])
        self.finished(item, text if outcome.status != SKIPPED else "", outcome.status == FAILED)

    def finished(self, item: Item, text: str, failed: bool) -> None:
        """The same in words; "" for nothing to tell."""
        self._ended += 1
        self._shares[item.name] = 1.0
        if failed:
            self._line(f"{item.name}: FAILED: {text}")
        elif text:
            self.say(f"{item.name}: {text}")

    def share(self) -> float:
        """How much of the run is done, 0 .. 1."""
        whole = sum(self._sizes.values())
        return sum(share * self._sizes[name] for name, share in self._shares.items()) / whole

    def text(self) -> str:
        """Items, images, rate and time left."""
        begun_s = self._clock() if self._begun_s is None else self._begun_s
        elapsed_s = max(self._clock() - begun_s, 1e-9)
        images = sum(self._images.values())
        whole = sum(self._sizes.values()) - self._left_out
        worked = self.share() * sum(self._sizes.values()) - self._left_out
        left = "unknown"
        if worked > 0:
            left = _duration(elapsed_s * (whole - worked) / worked)
        return (
            f"{self._ended} of {len(self._sizes)} done, {images} images, "
            f"{images / elapsed_s:.1f} images/s, time left {left}"
        )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()

    def _line(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
