"""MediaPipe's own API beside this package, and the images that both see.

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
    """Return the interpreter that has MediaPipe; make its environment on first use."""
    return environment("mediapipe", _CHECK, [[MEDIAPIPE]], folder)


class MediaPipe(Peer):
    """MediaPipe's API in its own process.

    Parameters
    ----------
    python : the interpreter that has MediaPipe.
    worker : the name of a script beside this one that answers requests.
    folder : for the exchange of files.
    """

    def __init__(self, python: Path, worker: str, folder: Path) -> None:
        super().__init__(python, worker, folder / "mediapipe.log")
        self._folder = folder

    def find(self, images: Sequence[ByteArray], **settings: Any) -> dict[str, npt.NDArray[Any]]:
        """Answer for BGR images: the arrays that the worker gives, by name."""
        source, result = self._folder / "images.npz", self._folder / "result.npz"
        arrays: dict[str, Any] = {f"{i:05d}": im[..., ::-1] for i, im in enumerate(images)}
        np.savez(source, **arrays)
        self.ask(images=str(source), result=str(result), **settings)
        with np.load(result) as answer:
            return dict(answer)


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
