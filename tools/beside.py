"""Python environments beside the workspace's own, for libraries that do not go together with it.

The file in requirements/ of such an environment may say `# Python >= 3.12` in its first lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from steps import WorkspaceError, digest
from surroundings import FOREIGN

if TYPE_CHECKING:
    from workspace import Workspace

CHOICE = "BESIDE_PYTHON"
"""Names the interpreter of such an environment."""

_NEWEST = 14


def variable(name: str) -> str:
    """The environment variable that tells programs of the workspace the environment's Python."""
    return f"VITPOSE_ROS_{name.upper().replace('-', '_')}"


def prepare(workspace: Workspace, name: str) -> Path:
    """Create or complete an environment, and return its Python.

    Parameters
    ----------
    workspace : beside whose environment it lies.
    name : of a file in requirements/.

    Raises
    ------
    WorkspaceError : there is no such file, no Python that is new enough, or pip failed.
    """
    file = workspace.root / "requirements" / f"{name}.txt"
    if not file.is_file():
        raise WorkspaceError(f"--beside {name}: there is no requirements/{name}.txt")
    wanted = re.search(r"^# Python >= 3\.(\d+)", file.read_text(), flags=re.MULTILINE)
    python = _interpreter(name, int(wanted[1]) if wanted else 10)
    folder = workspace.folder / "beside" / name
    key = digest([python, str(folder)], workspace.with_included(file))
    made = folder / "bin" / "python"
    if workspace.stamps.read(f"beside-{name}") == key and made.exists():
        return made
    workspace.stamps.clear(f"beside-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in workspace.environ.items() if k not in FOREIGN} | {"PIP_USER": "0"}
    title = f"Python packages of their own ({name}; gigabytes if torch is among them)"
    advice = "Check the network and the disk, then run the same command again."
    with workspace.runner.step(f"beside-{name}", title, advice) as run:
        run([python, "-m", "venv", folder], env)
        run([made, "-m", "pip", "install", "--no-input", "-r", file], env)
    workspace.stamps.write(f"beside-{name}", key)
    return made


def _interpreter(name: str, minor: int) -> str:
    """The Python that the user named, else this one, else one of the PATH, if new enough."""
    given = os.environ.get(CHOICE)
    names = [f"python3.{number}" for number in range(minor, _NEWEST + 1)]
    candidates = [given] if given else [sys.executable, *filter(None, map(shutil.which, names))]
    for candidate in candidates:
        script = "import sys, ensurepip, venv; print(sys.version_info[1])"
        try:
            probe = subprocess.run(
                [candidate, "-c", script], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        if int(probe.stdout) >= minor:
            return candidate
    tried = given or f"{sys.executable}, and {', '.join(names)} of the PATH"
    raise WorkspaceError(
        f"{name} needs Python 3.{minor} or later with venv; tried: {tried}. Name one: "
        f"make ... {CHOICE}=/path/to/python3.{minor}"
    )
