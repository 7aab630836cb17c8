"""Time per image of each preset, as `vitpose_ros.presets` chooses it for a machine without a GPU.

The material is in the folder of the tests' data, VITPOSE_ROS_TEST_DATA or ../shared/data beside
this checkout: `real/forearm.mp4`, a first-person clip in which one hand is visible, so that the
hand detector searches every image for the second one; and `people_demo.jpg`, several persons.
Presets take turns, so that a busy machine slows all of them. A preset whose networks are not in the
model store is left out, and named.

Keys of --json: <preset>_hands_ms, <preset>_bodies_ms, both medians.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from _mediapipe_peer import data_folder
from common import parser, report, write_json

from vitpose_ros.factory import Models, load_pipeline
from vitpose_ros.keypoints.factory import TopDownOptions
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, Settings
from vitpose_ros.presets import CPU, PRESETS, choose
from vitpose_ros.settings import HandSettings
from vitpose_ros.types import ByteArray, Frame

BLOCK, WARM_UP = 10, 5


def clip(path: Path, most: int) -> list[ByteArray]:
    """Return the first images of a film."""
    film = cv2.VideoCapture(str(path))
    images: list[ByteArray] = []
    while len(images) < most:
        read, image = film.read()
        if not read:
            break
        images.append(np.asarray(image, np.uint8))
    return images


def pipelines(view: str) -> dict[str, Pipeline]:
    """Return a pipeline for each preset whose networks are there, and name the others."""
    store, made = ModelStore(), {}
    for preset in PRESETS[1:]:
        choice = choose(preset, Models(), TopDownOptions(), 1, CPU)
        hands = HandSettings(search_tiles_per_frame=choice.tiles)
        try:
            made[preset] = load_pipeline(
                store, choice.models, Settings(hands), view, topdown=choice.topdown
            )
        except ModelError as error:
            print(f"{preset}, {view}: not measured: {error}")
    return made


def measure(made: dict[str, Pipeline], images: list[ByteArray], rounds: int) -> dict[str, float]:
    """Return each preset's median time per image, ms; they take turns of BLOCK images."""
    times: dict[str, list[float]] = {preset: [] for preset in made}
    for turn in range(rounds):
        block = [images[(turn * BLOCK + i) % len(images)] for i in range(BLOCK + WARM_UP)]
        for preset, pipeline in made.items():
            for number, image in enumerate(block):
                stamp_ns = 33_000_000 * (turn * len(block) + number + 1)
                begun_s = time.perf_counter()
                pipeline(Frame(image, stamp_ns))
                if number >= WARM_UP:
                    times[preset].append(time.perf_counter() - begun_s)
    return {preset: 1e3 * float(np.median(taken)) for preset, taken in times.items()}


def main() -> None:
    """Measure, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=12, help="blocks of images (12)")
    options = arguments.parse_args()
    folder = data_folder()
    images = clip(folder / "real" / "forearm.mp4", BLOCK * options.rounds + WARM_UP)
    people = cv2.imread(str(folder / "people_demo.jpg"))
    if not images or people is None:
        raise SystemExit(f"{folder} has no real/forearm.mp4 or people_demo.jpg")
    hands = measure(pipelines("egocentric"), images, options.rounds)
    bodies = measure(pipelines("third_person"), [np.asarray(people, np.uint8)], options.rounds)
    rows = [(name, hands.get(name), bodies.get(name)) for name in PRESETS[1:]]
    report(
        "median ms per image, on the CPU: a real first-person clip with one hand; a photograph of "
        "several persons in third person",
        ("preset", "hands", "bodies"),
        rows,
    )
    figures = {f"{name}_hands_ms": value for name, value, _ in rows}
    write_json(options.json, {**figures, **{f"{name}_bodies_ms": value for name, _, value in rows}})


if __name__ == "__main__":
    main()
