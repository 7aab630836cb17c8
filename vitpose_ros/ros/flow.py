"""Counts and times of the node's images, for diagnostics. Pure Python: no ROS, no clock of its
own.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

_WINDOW = 300  # images that the percentiles look back on


@dataclass(frozen=True)
class FlowReport:
    """What happened since the report before, and since the start.

    Attributes
    ----------
    rate_in, rate_out : images received and processed per second, over the time since the report
        before.
    age_s, inference_s, overhead_s : (median, 95th percentile) over the last images; None before
        the first one. Age is from the image's stamp to the publishing of its skeletons; overhead
        from receipt to publishing, less the time waiting for the image before and less the
        pipeline's own time.
    new, total : counts since the report before, and since the start: "received", "processed",
        "skipped", "lost", "failed", and "rejected: KIND" for images that could not be used.
    """

    rate_in: float
    rate_out: float
    age_s: tuple[float, float] | None
    inference_s: tuple[float, float] | None
    overhead_s: tuple[float, float] | None
    new: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)

    @property
    def lost_share(self) -> float:
        """The share of images since the report before that never arrived, 0 .. 1."""
        sent = self.new["received"] + self.new["lost"]
        return self.new["lost"] / sent if sent else 0.0


class Flow:
    """Counts from the receiving and the working thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._reported_at_s: float | None = None
        self._times: deque[tuple[float, float, float]] = deque(maxlen=_WINDOW)

    def count(self, what: str, number: int = 1) -> None:
        """Add to the count of that name."""
        with self._lock:
            self._total[what] += number

    def processed(self, age_s: float, inference_s: float, overhead_s: float) -> None:
        """An image's skeletons were published; times in seconds."""
        with self._lock:
            self._total["processed"] += 1
            self._times.append((age_s, inference_s, overhead_s))

    def restart(self, now_s: float) -> None:
        """Begin a new span without a report, as after activation; totals go on."""
        with self._lock:
            self._reported, self._reported_at_s = Counter(self._total), now_s
            self._times.clear()

    def report(self, now_s: float) -> FlowReport:
        """What happened since the report before."""
        with self._lock:
            new = self._total - self._reported
            span = now_s - self._reported_at_s if self._reported_at_s is not None else 0.0
            self._reported, self._reported_at_s = Counter(self._total), now_s
            columns = list(zip(*self._times, strict=True))
            total = Counter(self._total)
        age, inference, overhead = (
            [_percentiles(column) for column in columns] if columns else [None] * 3
        )
        return FlowReport(
            rate_in=new["received"] / span if span > 0 else 0.0,
            rate_out=new["processed"] / span if span > 0 else 0.0,
            age_s=age,
            inference_s=inference,
            overhead_s=overhead,
            new=new,
            total=total,
        )


def _percentiles(values: tuple[float, ...]) -> tuple[float, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(0.5 * last)], ordered[round(0.95 * last)]
