"""One step of a set-up: done once per input, shown while it runs, logged, and redone if cut off."""

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
    """Something that the person at the keyboard has to do; the text says what."""


def say(text: str) -> None:
    """Tell people one line, on stderr, so that stdout stays what a command prints."""
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
    """Which steps ended well, with which inputs: one small file per step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, step: str) -> str | None:
        """Return the inputs' hash of the last success, None where there was none."""
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
    """One set-up at a time per checkout; it ends with the processes that hold it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """For child programs to inherit: if this process is killed, they hold on to the lock."""
        return () if self._file is None else (self._file,)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, saying for whom, and hold it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self._file, 100, 0).decode(errors="replace").strip()
                say(
                    f"another command (process {holder or 'unknown'}), or what it started, is "
                    "setting up this workspace; waiting until it ends (Ctrl-C gives up)"
                )
                fcntl.flock(self._file, fcntl.LOCK_EX)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(self._file)
            self._file = None


class Runner:
    """Runs the programs of a step: output to the step's log, one line on how far they are."""

    def __init__(self, log_folder: Path, lock: Lock) -> None:
        self.log_folder = log_folder
        self.lock = lock
        self.live = sys.stderr.isatty()

    @contextlib.contextmanager
    def step(self, name: str, title: str, advice: str) -> Iterator[Callable[..., None]]:
        """Announce a step and its time; give `run(command, env, cwd)` for its programs.

        Raises
        ------
        WorkspaceError
            A program failed; the text has the end of its log and ``advice``.
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
    """End a program and all that it started: politely first, so that it cleans up."""
    for number, patience_s in ((signal.SIGINT, 5.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=patience_s)
            return
