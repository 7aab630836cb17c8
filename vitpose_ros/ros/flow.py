"""Counts and times of the node's images, for diagnostics.

Pure Python: no ROS, no clock.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from vitpose_ros.ingest.losses import Losses

_WINDOW = 300  # images that the percentiles cover
_REPORTS = 10  # reports that the recent counts cover


@dataclass(frozen=True)
class FlowReport:
    """What happened since the last report, in the last reports, and since the start.

    Attributes
    ----------
    rate_in, rate_out : images received and processed per second, since the last report.
    age_s, inference_s, overhead_s : (median, 95th percentile) over the last images; None where
        nothing was measured. Age is from the image's stamp to the publishing of its skeletons;
        overhead from receipt to publishing, without the time of the pipeline and without waiting
        for the image before.
    new, recent, total : counts since the last report, over the last 10 reports, and since the
        start: "received", "processed", "skipped", "lost", "failed", and "rejected: KIND" for images
        that could not be used, and others by their names.
    """

    rate_in: float
    rate_out: float
    age_s: tuple[float, float] | None
    inference_s: tuple[float, float] | None
    overhead_s: tuple[float, float] | None
    new: Counter[str] = field(default_factory=Counter)
    recent: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)


class Flow:
    """Counts from the receiving thread and from the worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._reported_at_s: float | None = None
        self._recent: deque[Counter[str]] = deque(maxlen=_REPORTS)
        self._times: deque[tuple[float | None, float, float]] = deque(maxlen=_WINDOW)

    def count(self, what: str, number: int = 1) -> None:
        """Add to the count of that name."""
        with self._lock:
            self._total[what] += number

    def count_losses(self, losses: Losses) -> None:
        """Add images that never arrived, by the names of `Losses.counts`."""
        with self._lock:
            self._total.update(losses.counts())

    def processed(self, age_s: float | None, inference_s: float, overhead_s: float) -> None:
        """An image's skeletons were published; times in seconds, None for an unknown age."""
        with self._lock:
            self._total["processed"] += 1
            self._times.append((age_s, inference_s, overhead_s))

    def restart(self, now_s: float) -> None:
        """Start a new span without a report, as after activation; totals continue."""
        with self._lock:
            self._reported, self._reported_at_s = Counter(self._total), now_s
            self._times.clear()
            self._recent.clear()

    def report(self, now_s: float) -> FlowReport:
        """What happened since the last report."""
        with self._lock:
            new = self._total - self._reported
            span = now_s - self._reported_at_s if self._reported_at_s is not None else 0.0
            self._reported, self._reported_at_s = Counter(self._total), now_s
            self._recent.append(new)
            recent = sum(self._recent, Counter())
            times = list(self._times)
            total = Counter(self._total)
        return FlowReport(
            rate_in=new["received"] / span if span > 0 else 0.0,
            rate_out=new["processed"] / span if span > 0 else 0.0,
            age_s=_percentiles(age for age, _, _ in times),
            inference_s=_percentiles(inference for _, inference, _ in times),
            overhead_s=_percentiles(overhead for _, _, overhead in times),
            new=new,
            recent=recent,
            total=total,
        )


def _percentiles(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Median and 95th percentile of the known values; None when there are none."""
    ordered = sorted(value for value in values if value is not None)
    last = len(ordered) - 1
    return (ordered[round(0.5 * last)], ordered[round(0.95 * last)]) if ordered else None
