"""Statistics that normalize a policy's inputs: of valid values only, and never NaN.

A value that is held over a gap would pull the mean towards wherever the hand was lost. An element
whose valid values do not vary, or that has none, has the statistics of what is written instead:
every number is finite, and no value is divided by a spread of 0 that is not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
"""By their names in LeRobot."""

BINS = 4096
"""Of the histogram from which the quantiles of a whole dataset are read: they are off by up to a
4096th of the range."""

FloatArray = npt.NDArray[np.float64]
Batch = tuple[FloatArray, "npt.NDArray[np.bool_] | None"]
"""(N, D) values and whether each is valid; None: all are."""

Stats = dict[str, FloatArray]


def exact(values: npt.ArrayLike, valid: npt.NDArray[np.bool_] | None) -> Stats:
    """The statistics of an episode.

    Parameters
    ----------
    values : (N, D), finite.
    valid : (N, D) bool; None: all are.

    Returns
    -------
    min, max, mean, std and QUANTILES, (D,) each; count, (1,): frames with any valid element, at
    least 1, since libraries divide by it.
    """
    values = np.asarray(values, np.float64)
    used = np.ones(values.shape, np.bool_) if valid is None else valid
    low = np.where(used, values, np.inf).min(axis=0)
    used = np.where(np.where(used, values, -np.inf).max(axis=0) > low, used, True)
    masked = np.where(used, values, np.nan)
    mean = np.nanmean(masked, axis=0)
    stats = {
        "min": np.nanmin(masked, axis=0),
        "max": np.nanmax(masked, axis=0),
        "mean": mean,
        "std": np.sqrt(np.nanmean((masked - mean) ** 2, axis=0)),
        "count": np.array([_count(values, valid)]),
    }
    for name, quantile in QUANTILES.items():
        stats[name] = np.nanquantile(masked, quantile, axis=0)
    return stats


def of_batches(batches: Callable[[], Iterable[Batch]]) -> Stats:
    """The statistics of more values than fit into memory; as `exact`, with quantiles by histogram.

    Parameters
    ----------
    batches : gives all values, in any division; called twice.
    """
    summary: _Summary | None = None
    for values, valid in batches():
        summary = summary or _Summary(values.shape[1])
        summary.add(values, valid)
    if summary is None:
        raise ValueError("statistics of no value")
    low, high = summary.low, summary.high
    counts = np.zeros((len(low), BINS))
    width = np.where(high > low, high - low, 1.0)
    for values, valid in batches():
        for column in range(len(low)):
            used = values[:, column]
            if valid is not None and summary.valid[column]:
                used = used[valid[:, column]]
            place = (used - low[column]) / width[column] * BINS
            index = np.clip(place.astype(np.int64), 0, BINS - 1)
            counts[column] += np.bincount(index, minlength=BINS)
    stats = summary.stats()
    for name, quantile in QUANTILES.items():
        stats[name] = _of_histogram(counts, quantile, low, high)
    return stats


def mean_of_valid(batches: Iterable[Batch]) -> FloatArray | None:
    """(D,) the mean of the valid values, NaN for columns without any; None without values."""
    moments: _Moments | None = None
    for values, valid in batches:
        moments = moments or _Moments(values.shape[1])
        moments.add(values, np.ones(values.shape, np.bool_) if valid is None else valid)
    return None if moments is None else np.where(moments.count > 0, moments.mean, np.nan)


class _Summary:
    """Count, extent, mean and spread of what passes by, column by column: of valid values, and of
    all, for columns whose valid ones turn out not to vary.
    """

    def __init__(self, width: int) -> None:
        self._of_valid, self._of_all = _Moments(width), _Moments(width)
        self._frames = 0

    def add(self, values: FloatArray, valid: npt.NDArray[np.bool_] | None) -> None:
        everything = np.ones(values.shape, np.bool_)
        self._of_all.add(values, everything)
        self._of_valid.add(values, everything if valid is None else valid)
        self._frames += len(values) if valid is None else int(valid.any(axis=1).sum())

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(D,) which columns have valid values that vary."""
        return self._of_valid.high > self._of_valid.low

    def _chosen(self, name: str) -> FloatArray:
        a, b = getattr(self._of_valid, name), getattr(self._of_all, name)
        return np.where(self.valid, a, b)

    @property
    def low(self) -> FloatArray:
        return self._chosen("low")

    @property
    def high(self) -> FloatArray:
        return self._chosen("high")

    def stats(self) -> Stats:
        """Without quantiles."""
        spread = self._chosen("squares") / np.maximum(self._chosen("count"), 1)
        return {
            "min": self.low,
            "max": self.high,
            "mean": self._chosen("mean"),
            "std": np.sqrt(spread),
            "count": np.array([max(self._frames, 1)]),
        }


