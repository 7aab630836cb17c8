"""How far a measurement is trusted, by the scores of its joints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros.smooth.filters import Array, Ema, Mask

FULL_SCORE = 0.7
"""A joint of this score or more is trusted fully: the heatmap of a good joint rarely reaches 1."""

_USUAL_TIME_S = 2.0
_POWER = 3
"""Of MediaPipe's hands, those with a presence below 0.8 (one image of 50) are three times as far
from the truth as the others."""


class Trust:
    """Turns scores into weights for the filters.

    The weight of a joint is score / FULL_SCORE, at most 1.

    Where all joints of an object have the same score, its network gives none per joint (MediaPipe's
    hands), but one for the object, whose level says nothing: another network has another one. So it
    is compared with what is usual of this object, its mean over the last 2 s: the weight of all its
    joints is (score / usual)^3, at most 1.
    """

    def __init__(self) -> None:
        self._usual = Ema(_USUAL_TIME_S)

    def __call__(self, score: Array, valid: Mask, time_s: float) -> Array:
        """(N, K) weights, 0 .. 1, of scores (N, K), where valid, at a time."""
        highest = np.max(score, axis=1, initial=0.0, where=valid)
        lowest = np.min(score, axis=1, initial=np.inf, where=valid)
        alike = highest == lowest
        weight = np.clip(score / FULL_SCORE, 0.0, 1.0)
        one = np.ones((len(score), 1))
        usual = self._usual.step(
            highest[:, None, None], (alike & (highest > 0))[:, None], one, time_s, one[:, 0]
        )[:, 0]
        if alike.any():
            with np.errstate(invalid="ignore"):
                of_object = np.fmin(1.0, (highest[:, None] / usual) ** _POWER)
            weight = np.where(alike[:, None], of_object, weight)
        return np.asarray(weight)

    def take(self, rows: npt.NDArray[np.intp]) -> None:
        """Change the rows as a filter does: see `filters.PointFilter.take`."""
        self._usual.take(rows)
