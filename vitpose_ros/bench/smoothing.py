"""Every filter and preset on recorded hands: how steady, how late, how right.

What is called raw is what the network says of each image by itself. The filters of others get that;
those of this package get what it measures, from two looks (`track.looks`), as they do in use.

Curves are compared in the image. The unit of length is the true palm, wrist to the middle finger's
MCP joint, as it looks in each image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench import metrics
from vitpose_ros.bench.baselines import (
    Baseline,
    MediaPipeOneEuro,
    MmposeOneEuro,
    MovingAverage,
)
from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.metrics import Array, Curve
from vitpose_ros.bench.recording import STILL_SCRIPT, HandRecording, Recording
from vitpose_ros.evaluate import palm_length
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.layouts import HAND21, MIDDLE_MCP, WRIST
from vitpose_ros.smooth.predict import Velocity
from vitpose_ros.smooth.settings import PRESETS, SmoothingSettings
from vitpose_ros.smooth.smoother import Smoother
from vitpose_ros.types import NO_ID, Keypoints

IN_VIEW_SCRIPTS = ("reach", "grasp", "rotate", "cross", "occlude")
"""The scripts whose motion is measured. In `leave`, hands rush past the camera: the truth itself
has more than half of the raw curve's acceleration there, which leaves a filter nothing to do.
"""

DEFAULT_PRESET = "balanced"

_ABOUT = {DEFAULT_PRESET: "the default", "none": "two looks, not smoothed"}

_PALM_M = 0.09
"""Wrist to the middle finger's MCP joint of a usual hand."""


