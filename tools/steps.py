"""The steps of a set-up: run once per input, with progress and a log, and again if interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

TAIL_LINES = 25


class WorkspaceError(RuntimeError):
    """The user has to act; the text says how."""


def say(text: str) -> None:
    """Print one line on stderr; stdout belongs to the command that runs."""
    sys.stderr.write(f"[workspace] {text}\n")
    sys.stderr.flush()


def digest(texts: Iterable[str] = (), files: Iterable[Path] = ()) -> str:
    """Hash texts, and names, modes and contents of files."""
    sha = hashlib.sha256()
    for text in texts:
        sha.update(text.encode() + b"\0")
    for file in sorted(files):
        sha.update(f"{file}\0{file.stat().st_mode & 0o111}\0".encode())
        sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()


class Stamps:
    """A record of the steps that succeeded and their inputs, one small file per step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, step: str) -> str | None:
        """Return the hash of the inputs of the last success, None if there was none."""
        try:
            return (self.folder / step).read_text()
        except OSError:
            return None

    def clear(self, step: str) -> None:
        """Forget the step."""
        (self.folder / step).unlink(missing_ok=True)

    def write(self, step: str, key: str) -> None:
        """Record success, atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{step}.{os.getpid()}"
        draft.write_text(key)
        draft.replace(self.folder / step)


class Lock:
    """Allows one set-up at a time per checkout. The last process that holds it releases it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """For child programs to inherit: they keep the lock if this process is killed."""
        return () if self._file is None else (self._file,)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, reporting its holder, and hold it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self._file, 100, 0).decode(errors="replace").strip()
                say(
                    f"waiting for another command that sets up this workspace (process "
                    f"{holder or 'unknown'} or its children); Ctrl-C gives up"
                )
                fcntl.flock(self._file, fcntl.LOCK_EX)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(self._file)
            self._file = None


class Runner:
    """Runs the programs of a step: output goes to the step's log, progress to one line."""

    def __init__(self, log_folder: Path, lock: Lock) -> None:
        self.log_folder = log_folder
        self.lock = lock
        self.live = sys.stderr.isatty()

    @contextlib.contextmanager
    def step(self, name: str, title: str, advice: str) -> Iterator[Callable[..., None]]:
        """Announce a step, then its duration; yield `run(command, env, cwd)` for its programs.

        Raises
        ------
        WorkspaceError
            A program failed; the text has the end of its log, and ``advice``.
        """
        self.log_folder.mkdir(parents=True, exist_ok=True)
        log = self.log_folder / f"{name}.log"
        log.write_bytes(b"")
        started = time.monotonic()
        if not self.live:
            say(f"{title} ... (log: {log})")

        def run(
            command: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None = None
        ) -> None:
            parts = [str(part) for part in command]
            status = self._run(parts, env, cwd, log, title, started)
            if status != 0:
                self._clear_line()
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
                raise WorkspaceError(
                    f"{title}: failed with status {status}. The end of {log}:\n{tail}\n"
                    f"The command was: {' '.join(parts)}\n{advice}"
                )

        yield run
        self._clear_line()
        say(f"{title}: done in {time.monotonic() - started:.1f} s")

    def _run(
        self,
        command: list[str],
        env: Mapping[str, str],
        cwd: Path | None,
        log: Path,
        title: str,
        started: float,
    ) -> int:
        with log.open("ab") as sink, log.open("rb") as source:
            source.seek(0, os.SEEK_END)
            child = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=self.lock.descriptors,
                start_new_session=True,
            )
            last = ""
            try:
                while True:
                    try:
                        return child.wait(timeout=0.2)
                    except subprocess.TimeoutExpired:
                        fresh = source.read().decode(errors="replace").split("\n")
                        last = next((line for line in reversed(fresh) if line.strip()), last)
                        seconds = time.monotonic() - started
                        self._show(f"{title} ... {seconds:.0f} s  {last.strip()}")
            finally:
                if child.poll() is None:
                    _end_group(child)

    def _show(self, text: str) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + f"[workspace] {text}"[:width])
            sys.stderr.flush()

    def _clear_line(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[K")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End a program and its children, at first so that they can clean up."""
    for number, patience_s in ((signal.SIGINT, 5.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=patience_s)
            return
