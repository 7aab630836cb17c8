"""Every preset and published filter on recordings of rendered hands, whose true joints are known.

Curves are compared in the image. The unit of length is the true palm, wrist to the middle finger's
MCP joint, as it looks in each image. What is called raw are the network's own joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench import metrics
from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import Method, Smoothed
from vitpose_ros.bench.metrics import Array, Curve
from vitpose_ros.bench.recording import STILL_SCRIPT, Recording
from vitpose_ros.layouts import MIDDLE_MCP, WRIST

IN_VIEW_SCRIPTS = ("reach", "grasp", "rotate", "cross", "occlude")
"""The scripts whose motion is measured. In `leave`, hands rush past the camera: the truth itself
has more than half of the raw curve's acceleration there, which leaves a filter nothing to do.
"""


@dataclass(frozen=True)
class Row:
    """The figures of one method.

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
                metrics.acceleration_ratio(curves, [curve.reference for curve in curves]),
            )
    return figures


def run(method: Method, recording: Recording) -> list[Smoothed]:
    """What a method makes of each hand of a recording, in its order."""
    return [done for scene in recording.scenes() for done in method.run(scene.hands)]


def image_curves(recording: Recording) -> list[Curve]:
    """The hands in the image, px; the scale is the palm's length."""
    return [_curve(hand.time_s, hand.true_uv, hand.uv) for hand in recording.hands]


def shape_curves(recording: Recording) -> list[Curve]:
    """The hands' shapes, metres about the middle of their joints: a network's origin is its own."""
    return [
        _curve(hand.time_s, _centred(hand.true_xyz), _centred(hand.shape_xyz))
        for hand in recording.hands
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