@dataclass(frozen=True)
class Smoothed:
    """What became of one hand.

    Attributes
    ----------
    uv : (T, 21, 2), px; NaN where a joint is absent.
    shape_xyz : (T, 21, 3), metres; NaN where it is not known.
    """

    uv: Array
    shape_xyz: Array


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes
    ----------
    name : the row's key.
    about : what it is, for people.
    run : smooths the hands of one scene.
    of_package : a filter that can be chosen, not one to compare with.
    single : it gets the network's single readings, not what is measured from two looks.
    """

    name: str
    about: str
    run: Callable[[Sequence[HandRecording]], list[Smoothed]]
    of_package: bool = True
    single: bool = False


@dataclass(frozen=True)
class Row:
    """How one method did.

    Attributes
    ----------
    name, about, of_package : of the method.
    accel_ratio : mean acceleration over that of the raw curve.
    lag_ms : by how much the curve is late against the truth; that of the raw curve is in the row
        `raw`.
    error_ratio : mean distance from the truth over that of the raw curve.
    error_palm, error_p95_palm : that distance, and its 95th percentile.
    still_palm : how much a still hand trembles (`metrics.jitter`); NaN without the script `still`.
    shape_accel_ratio, shape_lag_ms, shape_error_ratio : the same of shape_xyz about its middle;
        NaN for methods that work in pixels.
    """

    name: str
    about: str
    of_package: bool
    accel_ratio: float
    lag_ms: float
    error_ratio: float
    error_palm: float
    error_p95_palm: float
    still_palm: float
    shape_accel_ratio: float
    shape_lag_ms: float
    shape_error_ratio: float


def methods(rate_hz: float) -> list[Method]:
    """All rows: the presets, the other filters with their default numbers, and those of others.

    Parameters
    ----------
    rate_hz : of the recording: a filter with a fixed share per image is another one at another
        rate.
    """
    rows = [Method("raw", "the network alone", _smoother(PRESETS["none"]), single=True)]
    for name, settings in PRESETS.items():
        rows.append(Method(name, _ABOUT.get(name, ""), _smoother(settings)))
    for name, about in (
        ("one_euro", "One-Euro"),
        ("ema", "moving average"),
        ("kalman", "Kalman, constant velocity"),
    ):
        settings = replace(PRESETS[DEFAULT_PRESET], filter=name)
        rows.append(Method(name, f"{about}, default numbers", _smoother(settings)))
    return rows + _published(rate_hz)


def _published(rate_hz: float) -> list[Method]:
    """The filters to compare with."""

    def method(
        name: str, about: str, make: Callable[[], Baseline], size: Callable[[Array], float]
    ) -> Method:
        return Method(name, about, _baseline(make, size), of_package=False, single=True)

    def average(share: float) -> Method:
        about = f"moving average, {share:g} of each new value"
        return method(f"ema_{share:g}", about, lambda: MovingAverage(share, rate_hz), _px)

    return [
        average(0.2),
        average(0.5),
        method(
            "mediapipe_pose",
            "MediaPipe's One-Euro for pixels of poses (0.05, 80, 1)",
            lambda: MediaPipeOneEuro(0.05, 80.0, 1.0),
            _region_px,
        ),
        method(
            "mediapipe_world",
            "MediaPipe's One-Euro for metres (0.1, 40, 1)",
            lambda: MediaPipeOneEuro(0.1, 40.0, 1.0),
            _px_per_m,
        ),
        method(
            "mmpose_0x",
            "MMPose 0.x's One-Euro (1.7, 0.3), px per image",
            lambda: MmposeOneEuro(rate_hz),
            _px,
        ),
    ]


def measure(recording: Recording, rows: Sequence[Method]) -> list[Row]:
    """Run every method on a recording.

    Raises
    ------
    BenchError : the recording has none of IN_VIEW_SCRIPTS.
    """
    moving = recording.of(*IN_VIEW_SCRIPTS)
    if not moving.hands:
        raise BenchError(
            "the recording holds no hand that moves in view; at least one of the scripts "
            f"{', '.join(IN_VIEW_SCRIPTS)} is needed"
        )
    return [_row(row, moving, recording.of(STILL_SCRIPT)) for row in rows]


def by_script(recording: Recording, method: Method) -> dict[str, tuple[float, float, float, float]]:
    """For each moving script: accel_ratio, lag_ms, error_ratio of a method, and the accel_ratio of
    the truth, below which no filter can come without bending the motion.
    """
    figures = {}
    for script in dict.fromkeys(hand.script for hand in recording.hands):
        if script != STILL_SCRIPT:
            part = recording.of(script)
            curves = image_curves(part)
            uv = _masked(curves, [done.uv for done in run(method, part)])
            figures[script] = (
                metrics.acceleration_ratio(curves, uv),
                1e3 * metrics.lag_s(curves, uv),
                metrics.error_ratio(curves, uv),
                metrics.acceleration_ratio(curves, [curve.true for curve in curves]),
            )
    return figures


def run(method: Method, recording: Recording) -> list[Smoothed]:
    """What a method makes of each hand of a recording, in its order."""
    scenes = recording.scenes()
    given = [scene.single if method.single else scene.hands for scene in scenes]
    return [done for hands in given for done in method.run(hands)]


def image_curves(recording: Recording) -> list[Curve]:
    """The hands in the image, px, as single readings; the scale is the palm's length."""
    return [_curve(hand.time_s, hand.true_uv, hand.uv) for hand in recording.single]


def shape_curves(recording: Recording) -> list[Curve]:
    """The hands' shapes, metres about the middle of their joints: a network's origin is its own."""
    return [
        _curve(hand.time_s, _centred(hand.true_xyz), _centred(hand.shape_xyz))
        for hand in recording.single
    ]


def _row(method: Method, moving: Recording, still: Recording) -> Row:
    done = run(method, moving)
    curves, shapes = image_curves(moving), shape_curves(moving)
    uv = _masked(curves, [one.uv for one in done])
    shape = _masked(shapes, [_centred(one.shape_xyz) for one in done])
    in_metres = any(np.isfinite(part).any() for part in shape)
    trembling = [one.uv for one in run(method, still)]
    return Row(
        name=method.name,
        about=method.about,
        of_package=method.of_package,
        accel_ratio=metrics.acceleration_ratio(curves, uv),
        lag_ms=1e3 * metrics.lag_s(curves, uv),
        error_ratio=metrics.error_ratio(curves, uv),
        error_palm=metrics.mean_error(curves, uv),
        error_p95_palm=metrics.error_percentile(curves, uv, 95),
        still_palm=metrics.jitter(image_curves(still), trembling),
        shape_accel_ratio=metrics.acceleration_ratio(shapes, shape),
        shape_lag_ms=1e3 * metrics.lag_s(shapes, shape) if in_metres else float("nan"),
        shape_error_ratio=metrics.error_ratio(shapes, shape),
    )


