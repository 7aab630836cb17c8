"""Episodes in the form of EgoDex: N.hdf5 with a transform per joint, and N.mp4.

    camera/intrinsic        (3, 3)
    transforms/camera       (N, 4, 4) the identity: the camera's optical frame is the frame of all
    transforms/leftHand     (N, 4, 4) the wrist; then leftThumbKnuckle, leftIndexFingerTip ...
    confidences/leftHand    (N,) 0 where the transform is predicted, or held from another frame
    stamp_ns                (N,) the images' own stamps

EgoDex has 25 joints per hand and a body. Here are the 21 joints per hand that are measured, and
the frame is the camera's where EgoDex's does not move.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from vitpose_ros.camera import CameraModel
from vitpose_ros.export.episodes import Episode
from vitpose_ros.export.features import OPTICAL
from vitpose_ros.export.frames import DroppedError
from vitpose_ros.export.hands import SIDES, HandOverTime
from vitpose_ros.export.signals import held
from vitpose_ros.export.video import VideoFile
from vitpose_ros.offline.errors import OfflineError, UsageError, missing_library
from vitpose_ros.retarget.angles import side_axes
from vitpose_ros.retarget.openxr import JOINTS, SOURCE, openxr_hand
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.version import version

AXES = (
    "as OpenXR's hand joints on both hands: -z along the bone towards the fingertip, +y out of the "
    "back of the hand, +x to the right when the palm is down and the fingers point ahead"
)

_BONES = {"PROXIMAL": "Knuckle", "INTERMEDIATE": "IntermediateBase", "DISTAL": "IntermediateTip"}
_THUMB = {"METACARPAL": "Knuckle", "PROXIMAL": "IntermediateBase", "DISTAL": "IntermediateTip"}

FloatArray = npt.NDArray[np.float64]


def _name(joint: str) -> str:
    """EgoDex's name of an OpenXR joint, without its side."""
    digit, _, bone = joint.partition("_")
    if not bone:
        return "Hand"
    finger = digit.capitalize() if digit == "THUMB" else f"{digit.capitalize()}Finger"
    return finger + (_THUMB if digit == "THUMB" else _BONES).get(bone, bone.capitalize())


NAMES = {index: _name(joint) for index, joint in enumerate(JOINTS) if SOURCE[index] >= 0}
"""EgoDex's names, without the side, by the index of the OpenXR joint. The palm and the fingers'
metacarpals are not measured.
"""


