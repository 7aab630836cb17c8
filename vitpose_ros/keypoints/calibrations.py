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
            -1.311, -0.957, -1.209, -1.142, -1.307, -1.354, -1.51, -1.825, -1.854, -1.238,
            -1.358, -1.327, -1.192, -1.019, -1.099, -1.159, -0.99, -0.621, -0.892, -0.971,
            -0.871,
        ),
        weights=(0.41, -1.001, 0.597, -1.137, 0.724, 0.711),
    ),
    "vitpose-tiny-synthetic": Calibration(
        joints=(
            -5.26, -5.3, -5.382, -5.47, -5.136, -5.367, -5.329, -5.343, -5.194, -5.368, -5.239,
            -5.183, -5.004, -5.361, -5.209, -4.996, -4.865, -5.055, -5.078, -4.932, -4.773,
        ),
        weights=(-1.746, -2.122),
    ),
}
# fmt: on
"""By the network's name in the model catalogue."""
