"""`vitpose_ros report`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vitpose_ros.cli.options import add_action, add_run

_TEXT = """Measure how good annotated episodes are: coverage of each hand, dropouts, jumps, changes
of side and identity, bone lengths, blur, lost images. Thresholds accept, flag or reject each one.

  FOLDER/NAME/quality.json   the figures and the verdict, beside each annotation
  FOLDER/index.html          one page, the worst first

The recordings are read for pictures and blur where they were annotated. The same command again
measures only what is new, and judges all by the thresholds that are given.
"""

_EXIT = """exit codes:
  0  every recording is reported, whatever the verdicts
  1  a recording could not be reported, the others are
  2  usage error"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `report` to the tool's parser."""
    action = add_action(subparsers, "report", "quality of annotated episodes", _EXIT)
    action.description = _TEXT
    action.add_argument(
        "folder", type=Path, metavar="FOLDER", help="what `vitpose_ros annotate -o` wrote"
    )
    action.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="write here instead of FOLDER"
    )
    action.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="limits, as YAML (docs/quality.md)"
    )
    action.add_argument(
        "--recordings",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="the annotated files or folders, if they were moved",
    )
    action.add_argument(
        "--no-images", action="store_true", help="do not read recordings: no pictures, no blur"
    )
    action.add_argument("--quiet", action="store_true", help="show failures only")
    add_run(action, _report)


def _report(options: argparse.Namespace) -> int:
    # Late: other commands do without these.
    from vitpose_ros.offline.errors import UsageError
    from vitpose_ros.offline.items import find_items
    from vitpose_ros.offline.meter import Meter
    from vitpose_ros.quality.report import as_item, check_output, find_annotated, report
    from vitpose_ros.quality.thresholds import VERDICTS, load_thresholds

    if options.no_images and options.recordings:
        raise UsageError("--recordings and --no-images contradict each other: leave out one")
    thresholds = load_thresholds(options.thresholds)
    found = find_annotated(options.folder)
    out = options.out or options.folder
    recordings = None
    if not options.no_images:
        recordings = find_items(options.recordings or (), out)
    check_output(out)
    meter = Meter([as_item(one) for one in found], sys.stderr, options.quiet)
    title = options.folder.resolve().name
    try:
        result = report(found, out, title, thresholds, recordings, meter)
    finally:
        meter.close()
    listed = ", ".join(f"{result.verdicts[name]} {name}" for name in reversed(VERDICTS))
    print(
        f"{listed}; {result.recordings} of {len(found)} recordings reported, {result.failed} "
        f"failed, {result.not_begun} not begun: {result.page or 'no page was written'}"
    )
    if options.debug:
        for trace in result.traces:
            sys.stderr.write(trace)
    return 1 if result.recordings < len(found) else 0