class EgoDexWriter:
    """Adds episodes to a folder.

    Parameters
    ----------
    folder : empty, or a copy of one that this class wrote.
    fps : frames per second.
    task : in words, of every episode.

    Raises
    ------
    UsageError : the folder has files of another origin.
    """

    def __init__(self, folder: Path, fps: int, task: str) -> None:
        try:
            import h5py
        except ImportError as error:
            raise missing_library(error) from error
        self._h5py, self._folder, self._fps, self._task = h5py, folder, fps, task
        self._known: set[tuple[str, int]] = set()
        self._next = self.episodes = self.frames = 0
        for path in sorted(folder.glob("*.hdf5")):
            self._read(path)
        self._video: VideoFile | None = None

    def _read(self, path: Path) -> None:
        try:
            with self._h5py.File(path, "r") as file:
                self._known.add((str(file.attrs["sha256"]), int(file.attrs["start_ns"])))
                frames, fps = len(file["stamp_ns"]), int(file.attrs["fps"])
                self._next = max(self._next, int(path.stem) + 1)
        except (OSError, KeyError, ValueError) as error:
            raise UsageError(
                f"{path.name} was not written by `vitpose_ros export egodex` ({error}): export to "
                "a new folder"
            ) from error
        if fps != self._fps:
            raise UsageError(f"{path.name} has {fps} frames per second: use --fps {fps}")
        self.episodes, self.frames = self.episodes + 1, self.frames + frames

    def knows(self, sha256: str, start_ns: int) -> bool:
        """Whether the folder has an episode already."""
        return (sha256, start_ns) in self._known

    def accept(self, episode: Episode) -> None:
        """See `episodes.Sink`."""
        if not any(hand.wrist_measured.any() for hand in episode.hands.values()):
            raise DroppedError(
                "no hand in it has a pose in metres: annotate it with depth, several cameras or a "
                "hand size (docs/3d.md)"
            )

    def image(self, image: npt.NDArray[np.uint8], starts: bool) -> None:
        """See `episodes.Sink`."""
        if starts:
            self.abandon()
            size = image.shape[1], image.shape[0]
            self._video = VideoFile(self._folder / f"{self._next}.mp4", size, self._fps)
        assert self._video is not None
        self._video.add(image, starts)

    def end(self, episode: Episode, camera: CameraModel | None) -> None:
        """See `episodes.Sink`.

        Raises
        ------
        OfflineError : the camera has no matrix of intrinsics.
        """
        assert self._video is not None
        self._video.close()
        self._video = None
        if camera is None or camera.mirrored:
            (self._folder / f"{self._next}.mp4").unlink()
            reason = "are mirrored" if camera else "have no camera_info"
            raise OfflineError(f"its images {reason}, so there is no camera/intrinsic for EgoDex")
        with self._h5py.File(self._folder / f"{self._next}.hdf5", "w") as file:
            self._write(file, episode, camera)
        self._known.add((episode.sha256, episode.start_ns))
        self._next, self.episodes = self._next + 1, self.episodes + 1
        self.frames += len(episode.frames)

    def _write(self, file: Any, episode: Episode, camera: CameraModel) -> None:
        count = len(episode.frames)
        matrix = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        file["camera/intrinsic"] = np.array(matrix, np.float32)
        file["transforms/camera"] = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
        for side in SIDES:
            transforms, confidence = transforms_of(episode.hands[side])
            for column, name in enumerate(NAMES.values()):
                own = transforms[:, column]
                if np.isfinite(own).all(axis=(1, 2)).any():
                    full = f"{side.name.lower()}{name}"
                    flat = held(own.reshape(count, 16)).reshape(count, 4, 4)
                    file[f"transforms/{full}"] = flat.astype(np.float32)
                    file[f"confidences/{full}"] = confidence[:, column].astype(np.float32)
        file["stamp_ns"] = episode.frames.stamp_ns
        attributes = {
            "llm_description": self._task,
            "fps": self._fps,
            "units": "m",
            "frame": OPTICAL,
            "joint_axes": AXES,
            "frame_id": episode.frame_id,
            "distortion_model": camera.distortion_model,
            "distortion": np.array(camera.distortion, np.float64),
            "recording": episode.source,
            "sha256": episode.sha256,
            "start_ns": episode.start_ns,
            "end_ns": episode.end_ns,
            "made_by": f"vitpose_ros {version()}",
        }
        for name, value in attributes.items():
            file.attrs[name] = value

    def remarks(self) -> list[str]:
        """What the user should know about the dataset: nothing."""
        return []

    def abandon(self) -> None:
        """Remove an episode that did not come to its end."""
        if self._video is not None:
            self._video.abandon()
            self._video.path.unlink(missing_ok=True)
            self._video = None

    def finish(self, tell: Any = None) -> None:
        """Nothing is left to do after the last episode."""
        self.abandon()


def transforms_of(hand: HandOverTime) -> tuple[FloatArray, FloatArray]:
    """The joints' poses in the camera's optical frame.

    Returns
    -------
    (N, 21, 4, 4) in the order of NAMES, NaN where a joint's position or orientation is unknown;
    (N, 21) confidence, 0 where it is unknown or was not measured in that frame.
    """
    picked = list(NAMES)
    count = len(hand.xyz)
    transforms = np.full((count, len(picked), 4, 4), np.nan)
    for number, points in enumerate(hand.xyz.astype(np.float64)):
        wrist = operator_axes(points, hand.side)
        if wrist is None:
            continue
        found = openxr_hand(points, side_axes(points, hand.side), hand.side, wrist)
        for column, joint in enumerate(picked):
            if found.valid[joint]:
                transforms[number, column] = np.eye(4)
                transforms[number, column, :3, :3] = _matrix(found.orientation[joint])
                transforms[number, column, :3, 3] = found.position[joint]
    joints = SOURCE[picked]
    sure = hand.measured[:, joints] & np.isfinite(transforms).all(axis=(2, 3))
    return transforms, np.where(sure, hand.confidence[:, joints], 0.0)


def _matrix(quaternion: FloatArray) -> FloatArray:

    return np.asarray(Rotation.from_quat(quaternion).as_matrix())
