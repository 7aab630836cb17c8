"""The demo: a camera and the pose node as two processes on real topics, and a third that shows what
comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from rich.console import Console
from rich.live import Live
from rich.table import Table

from vitpose_ros.ros.demo_process import DemoError, Process
from vitpose_ros.ros.film import Film
from vitpose_ros.ros.monitor import Monitor
from vitpose_ros.ros.robot_demo import (
    ROBOT_FILES,
    ROBOTS,
    demo_robot,
    finish_robot,
    robot_programs,
    robot_rows,
)
from vitpose_ros.ros.robot_monitor import RobotMonitor
from vitpose_ros.ros.start import StartError, start_ros
from vitpose_ros.synthetic.scene import SCRIPTS

CAMERA = "camera"
FILES = {"overlay.mp4": "the images with the skeletons", "overlay.png": "one of them"}
RATE = 30.0
START_TIMEOUT_S = 90.0
SILENCE_S = 5.0


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the demo; returns the summary.

    Raises
    ------
    DemoError : a process failed, or no skeletons arrived.
    """
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    for name in (*FILES, *ROBOT_FILES, "summary.json"):
        (output / name).unlink(missing_ok=True)  # not to be mistaken for this run's
    processes: list[Process] = []
    try:
        start_ros([])
    except StartError as error:
        raise DemoError(str(error)) from error
    robot = demo_robot(arguments.robot) if arguments.robot else None
    film = Film(output)
    monitor = RobotMonitor(CAMERA, output, robot) if robot else Monitor(CAMERA, film)
    interrupted = False
    try:
        node = Process("pose_node", _node_arguments(arguments), output / "pose_node.log")
        processes.append(node)
        if robot is not None:
            processes += [
                Process(program, options, output / f"{program}.log")
                for program, options in robot_programs(arguments.robot)
            ]
        name, options = _camera_arguments(arguments)
        camera = Process(name, options, output / f"{name}.log")
        processes.append(camera)
        _wait_for_start(monitor, processes)
        interrupted = _watch(monitor, processes, arguments.duration, console)
    finally:
        for process in reversed(processes):
            process.end()
        film.close()
        monitor.destroy_node()
        rclpy.try_shutdown()
    summary = summarise(monitor, interrupted)
    if robot is not None and isinstance(monitor, RobotMonitor):
        summary["robot"] = finish_robot(robot, monitor, output, console)
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _node_arguments(arguments: argparse.Namespace) -> list[str]:
    options = ["--ros-args", "-r", f"image:=/{CAMERA}/image_raw"]
    if arguments.hands:
        options += ["-p", f"hand_model:={arguments.hands}"]
    if arguments.robot and not arguments.source:  # fingers that bend away are measured, not guessed
        options += ["-p", f"depth_topic:=/{CAMERA}/depth/image_raw"]
    return options


