"""Plots of one episode as SVG, drawn without a library: the page shows thousands of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitpose_ros.quality.coverage import MEASURED, MISSING, NO_IMAGE, PREDICTED

WIDTH, LEFT, RIGHT = 640, 64, 8
"""px; the plot lies between LEFT and WIDTH - RIGHT."""

_INNER = WIDTH - LEFT - RIGHT
_BAR, _PITCH = 14, 22
_CURVE = 80
_AXIS = 18

_NEAR = 4.0  # times the largest value: a limit beyond is not drawn, or the curve would lie flat

CLASSES = {
    MEASURED: "measured",
    PREDICTED: "predicted",
    MISSING: "missing",
    NO_IMAGE: "no-image",
}
"""Style classes of what is known of a hand."""


def timeline(hands: Mapping[str, Any], names: Sequence[str], duration_s: float) -> str:
    """One bar per hand: when it is measured, predicted and missing.

    Parameters
    ----------
    hands : of an episode in quality.json.
    names : those to show.
    duration_s : of the episode.
    """
    height = _PITCH * len(names) + _AXIS
    parts = [_open(height, f"coverage of the hands over {duration_s:.1f} s")]
    per_s = _INNER / max([end for name in names for *_, end in hands[name]["timeline"]] + [1e-9])
    for row, name in enumerate(names):
        top = _PITCH * row + 2
        parts.append(_text(LEFT - 6, top + _BAR - 3, name, "end"))
        paths: dict[int, list[str]] = {state: [] for state in CLASSES}
        for state, start_s, end_s in hands[name]["timeline"]:
            x, width = LEFT + start_s * per_s, max((end_s - start_s) * per_s, 0.5)
            paths[state].append(f"M{x:.1f} {top}h{width:.1f}v{_BAR}h{-width:.1f}z")
        parts += [
            f'<path class="{CLASSES[state]}" d="{"".join(path)}"/>'
            for state, path in paths.items()
            if path
        ]
    parts.append(_time_axis(_PITCH * len(names), duration_s))
    return "".join(parts) + "</svg>"


def curve(
    points: Sequence[Sequence[float]], duration_s: float, limit: float, title: str
) -> str:
    """A curve over time as one bar per point, and its limit as a line, unless that is far above.

    Parameters
    ----------
    points : (time in s, value).
    duration_s : of the episode.
    limit : of the values.
    title : what it is, with its unit.
    """
    most = max([value for _, value in points] + [1e-9])
    near = limit <= _NEAR * most
    top = max(1.1 * most, 1.15 * limit) if near else 1.1 * most
    base, span = _CURVE, max(duration_s, 1e-9)
    parts = [_open(_CURVE + _AXIS, title)]
    parts.append(_text(LEFT - 6, 12, f"{top:.2g}", "end") + _text(LEFT - 6, base, "0", "end"))
    strokes = "".join(
        f"M{LEFT + _INNER * time_s / span:.1f} {base}V{base - (base - 4) * value / top:.1f}"
        for time_s, value in points
    )
    parts.append(f'<path class="curve" d="{strokes}"/>')
    y = base - (base - 4) * limit / top if near else 14.0
    if near:
        parts.append(f'<path class="limit" d="M{LEFT} {y:.1f}h{_INNER}"/>')
    text = f"limit {limit:g}" if near else f"limit {limit:g}, far above"
    parts.append(_text(WIDTH - RIGHT, y - 3, text, "end"))
    parts.append(_time_axis(base, duration_s))
    return "".join(parts) + "</svg>"


def _open(height: int, title: str) -> str:
    """Titles are our own words: nothing in these plots is from a file but numbers."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
        f"<title>{title}</title>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _time_axis(top: float, duration_s: float) -> str:
    ends = ((LEFT, "0 s", "start"), (WIDTH - RIGHT, f"{duration_s:.1f} s", "end"))
    labels = "".join(_text(x, top + _AXIS - 5, text, anchor) for x, text, anchor in ends)
    return f'<path class="axis" d="M{LEFT} {top + 0.5:.1f}h{_INNER}"/>{labels}'
