"""Jitter and lag of the published joints over a run, as the demo reports them.

Pure Python: its input is instances.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.metrics import Curve, acceleration, acceleration_ratio, lag_s
from vitpose_ros.evaluate import match_hands, palm_length
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import FloatArray, Instance, Side, TrackState

_MISSING = np.full((21, 2), np.nan, np.float32)


@dataclass(frozen=True)
class _Moment:
    """A true hand in one image and its measurement: (21, 2) px each, NaN where there is none."""

    stamp_ns: int
    true: FloatArray
    raw: FloatArray
    published: FloatArray


class Steadiness:
    """Collects joints over a run."""

    def __init__(self) -> None:
        self._true: dict[Side, list[_Moment]] = defaultdict(list)
        self._last: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
        self._raw_acceleration = self._published_acceleration = 0.0

    def add_found(self, stamp_ns: int, instances: Sequence[Instance]) -> None:
        """Add the instances found in an image; needs no ground truth."""
        last: dict[int, list[tuple[FloatArray, FloatArray]]] = {}
        for hand in instances:
            if hand.layout is not HAND21 or hand.track_state is TrackState.LOST:
                continue
            three = [*self._last.get(hand.track_id, ()), (hand.raw.uv, hand.keypoints.uv)][-3:]
            last[hand.track_id] = three
            if len(three) < 3:
                continue
            raw, published = (acceleration(np.stack(joints)) for joints in zip(*three, strict=True))
            both = np.isfinite(raw) & np.isfinite(published)
            self._raw_acceleration += float(raw[both].sum())
            self._published_acceleration += float(published[both].sum())
        self._last = last

    def add_truth(self, stamp_ns: int, true: Sequence[Instance], found: Sequence[Instance]) -> None:
        """Add the true hands of an image and those found in it."""
        hands = [hand for hand in found if hand.layout is HAND21]
        matches = match_hands(
            [hand.keypoints.uv for hand in true], [hand.keypoints.uv for hand in hands]
        )
        which = {a: hands[b] for a, b, _ in matches}
        for number, hand in enumerate(true):
            own = which.get(number)
            self._true[hand.side].append(
                _Moment(
                    stamp_ns,
                    hand.keypoints.uv,
                    _MISSING if own is None else own.raw.uv,
                    _MISSING if own is None else own.keypoints.uv,
                )
            )

    @property
    def jitter_ratio(self) -> float | None:
        """Mean acceleration of the published joints over that of the networks' own; None before a
        hand was seen in three successive images.
        """
        curves, published = self._curves()
        ratio = acceleration_ratio(curves, published) if curves else float("nan")
        if np.isfinite(ratio):
            return ratio
        if self._raw_acceleration > 0:
            return self._published_acceleration / self._raw_acceleration
        return None

    @property
    def lag_ms(self) -> float | None:
        """Lag of the published joints behind ground truth; None without ground truth, or when the
        run is too short.
        """
        curves, published = self._curves()
        try:
            return 1e3 * lag_s(curves, published)
        except ValueError:
            return None

    def _curves(self) -> tuple[list[Curve], list[npt.NDArray[np.float64]]]:
        curves, published = [], []
        for moments in self._true.values():
            ordered = sorted(moments, key=lambda moment: moment.stamp_ns)
            stamps = np.array([moment.stamp_ns for moment in ordered])
            if len(stamps) < 3 or not (np.diff(stamps) > 0).all():
                continue
            true = np.stack([moment.true for moment in ordered]).astype(np.float64)
            raw = np.stack([moment.raw for moment in ordered]).astype(np.float64)
            scale = np.array([max(palm_length(uv), 1e-6) for uv in true])
            curves.append(Curve((stamps - stamps[0]) * 1e-9, true, raw, scale))
            published.append(np.stack([m.published for m in ordered]).astype(np.float64))
        return curves, published
