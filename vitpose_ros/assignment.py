"""The assignment with the lowest total cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

_FAR = 1e6


def assign(costs: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (row, column) with the lowest total cost, by SciPy's linear_sum_assignment: as many as
    possible, none with an infinite cost.
    """
    if costs.size == 0:
        return []
    possible = np.isfinite(costs)
    rows, columns = linear_sum_assignment(np.where(possible, costs, _FAR))
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if possible[row, column]
    ]
