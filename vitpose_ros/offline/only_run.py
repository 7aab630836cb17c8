"""One run at a time writes to a folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from vitpose_ros.offline.errors import UsageError


@contextlib.contextmanager
def only_run(work: Path, command: str, out: Path) -> Iterator[None]:
    """Make a working folder and hold its lock, which ends with the process.

    Parameters
    ----------
    work : the folder.
    command, out : for the messages: what writes where.

    Raises
    ------
    UsageError : the folder cannot be written, or another run holds the lock.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another vitpose_ros {command} is writing to {out}: wait for it, or choose "
                "another folder"
            ) from error
        yield
