"""The machine as the checks see it: the only place where they touch it, so that tests can put
another one in its place.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TIMEOUT_S = 60.0
"""No probe may take longer: a driver that hangs must not make the doctor hang."""


@dataclass(frozen=True)
class Answer:
    """What a program said: whether it ended well, and its output, or the last line of its error."""

    good: bool
    text: str


class Host:
    """The machine that this process runs on."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables."""
        return os.environ

    @property
    def system(self) -> str:
        """Operating system and processor, for people."""
        release = self.read("/etc/os-release") or ""
        names = [line for line in release.splitlines() if line.startswith("PRETTY_NAME=")]
        name = names[0].partition("=")[2].strip('"') if names else platform.system()
        return f"{name}, {platform.machine()}"

    @property
    def cores(self) -> int:
        """CPU cores that this process may use."""
        return len(os.sched_getaffinity(0))

    @property
    def python(self) -> tuple[int, int, int]:
        """The version of this interpreter."""
        return sys.version_info[:3]

    @property
    def interpreter(self) -> str:
        """The path of this interpreter."""
        return sys.executable

    def read(self, path: str) -> str | None:
        """A file's text; None where there is none, or none that may be read."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None

    def space(self, path: str) -> tuple[int, int] | None:
        """(total, free) bytes of the file system of a folder; None where there is none."""
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            return None
        return usage.total, usage.free

    def package(self, name: str) -> str | None:
        """The version of an installed Python package; None where it is not installed."""
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    def run(self, command: Sequence[str]) -> Answer | None:
        """Run a program; None where there is none of that name."""
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            return None
        except subprocess.TimeoutExpired:
            return Answer(False, f"no answer within {TIMEOUT_S:g} s")
        except OSError as error:
            return Answer(False, str(error))
        if done.returncode == 0:
            return Answer(True, done.stdout.strip())
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return Answer(False, lines[-1] if lines else f"exit code {done.returncode}")

    def python_says(self, code: str) -> Answer:
        """What a few lines of Python print, in a process of their own: a library that crashes while
        it loads must not take the doctor with it.
        """
        answer = self.run([self.interpreter, "-c", code])
        return Answer(False, "the interpreter cannot be started") if answer is None else answer
