"""How a program of this package starts: Ctrl-C during its imports ends it with a sentence, and a
program that a launch file started ends with the launch.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

LAUNCH_PID = "VITPOSE_ROS_LAUNCH_PID"
"""Set by this package's launch files: the process that the program ends with."""

INTERRUPTED = 130
"""The exit code after Ctrl-C before the program has begun its work."""

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def start(module: str) -> NoReturn:
    """Import a module and run its `main`, as a script's whole work."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as in a script's background jobs
        signal.signal(signal.SIGINT, _on_early_interrupt)  # imports can take seconds
    end_with_launch()
    main = importlib.import_module(module).main
    signal.signal(signal.SIGINT, before)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _on_early_interrupt(signal.SIGINT, None)


def end_with_launch() -> None:
    """Have the kernel end this process when the launch that started it ends.

    `ros2 launch` stops its processes itself, but not those that it was still starting when it
    failed, and none if it is killed.
    """
    pid = os.environ.pop(LAUNCH_PID, "")  # not for the processes that this one starts
    if not pid.isdecimal():
        return
    with contextlib.suppress(AttributeError, OSError):  # only Linux has it
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
        sys.stderr.write(f"{_name()}: the launch that started it has ended\n")
        sys.exit(1)


def _on_early_interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Not an exception: extension modules that are being loaded turn it into other errors.
    os.write(2, f"{_name()}: interrupted while starting\n".encode())
    os._exit(INTERRUPTED)


def _name() -> str:
    return Path(sys.argv[0]).name
