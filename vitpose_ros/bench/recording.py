"""What the networks read of rendered hands, image by image, beside the truth.

Filters are measured on recordings, so that rendering and networks run once. A recording holds the
network's own joints of each true hand: nothing in it is smoothed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.evaluate import match_hands
from vitpose_ros.layouts import HAND21
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.synthetic.scene import Rendering, Scene
from vitpose_ros.types import NO_ID, FloatArray, Frame, Instance, JointState, Keypoints, Side

MOVING_SCRIPTS = ("reach", "grasp", "rotate", "cross", "leave", "occlude")
STILL_SCRIPT = "still"

DEFAULT_SCRIPTS = (*MOVING_SCRIPTS, STILL_SCRIPT)
DEFAULT_RATE_HZ = 30.0
STILL_S = 6.0
"""For how long the script `still`, which is a single pose, is shown."""

_FORMAT = 3
_FIRST_STAMP_NS = 1_000_000_000
_PAUSE_NS = 10_000_000_000
"""Between two scenes; longer than any track lives."""

Report = Callable[[int, int, str], None]
"""Called with the images done, the images in all, and what is being read."""


@dataclass(frozen=True)
class HandRecording:
    """One true hand over the T images of one scene.

    Attributes
    ----------
    script, seed : of the scene.
    side : which hand it is.
    stamp_ns : (T,) int64, times of the images.
    true_uv : (T, 21, 2) float32, px; may lie outside the image.
    true_xyz : (T, 21, 3) float32, metres, optical frame.
    in_view : (T,) bool, all joints lie inside the image.
    uv : (T, 21, 2) float32, px, as measured; NaN where the hand was not found.
    score : (T, 21) float32; 0 where it was not found.
    state : (T, 21) uint8, values of JointState.
    shape_xyz : (T, 21, 3) float32, metres, as measured; NaN where it was not found.
    presence : (T,) float32, the model's probability of a hand; NaN where it was not found.
    found_side : (T,) uint8, values of Side as the pipeline decided; UNKNOWN where it was not found.
    track_id : (T,) int64; NO_ID where it was not found.
    """

    script: str
    seed: int
    side: Side
    stamp_ns: npt.NDArray[np.int64]
    true_uv: FloatArray
    true_xyz: FloatArray
    in_view: npt.NDArray[np.bool_]
    uv: FloatArray
    score: FloatArray
    state: npt.NDArray[np.uint8]
    shape_xyz: FloatArray
    presence: FloatArray
    found_side: npt.NDArray[np.uint8]
    track_id: npt.NDArray[np.int64]

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """(T,) bool, whether the pipeline saw the hand in the image."""
        return self.track_id != NO_ID

    @property
    def time_s(self) -> npt.NDArray[np.float64]:
        """(T,) seconds since the first image of the scene."""
        return np.asarray((self.stamp_ns - self.stamp_ns[0]) * 1e-9, np.float64)

    def keypoints(self, image: int) -> Keypoints | None:
        """The joints in one image, as they go into the smoother; None where the hand was not
        found.
        """
        if not self.found[image]:
            return None
        return Keypoints(
            layout=HAND21,
            uv=self.uv[image],
            score=self.score[image],
            state=self.state[image],
            shape_xyz=self.shape_xyz[image],
        )


ARRAYS = tuple(f.name for f in fields(HandRecording) if f.name not in ("script", "seed", "side"))
"""The fields of a hand with a value for each image."""


@dataclass(frozen=True)
class Recording:
    """Hands of several scenes, all read by the same networks at one rate and image size.

    Attributes
    ----------
    hands : those of one scene next to each other, with equal stamps.
    rate_hz : images per second.
    width, height : of the images, px.
    models : the networks, by their names in the model catalogue.
    """

    hands: tuple[HandRecording, ...]
    rate_hz: float
    width: int
    height: int
    models: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length of all scenes together, s."""
        lengths = {(hand.script, hand.seed): len(hand.stamp_ns) for hand in self.hands}
        return sum(lengths.values()) / self.rate_hz

    def scenes(self) -> list[Recording]:
        """Scene by scene."""
        scenes: dict[tuple[str, int], list[HandRecording]] = {}
        for hand in self.hands:
            scenes.setdefault((hand.script, hand.seed), []).append(hand)
        return [replace(self, hands=tuple(hands)) for hands in scenes.values()]

    def of(self, *scripts: str) -> Recording:
        """The part with these scripts."""
        return replace(self, hands=tuple(hand for hand in self.hands if hand.script in scripts))

    def save(self, path: Path) -> None:
        """Write it to one .npz file, whole or not at all."""
        content: dict[str, Any] = {
            "format": _FORMAT,
            "rate_hz": self.rate_hz,
            "size": np.array((self.width, self.height)),
            "models": np.array(self.models, str),
            "scripts": np.array([hand.script for hand in self.hands], str),
            "seeds": np.array([hand.seed for hand in self.hands]),
            "sides": np.array([int(hand.side) for hand in self.hands]),
        }
        for index, hand in enumerate(self.hands):
            content |= {f"{index}/{name}": getattr(hand, name) for name in ARRAYS}
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft.npz")
        np.savez_compressed(draft, **content)
        draft.replace(path)

    @staticmethod
    def load(path: Path) -> Recording:
        """Read a file that `save` wrote.

        Raises
        ------
        BenchError : there is no such file, or it is no recording of this version.
        """
        try:
            with np.load(path, allow_pickle=False) as content:
                if int(content["format"]) != _FORMAT:
                    raise ValueError(f"its format is {content['format']}, not {_FORMAT}")
                return _unpacked(content)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise BenchError(
                f"{path} is no recording of this version ({error}); leave out --recording, or name "
                "a new file, and it is made"
            ) from error


