"""The picture of a training run. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitpose_ros.bench.plot import check
from vitpose_ros.models.files import put_in_place

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#6f6f6f"


def plot(
    history: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, Any],
    best: int,
    unit: str,
    path: Path,
) -> None:
    """Draw the loss, and the errors and AP on the validation labels, over the epochs.

    Parameters
    ----------
    history : of the log, one entry per epoch.
    baseline : the scores before the first epoch.
    best : the epoch whose weights were kept.
    unit : what errors are a percentage of.
    path : the picture.

    Raises
    ------
    BenchError : matplotlib is not installed.
    """
    pyplot = check()
    from matplotlib import ticker

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    epochs = [entry["epoch"] for entry in history]
    left.plot(epochs, [entry["loss"] for entry in history], color=_GREY)
    left.set(xlabel="epoch", ylabel="training loss")
    left.set_ylim(bottom=0)
    both = [0, *epochs]
    for name, colour, label in (
        ("error_percent", _BLUE, "median error"),
        ("p95_percent", _ORANGE, "95th percentile"),
    ):
        values = [entry[name] for entry in (baseline, *history)]
        right.plot(both, [float("nan") if v is None else v for v in values], color=colour,
                   label=label, marker="o", ms=3)  # fmt: skip
    right.set(xlabel="epoch", ylabel=f"validation error, % of the {unit}", yscale="log")
    right.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7)))
    right.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    right.yaxis.set_minor_formatter(ticker.NullFormatter())
    for axis in (left, right):
        axis.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    values = [entry["ap"] for entry in (baseline, *history)]
    lines, labels = right.get_legend_handles_labels()
    if any(value is not None for value in values):
        twin = right.twinx()
        (line,) = twin.plot(
            both, [float("nan") if v is None else v for v in values], color=_GREY, ls="--"
        )
        twin.set(ylabel="AP", ylim=(0, 1))
        lines, labels = [*lines, line], [*labels, "AP (right axis)"]
    right.axvline(best, color=_GREY, lw=1, ls=":")
    right.legend(lines, labels, frameon=False, ncol=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", dpi=110)
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)
        pyplot.close(figure)
