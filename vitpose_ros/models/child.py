"""Runs another program that downloads into a folder, within a download's limits."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vitpose_ros.models.budget import Budget
from vitpose_ros.models.progress import Progress

POLL_S = 0.5
"""How often the folder is looked at: a program can exceed its limits for that long."""


def run_download(
    command: Sequence[str],
    folder: Path,
    progress: Progress,
    budget: Budget,
    environment: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and report the growth of the largest file in `folder`.

    Raises
    ------
    SourceError : a file became too large, or grew too slowly; the command was stopped.
    OSError : the command could not be started.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        while True:
            try:
                output, errors = process.communicate(timeout=POLL_S)
                return subprocess.CompletedProcess(command, process.returncode, output, errors)
            except subprocess.TimeoutExpired:
                size = _largest_below(folder)
                progress.advance(size)
                budget.check_size(size)
                budget.check_time(size)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _largest_below(folder: Path) -> int:
    """Bytes of the largest file: pip and the hub's client fetch one file, and copy it once it is
    complete.
    """
    largest = 0
    for parent, _, names in os.walk(folder):  # which passes over folders that have gone meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.lstat(os.path.join(parent, name)).st_size)
    return largest
