"""Environments for what this package is compared with, and processes in them that answer requests.

A peer may need other versions than this package (MediaPipe another NumPy) or large ones that this
package does without (torch). A request is one line of JSON on the process's standard input; the
answer is one line of JSON on its standard output. Arrays go through npz files.
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
    """Return the interpreter of an environment; make it on first use.

    Parameters
    ----------
    name : what it is for; it lies in .workspace/NAME unless a folder is given.
    check : Python code that fails where something is missing.
    installs : arguments of `pip install`, step by step.
    folder : an environment of the user's own.
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
        print(f"Making an environment in {folder} (once, some minutes): {wanted}", flush=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
        steps = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
        steps += [[*pip, *words] for words in installs]
        failed = any(subprocess.run(step, env=_clean(), check=False).returncode for step in steps)
        if failed or not works():
            raise SystemExit(
                f"{wanted} could not be installed in {folder}; pip's reason is above. Give an "
                "environment that has them with --venv DIR"
            )
    return python


class Peer:
    """A process that answers requests.

    Parameters
    ----------
    python : its interpreter.
    script : beside this file; it calls `json.loads` on lines and prints an answer for each.
    log : where its other output goes.
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
        """Send a request and wait for its answer; SystemExit with its last words when it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the peer's process ended:\n{self._log.read_text()[-2000:]}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
