"""`vitpose_ros export lerobot` and `vitpose_ros export egodex`."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpose_ros.cli.options import add_action, add_run

if TYPE_CHECKING:
    from vitpose_ros.export.recordings import Recording
    from vitpose_ros.export.run import Summary

_LEROBOT = """Write a LeRobot v3.0 dataset from what `vitpose_ros annotate` found: hands, their
validity, the video, and a robot's state and commands from the same bags. Each marked episode of a
recording becomes one of the dataset; a recording without marks is one. lerobot is not needed.

The dataset appears, or grows, in one step at the end: a run that is interrupted leaves it as it
was. docs/datasets.md describes every feature."""

_EGODEX = """Write HDF5 files as EgoDex has them, one per episode with its video: a 4x4 transform
and a confidence per joint, and the camera's intrinsics. Needs positions in metres.
docs/datasets.md says what differs from EgoDex."""

_EXIT = """exit codes:
  0  every recording was exported; dropped episodes are listed
  1  a recording failed (the others are exported), or there was nothing to export
  2  usage error, or the dataset does not fit"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `export` and its actions to the tool's parser."""
    parser = add_action(
        subparsers, "export", "datasets for learning from annotated recordings", epilog
    )
    actions = parser.add_subparsers(title="actions", metavar="FORMAT")
    action = add_action(actions, "lerobot", "a LeRobot v3.0 dataset", _EXIT)
    action.description = _LEROBOT
    _add_shared(action)
    action.add_argument(
        "--units",
        choices=("m", "px"),
        default="m",
        help="hands in metres or in pixels of the image (default: m)",
    )
    for name, what in (("--state", "the robot's state"), ("--action", "commands")):
        action.add_argument(
            name,
            action="append",
            default=[],
            metavar="TOPIC",
            help=f"a topic of the bags with {what}; may be repeated",
        )
    action.add_argument(
        "--camera",
        default="camera",
        metavar="NAME",
        help="the video is the feature observation.images.NAME (default: camera)",
    )
    add_run(action, _lerobot)
    action = add_action(actions, "egodex", "HDF5 files as EgoDex has them", _EXIT)
    action.description = _EGODEX
    _add_shared(action)
    add_run(action, _egodex)


def _add_shared(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "inputs", nargs="+", type=Path, metavar="ANNOTATED", help="folders that annotate wrote"
    )
    action.add_argument("-o", "--out", type=Path, required=True, metavar="DATASET", help="a folder")
    action.add_argument(
        "--recordings",
        nargs="+",
        type=Path,
        default=[],
        metavar="INPUT",
        help="where the recordings are, if they were moved since they were annotated",
    )
    action.add_argument("--task", required=True, metavar="TEXT", help='such as "pick up the cup"')
    action.add_argument(
        "--fps", type=int, default=30, metavar="N", help="frames per second (default: 30)"
    )
    action.add_argument(
        "--skip-rejected",
        action="store_true",
        help="leave out the episodes that `vitpose_ros report` rejected (quality.json)",
    )
    action.add_argument("--append", action="store_true", help="add episodes to a dataset")
    action.add_argument("--quiet", action="store_true", help="show failures and the summary only")


def _lerobot(options: argparse.Namespace) -> int:
    from vitpose_ros.export.episodes import Episode, Export
    from vitpose_ros.export.features import Schema
    from vitpose_ros.export.lerobot import LeRobotWriter
    from vitpose_ros.export.lerobot_files import REWRITTEN, Existing
    from vitpose_ros.offline.errors import UsageError

    if not re.fullmatch(r"[A-Za-z0-9_]+", options.camera):
        raise UsageError(f"--camera: expected letters, digits and _, got '{options.camera}'")
    topics = (*options.state, *options.action)
    if len(set(topics)) < len(topics):
        raise UsageError("--state, --action: expected each topic once")

    def schema_of(episode: Episode) -> Schema:
        names = episode.topics.names if episode.topics else {}
        state, action = (
            tuple(name for topic in given for name in names[topic])
            for given in (options.state, options.action)
        )
        return Schema(options.fps, options.units, options.camera, episode.size, state, action)

    recordings = _recordings(options)
    export = Export(options.fps, topics, _rejected(options, recordings))

    def make(folder: Path) -> LeRobotWriter:
        existing = Existing.read(folder, options.out) if options.append else None
        return LeRobotWriter(folder, existing, schema_of, options.task.strip())

    return _export(options, recordings, export, make, REWRITTEN, options.units == "m")


def _egodex(options: argparse.Namespace) -> int:
    from vitpose_ros.export.egodex import EgoDexWriter
    from vitpose_ros.export.episodes import Export

    def make(folder: Path) -> EgoDexWriter:
        return EgoDexWriter(folder, options.fps, options.task.strip())

    recordings = _recordings(options)
    export = Export(options.fps, rejected=_rejected(options, recordings))
    return _export(options, recordings, export, make, (), True)


def _recordings(options: argparse.Namespace) -> list[Recording]:
    """The recordings of a command whose shared options are checked."""
    from vitpose_ros.export.recordings import find_recordings
    from vitpose_ros.offline.errors import UsageError

    if not 1 <= options.fps <= 1000:
        raise UsageError(f"--fps: expected 1 to 1000 frames per second, got {options.fps}")
    if not options.task.strip():
        raise UsageError('--task: expected what is done in words, such as "pick up the cup"')
    return find_recordings(options.inputs, options.recordings)


def _rejected(
    options: argparse.Namespace, recordings: list[Recording]
) -> dict[Path, dict[int, str]]:
    """By recording, the episodes that a report rejected, if these are to be left out."""
    from vitpose_ros.export.verdicts import rejected

    return {one.folder: rejected(one) for one in recordings} if options.skip_rejected else {}


def _export(
    options: argparse.Namespace,
    recordings: list[Recording],
    export: Any,
    make: Any,
    rewritten: tuple[str, ...],
    metric: bool,
) -> int:
    from vitpose_ros.export.run import disk_full, run
    from vitpose_ros.export.staging import staged
    from vitpose_ros.offline.errors import OfflineError
    from vitpose_ros.offline.meter import Meter

    meter = Meter([one.item for one in recordings], sys.stderr, options.quiet)
    summary: Summary | None = None
    try:
        with staged(
            options.out, options.append, lambda path: path.as_posix() in rewritten
        ) as folder:
            writer = make(folder)
            try:
                summary = run(recordings, export, writer, meter, metric)
                if not summary.episodes:
                    raise _NothingError
                writer.finish(meter.say)
            except BaseException:
                writer.abandon()
                raise
    except _NothingError:
        assert summary is not None
        print("\n".join(summary.sentences(options.fps)))
        if summary.failed or not summary.known:
            unchanged = "it is as it was" if options.append else "it was not created"
            raise OfflineError(f"no episode was written to {options.out}: {unchanged}") from None
        return 0
    except Exception as error:
        if disk_full(error):
            raise OfflineError(
                f"the disk is full ({options.out.parent}): free some space and run it again; "
                f"{options.out} is as it was"
            ) from error
        raise
    finally:
        meter.close()
    print("\n".join([*summary.sentences(options.fps), *writer.remarks()]))
    print(f"{options.out}: {writer.episodes} episodes, {writer.frames} frames")
    return 1 if summary.failed else 0


class _NothingError(Exception):
    """There is nothing to write."""
