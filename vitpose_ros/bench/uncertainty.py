"""Whether `uv_std` is right: errors of joints against it; and the fit of its calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from vitpose_ros.evaluate import match_hands
from vitpose_ros.keypoints.calibrations import Calibration
from vitpose_ros.layouts import HAND21
from vitpose_ros.measure.networks import HandReader, Networks
from vitpose_ros.measurements import HandMeasurement
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.truth import TrueHand
from vitpose_ros.types import Crop, Frame, Keypoints, Side

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Features = Callable[[HandMeasurement, float], Array]
Tell = Callable[[str], None]

WITHIN = ((0.68, 1.0), (0.945, 2.0))
"""(share of the errors, standard deviations) that a fit aims at; a normal distribution has 0.683
and 0.954."""

_SMOOTH, _BOTH_GROUPS = 0.05, 20.0
_SMALLEST = 1e-5  # of the crop: an error of 0 has no logarithm


SHOWN, HELD = 6, 6
"""Images for which a hand is shown and then taken away (`held`)."""

Clip = list[tuple[Keypoints, TrueHand]]
"""A hand in consecutive images: its joints as measured, and the truth."""


@dataclass(frozen=True)
class Joints:
    """Joints of N hands and what is known of them.

    Attributes
    ----------
    error : (N, 21, 2) px, measured minus true; NaN where the joint is absent or has no truth.
    smoothed : (N, 21, 2) px, the same of the smoothed joint; NaN where it is PREDICTED.
    std : (N, 21) px, as published.
    side : (N,) px, of the crops.
    seen, hidden : (N, 21), inside the image and visible, or not.
    features : (N, 21, F).
    """

    error: Array
    smoothed: Array
    std: Array
    side: Array
    seen: Mask
    hidden: Mask
    features: Array

    def __add__(self, other: Joints) -> Joints:
        return Joints(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )


@dataclass(frozen=True)
class Reading:
    """One hand: what was measured, in which crop, and its smoothed joints, (21, 2) px."""

    hand: HandMeasurement
    side_px: float
    smoothed: npt.NDArray


class Listener:
    """A hand reader that remembers what it read, and in which crops."""

    def __init__(self, reader: HandReader) -> None:
        self._reader = reader
        self.name, self.engine = reader.name, reader.engine
        self.turned, self.tells_presence = reader.turned, reader.tells_presence
        self.read: list[tuple[HandMeasurement, float]] = []

    def __call__(self, crops: Sequence[Crop]) -> list[HandMeasurement | None]:
        """See `HandReader`."""
        found = self._reader(crops)
        self.read += [
            (hand, max(crop.region.width, crop.region.height))
            for crop, hand in zip(crops, found, strict=True)
            if hand is not None
        ]
        return found


def follow(networks: Networks, frames: Sequence[Frame]) -> list[list[Reading]]:
    """What a pipeline with default settings reads in each image of a clip."""
    listener = Listener(networks.hand_reader)
    pipeline = Pipeline(replace(networks, hand_reader=listener))
    clip = []
    for frame in frames:
        listener.read.clear()
        readings = []
        for found in pipeline(frame).instances:
            same = [
                (hand, side)
                for hand, side in listener.read
                if np.array_equal(hand.uv, found.raw.uv, equal_nan=True)
            ]
            if same and not found.is_lost:
                predicted = found.keypoints.state < found.raw.state
                smoothed = np.where(predicted[:, None], np.nan, found.keypoints.uv)
                readings.append(Reading(*same[-1], smoothed))
        clip.append(readings)
    return clip


def compared(
    reading: Reading, true: npt.NDArray, seen: Mask, hidden: Mask, features: Features
) -> Joints:
    """One hand's joints against (21, 2) true ones, px, NaN where there is no truth."""
    hand = reading.hand
    return Joints(
        (hand.uv - true).astype(np.float64)[None],
        (reading.smoothed - true).astype(np.float64)[None],
        hand.uv_std.astype(np.float64)[None],
        np.array([reading.side_px]),
        seen[None],
        hidden[None],
        features(hand, reading.side_px)[None],
    )


def scene_joints(
    networks: Networks,
    scripts: Sequence[str],
    seeds: Sequence[int],
    rate_hz: float,
    features: Features,
    tell: Tell = lambda text: None,
) -> tuple[Joints, list[Clip]]:
    """Every hand that the pipeline finds in rendered first-person scenes: its joints, and each hand
    for as long as it was found in every image.
    """
    parts: list[Joints] = []
    clips: list[Clip] = []
    for script in scripts:
        for seed in seeds:
            scene = Scene(script, seed)
            times = np.arange(0.0, scene.duration_s, 1.0 / rate_hz)
            shown = [scene.render(float(t)) for t in times]
            frames = [Frame(s.image, 1 + round(s.time_s * 1e9)) for s in shown]
            running: dict[Side, Clip] = {}
            for rendering, readings in zip(shown, follow(networks, frames), strict=True):
                before, running = running, {}
                for hand, reading in _matched(rendering.hands, readings):
                    hidden = hand.inside & ~hand.visible
                    parts.append(compared(reading, hand.uv, hand.visible, hidden, features))
                    clip = before.get(hand.side, [])
                    clips += [] if clip else [clip]
                    clip.append((reading.hand.keypoints(scene.width, scene.height), hand))
                    running[hand.side] = clip
            tell(f"{script}, seed {seed}: {len(parts)} hands")
    return joined(parts), clips


def joined(parts: Sequence[Joints]) -> Joints:
    """All of them; ValueError for none."""
    if not parts:
        raise ValueError("no hand was found, so there is nothing to compare")
    return Joints(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Joints))
    )


