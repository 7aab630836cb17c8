"""`vitpose_ros bench smoothing` and `vitpose_ros bench stages`."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.cli import bench_stages as stages
from vitpose_ros.cli.options import add_action, add_store, open_store, print_table
from vitpose_ros.models.files import write_whole

if TYPE_CHECKING:
    from vitpose_ros.bench.forecast import Forecast
    from vitpose_ros.bench.recording import Recording, Report
    from vitpose_ros.bench.smoothing import Row

_TEXT = """Measure every smoothing preset, and other projects' filters beside them, on recordings of
a real hand (--real) and on rendered hands whose true joints are known, as MediaPipe's networks read
them.

  accel   mean acceleration |p[t-1] - 2 p[t] + p[t+1]| over that of the raw joints
  lag     the shift in time at which the reference fits best, ms: the raw joints of a real hand, the
          truth of a rendered one
  offset  real: mean distance from the raw joints smoothed without lag, palm sizes
  ema, one_euro
          real: the accel of a moving average and of a plain One-Euro filter tuned to the same lag
  error   rendered: mean distance from the truth over that of the raw joints; then the mean and the
          95th percentile in palm lengths (wrist to the middle finger's MCP joint)
  still   rendered: how much a still hand trembles, thousandths of a palm (RMS)
  3D      rendered: the same of the hand's shape in metres"""


def register(subparsers: Any, epilog: str) -> None:
    """Add `bench` and its actions to the tool's parser."""
    parser = add_action(subparsers, "bench", "measure on this machine", epilog)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    text = "jitter and lag of every smoothing preset, on real and rendered hands"
    action = add_action(actions, "smoothing", text, epilog)
    action.description = _TEXT
    action.add_argument(
        "--real",
        type=Path,
        metavar="FOLDER",
        help="hand_joints.npz and forearm.mp4, recordings of a real hand; the second half counts",
    )
    action.add_argument("--real-only", action="store_true", help="render nothing")
    action.add_argument(
        "--recording",
        type=Path,
        metavar="FILE",
        help="a .npz of hands: read if it is there, else made, so that the next run need not",
    )
    action.add_argument(
        "--scripts", metavar="A,B", help="what to render (default: all but 'tour')"
    )
    action.add_argument(
        "--seeds",
        default="0,1,2,3,4,5,6,7,8,9",
        metavar="N,N",
        help="scenes per script (0 to 9: 12 minutes on two cores; two scenes tell less)",
    )
    action.add_argument("--rate", type=float, default=30.0, metavar="HZ", help="images per s (30)")
    action.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw a picture (.png); needs matplotlib"
    )
    action.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    action.add_argument("--quiet", action="store_true", help="show no progress")
    add_store(action, _smoothing)
    stages.register(actions, epilog)


def _smoothing(options: argparse.Namespace) -> int:
    if options.real_only and options.real is None:
        options.parser.error("--real-only: name the folder of the recordings with --real")
    if options.plot is not None:
        from vitpose_ros.bench.plot import check

        check()
    figures: dict[str, Any] = {}
    if options.real is not None:
        figures |= _on_real_joints(options)
    if not options.real_only:
        figures["rendered"] = _on_rendered_hands(options)
    if options.json is not None:
        _write(options.json, figures)
    return 0


