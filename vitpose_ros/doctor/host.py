"""The machine as the checks see it. Only this module touches it, so that tests can replace it."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TIMEOUT_S = 60.0
"""The time limit of a probe: a driver that hangs must not block the doctor."""

SHARED_MEMORY = Path("/dev/shm")

SEGMENT_LOCK = re.compile(r"(fast(?:rtps|dds)_[0-9a-f]{16})_el")
"""The file that the owner of a Fast DDS segment keeps locked for as long as it lives."""

SETTLED_S = 10.0
"""A younger lock file may belong to a process that is about to lock it."""


@dataclass(frozen=True)
class Answer:
    """A program's answer: whether it succeeded, and its output or the last line of its error."""

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
        """A file's text; None if it does not exist or cannot be read."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None

    def space(self, path: str) -> tuple[int, int] | None:
        """(total, free) bytes of a folder's file system; None if the folder does not exist."""
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            return None
        return usage.total, usage.free

    def writable(self, path: str) -> bool:
        """Whether this user can create files in a folder, or create the folder. Leaves nothing."""
        folder = Path(path)
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder):
                return True
        except OSError:
            return False

    def leftover_segments(self, settled_s: float = SETTLED_S) -> dict[str, int]:
        """Fast DDS's shared-memory segments whose owner has died: their names and bytes.

        A segment counts only if its lock file can be locked: the kernel refuses that for as long as
        the owner lives, in whatever container.
        """
        found: dict[str, int] = {}
        for lock in sorted(SHARED_MEMORY.glob("fast*_el")):
            name = SEGMENT_LOCK.fullmatch(lock.name)
            if name is None:
                continue
            try:
                if time.time() - lock.stat().st_mtime < settled_s:
                    continue
                with lock.open("rb") as file:  # closing it gives the lock back
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                found[name[1]] = (SHARED_MEMORY / name[1]).stat().st_size
            except OSError:  # locked, gone, or another user's
                continue
        return found

    def package(self, name: str) -> str | None:
        """The version of an installed Python package; None if it is not installed."""
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    def run(self, command: Sequence[str]) -> Answer | None:
        """Run a program; None if it does not exist."""
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
        """The output of a few lines of Python, run in another process: a library that crashes on
        import must not end the doctor.
        """
        answer = self.run([self.interpreter, "-c", code])
        return Answer(False, "the interpreter cannot be started") if answer is None else answer