def _matched(
    hands: Sequence[TrueHand], readings: Sequence[Reading]
) -> list[tuple[TrueHand, Reading]]:
    pairs = match_hands([h.uv for h in hands], [r.hand.uv for r in readings])
    return [(hands[true], readings[found]) for true, found, _ in pairs]


def held(clips: Sequence[Clip], rate_hz: float) -> dict[float, Coverage]:
    """Coverage of joints that are held, by the time since they were measured, s: each clip is shown
    to the smoother for SHOWN images, then for HELD images the hand is taken away.
    """
    errors: dict[int, list[Array]] = {}
    stds: dict[int, list[Array]] = {}
    for clip in clips:
        for start in range(0, len(clip) - SHOWN - HELD, HELD // 2):
            smoother = Smoother(HAND21, PRESETS["balanced"])
            for number in range(SHOWN + HELD):
                joints, hand = clip[start + number]
                gone = number - SHOWN + 1
                stamp_ns = 1 + round(number * 1e9 / rate_hz)
                (out,) = smoother(stamp_ns, [(1, None if gone > 0 else joints)])
                if gone > 0 and out is not None:
                    error = np.where(hand.inside[:, None], out.uv - hand.uv, np.nan)
                    errors.setdefault(gone, []).append(error)
                    stds.setdefault(gone, []).append(out.uv_std.astype(np.float64))
    found = {}
    for gone in sorted(errors):
        error, std = np.stack(errors[gone]), np.stack(stds[gone])
        found[round(gone / rate_hz, 3)] = coverage(error, std, np.ones(std.shape, np.bool_))
    return found


@dataclass(frozen=True)
class Coverage:
    """How many errors lie within the published standard deviation.

    Attributes
    ----------
    within_1, within_2 : share of the errors of u and v within one and two standard deviations; a
        normal distribution has 0.68 and 0.95.
    joints : how many joints.
    unknown : share of the joints whose standard deviation is NaN, not counted elsewhere.
    """

    within_1: float
    within_2: float
    joints: int
    unknown: float


def coverage(error: Array, std: Array, which: Mask) -> Coverage:
    """Of the joints `which` (N, K), with errors (N, K, 2) and standard deviations (N, K), px."""
    there = which & np.isfinite(error).all(axis=2)
    known = there & np.isfinite(std)
    ratio = np.abs(error[known]) / std[known][:, None]
    if not ratio.size:
        return Coverage(float("nan"), float("nan"), 0, 1.0 if there.any() else float("nan"))
    return Coverage(
        float((ratio <= 1).mean()),
        float((ratio <= 2).mean()),
        len(ratio),
        float(1 - known.sum() / there.sum()),
    )


def fit(parts: Sequence[tuple[float, Joints]]) -> Calibration:
    """The constants and weights of `keypoints.uncertainty.HandUncertainty` for joints with truth.

    A quantile regression (Koenker and Bassett 1978) on the logarithm of the errors, of both
    quantiles of WITHIN at once, so that they hold whatever the features are. A second term makes
    them hold for seen and for hidden joints, which the features tell apart only in part. Both
    groups count alike, and so do the parts by their weights, however many joints each has.
    """
    rows = [_rows(part, weight) for weight, part in parts]
    features, log, worth, hidden = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    worth = worth / worth.sum()
    groups = [np.where(group, worth, 0.0) for group in (hidden, ~hidden)]
    groups = [group / group.sum() / 2 for group in groups if group.any()]
    middle, spread = features[:, 21:].mean(axis=0), np.maximum(features[:, 21:].std(axis=0), 1e-9)
    features[:, 21:] = (features[:, 21:] - middle) / spread

    def loss(numbers: Array) -> tuple[float, Array]:
        expected = features @ numbers
        total, slope = 0.0, np.zeros(len(expected))
        for share, deviations in WITHIN:
            beyond = log - expected[:, None] - np.log(deviations)
            cost = share * beyond + _SMOOTH * np.logaddexp(0, -beyond / _SMOOTH)
            total += float(worth @ cost.sum(axis=1))
            inside = expit(-beyond / _SMOOTH)
            slope -= worth * (share - inside).sum(axis=1)
            steep = (inside * (1 - inside)).sum(axis=1) / _SMOOTH
            for group in groups:
                gap = float(group @ inside.sum(axis=1)) - share
                total += _BOTH_GROUPS * gap * gap
                slope += 2 * _BOTH_GROUPS * gap * group * steep
        return total, features.T @ slope

    start = np.zeros(features.shape[1])
    start[:21] = np.median(log)
    options = {"maxiter": 2000, "ftol": 1e-10, "gtol": 1e-7}
    numbers = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    weights = numbers[21:] / spread
    return Calibration(
        tuple(round(float(n), 3) for n in numbers[:21] - weights @ middle),
        tuple(round(float(n), 3) for n in weights),
    )


def _rows(part: Joints, weight: float) -> tuple[Array, Array, Array, Mask]:
    """For each joint with truth: which joint it is, beside its features; the logarithms of both
    errors in sides of the crop; what it counts; whether it is hidden.
    """
    known = np.isfinite(part.error).all(axis=2) & np.isfinite(part.features).all(axis=2)
    worth = np.zeros(known.shape)
    for group in (part.seen & known, part.hidden & known):
        if group.any():
            worth[group] = weight / group.sum()
    used = worth > 0
    joint = np.broadcast_to(np.eye(21), (*known.shape, 21))[used]
    relative = (
        np.abs(part.error[used]) / np.broadcast_to(part.side[:, None], used.shape)[used][:, None]
    )
    return (
        np.concatenate([joint, part.features[used]], axis=1),
        np.log(relative + _SMALLEST),
        worth[used],
        part.hidden[used],
    )
