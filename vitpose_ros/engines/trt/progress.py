"""The progress of a build: TensorRT's phases and steps, the elapsed time, and an estimate.

TensorRT reports steps, not time, and some steps take seconds, others minutes. So the only good
estimate is how long the same build took before; without one, only the steps are shown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from vitpose_ros.engines.trt.variants import TENSORRT, TensorRt

if TYPE_CHECKING:
    import tensorrt


class BuildProgress:
    """Collects what TensorRT reports, from any of its threads, and writes lines.

    Parameters
    ----------
    stream : where to write; None for nowhere.
    label : what is built.
    expected_s : how long the same build took before, s; None where unknown.
    interval_s : time between two lines, s. A terminal has one line, rewritten each second.
    clock : seconds; for tests.
    """

    def __init__(
        self,
        stream: TextIO | None,
        label: str,
        expected_s: float | None = None,
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._label, self._expected_s = stream, label, expected_s
        self._live = stream is not None and stream.isatty()
        self._interval_s = 1.0 if self._live else interval_s
        self._clock = clock
        self._start = self._last = clock()
        self._lock = threading.Lock()
        self._phases: dict[str, tuple[int, int, str | None]] = {}  # done, steps, parent
        self._width = 0
        self.cancelled = False

    @property
    def elapsed_s(self) -> float:
        """Time since the start, s."""
        return self._clock() - self._start

    def phase(self, name: str, steps: int, parent: str | None) -> None:
        """A phase begins, possibly inside another."""
        with self._lock:
            self._phases[name] = (0, max(steps, 1), parent)

    def step(self, name: str, step: int) -> bool:
        """A step of a phase is done; False to stop the build."""
        with self._lock:
            if name in self._phases:
                _, steps, parent = self._phases[name]
                self._phases[name] = (min(step + 1, steps), steps, parent)
        return not self.cancelled

    def end(self, name: str) -> None:
        """A phase is over."""
        with self._lock:
            self._phases.pop(name, None)

    def tick(self) -> None:
        """Write a line if the last one is old: the builder may be silent for minutes."""
        if self._clock() - self._last >= self._interval_s:
            self._last = self._clock()
            self._write(self.line())

    def finish(self) -> None:
        """Clear the terminal's line."""
        if self._live and self._stream is not None and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def line(self) -> str:
        """The progress as a line of text."""
        with self._lock:
            phases = list(self._phases.items())
        text = f"{self._label}: {duration_text(self.elapsed_s)}"
        if self._expected_s is not None:
            left = self._expected_s - self.elapsed_s
            text += (
                f", about {duration_text(left)} left if it takes as long as last time"
                if left > 0
                else f" (last time it took {duration_text(self._expected_s)})"
            )
        outer = [item for item in phases if item[1][2] is None]
        if outer:
            name, (done, steps, _) = outer[-1]
            text += f"; {name}: step {done + 1} of {steps}" if done < steps else f"; {name}"
        if len(phases) > 1:
            name, (done, steps, _) = phases[-1]
            text += f" > {name} ({100 * done // steps} % of its steps)"
        return text

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        if self._live:
            text = text[:120]
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def make_monitor(
    progress: BuildProgress, variant: TensorRt = TENSORRT
) -> tensorrt.IProgressMonitor:
    """A TensorRT progress monitor that reports to `progress`; it must outlive the config."""
    if TYPE_CHECKING:
        import tensorrt as trt
    else:
        trt = variant.load()

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            progress.phase(phase_name, num_steps, parent_phase or None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.end(phase_name)

    return Monitor()


def duration_text(seconds: float) -> str:
    """A duration for people: "45 s", "3 min 20 s", "1 h 5 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