def _camera_arguments(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """The camera's program and options; it begins once the node and the monitor have subscribed."""
    options = ["--ros-args", "-r", f"__ns:=/{CAMERA}", "-p", "wait_for_subscribers:=2"]
    if arguments.source:
        return "video_camera", [*options, "-p", f"source:={arguments.source}"]
    images = round(arguments.duration * RATE)
    options += ["-p", f"rate:={RATE}", "-p", f"images:={images}"]
    return "synthetic_camera", [*options, "-p", f"script:={arguments.script}"]


def _wait_for_start(monitor: Monitor, processes: Sequence[Process]) -> None:
    """Wait for the first skeletons."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not monitor.latencies_s:
        rclpy.spin_once(monitor, timeout_sec=0.1)
        for process in processes:
            process.check()
        ended = [process.name for process in processes if not process.running]
        if ended or monitor.node_failed or time.monotonic() > deadline_s:
            why = f"{ended[0]} ended" if ended else monitor.node_status
            tails = "\n".join(f"--- {process.name}\n{process.tail()}" for process in processes)
            why = why or f"within {START_TIMEOUT_S:g} s"
            raise DemoError(f"no skeletons arrived ({why}):\n{tails}")


def _watch(
    monitor: Monitor, processes: Sequence[Process], duration_s: float, console: Console
) -> bool:
    """Show the live table until the camera ends or the time is up; True if the user interrupted."""
    camera = processes[-1]
    # The rendered camera ends by itself, after its number of images.
    end_s = time.monotonic() + duration_s + 2.0
    shown_s = 0.0
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while camera.running and time.monotonic() < end_s:
                rclpy.spin_once(monitor, timeout_sec=0.05)
                for process in processes:
                    process.check()
                if camera.running and time.monotonic() - monitor.last_image_s > SILENCE_S:
                    raise DemoError(f"no image for {SILENCE_S:g} s:\n{camera.tail()}")
                period_s = 0.25 if console.is_terminal else 2.0
                if time.monotonic() - shown_s >= period_s:
                    shown_s = time.monotonic()
                    if console.is_terminal:
                        live.update(_table(monitor), refresh=True)
                    else:
                        console.print(_line(monitor), soft_wrap=True)
    except KeyboardInterrupt:
        return True
    camera.end()
    # Wait for the node's next status, which has the final counts.
    settled_s = time.monotonic() + 1.5
    while time.monotonic() < settled_s:
        rclpy.spin_once(monitor, timeout_sec=0.1)
    return False


def summarise(monitor: Monitor, interrupted: bool) -> dict[str, Any]:
    """The run's figures; those against the truth only if the camera publishes it."""
    score, counts = monitor.score, monitor.node_counts
    summary: dict[str, Any] = {
        "frames_published": monitor.published,
        "frames_left_out_by_camera": monitor.left_out,
        "frames_received": counts["received"],
        "frames_processed": counts["processed"],
        "frames_skipped": counts["skipped for newer"],
        "frames_lost_before_arrival": counts["lost before arrival"],
        "latency_ms": {
            "p50": _round(monitor.latency_ms(50)),
            "p95": _round(monitor.latency_ms(95)),
        },
        "smoothing": monitor.smoothing,
        "jitter_ratio": _round(monitor.steadiness.jitter_ratio),
        "lag_ms": _round(monitor.steadiness.lag_ms),
        "engine": monitor.engine,
        "interrupted": interrupted,
    }
    if score.true_hands:
        summary.update(
            true_hands=score.true_hands,
            detection_rate=_round(score.detection_rate),
            side_accuracy=_round(score.side_accuracy),
            joint_error_palm={
                "median": _round(score.joint_error_palm(50)),
                "p95": _round(score.joint_error_palm(95)),
            },
            false_hands=score.false_hands,
        )
    return summary


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rows(monitor: Monitor) -> list[tuple[str, str]]:
    score = monitor.score
    rows = [
        ("images per second", f"{monitor.rate:.1f}"),
        (
            "latency p50 / p95",
            f"{_text(monitor.latency_ms(50, 100))} / {_text(monitor.latency_ms(95, 100))} ms",
        ),
        ("hands now", str(monitor.hands_now)),
    ]
    if score.true_hands:
        rows += [
            ("hands found", _text(_percent(score.detection_rate)) + " %"),
            ("left/right correct", _text(_percent(score.side_accuracy)) + " %"),
            ("joint error, median", _text(_percent(score.joint_error_palm(50))) + " % of the palm"),
        ]
    return rows


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _table(monitor: Monitor) -> Table:
    table = Table(title="vitpose_ros", show_header=False, min_width=44)
    for name, value in _rows(monitor):
        table.add_row(name, value)
    return table


def _line(monitor: Monitor) -> str:
    return " | ".join(f"{name} {value}" for name, value in _rows(monitor))


def _report(summary: dict[str, Any], output: Path, console: Console) -> None:
    latency = summary["latency_ms"]
    table = Table(title="Result", show_header=False)
    left_out = summary["frames_left_out_by_camera"]
    table.add_row(
        "images published",
        f"{summary['frames_published']}"
        + (f" ({left_out} left out: the camera's program is too slow here)" if left_out else ""),
    )
    table.add_row("images received", f"{summary['frames_received']}")
    table.add_row(
        "images processed",
        f"{summary['frames_processed']} ({summary['frames_skipped']} skipped for newer ones)",
    )
    table.add_row(
        "latency, image to skeletons",
        f"{_text(latency['p50'])} ms median, {_text(latency['p95'])} ms 95th percentile",
    )
    if "detection_rate" in summary:
        error, side = summary["joint_error_palm"], _percent(summary["side_accuracy"])
        found = _text(_percent(summary["detection_rate"]))
        table.add_row("hands found", f"{found} % of {summary['true_hands']} in view")
        table.add_row("false hands", f"{summary['false_hands']}")
        table.add_row(
            "left/right correct",
            "this model does not tell them apart" if side is None else f"{side:.1f} %",
        )
        table.add_row(
            "joint error, palm length = 100 %",
            f"{_text(_percent(error['median']))} % median, "
            f"{_text(_percent(error['p95']))} % 95th percentile",
        )
    else:
        table.add_row("accuracy", "unknown: this source has no ground truth")
    table.add_row(f"smoothing: {summary['smoothing']}", _steadiness(summary))
    table.add_row("engine", summary["engine"])
    for name, value in robot_rows(summary.get("robot")):
        table.add_row(name, value)
    console.print(table)
    for name, what in {**FILES, **ROBOT_FILES, "summary.json": "these figures"}.items():
        if (output / name).exists():
            console.print(f"  {output / name}  {what}", soft_wrap=True)


def _steadiness(summary: dict[str, Any]) -> str:
    ratio, lag_ms = summary["jitter_ratio"], summary["lag_ms"]
    if ratio is None:
        return "unknown: no hand was visible for long enough"
    jitter = f"{100 * ratio:.0f} % of the unsmoothed joints' jitter"
    return jitter + ("" if lag_ms is None else f", {lag_ms:.0f} ms lag")


def _isolate() -> None:
    """Keep the demo's topics on this host and in a domain of their own, unless the user has set
    another one.
    """
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Run a camera and pose_node on real topics, and show what comes out.",
    )
    parser.add_argument(
        "--duration", type=float, help="seconds to run (20; with a robot 12.5: a reach and a grasp)"
    )
    parser.add_argument(
        "--robot", default="", choices=ROBOTS, help="a simulated robot hand that follows"
    )
    parser.add_argument(
        "--source", default="", help="a video file or a device (default: rendered hands)"
    )
    parser.add_argument(
        "--script", default="tour", choices=SCRIPTS, help="what the rendered hands do (tour)"
    )
    parser.add_argument(
        "--hands", default="", help="hand keypoint model, by its name in the catalogue"
    )
    parser.add_argument(
        "--output", default="demo_output", help="folder of the results (demo_output)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; exit code 0 if there were skeletons, 1 if not, 2 for wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.duration is None:
        options.duration = 12.5 if options.robot else 20.0
    if not options.duration > 0:
        parser.error(f"--duration: expected a positive number of seconds, got {options.duration}")
    console = Console()
    _isolate()
    console.print(
        f"Starting a camera and pose_node in ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']}; their "
        f"logs are {options.output}/*.log. Loading the networks takes some seconds; Ctrl-C ends "
        "the demo.",
        soft_wrap=True,
    )
    try:
        summary = run(options, console)
    except DemoError as error:
        console.print(f"The demo failed: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    _report(summary, Path(options.output), console)
    return 0 if summary["frames_processed"] else 1


if __name__ == "__main__":
    sys.exit(main())