class _Moments:
    """Joined batch by batch as Chan et al. (1983) do, which loses no digits for large numbers."""

    def __init__(self, width: int) -> None:
        self.count = np.zeros(width)
        self.mean = np.zeros(width)
        self.squares = np.zeros(width)
        self.low = np.full(width, np.inf)
        self.high = np.full(width, -np.inf)

    def add(self, values: FloatArray, used: npt.NDArray[np.bool_]) -> None:
        count = used.sum(axis=0).astype(np.float64)
        safe = np.maximum(count, 1)
        mean = np.where(used, values, 0.0).sum(axis=0) / safe
        squares = np.where(used, (values - mean) ** 2, 0.0).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        apart = mean - self.mean
        self.squares += squares + apart**2 * self.count * count / total
        self.mean += apart * count / total
        self.count += count
        self.low = np.minimum(self.low, np.where(used, values, np.inf).min(axis=0))
        self.high = np.maximum(self.high, np.where(used, values, -np.inf).max(axis=0))


def _count(values: FloatArray, valid: npt.NDArray[np.bool_] | None) -> int:
    return max(len(values) if valid is None else int(valid.any(axis=1).sum()), 1)


def _of_histogram(
    counts: FloatArray, quantile: float, low: FloatArray, high: FloatArray
) -> FloatArray:
    """The quantile of each column, taking values as evenly spread within a bin."""
    found = np.empty(len(counts))
    for column, own in enumerate(counts):
        below = np.concatenate([[0.0], np.cumsum(own)])
        wanted = quantile * below[-1]
        bin_ = min(int(np.searchsorted(below, wanted, "right")) - 1, BINS - 1)
        share = (wanted - below[bin_]) / own[bin_] if own[bin_] else 0.0
        found[column] = low[column] + (bin_ + share) / BINS * (high[column] - low[column])
    return np.clip(found, low, high)


class Histogram:
    """The colours of a sample of images, from which all their statistics come, exactly.

    Parameters
    ----------
    counts : (3, 256) how often each value of red, green and blue was seen.
    """

    def __init__(self, counts: npt.ArrayLike | None = None) -> None:
        if counts is None:
            counts = np.zeros((3, 256), np.int64)
        self.counts = np.asarray(counts, np.int64)

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Add an image, BGR; large ones at a lower resolution."""
        step = max(1, max(image.shape[:2]) // 150)
        for channel in range(3):
            values = image[::step, ::step, 2 - channel].ravel()
            self.counts[channel] += np.bincount(values, minlength=256)

    def stats(self, count: int) -> dict[str, Any]:
        """Of values 0 .. 1, (3, 1, 1) each, as LeRobot has them for images.

        Parameters
        ----------
        count : of images, which libraries weigh with.
        """
        levels = np.arange(256) / 255.0
        total = self.counts.sum(axis=1)
        mean = (self.counts * levels).sum(axis=1) / total
        spread = (self.counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
        seen = self.counts > 0
        below = np.cumsum(self.counts, axis=1)
        stats: dict[str, Any] = {
            "min": levels[seen.argmax(axis=1)],
            "max": levels[255 - seen[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(spread),
        }
        for name, quantile in QUANTILES.items():
            stats[name] = levels[(below >= quantile * total[:, None]).argmax(axis=1)]
        shaped = {name: value.reshape(3, 1, 1) for name, value in stats.items()}
        return {**shaped, "count": np.array([count])}


def plain(stats: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them: lists of numbers; counts are whole."""
    return {
        name: value.astype(np.int64 if name == "count" else np.float64).tolist()
        for name, value in stats.items()
    }
