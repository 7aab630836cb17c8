"""Programs of the package as real processes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

TIMEOUT_S = 45.0


def program(name: str) -> str:
    return str(Path(get_package_prefix("vitpose_ros")) / "lib" / "vitpose_ros" / name)


class Started:
    """A process of the test's own, with its output.

    In the background: as a script's `program &` starts it, which makes it ignore Ctrl-C at first.
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        in_background: bool = False,
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = log
        self._file = log.open("w")
        if in_background:
            command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]
        self.process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, env=env
        )

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(TIMEOUT_S)

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """``run(command, env=None)``: a process, ended with the test."""
    started: list[Started] = []

    def go(command: list[str], **options: object) -> Started:
        log = tmp_path / f"output_{len(started)}.log"
        started.append(Started(command, log, **options))  # type: ignore[arg-type]
        return started[-1]

    yield go
    for one in started:
        one.end()


@pytest.fixture
def start(run: Callable[..., Started]) -> Callable[..., Started]:
    """``start(name, *arguments)``: a program of the package, ended with the test."""

    def go(name: str, *arguments: str, in_background: bool = False) -> Started:
        return run([program(name), *arguments], in_background=in_background)

    return go


@pytest.fixture(scope="session")
def finish() -> Callable[..., tuple[int, str]]:
    """``finish(name, *arguments, env=None)``: run a program to its end: exit code and output."""

    def go(name: str, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        result = subprocess.run(
            [program(name), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env=env,
        )
        return result.returncode, result.stdout

    return go
