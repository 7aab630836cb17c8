"""Virtual environments for the libraries that this package is compared with, and processes in them
that answer requests.

A peer may need other versions than this package (MediaPipe: an older NumPy), or large dependencies
that this package avoids (torch). Requests and answers are lines of JSON on the process's standard
input and output. Arrays are passed in npz files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}


def environment(
    name: str, check: str, installs: Sequence[Sequence[str]], folder: Path | None = None
) -> Path:
    """Return the interpreter of an environment; create it on first use.

    Parameters
    ----------
    name : name of the environment; it is in .workspace/NAME unless a folder is given.
    check : Python code that fails if something is missing.
    installs : arguments for each run of `pip install`.
    folder : the user's own environment.
    """
    folder = folder or ROOT / ".workspace" / name
    python = folder / "bin" / "python"

    def works() -> bool:
        command = [str(python), "-I", "-c", check]
        return (
            python.exists()
            and subprocess.run(command, capture_output=True, env=_clean(), check=False).returncode
            == 0
        )

    if not works():
        wanted = ", ".join(word for step in installs for word in step if word[0] != "-")
        print(f"Installing {wanted} in {folder} (once, takes minutes) ...", flush=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
        steps = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
        steps += [[*pip, *words] for words in installs]
        failed = any(subprocess.run(step, env=_clean(), check=False).returncode for step in steps)
        if failed or not works():
            raise SystemExit(
                f"cannot install {wanted} in {folder}: see pip's output above. Pass an environment "
                "that has them with --venv DIR"
            )
    return python


class Peer:
    """A process that answers requests.

    Parameters
    ----------
    python : its interpreter.
    script : a file in this folder that reads lines of JSON and prints an answer to each.
    log : file for its other output.
    """

    def __init__(self, python: Path, script: str, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [str(python), "-I", str(Path(__file__).resolve().with_name(script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=_clean(),
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and wait for its answer; SystemExit with its last output if it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the peer process ended:\n{self._log.read_text()[-2000:]}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
