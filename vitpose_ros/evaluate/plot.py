"""The picture of an evaluation: how far off joints are, when, and which. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitpose_ros.bench.plot import check
from vitpose_ros.evaluate.compare import Rows
from vitpose_ros.evaluate.figures import PCK_BOXES, counted, joint_errors, pck_curve
from vitpose_ros.geometry import known_median
from vitpose_ros.offline.errors import OfflineError

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#b0b0b0"
_MOST_BOXES = 0.3
_NAMED = 40  # joints whose names can be read below their bars


def plot(compared: Sequence[Rows], path: Path, difference: bool = False) -> None:
    """Draw a row of three panels for each part: the share of joints within a distance, the error of
    each image over time, and the error of each joint.

    Parameters
    ----------
    compared : one per part.
    path : of the picture, .png; written whole or not at all.
    difference : neither side is the truth.

    Raises
    ------
    BenchError : matplotlib is not installed.
    OfflineError : the picture cannot be written.
    """
    pyplot = check()
    word = "difference" if difference else "error"
    figure, axes = pyplot.subplots(
        len(compared), 3, figsize=(15, 3.6 * len(compared)), squeeze=False, layout="constrained"
    )
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        for row, rows in zip(axes, compared, strict=True):
            _draw_curve(row[0], rows, difference, word)
            _draw_times(row[1], rows, difference, word)
            _draw_joints(row[2], rows, word)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(draft, dpi=110)
        draft.replace(path)
    except (OSError, ValueError) as error:
        draft.unlink(missing_ok=True)
        raise OfflineError(f"the picture cannot be written to {path}: {error}") from error
    finally:
        pyplot.close(figure)


def _draw_curve(axis: Any, rows: Rows, difference: bool, word: str) -> None:
    thresholds = np.linspace(0, _MOST_BOXES, 301)
    axis.plot(thresholds, pck_curve(rows, thresholds), color=_BLUE, lw=2)
    for threshold, share in zip(PCK_BOXES, pck_curve(rows, np.array(PCK_BOXES)), strict=True):
        axis.plot(threshold, share, "o", color=_BLUE)
        axis.annotate(
            f"{share:.2f}", (threshold, share), (6, -12), textcoords="offset points", fontsize=9
        )
    joints = int((counted(rows) & rows.seen[:, None]).sum())
    which = "joints of the first run" if difference else "true joints"
    axis.set(
        title=f"{rows.part.name}: {joints:,} {which}",
        xlabel=f"{word}, longer sides of the box",
        ylabel=f"share of {which}",
        ylim=(0, 1.02),
        xlim=(0, _MOST_BOXES),
    )
    axis.grid(alpha=0.3)


def _draw_times(axis: Any, rows: Rows, difference: bool, word: str) -> None:
    error = joint_errors(rows)
    images = np.arange(len(rows.in_common))
    place = images.astype(float) + 1
    if rows.stamp_ns is not None:
        place = (rows.stamp_ns - rows.stamp_ns[0]) * 1e-9
    mean = np.full(len(images), np.nan)
    for image in np.unique(rows.image):
        known = error[rows.image == image]
        known = known[np.isfinite(known)]
        mean[image] = known.mean() if known.size else np.nan
    line = "none" if rows.stamp_ns is None else "-"
    size = 3 if len(images) > 60 else 7
    axis.plot(place, mean, color=_BLUE, ls=line, lw=1.2, marker=".", ms=size)
    top, lowest = max([1.0, *mean[np.isfinite(mean)].tolist()]), 0.0
    for label, colour, which in (
        ("only in the first" if difference else "not found", _ORANGE, rows.seen & ~rows.matched),
        ("no image of the second" if difference else "not processed", _GREY, ~rows.seen),
    ):
        if (missing := np.unique(rows.image[which])).size:
            lowest = -0.12 * top
            axis.plot(
                place[missing], np.full(missing.size, -0.06 * top), "|", color=colour, ms=9,
                label=f"{label}: {int(which.sum()):,}",
            )  # fmt: skip
    if rows.stamp_ns is None:
        axis.xaxis.get_major_locator().set_params(integer=True)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", frameon=False)
    axis.set(
        title=f"{word} of each image (mean of its joints)",
        xlabel="image" if rows.stamp_ns is None else "time, s",
        ylabel=f"{word}, px",
        ylim=(lowest, 1.1 * top),
    )
    axis.grid(alpha=0.3)


def _draw_joints(axis: Any, rows: Rows, word: str) -> None:
    error, names = joint_errors(rows), rows.part.layout.joints
    place = np.arange(len(names))
    median = known_median(error.T) if len(error) else np.full(len(names), np.nan)
    known = np.isfinite(error)
    mean = np.where(known, error, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), 1)
    mean = np.where(known.any(axis=0), mean, np.nan)
    axis.bar(place, mean, color=_BLUE, alpha=0.55, label="mean")
    size = 9 if len(names) <= _NAMED else 3
    axis.plot(place, median, "_", color="black", ms=size, label="median")
    axis.set(
        title=f"{word} of each joint",
        ylabel=f"{word}, px",
        xlim=(-0.7, len(names) - 0.3),
    )
    if len(names) <= _NAMED:
        axis.set_xticks(place)
        axis.set_xticklabels(names, rotation=90, fontsize=8)
    else:
        axis.set_xlabel("number of the joint")
    axis.legend(loc="best", frameon=False)
    axis.grid(alpha=0.3, axis="y")
