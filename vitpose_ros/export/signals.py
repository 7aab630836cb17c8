"""Values over the frames of an episode, without gaps: held where they are not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]  # of any precision, which is kept


def held(values: FloatArray, initial: npt.ArrayLike = 0.0) -> FloatArray:
    """The values with the last known one in place of each NaN, column by column.

    Before the first known value of a column stands that value: nothing jumps when the first
    measurement comes. A column without any known value is `initial` throughout.

    Parameters
    ----------
    values : (N, D) over time; NaN where unknown.
    initial : of each column, or of all.
    """
    count, width = values.shape
    known = ~np.isnan(values)
    rows = np.where(known, np.arange(count)[:, None], -1)
    source = np.maximum.accumulate(rows, axis=0)
    first = np.where(known.any(axis=0), known.argmax(axis=0), 0)
    source = np.where(source < 0, first, source)
    filled = values[source, np.arange(width)]
    never = np.broadcast_to(np.asarray(initial, values.dtype), width)
    return np.where(known.any(axis=0), filled, never)


def latest(
    times_ns: npt.NDArray[np.int64], values: FloatArray, at_ns: npt.NDArray[np.int64]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """What was valid at given moments: the newest value that is not newer.

    Parameters
    ----------
    times_ns, values : (M,) rising, and (M,).
    at_ns : (N,) the moments.

    Returns
    -------
    (N,) the values, NaN before the first one; (N,) their ages in ns, -1 before the first one.
    """
    index = np.searchsorted(times_ns, at_ns, "right") - 1
    found = index >= 0
    clipped = np.maximum(index, 0)
    if not len(times_ns):
        return np.full(len(at_ns), np.nan), np.full(len(at_ns), -1, np.int64)
    picked = np.where(found, values[clipped], np.nan)
    return picked, np.where(found, at_ns - times_ns[clipped], -1)
