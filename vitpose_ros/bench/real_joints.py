"""Every preset and published filter on the joints of a real hand, whose truth nobody knows.

There are two recordings of about 10 s each: joints in metres as MediaPipe's hand network gave them
(`hand_joints.npz`), and a video (`forearm.mp4`) that the package's own pipeline reads, in pixels.
The presets were tuned on the first half of both. What is reported is the second half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.bench import metrics
from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import Method, moving_average, one_euro
from vitpose_ros.bench.metrics import Array, Curve
from vitpose_ros.bench.recording import ARRAYS, HandRecording, Report
from vitpose_ros.layouts import HAND21
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.smooth.scale import object_size
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import Correction, FloatArray, Frame, JointState, Side

METRES, IMAGE = "in metres", "in the image"
JOINTS_FILE, VIDEO_FILE = "hand_joints.npz", "forearm.mp4"
JOINTS_RATE_HZ = 30.0

_PX_PER_M = 1000.0
_SHARES = np.linspace(0.1, 0.95, 18)
_BETAS = np.geomspace(0.1, 10.0, 18)


@dataclass(frozen=True)
class Figures:
    """One method in one space.

    Attributes
    ----------
    accel_ratio : mean acceleration over that of the raw joints.
    lag_ms : delay against the raw joints (`metrics.lag_s`).
    offset_palm : mean distance from the raw joints smoothed without lag (`metrics.offset`).
    """

    accel_ratio: float
    lag_ms: float
    offset_palm: float


@dataclass(frozen=True)
class RealRow:
    """The figures of one method.

    Attributes
    ----------
    name, about, of_package : of the method.
    metres, image : its figures in both spaces; None where it does not work there.
    """

    name: str
    about: str
    of_package: bool
    metres: Figures | None
    image: Figures | None


@dataclass(frozen=True)
class RealHands:
    """The two recordings, or one half of them. Their "true" joints are the raw ones.

    Attributes
    ----------
    metres : with joints in shape_xyz; its pixels are a projection of these.
    image : as the pipeline read it.
    rate_hz : of both.
    """

    metres: HandRecording
    image: HandRecording
    rate_hz: float

    @property
    def tuning(self) -> RealHands:
        """The first half."""
        return self._part(lambda count: slice(0, count // 2))

    @property
    def held_out(self) -> RealHands:
        """The second half."""
        return self._part(lambda count: slice(count // 2, count))

    def reaching(self, seed: int = 0) -> RealHands:
        """The same joints, of a hand that also moves as a whole: reaches of 0.5 to 5 palms in 0.5
        to 1.5 s (minimum jerk, Flash and Hogan 1985), with rests between them. In the image this
        is a camera that pans over the recording.
        """
        return RealHands(_moved(self.metres, seed), _moved(self.image, seed), self.rate_hz)

    def _part(self, which: Callable[[int], slice]) -> RealHands:
        metres, image = self.metres, self.image
        return RealHands(
            _cut(metres, which(len(metres.stamp_ns))),
            _cut(image, which(len(image.stamp_ns))),
            self.rate_hz,
        )


def load(folder: Path, pipeline: Pipeline, report: Report | None = None) -> RealHands:
    """Read both recordings.

    Parameters
    ----------
    folder : with JOINTS_FILE and VIDEO_FILE.
    pipeline : for the video; its smoothing plays no part.
    report : told about every image.

    Raises
    ------
    BenchError : a file is missing or is not what it should be, or the hand was not found in every
        image.
    """
    path = folder / JOINTS_FILE
    try:
        with np.load(path, allow_pickle=False) as content:
            xyz = content["xyz_m"].astype(np.float32)
        if xyz.ndim != 3 or xyz.shape[1:] != (21, 3):
            raise ValueError(f"xyz_m is {xyz.shape}, not (T, 21, 3)")
    except (OSError, KeyError, ValueError) as error:
        raise BenchError(f"{path} holds no hand joints: {error}") from error
    stamps = np.round(np.arange(len(xyz)) * (1e9 / JOINTS_RATE_HZ)).astype(np.int64)
    metres = _hand("joints", stamps, _PX_PER_M * xyz[..., :2], xyz)
    image, rate_hz = _read(folder / VIDEO_FILE, pipeline, report)
    if abs(rate_hz - JOINTS_RATE_HZ) > 0.1:
        raise BenchError(f"{VIDEO_FILE} has {rate_hz:g} images per s, not {JOINTS_RATE_HZ:g}")
    return RealHands(metres, image, JOINTS_RATE_HZ)


def measure(hands: RealHands, rows: Sequence[Method]) -> list[RealRow]:
    """The figures of every method."""
    return [
        RealRow(
            row.name,
            row.about,
            row.of_package,
            _figures(row, hands.metres, METRES),
            _figures(row, hands.image, IMAGE),
        )
        for row in rows
    ]


def at_lags(hands: RealHands, space: str, lags_ms: Sequence[float]) -> dict[str, list[float]]:
    """The acceleration ratios that moving averages, and One-Euro filters of the numbers of the row
    `one_euro` but other betas, have at given lags; NaN outside of their lags.
    """
    hand = hands.metres if space == METRES else hands.image
    families = {
        "ema": [moving_average("", share, hands.rate_hz) for share in _SHARES],
        "one_euro": [one_euro("", 0.05, beta, 3.0) for beta in _BETAS],
    }
    found = {}
    for name, family in families.items():
        figures = [f for f in (_figures(way, hand, space) for way in family) if f is not None]
        figures.sort(key=lambda f: f.lag_ms)
        lags, ratios = [f.lag_ms for f in figures], [f.accel_ratio for f in figures]
        found[name] = np.interp(lags_ms, lags, ratios, left=math.nan, right=math.nan).tolist()
    return found


def rejected(hands: RealHands) -> int:
    """In how many joints of all images the outlier gate finds an outlier; the motion is honest."""
    count = 0
    for hand in (hands.metres, hands.image):
        smoother = Smoother(HAND21, PRESETS["balanced"])
        for image, stamp_ns in enumerate(hand.stamp_ns.tolist()):
            (joints,) = smoother(stamp_ns, [(1, hand.keypoints(image))])
            if joints is not None:
                count += int(((joints.corrected & Correction.OUTLIER) > 0).sum())
    return count


def forecast_scenes(hands: RealHands) -> list[tuple[list[HandRecording], list[Curve]]]:
    """The hand in the image for `forecast.forecasts`; the reference is the raw curve smoothed
    without lag.
    """
    own = curve(hands.image, IMAGE)
    return [([hands.image], [replace(own, reference=metrics.without_lag(own))])]


def curve(hand: HandRecording, space: str) -> Curve:
    """A recording as a curve, which is its own reference; the scale is the palm's size."""
    raw = (hand.shape_xyz if space == METRES else hand.uv).astype(np.float64)
    return Curve(hand.time_s, raw, raw, object_size(HAND21, raw))


