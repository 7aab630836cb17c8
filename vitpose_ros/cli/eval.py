"""`vitpose_ros eval`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitpose_ros.cli.options import add_action, add_run, print_table
from vitpose_ros.models.files import write_whole
from vitpose_ros.offline.errors import OfflineError, UsageError

if TYPE_CHECKING:
    from vitpose_ros.evaluate.figures import Figure
    from vitpose_ros.evaluate.run import Evaluation, Section

_TEXT = """Compare skeletons with the truth, or two runs with each other. Each file is COCO
keypoints (.json, also a list of results), or what `vitpose_ros annotate` wrote (its folder, bag or
table), or a recorded bag; the topic of a bag follows after a colon (take.mcap:/true_skeletons).

  vitpose_ros eval found/coco.json --truth annotations.json
  vitpose_ros eval take/skeletons --truth take.mcap:/camera/true_skeletons
  vitpose_ros eval run_a/take --against run_b/take         how much two runs differ

Every figure is shown with its denominator, and the share of the truth that this is. What the
figures mean: docs/evaluation.md.
"""

_EXIT = """exit codes:
  0  compared
  1  a file cannot be used, or nothing in both can be compared
  2  usage error"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `eval` to the tool's parser."""
    action = add_action(subparsers, "eval", "skeletons against the truth, or two runs", _EXIT)
    action.description = _TEXT
    action.add_argument("found", metavar="FOUND", help="what is evaluated")
    other = action.add_mutually_exclusive_group(required=True)
    other.add_argument("--truth", metavar="FILE", help="what is true")
    other.add_argument("--against", metavar="RUN", help="a second run; neither is the truth")
    action.add_argument("--raw", action="store_true", help="measured joints, not the smoothed ones")
    action.add_argument(
        "--box-area",
        action="store_true",
        help="OKS by 0.53 of the annotated box, for annotations without an area",
    )
    action.add_argument("--per-joint", action="store_true", help="a second table, of each joint")
    action.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    action.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw a picture (.png); needs matplotlib"
    )
    add_run(action, _eval)


def _eval(options: argparse.Namespace) -> int:
    from vitpose_ros.evaluate.run import evaluate

    if options.plot is not None:
        from vitpose_ros.bench.plot import check

        if options.plot.suffix.lower() != ".png":
            raise UsageError(f"--plot: expected a name that ends in .png, got {options.plot}")
        check()
    difference = options.truth is None
    # Of two runs, the first takes the truth's place.
    files = (options.against, options.found) if difference else (options.found, options.truth)
    result = evaluate(*files, difference, options.raw, options.box_area)
    _print(result, options.per_joint)
    if options.json is not None:
        _write(options.json, as_json(result))
    if options.plot is not None:
        from vitpose_ros.evaluate.plot import plot

        plot([section.rows for section in result.sections], options.plot, difference)
        print(f"\npicture: {options.plot}")
    return 0


def _print(result: Evaluation, per_joint: bool) -> None:
    names = _names(result)
    print(f"{names[0]}: {result.truth}\n{names[1]}: {result.found}")
    extra = f"; {result.extra} images only in the {names[1]}" if result.extra else ""
    print(
        f"images: {result.common} of {result.images} of the {names[0]} are in both, by "
        f"{result.by}{extra}"
    )
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    of = "share of the first" if result.difference else "share of the truth"
    for section in result.sections:
        print(f"\n{section.part.name}")
        for note in section.notes:
            print(f"  {note}")
        print_table(("figure", "value", "of", of), [_cells(figure) for figure in section.figures])
        if per_joint:
            print()
            _print_joints(section, result.difference)


def _names(result: Evaluation) -> tuple[str, str]:
    return ("first", "second") if result.difference else ("truth", "found")


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    if figure.value is None:
        value = "-"
    elif figure.name == "id_switches":
        value = f"{figure.value:.0f}"
    else:
        value = f"{_short(figure.value)} {figure.unit}" if figure.unit else f"{figure.value:.3f}"
    share = "-" if figure.share is None else _percent(figure.share)
    return figure.label, value, f"{figure.count:,} {figure.of}", share


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(share: float) -> str:
    """Never 100 % or 0 % for what is not all or nothing."""
    percent = 100 * share
    if 0 < percent < 1 or 99 < percent < 100:
        return f"{np.clip(percent, 0.01, 99.99):.2f} %"
    return f"{percent:.0f} %"


def _print_joints(section: Section, difference: bool) -> None:
    from vitpose_ros.evaluate.figures import JOINT_PCK, joint_rows

    names = ("EPE px", f"PCK@{JOINT_PCK:g} box", "found")
    if difference:
        names = ("difference px", f"within {JOINT_PCK:g} boxes", "in both")
    print_table(
        ("joint", names[0], "median px", *names[1:], "of"),
        [
            (
                row["joint"],
                *("-" if row[key] is None else f"{row[key]:.3g}" for key in _COLUMNS),
                f"{row['joints']:,}",
            )
            for row in joint_rows(section.rows)
        ],
    )


_COLUMNS = ("mean_px", "median_px", "within_box", "found")


def as_json(result: Evaluation) -> dict[str, Any]:
    """Everything as plain values; None for what is unknown."""
    from vitpose_ros.evaluate.figures import joint_rows

    names = _names(result)
    return {
        "difference": result.difference,
        names[0]: result.truth,
        names[1]: result.found,
        "images": result.images,
        "images_in_both": result.common,
        f"images_only_in_{names[1]}": result.extra,
        "images_by": result.by,
        "notes": list(result.notes),
        "parts": {
            section.part.name: {
                "notes": list(section.notes),
                "figures": {
                    one.name: {
                        "value": one.value,
                        "unit": one.unit,
                        "count": one.count,
                        "of": one.of,
                        "share": one.share,
                    }
                    for one in section.figures
                },
                "joints": joint_rows(section.rows),
            }
            for section in result.sections
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise OfflineError(f"the figures cannot be written to {path}: {error}") from error
