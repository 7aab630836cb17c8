"""`vitpose_ros annotate`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vitpose_ros.cli.options import add_action, add_store

if TYPE_CHECKING:
    from vitpose_ros.parameters.table import Parameters

_TEXT = """Find the skeletons in every image of bags (folders, .mcap, .db3), videos and folders of
images, without ROS. Parameters are those of pose_node. Each input gets a folder in OUT:

  skeletons/           a bag: /skeletons and /skeleton_layouts (with --with-input all topics)
  skeletons.parquet    a table, one row per skeleton
  coco.json            COCO keypoints
  overlay.mp4          a video to look at
  annotation.json      what it was made from, and how

The same command again goes on where it was interrupted. Since later images are known, joints are
smoothed without lag, tracks are joined over gaps, and a hand's side is decided by its whole track;
--as-live gives the messages that the live node would have published.
"""

_EXIT = """exit codes:
  0  every input was annotated, now or before
  1  an input failed, the others are done
  2  usage error"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `annotate` to the tool's parser."""
    action = add_action(subparsers, "annotate", "skeletons of bags, videos and images", _EXIT)
    action.description = _TEXT
    action.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    action.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="a folder")
    action.add_argument(
        "--write",
        default="bag,parquet",
        metavar="LIST",
        help="of bag, parquet, coco, overlay (default: bag,parquet)",
    )
    action.add_argument(
        "--params", type=Path, metavar="FILE", help="a parameter file, as for pose_node"
    )
    action.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="a parameter, after those of the file; may be repeated",
    )
    action.add_argument("--topic", default="", help="the image topic, if a bag has several")
    action.add_argument(
        "--with-input", action="store_true", help="copy the input's messages into the bag"
    )
    action.add_argument(
        "--as-live", action="store_true", help="decide image by image, as the live node does"
    )
    action.add_argument(
        "--rate", type=float, metavar="HZ", help="of folders of images whose names have no times"
    )
    action.add_argument(
        "--static", action="store_true", help="images of a folder have nothing to do with another"
    )
    action.add_argument(
        "--workers", type=int, metavar="N", help="N processes, one item each (default: this one)"
    )
    action.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="on a Ray cluster: its address, auto, or local; --workers limits the actors",
    )
    action.add_argument("--overwrite", action="store_true", help="replace finished items")
    action.add_argument("--quiet", action="store_true", help="show failures only")
    add_store(action, _annotate)


def _annotate(options: argparse.Namespace) -> int:
    # Late: the core's networks are needed by this command only.
    from vitpose_ros.offline.batch import output_folder, run_here, run_workers
    from vitpose_ros.offline.errors import UsageError
    from vitpose_ros.offline.items import find_items
    from vitpose_ros.offline.job import DONE, FAILED, OUTPUTS, Job
    from vitpose_ros.offline.meter import Meter
    from vitpose_ros.offline.on_ray import run_ray
    from vitpose_ros.parameters.file import ParameterFileError, load_parameters

    def note(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr)

    outputs = tuple(options.write.split(","))
    if unknown := set(outputs) - set(OUTPUTS):
        raise UsageError(
            f"--write: unknown are {', '.join(sorted(unknown))}; known are {', '.join(OUTPUTS)}"
        )
    if options.with_input and "bag" not in outputs:
        raise UsageError("--with-input: the bag is not among what is written (--write)")
    if options.rate is not None and not 0 < options.rate <= 10000:
        raise UsageError(f"--rate: expected a positive number of images per s, got {options.rate}")
    if options.workers is not None and not 1 <= options.workers <= 256:
        raise UsageError(f"--workers: expected 1 to 256, got {options.workers}")
    try:
        parameters = load_parameters(options.params, _changes(options.param), note)
    except ParameterFileError as error:
        raise UsageError(str(error)) from error
    if parameters.other_cameras:
        raise UsageError(
            "other_cameras: annotate reads one camera; run it once per image topic (--topic)"
        )
    if parameters.target_frame:
        raise UsageError(
            "target_frame: annotate does not read TF; leave it empty, and the metres are in the "
            "camera's optical frame"
        )
    job = Job(
        out=options.out,
        parameters=parameters,
        store=options.store,
        catalogue=options.catalogue,
        outputs=outputs,
        topic=options.topic,
        with_input=options.with_input,
        as_live=options.as_live,
        rate_hz=options.rate,
        static=options.static,
        overwrite=options.overwrite,
    )
    if not options.as_live:
        _remark(parameters, note)
    items = find_items(options.inputs, options.out)
    with output_folder(options.out):
        meter = Meter(items, sys.stderr, options.quiet)
        try:
            if options.ray is not None:
                outcomes = run_ray(items, job, meter, options.ray, options.workers)
            elif options.workers is None:
                outcomes = run_here(items, job, meter)
            else:
                outcomes = run_workers(items, job, meter, options.workers)
        finally:
            meter.close()
    statuses = Counter(outcome.status for outcome in outcomes)
    images = sum(outcome.images for outcome in outcomes)
    print(
        f"{statuses[DONE]} of {len(items)} annotated ({images} images), "
        f"{len(outcomes) - statuses[DONE] - statuses[FAILED]} were finished before, "
        f"{statuses[FAILED]} failed, {len(items) - len(outcomes)} not begun: {options.out}"
    )
    if options.debug:
        for outcome in outcomes:
            sys.stderr.write(outcome.trace)
    return 1 if statuses[FAILED] or len(outcomes) < len(items) else 0


def _remark(parameters: Parameters, note: Callable[[str], None]) -> None:
    """Name the parameters that only --as-live follows."""
    from vitpose_ros.parameters.table import TABLE

    if parameters.smoothing not in ("none", TABLE["smoothing"].default):
        note(
            f"smoothing '{parameters.smoothing}': smoothing that knows the future has one strength "
            "(docs/offline.md); --as-live follows the preset"
        )
    if parameters.prediction_horizon > 0:
        note("prediction_horizon: no effect, since nothing has to be predicted; see --as-live")


def _changes(given: list[str]) -> dict[str, Any]:
    """Parameters from the command line, as ros2 reads them."""
    from vitpose_ros.offline.errors import UsageError

    changes = {}
    for text in given:
        name, found, value = text.partition(":=")
        if not found:
            raise UsageError(f"-p: expected NAME:=VALUE, got '{text}'")
        changes[name.strip()] = yaml.safe_load(value)
    return changes
