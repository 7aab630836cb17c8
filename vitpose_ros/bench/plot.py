"""The picture of the smoothing benchmark. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import DEFAULT_PRESET, OFFLINE, Method
from vitpose_ros.bench.metrics import Array, Curve
from vitpose_ros.bench.recording import HandRecording
from vitpose_ros.layouts import HAND21

WINDOW_S = 2.0

_JOINT = HAND21.index("index_tip")
_PATHS = {
    DEFAULT_PRESET: "#0072b2",
    "steady": "#009e73",
    OFFLINE: "#cc79a7",
    "ema_0.2": "#d55e00",
}
_OURS, _OTHERS = "#0072b2", "#6f6f6f"
_ELSEWHERE = {"color": _OTHERS, "marker": "s", "mfc": "white"}

_PLACES = (
    (0.5, -4.0),
    (-0.5, -4.0),
    *((dx, dy) for dy in (14.0, -23.0, 27.0, -36.0, 40.0) for dx in (0.7, -0.7, 0.0)),
)
"""Of a label's middle, against its point: label widths to the right, and points up."""


def check() -> Any:
    """The drawing library.

    Raises
    ------
    BenchError : matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise BenchError(
            f"a picture needs matplotlib ({error}); install it with: pip install 'matplotlib>=3.5'"
            " (the extra 'bench' of this package), or leave out --plot"
        ) from error
    return pyplot


@dataclass(frozen=True)
class Shown:
    """A scene whose hands may be drawn over time.

    Attributes
    ----------
    hands : as recorded.
    curves : of each hand in the image; their reference is drawn in black.
    reference : what that is, for the legend.
    """

    hands: Sequence[HandRecording]
    curves: Sequence[Curve]
    reference: str


@dataclass(frozen=True)
class Trade:
    """Points of one panel: acceleration ratio against lag.

    Attributes
    ----------
    title : of the panel.
    points : (name, lag_ms, accel_ratio, of_package) of each method.
    """

    title: str
    points: Sequence[tuple[str, float, float, bool]]


def plot(
    scenes: Sequence[Shown], methods: Sequence[Method], trades: Sequence[Trade], path: Path
) -> None:
    """Draw a fingertip over time, and every method's acceleration against its lag.

    Parameters
    ----------
    scenes : the liveliest two seconds of them are drawn.
    methods : by name; some of them are drawn over time.
    trades : one panel each.
    path : of the picture, .png.

    Raises
    ------
    BenchError : matplotlib is not installed, or cannot write there.
    """
    pyplot = check()
    heights = (3, 2, *(4 for _ in trades))
    size = (10, 1.4 * sum(heights))
    figure, axes = pyplot.subplots(len(heights), 1, figsize=size, height_ratios=heights)
    try:
        _draw_path(axes[0], axes[1], scenes, methods)
        figure.tight_layout()  # before labels are placed
        for axis, trade in zip(axes[2:], trades, strict=True):
            _draw_trade(axis, trade)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise BenchError(f"the picture cannot be written to {path}: {error}") from error
    finally:
        pyplot.close(figure)


def _draw_path(
    way: Any, away: Any, scenes: Sequence[Shown], methods: Sequence[Method]
) -> None:
    """A fingertip over two lively seconds: where it is, and how far from the reference."""
    scene, number, first = _liveliest(scenes)
    hand, curve = scene.hands[number], scene.curves[number]
    step_s = float(np.median(np.diff(hand.time_s)))
    part = slice(first, first + round(WINDOW_S / step_s))
    time_s = hand.time_s[part]
    reference = curve.reference[part, _JOINT, 0]
    lines: list[tuple[str, Array, dict[str, Any]]] = [
        ("raw", curve.raw, {"color": "#b0b0b0", "marker": ".", "lw": 0.8})
    ]
    for method in methods:
        if method.name in _PATHS:
            uv = method.run(scene.hands)[number].uv
            lines.append((method.name, uv, {"color": _PATHS[method.name], "lw": 1.6}))
    way.plot(time_s, reference, color="black", lw=2.2, label=scene.reference)
    for name, uv, style in lines:
        u = uv[part, _JOINT, 0]
        way.plot(time_s, u, label=name, **style)
        away.plot(time_s, (u - reference) / curve.scale[part], label=name, **style)
    away.axhline(0.0, color="black", lw=1.0)
    side = hand.side.name.lower()
    way.set_title(f"Tip of the {side} index finger in '{hand.script}'", loc="left")
    way.set_ylabel("u, px")
    away.set_ylabel("difference, palms")
    away.set_xlabel("time, s")
    way.legend(loc="best")
    for axis in (way, away):
        axis.grid(alpha=0.3)


def _liveliest(scenes: Sequence[Shown]) -> tuple[Shown, int, int]:
    """The scene, the hand and the first image of the window to draw: a fingertip that is seen all
    the time, moves much and is read with much noise.
    """
    best: tuple[float, Shown, int, int] | None = None
    for scene in scenes:
        for number, (hand, curve) in enumerate(zip(scene.hands, scene.curves, strict=True)):
            length = round(WINDOW_S / float(np.median(np.diff(hand.time_s))))
            for first in range(0, max(len(hand.stamp_ns) - length, 1), max(length // 10, 1)):
                part = slice(first, first + length)
                moved = float(np.ptp(curve.reference[part, _JOINT, 0]))
                noise = float(np.abs(np.diff(curve.raw[part, _JOINT, 0], 2)).mean())
                worth = moved * noise if hand.found[part].all() else 0.0
                if best is None or worth > best[0]:
                    best = worth, scene, number, first
    assert best is not None
    return best[1:]


def _draw_trade(axis: Any, trade: Trade) -> None:
    """Acceleration against lag: a point that is low and left is steady and quick."""
    title = f"{trade.title}; filled: this package, hollow: others"
    axis.set_title(title, loc="left")
    axis.set_xlabel("lag, ms")
    axis.set_ylabel("acceleration over raw")
    axis.grid(alpha=0.3)
    for _, lag_ms, ratio, of_package in trade.points:
        style = {"color": _OURS, "marker": "o"} if of_package else _ELSEWHERE
        axis.plot(lag_ms, ratio, ms=8, ls="none", **style)
    axis.margins(x=0.12, y=0.1)
    axis.set_ylim(bottom=0.0)
    to_points = 72.0 / axis.figure.dpi
    spots = [axis.transData.transform(point[1:3]) * to_points for point in trade.points]
    taken = [_Box(x - 6, y - 6, 12, 12) for x, y in spots]
    for (name, lag_ms, ratio, of_package), (x, y) in zip(trade.points, spots, strict=True):
        width, height = 6.2 * len(name), 11.0
        places = [_Box(x + dx * width - 0.5 * width + 9 * np.sign(dx), y + dy, width, height)
                  for dx, dy in _PLACES]  # fmt: skip
        box = min(places, key=lambda place: sum(place.overlap(other) for other in taken))
        taken.append(box)
        axis.annotate(
            name,
            (lag_ms, ratio),
            (box.x - x, box.y - y),
            textcoords="offset points",
            color=_OURS if of_package else _OTHERS,
            fontsize=9,
            arrowprops=None if box in places[:2] else {"arrowstyle": "-", "color": _OTHERS},
        )


class _Box(NamedTuple):
    """A rectangle on the paper, points."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: _Box) -> float:
        """The common area."""
        x = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        y = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(x, 0.0) * max(y, 0.0)
