"""Programs that the demo starts and ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from vitpose_ros.ros.children import child_environment


class DemoError(RuntimeError):
    """The demo cannot continue; the text says why."""


class Process:
    """A program of this package that the demo starts and ends; its output goes to a file."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        program = shutil.which(name) or str(_programs() / name)
        if not Path(program).exists():
            raise DemoError(
                f"this package's program '{name}' is not installed; build it: make build"
            )
        self.name, self.log = name, log
        self._file: IO[str] = log.open("w")
        self._process = subprocess.Popen(
            [program, *arguments],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **child_environment()},
        )

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise DemoError if it has ended with an error."""
        code = self._process.poll()
        if code not in (None, 0):
            raise DemoError(f"{self.name} ended with exit code {code}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its output."""
        self._file.flush()
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self.running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._file.close()


def _programs() -> Path:
    """lib/vitpose_ros of the install space of this module."""
    for parent in Path(__file__).parents:
        if (parent / "lib" / "vitpose_ros").is_dir():
            return parent / "lib" / "vitpose_ros"
    return Path(sys.argv[0]).resolve().parent
