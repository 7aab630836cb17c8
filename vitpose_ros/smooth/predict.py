"""Where joints will be: a velocity that dies away. Gaps and latency compensation use it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.filters import length
from vitpose_ros.smooth.scale import object_size
from vitpose_ros.types import FloatArray, JointState, Keypoints

DAMPING_S = 0.1
"""A velocity dies away with this time constant: hands turn back."""

STD_SIZES_PER_S, STD_PER_WAY = 0.45, 0.5
"""By how much the standard deviation of a predicted joint grows: with time, in object sizes per
second, and with the distance by which it is extrapolated."""

MAX_HORIZON_S = 0.1
"""The longest horizon that was measured (docs/smoothing.md)."""


@dataclass(frozen=True)
class Velocity:
    """How the joints of one object move.

    Attributes
    ----------
    uv : (K, 2) float32, px/s; NaN where it is not known.
    xyz, shape_xyz : (K, 3) float32, m/s; the same.
    """

    uv: FloatArray
    xyz: FloatArray
    shape_xyz: FloatArray


def coasting_s(ahead_s: npt.NDArray | float) -> npt.NDArray:
    """(...) tau (1 - exp(-t / tau)) s, tau being DAMPING_S: times a velocity, the distance covered
    in a time t (...) by what starts with that velocity and is damped.
    """
    return np.asarray(-DAMPING_S * np.expm1(-np.asarray(ahead_s) / DAMPING_S))


def grown_std(
    std: npt.NDArray, size: npt.NDArray, velocity: npt.NDArray, ahead_s: npt.NDArray | float
) -> FloatArray:
    """The standard deviation of joints that are predicted for some time.

    Its growth is measured on rendered hands, and on a real one (docs/uncertainty.md).

    Parameters
    ----------
    std : (N, K) px, when the joint was measured; NaN stays NaN.
    size : (N,) px, of the objects.
    velocity : (N, K, 2) px/s, with which the joint is extrapolated; NaN for none.
    ahead_s : (N, K), or one for all: time since then.

    Returns
    -------
    (N, K) float32, px.
    """
    wandered = STD_SIZES_PER_S * size[:, None] * ahead_s
    gone = STD_PER_WAY * length(np.nan_to_num(velocity).astype(np.float64)) * coasting_s(ahead_s)
    return np.sqrt(std.astype(np.float64) ** 2 + wandered**2 + gone**2).astype(np.float32)


def check_horizon(horizon_s: float) -> None:
    """ValueError unless it is a horizon for `ahead`, s."""
    number = isinstance(horizon_s, (int, float)) and not isinstance(horizon_s, bool)
    if not (number and 0 <= horizon_s <= MAX_HORIZON_S):
        raise ValueError(
            f"a prediction's horizon: expected a number from 0 to {MAX_HORIZON_S} s, got "
            f"{horizon_s!r}"
        )


def ahead(keypoints: Keypoints, velocity: Velocity, horizon_s: float) -> Keypoints:
    """The joints as they will be a little later.

    Measured joints move on by their velocity, damped, and are marked PREDICTED; their uv_std grows.
    Joints that are predicted already stay.

    Parameters
    ----------
    keypoints : smoothed, as of their stamp.
    velocity : of the same joints; see `smoother.Smoother.velocities`.
    horizon_s : how far ahead, s; not more than 0 leaves the joints as they are.

    Returns
    -------
    Keypoints of the same joints: none becomes known or absent by it.
    """
    if horizon_s <= 0:
        return keypoints
    seen = keypoints.state >= JointState.OCCLUDED
    time_s = np.where(seen, coasting_s(horizon_s), 0.0)[:, None]

    size = object_size(keypoints.layout, keypoints.uv[None])
    (std,) = grown_std(keypoints.uv_std[None], size, velocity.uv[None], horizon_s)

    def moved(points: FloatArray, speed: FloatArray) -> FloatArray:
        return (points + time_s * np.nan_to_num(speed)).astype(np.float32)

    return replace(
        keypoints,
        uv=moved(keypoints.uv, velocity.uv),
        state=np.where(seen, JointState.PREDICTED, keypoints.state).astype(np.uint8),
        xyz=moved(keypoints.xyz, velocity.xyz),
        shape_xyz=moved(keypoints.shape_xyz, velocity.shape_xyz),
        uv_std=np.where(seen, std, keypoints.uv_std),
    )
