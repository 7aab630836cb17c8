"""The picture of the smoothing benchmark. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.recording import Recording
from vitpose_ros.bench.smoothing import DEFAULT_PRESET, IN_VIEW_SCRIPTS, Method, Row, run
from vitpose_ros.layouts import HAND21

WINDOW_S = 2.0

_JOINT = HAND21.index("index_tip")
_PATHS = {DEFAULT_PRESET: "#0072b2", "steady": "#009e73", "ema_0.2": "#d55e00"}
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


def plot(recording: Recording, methods: Sequence[Method], rows: Sequence[Row], path: Path) -> None:
    """Draw a fingertip's way over time, and every method's jitter against its lag.

    Parameters
    ----------
    recording : what was measured on.
    methods, rows : what was measured, and the figures.
    path : of the picture, .png.

    Raises
    ------
    BenchError : matplotlib is not installed, or cannot write there.
    """
    pyplot = check()
    figure, axes = pyplot.subplots(3, 1, figsize=(10, 13), height_ratios=(3, 2, 4))
    try:
        _draw_path(axes[0], axes[1], recording, methods)
        _draw_trade(axes[2], rows)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise BenchError(f"the picture cannot be written to {path}: {error}") from error
    finally:
        pyplot.close(figure)


def _draw_path(way: Any, away: Any, recording: Recording, methods: Sequence[Method]) -> None:
    """A fingertip over two lively seconds: where it is, and how far from the truth."""
    scene, number, first = _liveliest(recording)
    hand = scene.single[number]
    part = slice(first, first + round(WINDOW_S * recording.rate_hz))
    time_s = hand.time_s[part]
    true = hand.true_uv[part, _JOINT, 0]
    palm = np.linalg.norm(hand.true_uv[part, 9] - hand.true_uv[part, 0], axis=-1)
    lines: list[tuple[str, npt.NDArray, dict[str, Any]]] = [
        ("network", hand.uv, {"color": "#b0b0b0", "marker": ".", "lw": 0.8})
    ]
    for method in methods:
        if method.name in _PATHS:
            uv = run(method, scene)[number].uv
            lines.append((method.name, uv, {"color": _PATHS[method.name], "lw": 1.6}))
    way.plot(time_s, true, color="black", lw=2.2, label="truth")
    for name, uv, style in lines:
        u = uv[part, _JOINT, 0]
        way.plot(time_s, u, label=name, **style)
        away.plot(time_s, (u - true) / palm, label=name, **style)
    away.axhline(0.0, color="black", lw=1.0)
    side = hand.side.name.lower()
    title = f"Tip of the {side} index finger in '{hand.script}', seed {hand.seed}"
    way.set_title(title, loc="left")
    way.set_ylabel("u, px")
    away.set_ylabel("u off the truth, palms")
    away.set_xlabel("time, s")
    way.legend(loc="best")
    for axis in (way, away):
        axis.grid(alpha=0.3)


def _liveliest(recording: Recording) -> tuple[Recording, int, int]:
    """The scene, the hand and the first image of the window to look at: a fingertip that is seen
    all the time, moves much and is read with much noise.
    """
    length = round(WINDOW_S * recording.rate_hz)
    best: tuple[float, Recording, int, int] | None = None
    for scene in recording.of(*IN_VIEW_SCRIPTS).scenes():
        for number, hand in enumerate(scene.single):
            for first in range(0, max(len(hand.stamp_ns) - length, 1), max(length // 10, 1)):
                part = slice(first, first + length)
                moved = float(np.ptp(hand.true_uv[part, _JOINT, 0]))
                noise = float(np.abs(np.diff(hand.uv[part, _JOINT, 0], 2)).mean())
                worth = moved * noise if hand.found[part].all() else 0.0
                if best is None or worth > best[0]:
                    best = worth, scene, number, first
    assert best is not None
    return best[1:]


def _draw_trade(axis: Any, rows: Sequence[Row]) -> None:
    """Acceleration against lag: what is low and left is steady and quick."""
    title = "Jitter against lag: filled is this package, hollow is from elsewhere"
    axis.set_title(title, loc="left")
    axis.set_xlabel("lag against the truth, ms")
    axis.set_ylabel("acceleration over the network's own")
    axis.grid(alpha=0.3)
    for row in rows:
        style = {"color": _OURS, "marker": "o"} if row.of_package else _ELSEWHERE
        axis.plot(row.lag_ms, row.accel_ratio, ms=8, ls="none", **style)
    axis.margins(x=0.12, y=0.1)
    axis.set_ylim(bottom=0.0)
    axis.figure.tight_layout()  # before places on the paper are asked for
    to_points = 72.0 / axis.figure.dpi
    spots = [
        axis.transData.transform((row.lag_ms, row.accel_ratio)) * to_points for row in rows
    ]
    taken = [_Box(x - 6, y - 6, 12, 12) for x, y in spots]
    for row, (x, y) in zip(rows, spots, strict=True):
        width, height = 6.2 * len(row.name), 11.0
        places = [_Box(x + dx * width - 0.5 * width + 9 * np.sign(dx), y + dy, width, height)
                  for dx, dy in _PLACES]  # fmt: skip
        box = min(places, key=lambda place: sum(place.overlap(other) for other in taken))
        taken.append(box)
        axis.annotate(
            row.name,
            (row.lag_ms, row.accel_ratio),
            (box.x - x, box.y - y),
            textcoords="offset points",
            color=_OURS if row.of_package else _OTHERS,
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
