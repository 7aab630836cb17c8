"""`vitpose_ros doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from vitpose_ros.doctor.findings import Finding, Level, worst
from vitpose_ros.doctor.gpu import check_gpu
from vitpose_ros.doctor.graph import check_ros
from vitpose_ros.doctor.host import Host
from vitpose_ros.doctor.system import check_system
from vitpose_ros.models.files import STORE_ENVIRONMENT

_TEXT = """Check this machine for the node, and report what is wrong and how to correct it.

Checks Python and its packages; ROS, its middleware, log folder and DDS profile, shared memory and
kernel buffers; the GPU, its driver and libraries; the models, and whether their networks run; with
--camera, a camera's topic. Changes nothing."""

_EXIT_HELP = """exit codes:
  0  no problems; there may be warnings
  1  a problem: the node will not work, or not as configured
  2  wrong options"""

_MARKS = {Level.OK: "ok", Level.NOTE: "--", Level.WARNING: "WARN", Level.PROBLEM: "FAIL"}
_COLOURS = {Level.OK: "32", Level.NOTE: "0", Level.WARNING: "33", Level.PROBLEM: "31"}


def register(subparsers: Any, epilog: str) -> None:
    """Add `doctor` to the tool's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "doctor",
        help="check this machine, and report what is wrong and how to correct it",
        description=_TEXT,
        epilog=_EXIT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--camera",
        metavar="TOPIC",
        help="an image topic to check for --seconds",
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=5.0, help="how long to check the camera (5)"
    )
    parser.add_argument(
        "--view",
        default="egocentric",
        choices=("egocentric", "third_person", "auto"),
        help="the view whose networks are loaded (egocentric)",
    )
    parser.add_argument(
        "--preset",
        default="",
        metavar="NAME",
        help="check the networks of a preset: lightweight, balanced, performance or exact",
    )
    for name, what in (
        ("hand-detector", "hand detector"),
        ("hand-model", "hand keypoint model"),
        ("person-detector", "person detector"),
        ("body-model", "body keypoint model"),
    ):
        parser.add_argument(f"--{name}", metavar="NAME", help=f"{what}, as the node's parameter")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help=f"folder of the models (default: ${STORE_ENVIRONMENT}, or the user's data folder)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser.set_defaults(parser=parser, run=run)


def run(options: argparse.Namespace) -> int:
    """Run all checks; 1 when there is a problem."""
    host = Host()
    sections: dict[str, Callable[[], Iterable[Finding]]] = {
        "System": lambda: check_system(host),
        "ROS": lambda: check_ros(host),
        "GPU": lambda: check_gpu(host),
        "Models": lambda: _networks(options),
    }
    if options.camera:
        sections["Camera"] = lambda: _camera(options)
    findings = []
    for name, section in sections.items():
        found = list(_all_of(name, section, options.debug))
        if not options.json:  # as they come: some of them take seconds
            _print(found)
        findings += found
    if options.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        print(_summary(findings))
    return 1 if worst(findings) is Level.PROBLEM else 0


def _all_of(name: str, section: Callable[[], Iterable[Finding]], debug: bool) -> Iterator[Finding]:
    """A section's findings. An error in a check ends that section, and becomes a finding."""
    try:
        yield from section()
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())
        yield Finding(
            name,
            "the rest of this section",
            Level.PROBLEM,
            f"could not be checked: {type(error).__name__}: {text}",
            "if this does not name the cause, please report it with: vitpose_ros --debug doctor",
        )


def _networks(options: argparse.Namespace) -> Iterable[Finding]:
    try:
        from vitpose_ros.doctor.networks import check_networks
        from vitpose_ros.factory import Models
        from vitpose_ros.presets import PRESETS
    except ImportError:  # reported by the check of the system
        return []
    named = {
        name: getattr(options, name)
        for name in ("hand_detector", "hand_model", "person_detector", "body_model")
        if getattr(options, name)
    }
    if options.preset not in PRESETS:
        options.parser.error(
            f"--preset: expected one of {', '.join(PRESETS[1:])}, got '{options.preset}'"
        )
    return check_networks(options.store, Models(**named), options.view, options.preset)


def _camera(options: argparse.Namespace) -> Iterable[Finding]:
    try:
        from vitpose_ros.ros.watch import check_camera
    except ImportError as error:
        return [
            Finding(
                "Camera",
                options.camera,
                Level.PROBLEM,
                f"cannot be checked: {error}",
                "source ROS and the workspace's install/setup.bash in this shell",
            )
        ]
    return check_camera(options.camera, options.seconds)


def _print(findings: Iterable[Finding]) -> None:
    """One section: a line for each finding, and its remedy below."""
    findings = list(findings)
    if not findings:
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(findings[0].section)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = _MARKS[finding.level].ljust(4)
        if colour:
            mark = f"\x1b[{_COLOURS[finding.level]}m{mark}\x1b[0m"
        print(f"  {mark}  {finding.name.ljust(width)}  {finding.value}")
        if finding.remedy:
            print(f"        {' ' * width}  -> {finding.remedy}")


def _summary(findings: Iterable[Finding]) -> str:
    levels = [finding.level for finding in findings]
    problems, warnings = levels.count(Level.PROBLEM), levels.count(Level.WARNING)
    if not problems and not warnings:
        return "Everything is in order."
    return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}."


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.5 <= value <= 600:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds from 0.5 to 600, got '{text}'"
        )
    return value
