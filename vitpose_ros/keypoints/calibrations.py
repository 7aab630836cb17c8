"""Constants and weights of `uncertainty.HandUncertainty`, fitted on rendered hands.

`benchmarks/uncertainty.py --fit` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Calibration:
    """The numbers of one network.

    Attributes
    ----------
    joints : a constant for each of the 21 joints, log(std / side of the crop).
    weights : of the features, in their order.
    """

    joints: tuple[float, ...]
    weights: tuple[float, ...]


# fmt: off
CALIBRATIONS = {
    "mediapipe-hand-full": Calibration(
        joints=(
            -1.018, -0.709, -0.944, -0.903, -1.101, -1.107, -1.256, -1.51, -1.56, -0.962,
            -1.074, -1.047, -0.898, -0.744, -0.839, -0.881, -0.712, -0.281, -0.607, -0.631,
            -0.573,
        ),
        weights=(0.442, -1.075, 0.543, -1.376, 0.992, 0.652),
    ),
    "vitpose-tiny-synthetic": Calibration(
        joints=(
            -5.275, -5.257, -5.369, -5.449, -5.135, -5.413, -5.342, -5.325, -5.182, -5.369,
            -5.241, -5.165, -4.959, -5.31, -5.159, -5.005, -4.854, -5.026, -5.06, -4.925, -4.802,
        ),
        weights=(-1.731, -2.082),
    ),
}
# fmt: on
"""By the network's name in the model catalogue."""
