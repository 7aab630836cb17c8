"""Where joints will be: a velocity that dies away. Gaps and latency compensation use it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.types import FloatArray, JointState, Keypoints

DAMPING_S = 0.1
"""A velocity dies away with this time constant: hands turn back."""

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

    Measured joints move on by their velocity, damped, and are marked PREDICTED; their uv_std is
    then unknown. Joints that are predicted already stay.

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

    def moved(points: FloatArray, speed: FloatArray) -> FloatArray:
        return (points + time_s * np.nan_to_num(speed)).astype(np.float32)

    return replace(
        keypoints,
        uv=moved(keypoints.uv, velocity.uv),
        state=np.where(seen, JointState.PREDICTED, keypoints.state).astype(np.uint8),
        xyz=moved(keypoints.xyz, velocity.xyz),
        shape_xyz=moved(keypoints.shape_xyz, velocity.shape_xyz),
        uv_std=np.where(seen, np.float32(np.nan), keypoints.uv_std),
    )
