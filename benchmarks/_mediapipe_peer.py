"""MediaPipe's API in its own process, and the images for the comparison.

MediaPipe 0.10.21 needs NumPy below 2, hence an environment and a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from _environment import ROOT, Peer, environment

from vitpose_ros.types import ByteArray

MEDIAPIPE = "mediapipe==0.10.21"
_CHECK = "import mediapipe as m; assert m.__version__ == '0.10.21'; m.solutions.pose"


def mediapipe_python(folder: Path | None) -> Path:
    """Return an interpreter that has MediaPipe; create its environment on first use."""
    return environment("mediapipe", _CHECK, [[MEDIAPIPE]], folder)


class MediaPipe(Peer):
    """MediaPipe's API in its own process.

    Parameters
    ----------
    python : the interpreter that has MediaPipe.
    worker : a script in this folder that answers requests.
    folder : for exchanged files.
    """

    def __init__(self, python: Path, worker: str, folder: Path) -> None:
        super().__init__(python, worker, folder / "mediapipe.log")
        self._folder = folder

    def find(self, images: Sequence[ByteArray], **settings: Any) -> dict[str, npt.NDArray[Any]]:
        """Return the worker's result for BGR images: arrays by name."""
        source, result = self._folder / "images.npz", self._folder / "result.npz"
        arrays: dict[str, Any] = {f"{i:05d}": im[..., ::-1] for i, im in enumerate(images)}
        np.savez(source, **arrays)
        self.ask(images=str(source), result=str(result), **settings)
        with np.load(result) as answer:
            return dict(answer)


def data_folder() -> Path:
    """Return the folder of the test data; it may not exist."""
    return Path(os.environ.get("VITPOSE_ROS_TEST_DATA", ROOT.parent / "shared" / "data"))


def real_images(names: Sequence[str]) -> list[ByteArray]:
    """Return images of the test data, BGR; missing ones are omitted."""
    folder = data_folder()
    read = [cv2.imread(str(folder / name)) for name in names if (folder / name).is_file()]
    found = [image.astype(np.uint8, copy=False) for image in read if image is not None]
    if not found:
        print(
            f"No real images: {folder} has none of {', '.join(names)}. "
            "Set VITPOSE_ROS_TEST_DATA to a folder that has them"
        )
    return found