# --- methods -----------------------------------------------------------------------------------


def smooth(
    settings: SmoothingSettings,
    hands: Sequence[HandRecording],
    each: Callable[[int, int, Keypoints, Velocity], None] | None = None,
) -> list[Smoothed]:
    """Smooth the hands of one scene as the pipeline does: all in one smoother, by their ids.

    Parameters
    ----------
    settings : of the smoother.
    hands : with equal stamps.
    each : called with (hand, image, joints, velocity) of every hand that was seen in an image.
    """
    smoother = Smoother(HAND21, settings)
    count = len(hands[0].stamp_ns)
    done = [
        Smoothed(np.full((count, 21, 2), np.nan), np.full((count, 21, 3), np.nan)) for _ in hands
    ]
    ids = [NO_ID] * len(hands)
    for image in range(count):
        for number, hand in enumerate(hands):
            if hand.found[image]:
                ids[number] = int(hand.track_id[image])
        given = {
            ids[number]: (number, hand.keypoints(image))
            for number, hand in sorted(enumerate(hands), key=lambda pair: pair[1].found[image])
            if ids[number] != NO_ID
        }
        tracks = [(track_id, joints) for track_id, (_, joints) in given.items()]
        results = smoother(int(hands[0].stamp_ns[image]), tracks)
        velocities = smoother.velocities() if each is not None else []
        for place, ((number, joints), result) in enumerate(
            zip(given.values(), results, strict=True)
        ):
            if result is None:
                continue
            done[number].uv[image] = result.uv
            done[number].shape_xyz[image] = result.shape_xyz
            if each is not None and joints is not None:
                each(number, image, result, velocities[place])
    return done


def _smoother(settings: SmoothingSettings) -> Callable[[Sequence[HandRecording]], list[Smoothed]]:
    return lambda hands: smooth(settings, hands)


def _baseline(
    make: Callable[[], Baseline], size: Callable[[Array], float]
) -> Callable[[Sequence[HandRecording]], list[Smoothed]]:
    def one(hand: HandRecording) -> Smoothed:
        """A new filter for each id; after a gap within one id, a longer step."""
        uv = hand.uv.astype(np.float64)
        result = np.full_like(uv, np.nan)
        filters: dict[int, Baseline] = {}
        last_s: dict[int, float] = {}
        for image, time_s in enumerate(hand.time_s.tolist()):
            track_id = int(hand.track_id[image])
            if track_id == NO_ID:
                continue
            own = filters.setdefault(track_id, make())
            step_s = time_s - last_s.get(track_id, time_s)
            result[image] = own.step(uv[image], step_s, size(uv[image]))
            last_s[track_id] = time_s
        return Smoothed(result, np.full((*uv.shape[:2], 3), np.nan))

    return lambda hands: [one(hand) for hand in hands]


def _px(joints: Array) -> float:
    """Speeds stay as they are."""
    return 1.0


def _region_px(joints: Array) -> float:
    """Side of the region in which the hand is looked for next."""
    region = hand_region(joints.astype(np.float32), 1.0, NO_ID)
    return palm_length(joints) if region is None else region.width


def _px_per_m(joints: Array) -> float:
    """As if the palm lay across the view."""
    return max(palm_length(joints), 1.0) / _PALM_M


# --- curves ------------------------------------------------------------------------------------


def _curve(time_s: Array, true: npt.NDArray, raw: npt.NDArray) -> Curve:
    return Curve(time_s, true.astype(np.float64), raw.astype(np.float64), _palms(true))


def _palms(joints: npt.NDArray) -> Array:
    """(T,) palm lengths."""
    return np.linalg.norm(joints[:, MIDDLE_MCP] - joints[:, WRIST], axis=-1).astype(np.float64)


def _centred(joints: npt.NDArray) -> Array:
    joints = joints.astype(np.float64)
    return np.asarray(joints - joints.mean(axis=1, keepdims=True))


def _masked(curves: Sequence[Curve], filtered: Sequence[Array]) -> list[Array]:
    """Only where the raw curve is known: what is predicted or held in a gap is not measured."""
    return [
        np.where(np.isfinite(curve.raw), joints, np.nan)
        for curve, joints in zip(curves, filtered, strict=True)
    ]
