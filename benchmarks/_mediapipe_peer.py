"""MediaPipe's own API beside this package: an environment of its own, and a process that answers.

MediaPipe 0.10.21 needs NumPy below 2. Images and answers go through npz files, requests through
standard input as one line of JSON each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.types import ByteArray

MEDIAPIPE = "mediapipe==0.10.21"
ROOT = Path(__file__).resolve().parent.parent


class MediaPipe:
    """MediaPipe's API in its own process.

    Parameters
    ----------
    python : the interpreter that has MediaPipe.
    worker : the name of a script beside this one that answers requests.
    folder : for the exchange of files.
    """

    def __init__(self, python: Path, worker: str, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "mediapipe.log"
        self._process = subprocess.Popen(
            [str(python), "-I", str(Path(__file__).resolve().with_name(worker))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("w"),
            env=_clean_environment(),
            text=True,
        )

    def ask(self, images: Sequence[ByteArray], **settings: Any) -> dict[str, npt.NDArray[Any]]:
        """Answer for BGR images: what the worker gives, by name."""
        source, result = self._folder / "images.npz", self._folder / "result.npz"
        arrays: dict[str, Any] = {f"{i:05d}": im[..., ::-1] for i, im in enumerate(images)}
        np.savez(source, **arrays)
        request = {"images": str(source), "result": str(result), **settings}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "done":
            raise SystemExit(f"MediaPipe's process ended:\n{self._log.read_text()[-2000:]}")
        with np.load(result) as answer:
            return dict(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def mediapipe_python(folder: Path | None) -> Path:
    """Return the interpreter that has MediaPipe; make its environment on first use."""
    folder = folder or ROOT / ".workspace" / "mediapipe"
    python = folder / "bin" / "python"
    check = "import mediapipe as m; assert m.__version__ == '0.10.21'; m.solutions.pose"
    clean = _clean_environment()

    def works() -> bool:
        if not python.exists():
            return False
        command = [str(python), "-I", "-c", check]
        return subprocess.run(command, capture_output=True, env=clean, check=False).returncode == 0

    if not works():
        print(
            f"Making an environment for {MEDIAPIPE} in {folder} (once, some minutes) ...",
            flush=True,
        )
        steps = (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--disable-pip-version-check", MEDIAPIPE],
        )
        if (
            any(subprocess.run(step, env=clean, check=False).returncode for step in steps)
            or not works()
        ):
            raise SystemExit(
                f"MediaPipe could not be installed in {folder}. It has wheels for Python 3.9 to "
                f"3.12, this is {sys.version_info.major}.{sys.version_info.minor}; give an "
                f"environment that has {MEDIAPIPE} with --venv DIR"
            )
    return python


def data_folder() -> Path:
    """Return where the test data are, if they are."""
    return Path(os.environ.get("VITPOSE_ROS_TEST_DATA", ROOT.parent / "shared" / "data"))


def real_images(names: Sequence[str]) -> list[ByteArray]:
    """Return these images of the test data, BGR; those that are not there are left out."""
    folder = data_folder()
    read = [cv2.imread(str(folder / name)) for name in names if (folder / name).is_file()]
    found = [image.astype(np.uint8, copy=False) for image in read if image is not None]
    if not found:
        print(
            f"No real images: {folder} has none of {', '.join(names)}; "
            "set VITPOSE_ROS_TEST_DATA to a folder that has them"
        )
    return found


def _clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