def _figures(method: Method, hand: HandRecording, space: str) -> Figures | None:
    (done,) = method.run([hand])
    joints = done.shape_xyz if space == METRES else done.uv
    if np.isnan(joints).all():
        return None
    curves = [curve(hand, space)]
    return Figures(
        metrics.acceleration_ratio(curves, [joints]),
        1e3 * metrics.lag_s(curves, [joints]),
        metrics.offset(curves, [joints]),
    )


def _read(path: Path, pipeline: Pipeline, report: Report | None) -> tuple[HandRecording, float]:
    """The hand of a video, and the video's rate."""
    video = cv2.VideoCapture(str(path))
    rate_hz = video.get(cv2.CAP_PROP_FPS)
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    uv: list[FloatArray] = []
    shape: list[FloatArray] = []
    stamps: list[int] = []
    pipeline.reset()
    while True:
        there, image = video.read()
        if not there:
            break
        stamps.append(round(len(stamps) * 1e9 / rate_hz))
        found = pipeline(Frame(np.asarray(image, np.uint8), stamps[-1])).instances
        hands = [one for one in found if one.layout is HAND21 and np.isfinite(one.raw.uv).all()]
        if not hands:
            raise BenchError(f"{path}: no hand was found in image {len(stamps)} of {total}")
        best = max(hands, key=lambda hand: hand.score)
        uv.append(best.raw.uv)
        shape.append(best.raw.shape_xyz)
        if report is not None:
            report(len(stamps), total, path.name)
    if not stamps:
        raise BenchError(f"{path} cannot be read as a video")
    return _hand(path.stem, np.array(stamps, np.int64), np.array(uv), np.array(shape)), rate_hz


def _hand(name: str, stamps: npt.NDArray, uv: FloatArray, xyz: FloatArray) -> HandRecording:
    """A recording whose truth is taken to be what was read."""
    count = len(stamps)
    return HandRecording(
        script=name,
        seed=0,
        side=Side.RIGHT,
        stamp_ns=stamps,
        true_uv=uv,
        true_xyz=xyz,
        in_view=np.ones(count, bool),
        uv=uv,
        score=np.ones((count, 21), np.float32),
        state=np.full((count, 21), JointState.MEASURED, np.uint8),
        shape_xyz=xyz,
        presence=np.ones(count, np.float32),
        found_side=np.full(count, Side.RIGHT, np.uint8),
        track_id=np.ones(count, np.int64),
    )


def _moved(hand: HandRecording, seed: int) -> HandRecording:
    uv, xyz = (
        (joints + _reaches(hand.time_s, object_size(HAND21, joints), joints.shape[2], seed)).astype(
            np.float32
        )
        for joints in (hand.uv, hand.shape_xyz)
    )
    return replace(hand, uv=uv, true_uv=uv, shape_xyz=xyz, true_xyz=xyz)


def _reaches(time_s: Array, size: Array, axes: int, seed: int) -> Array:
    """(T, 1, axes) how far a hand has moved, in the unit of its size; it stays within a few palms
    of where it began.
    """
    rng, palm = np.random.default_rng(seed), float(np.median(size))
    moved, place = np.zeros((len(time_s), axes)), np.zeros(axes)
    start_s = float(time_s[0]) + 0.3
    while start_s < time_s[-1]:
        length, duration_s, direction = (
            rng.uniform(0.5, 5.0),
            rng.uniform(0.5, 1.5),
            rng.normal(size=axes),
        )
        if np.linalg.norm(place) > 4.0:
            direction = -place
        step = length * direction / np.linalg.norm(direction)
        share = np.clip((time_s - start_s) / duration_s, 0.0, 1.0)
        moved += (10 * share**3 - 15 * share**4 + 6 * share**5)[:, None] * step
        place = place + step
        start_s += duration_s + rng.uniform(0.2, 0.8)
    return palm * moved[:, None]


def _cut(hand: HandRecording, part: slice) -> HandRecording:
    values: dict[str, Any] = {f.name: getattr(hand, f.name) for f in fields(hand)}
    return HandRecording(**{k: v[part] if k in ARRAYS else v for k, v in values.items()})