def _on_real_joints(options: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of the real recordings; the figures of the second half."""
    # Late: the core's networks and filters are needed by this command only.
    from vitpose_ros.bench import real_joints as real
    from vitpose_ros.bench.forecast import forecasts
    from vitpose_ros.bench.methods import methods
    from vitpose_ros.bench.plot import Shown, Trade, plot
    from vitpose_ros.factory import load_pipeline

    with _shown(options.quiet) as report:
        hands = real.load(options.real, load_pipeline(open_store(options)), report)
    ways = methods(hands.rate_hz)
    figures: dict[str, Any] = {}
    trades = []
    parts = {
        "reported": hands.held_out,
        "reported, reaching": hands.held_out.reaching(),
        "tuned on": hands.tuning,
        "tuned on, reaching": hands.tuning.reaching(),
    }
    for half, part in parts.items():
        rows = real.measure(part, ways)
        for space, suffix in ((real.METRES, ""), (real.IMAGE, "_px")):
            found = [(row, row.metres if space == real.METRES else row.image) for row in rows]
            known = [(row, figure) for row, figure in found if figure is not None]
            at = real.at_lags(part, space, [figure.lag_ms for _, figure in known])
            print(f"real hand, {space}, {half} ({len(part.image.stamp_ns)} images)")
            print_table(
                ("", "accel", "lag ms", "offset", "ema", "one_euro", ""),
                [
                    (
                        row.name,
                        _ratio(figure.accel_ratio),
                        _ms(figure.lag_ms),
                        _ratio(figure.offset_palm),
                        _ratio(ema),
                        _ratio(one_euro),
                        row.about,
                    )
                    for (row, figure), ema, one_euro in zip(
                        known, at["ema"], at["one_euro"], strict=True
                    )
                ],
            )
            print()
            if half == "reported, reaching":
                figures |= {f"{row.name}_reach{suffix}": vars(figure) for row, figure in known}
            if half == "reported":
                figures |= {row.name + suffix: vars(figure) for row, figure in known}
                points = [(r.name, f.lag_ms, f.accel_ratio, r.of_package) for r, f in known]
                trades.append(Trade(f"A real hand {space}", points))
    rejected = real.rejected(hands)
    figures["rejected_joints"] = rejected
    print(f"joints that the outlier gate held back: {rejected}")
    scenes = real.forecast_scenes(hands.held_out)
    _print_forecasts(forecasts(scenes))
    if options.plot is not None:
        shown = [Shown(*scene, "raw smoothed without lag") for scene in scenes]
        plot(shown, ways, trades, options.plot)
        print(f"\npicture: {options.plot}")
    return figures


def _on_rendered_hands(options: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of rendered hands; their figures."""
    from vitpose_ros.bench.forecast import forecasts, rendered_scenes
    from vitpose_ros.bench.methods import DEFAULT_PRESET, methods
    from vitpose_ros.bench.plot import Shown, Trade, plot
    from vitpose_ros.bench.smoothing import by_script, measure

    recording = _recording(options)
    ways = methods(recording.rate_hz)
    rows = measure(recording, ways)
    print(_title(recording))
    print_table(_COLUMNS, [_cells(row) for row in rows])
    default = next(way for way in ways if way.name == DEFAULT_PRESET)
    print(f"\n'{DEFAULT_PRESET}', the default, script by script")
    print_table(
        ("script", "accel", "of it true motion", "lag ms", "error"),
        [
            (script, _ratio(accel), _ratio(true), _ms(lag), _ratio(error))
            for script, (accel, lag, error, true) in by_script(recording, default).items()
        ],
    )
    scenes = rendered_scenes(recording)
    _print_forecasts(forecasts(scenes))
    if options.plot is not None and options.real is None:
        points = [(row.name, row.lag_ms, row.accel_ratio, row.of_package) for row in rows]
        shown = [Shown(hands, curves, "truth") for hands, curves in scenes]
        plot(shown, ways, [Trade("Rendered hands in the image", points)], options.plot)
        print(f"\npicture: {options.plot}")
    return {**_figures(rows), "default": _figures(rows)[DEFAULT_PRESET]}


def _print_forecasts(found: Sequence[Forecast]) -> None:
    from vitpose_ros.bench.forecast import HORIZONS_S

    print("\nwhere the joints will be: error in palm sizes, by the time ahead")
    print_table(
        ("", *(f"{1e3 * horizon_s:.0f} ms" for horizon_s in HORIZONS_S)),
        [(f.name, *(_ratio(error) for error in f.error_palm)) for f in found],
    )


# --- the recording -----------------------------------------------------------------------------


def _recording(options: argparse.Namespace) -> Recording:
    """The recording that the options name, or a new one."""
    from vitpose_ros.bench.recording import DEFAULT_SCRIPTS, Recording, record
    from vitpose_ros.factory import load_pipeline

    if options.recording is not None and options.recording.exists():
        return Recording.load(options.recording)
    scripts = tuple(options.scripts.split(",")) if options.scripts else DEFAULT_SCRIPTS
    try:
        seeds = tuple(int(seed) for seed in options.seeds.split(","))
    except ValueError:
        options.parser.error(f"--seeds: expected whole numbers like 2,3, got '{options.seeds}'")
    pipeline = load_pipeline(open_store(options))
    with _shown(options.quiet) as report:
        try:
            made = record(pipeline, scripts, seeds, options.rate, report=report)
        except ValueError as error:
            options.parser.error(str(error))
    if options.recording is not None:
        try:
            made.save(options.recording)
        except OSError as error:
            raise BenchError(
                f"the recording cannot be written to {options.recording}: {error}"
            ) from error
    return made


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[Report | None]:
    """Progress: a bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _lines(time.monotonic)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
            task = bar.add_task("", total=None)

            def report(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total, description=what)

            yield report


def _lines(clock: Callable[[], float], interval_s: float = 5.0) -> Report:
    last_s = clock() - interval_s

    def report(done: int, total: int, what: str) -> None:
        nonlocal last_s
        if clock() - last_s >= interval_s:
            last_s = clock()
            print(f"{what}: image {done} of {total}", file=sys.stderr, flush=True)

    return report


# --- the figures -------------------------------------------------------------------------------

_COLUMNS = (
    *("", "accel", "lag ms", "error", "palms", "p95", "still"),
    *("3D accel", "3D lag ms", "3D error", ""),
)


def _title(recording: Recording) -> str:
    scripts = ", ".join(dict.fromkeys(hand.script for hand in recording.hands))
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(hand.seed for hand in recording.hands))
    return (
        f"rendered: {recording.duration_s:.0f} s with two hands at {recording.rate_hz:g} Hz, "
        f"{recording.width}x{recording.height}; networks {', '.join(recording.models)}; "
        f"scripts {scripts}; seeds {seeds}"
    )


def _cells(row: Row) -> Sequence[str]:
    return (
        row.name,
        _ratio(row.accel_ratio),
        _ms(row.lag_ms),
        _ratio(row.error_ratio),
        _ratio(row.error_palm),
        _ratio(row.error_p95_palm),
        "-" if math.isnan(row.still_palm) else f"{1e3 * row.still_palm:.1f}",
        _ratio(row.shape_accel_ratio),
        _ms(row.shape_lag_ms),
        _ratio(row.shape_error_ratio),
        row.about,
    )


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _figures(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    return {
        row.name: {
            "accel_ratio": row.accel_ratio,
            "lag_ms": row.lag_ms,
            "error_ratio": row.error_ratio,
        }
        for row in rows
    }


def _write(path: Path, figures: dict[str, Any]) -> None:
    """Write the figures, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(figures, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise BenchError(f"the figures cannot be written to {path}: {error}") from error