def _unpacked(content: Any) -> Recording:
    hands = []
    names = zip(content["scripts"], content["seeds"], content["sides"], strict=True)
    for index, (script, seed, side) in enumerate(names):
        arrays = {name: content[f"{index}/{name}"] for name in ARRAYS}
        hands.append(HandRecording(str(script), int(seed), Side(int(side)), **arrays))
    width, height = (int(number) for number in content["size"])
    models = tuple(str(name) for name in content["models"])
    return Recording(tuple(hands), float(content["rate_hz"]), width, height, models)


def record(
    pipeline: Pipeline,
    scripts: Sequence[str] = DEFAULT_SCRIPTS,
    seeds: Sequence[int] = (0, 1),
    rate_hz: float = DEFAULT_RATE_HZ,
    size: tuple[int, int] = (640, 480),
    report: Report | None = None,
) -> Recording:
    """Render scripts with two hands, and note what a pipeline reads of them.

    Parameters
    ----------
    pipeline : follows hands from image to image, as in the node. Its smoothing plays no part: only
        the raw joints are noted.
    scripts : names of `vitpose_ros.synthetic`; each is shown once for each seed.
    seeds : of skin, light, table, sway and noise.
    rate_hz : images per second, 1 or more.
    size : (width, height) of the images, px.
    report : told about every image.

    Raises
    ------
    ValueError : an unknown script, an impossible size or rate, or nothing to show.
    """
    if not (np.isfinite(rate_hz) and rate_hz >= 1):
        raise ValueError(f"rate_hz: expected 1 or more images per second, got {rate_hz}")
    scenes = [Scene(script, seed, *size) for script in scripts for seed in seeds]
    if not scenes:
        raise ValueError("scripts and seeds: expected at least one of each, got none")
    counts = [_images(scene, rate_hz) for scene in scenes]
    made: list[HandRecording] = []
    done, first_ns = 0, _FIRST_STAMP_NS
    for scene, count in zip(scenes, counts, strict=True):
        rows: tuple[list[dict[str, Any]], ...] = [], []  # hands, images
        pipeline.reset()
        for number in range(count):
            stamp_ns = first_ns + round(number * 1e9 / rate_hz)
            rendering = scene.render(number / rate_hz)
            result = pipeline(Frame(rendering.image, stamp_ns))
            for hand_rows, row in zip(rows, _matched(rendering, result.instances), strict=True):
                hand_rows.append({"stamp_ns": np.int64(stamp_ns), **row})
            done += 1
            if report is not None:
                report(done, sum(counts), f"{scene.script}, seed {scene.seed}")
        first_ns = stamp_ns + _PAUSE_NS
        for side, hand_rows in zip((Side.RIGHT, Side.LEFT), rows, strict=True):
            arrays = {name: np.stack([row[name] for row in hand_rows]) for name in ARRAYS}
            made.append(HandRecording(scene.script, scene.seed, side, **arrays))
    return Recording(tuple(made), float(rate_hz), *size, tuple(pipeline.models))


def _images(scene: Scene, rate_hz: float) -> int:
    seconds = STILL_S if scene.script == STILL_SCRIPT else scene.duration_s
    return round(seconds * rate_hz)


def _matched(rendering: Rendering, instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """One row for each true hand: the truth, and the found hand that is nearest to it, if any."""
    hands = [i for i in instances if i.layout is HAND21 and np.isfinite(i.raw.uv).any()]
    matches = match_hands([h.uv for h in rendering.hands], [hand.raw.uv for hand in hands])
    found = {true: hands[index] for true, index, _ in matches}
    return [
        {
            "true_uv": true.uv,
            "true_xyz": true.xyz,
            "in_view": np.bool_(true.in_view),
            **_row(found.get(index)),
        }
        for index, true in enumerate(rendering.hands)
    ]


def _row(hand: Instance | None) -> dict[str, Any]:
    if hand is None:
        return {
            "uv": np.full((21, 2), np.nan, np.float32),
            "score": np.zeros(21, np.float32),
            "state": np.full(21, JointState.ABSENT, np.uint8),
            "shape_xyz": np.full((21, 3), np.nan, np.float32),
            "presence": np.float32(np.nan),
            "found_side": np.uint8(Side.UNKNOWN),
            "track_id": np.int64(NO_ID),
        }
    return {
        "uv": hand.raw.uv,
        "score": hand.raw.score,
        "state": hand.raw.state,
        "shape_xyz": hand.raw.shape_xyz,
        "presence": np.float32(hand.score),
        "found_side": np.uint8(hand.side),
        "track_id": np.int64(hand.track_id),
    }
