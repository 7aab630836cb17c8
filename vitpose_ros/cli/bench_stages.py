"""`vitpose_ros bench stages`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitpose_ros.bench.errors import BenchError
from vitpose_ros.cli.options import add_action, add_store, open_store, print_table

if TYPE_CHECKING:
    from vitpose_ros.types import Frame

_TEXT = """Where the time of an image goes, on this machine: a table with a row per stage.

  of images  how often the stage ran
  median     of the images in which it ran, ms; a stage's runs in one image are summed
  p95        the same, 95th percentile
  mean       over all images, ms: the stages, without "its network", and the rest add up to the
             whole

A row "..., its network" is the part of the stage that the engine takes; what remains of it is
cropping and decoding. Other programs that run at the same time slow everything down."""

LEAST = 20
"""Fewer images than this give no figures."""


def register(actions: Any, epilog: str) -> None:
    """Add the action to `bench`."""
    text = "where the time of an image goes, stage by stage"
    action = add_action(actions, "stages", text, epilog)
    action.description = _TEXT
    action.add_argument(
        "--video", type=Path, metavar="FILE", help="a film (default: rendered, two moving hands)"
    )
    action.add_argument("--images", type=int, default=200, metavar="N", help="how many (200)")
    action.add_argument(
        "--view", default="egocentric", choices=("egocentric", "third_person", "auto"), help="view"
    )
    action.add_argument(
        "--preset",
        default="",
        help="the networks of a preset: lightweight, balanced, performance or exact",
    )
    action.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all cores")
    add_store(action, _run)


def _run(options: argparse.Namespace) -> int:
    from vitpose_ros.bench.stages import measure_stages
    from vitpose_ros.factory import Models, load_pipeline
    from vitpose_ros.keypoints.factory import TopDownOptions
    from vitpose_ros.pipeline import Settings
    from vitpose_ros.presets import choose
    from vitpose_ros.settings import HandSettings

    if options.images < LEAST:
        options.parser.error(f"--images: expected at least {LEAST}, got {options.images}")
    default = HandSettings().search_tiles_per_frame
    try:
        choice = choose(options.preset, Models(), TopDownOptions(), default)
    except ValueError as error:
        options.parser.error(str(error))
    settings = Settings(HandSettings(search_tiles_per_frame=choice.tiles))
    pipeline = load_pipeline(
        open_store(options), choice.models, settings, options.view, options.threads, choice.topdown
    )
    if choice.reason:
        print(choice.reason)
    frames = _film(options.video, options.images) if options.video else _rendered(options.images)
    rows = measure_stages(pipeline, frames)
    print(f"{', '.join(pipeline.models)} on {pipeline.engine}; view {options.view}")
    print_table(
        ("stage", "of images", "median ms", "p95 ms", "mean ms"),
        [
            (
                row.name,
                f"{100 * row.share_of_images:.0f} %",
                f"{row.median_ms:.2f}",
                f"{row.p95_ms:.2f}",
                f"{row.mean_ms:.2f}",
            )
            for row in rows
        ],
    )
    return 0


def _film(path: Path, count: int) -> Iterator[Frame]:
    from vitpose_ros.types import Frame
    from vitpose_ros.video import VideoError, VideoFile

    try:
        film = VideoFile(str(path))
    except VideoError as error:
        raise BenchError(str(error)) from error
    given = 0
    while given < count and (stamp_ns := film.grab()) is not None:
        image = film.decode()
        if image is not None:
            given += 1
            yield Frame(image, 1 + stamp_ns)
    film.close()
    if given < LEAST:
        raise BenchError(f"{path} has {given} readable images; expected at least {LEAST}")


def _rendered(count: int) -> Iterator[Frame]:
    from vitpose_ros.synthetic.scene import Scene
    from vitpose_ros.types import Frame

    scene = Scene("tour")
    for number in range(count):
        yield Frame(scene.render(number / 30.0).image, 1 + round(number * 1e9 / 30.0))
