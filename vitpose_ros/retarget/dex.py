"""dex_retargeting as a retargeter: in a process of its own, under a watchdog.

It needs other packages than the rest (torch, NumPy 2, Python below 3.13), so it runs in any Python
that has them. A call with a NaN never returns, and other calls can take long: the hand is checked
before a call, and a call that has no answer within HUNG_S ends the process, which is then started
again. Nothing here waits longer than WAIT_S.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitpose_ros.retarget.retargeter import Retargeted
from vitpose_ros.retarget.robot import Robot, RobotError

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

START_S = 60.0
"""Importing torch takes seconds, on a busy machine many."""
WAIT_S = 0.02
"""How long a call waits for its answer; a later answer is used by the next call."""
HUNG_S = 0.2
WORKER = Path(__file__).with_name("dex_worker.py")


class DexRetargeter:
    """A hand by dex_retargeting; see `retargeter.Retargeter` for the interface.

    It cannot leave out joints: a hand of which one is not known makes every joint hold.

    Parameters
    ----------
    robot : a robot whose retargeter is `dex_retargeting`.
    worker : the program to run; another one in tests.

    Raises
    ------
    RobotError : dex_retargeting cannot be started, or does not move a joint of the robot.
    """

    def __init__(self, robot: Robot, worker: Path = WORKER) -> None:
        python = shutil.which(str(Path(robot.python).expanduser())) if robot.python else None
        if robot.python and python is None:
            raise RobotError(
                f"{robot.path}: dex_python: there is no program '{robot.python}'; name the Python "
                "of the environment that has dex_retargeting."
            )
        self._command = [python or sys.executable, str(worker), str(robot.description.absolute())]
        self._wanted = tuple(joint.name for joint in robot.joints)
        self._names: list[str] = []
        self._received = b""
        self._asked_s: float | None = None
        self._failure = ""
        self._start()
        deadline_s = time.monotonic() + START_S
        while not self._names and not self._failure and time.monotonic() < deadline_s:
            self._listen(0.1)
        if not self._names:
            self.close()
            reason = self._failure or f"no sign of life within {START_S:g} s"
            raise RobotError(
                f"dex_retargeting cannot be used with {robot.description}: {reason}. It runs in "
                f"{self._command[0]}; docs/robot_hands.md says how to install it."
            )
        missing = [name for name in self._wanted if name not in self._names]
        if missing:
            self.close()
            raise RobotError(
                f"{robot.path}: field 'joints': dex_retargeting has no joint '{missing[0]}'; it "
                f"has {', '.join(self._names)}."
            )
        self.joint_names = self._wanted
        self._order = [self._names.index(name) for name in self._wanted]
        self.lower, self.upper = self._limits[self._order].T.copy()
        self._joints = (self.lower + self.upper) / 2

    def __call__(self, points: Array, valid: BoolArray, dt_s: float) -> Retargeted:
        """See `Retargeter`. Joints are not valid while there is no new answer."""
        if not (valid.all() and np.isfinite(points).all()):
            return self._hold("dex_retargeting needs every joint of the hand")
        self._listen(0.0)
        self.watch()
        if not self._names:
            return self._hold(self._failure or "dex_retargeting is starting again")
        answer = self._take()
        if self._asked_s is None:
            self._ask(np.ascontiguousarray(points, np.float64).tobytes())
            self._asked_s = time.monotonic()
            if answer is None:
                self._listen(WAIT_S)
                answer = self._take()
        if answer is None:
            return self._hold("dex_retargeting has not answered yet")
        if not np.isfinite(answer).all():
            self._restart()
            return self._hold("dex_retargeting answered with NaN and is starting again")
        self._joints = np.clip(answer[self._order], self.lower, self.upper)
        return Retargeted(self._joints.copy(), np.ones(len(self._order), bool))

    def reset(self, joints: Array) -> None:
        """Continue from these joint angles."""
        self._joints = np.clip(joints, self.lower, self.upper)
        if self._names:
            every = np.zeros(len(self._names))
            every[self._order] = self._joints
            self._ask(np.full(63, np.nan).tobytes() + every.tobytes())

    def watch(self) -> None:
        """End a call that hangs."""
        if self._asked_s is not None and time.monotonic() - self._asked_s > HUNG_S:
            self._listen(0.0)
            if len(self._received) < 8 * len(self._names):
                self._restart()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        return self._process.pid

    def _hold(self, remark: str) -> Retargeted:
        return Retargeted(self._joints.copy(), np.zeros(len(self._order), bool), remark)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def _restart(self) -> None:
        """Kill the process and start another, without waiting for it."""
        self.close()
        self._names, self._received, self._asked_s = [], b"", None
        self._start()

    def _ask(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; the next look at its output finds out
            self._process.stdin.write(data)

    def _listen(self, wait_s: float) -> None:
        """Take in what the process has written, waiting for one answer at most."""
        end_s = time.monotonic() + wait_s
        while True:
            if not self._selector.select(max(0.0, end_s - time.monotonic())):
                return
            assert self._process.stdout is not None
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                if not self._failure and self._names:
                    self._restart()
                elif not self._failure:
                    self._failure = "its process ended at once"
                return
            self._received += data
            if not self._names:
                self._greet()
            if self._names and len(self._received) >= 8 * len(self._names):
                return

    def _greet(self) -> None:
        """Read the first line: names and limits, or why it cannot work."""
        line, found, rest = self._received.partition(b"\n")
        if not found:
            return
        hello = json.loads(line)
        if "error" in hello:
            self._failure = hello["error"]
            return
        self._names, self._received = hello["names"], rest
        self._limits: Array = np.array(hello["limits"], np.float64)

    def _take(self) -> Array | None:
        size = 8 * len(self._names)
        if not self._names or len(self._received) < size:
            return None
        answer = np.frombuffer(self._received[:size])
        self._received, self._asked_s = self._received[size:], None
        return answer
