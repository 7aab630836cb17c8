"""Several cameras in one batch: time per image, compared with one camera.

Each camera sees its own rendered first-person scene with two moving hands. Rendered images suffice,
because time is compared, not accuracy. For each number of cameras, the images with the same stamp
go through `vitpose_ros.pipeline.process` together, with shared networks. The numbers of cameras
alternate, image by image, so that a change in the machine's speed affects all of them alike.

JSON: {"1": {ms_per_image, hands}, "2": ..., "4": ..., "ratio_2", "ratio_4"}; medians. Target: a
ratio of at most 1, so that several cameras take no longer per image than a single one.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_networks
from vitpose_ros.measure import Networks
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline, process
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.types import ByteArray, Frame

RATE_HZ = 30
COUNTS = (1, 2, 4)
WARM_UP = 10


@dataclass
class Rig:
    """A number of cameras, and the measurements with them."""

    pipelines: list[Pipeline]
    ms_per_image: list[float] = field(default_factory=list)
    hands: int = 0

    def shoot(self, images: list[ByteArray], stamp_ns: int) -> None:
        """Process one image of each camera."""
        frames = [Frame(image, stamp_ns) for image in images[: len(self.pipelines)]]
        begun_s = time.perf_counter()
        results = process(self.pipelines, frames)
        self.ms_per_image.append(1e3 * (time.perf_counter() - begun_s) / len(frames))
        self.hands += sum(len(result.instances) for result in results)


def measure(networks: Networks, images: int) -> list[Rig]:
    """Show the same clips to a rig with each number of cameras, in turn."""
    scenes = [Scene("reach", seed) for seed in range(max(COUNTS))]
    rigs = [Rig([Pipeline(networks) for _ in range(count)]) for count in COUNTS]
    for number in range(images):
        shown = [scene.render(number / RATE_HZ).image for scene in scenes]
        turn = number % len(rigs)
        for rig in (*rigs[turn:], *rigs[:turn]):
            rig.shoot(shown, 1 + round(number * 1e9 / RATE_HZ))
    return rigs


def main() -> None:
    """Measure, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=300, help="of each camera (300)")
    options = arguments.parse_args()
    try:
        networks = load_networks(ModelStore())
    except (ModelError, EngineError) as error:
        raise SystemExit(str(error)) from error
    networks.warm_up()
    rigs = measure(networks, options.images + WARM_UP)
    medians = [statistics.median(rig.ms_per_image[WARM_UP:]) for rig in rigs]
    shown = options.images + WARM_UP
    rows = [
        [str(count), median, median / medians[0], rig.hands / shown / count]
        for count, median, rig in zip(COUNTS, medians, rigs, strict=True)
    ]
    report(
        f"Time per image by the number of cameras, rendered hands, 640x480 ({machine()})",
        ("cameras", "ms per image", "over one camera", "hands per image"),
        rows,
    )
    figures = {row[0]: {"ms_per_image": row[1], "hands": row[3]} for row in rows}
    ratios = {f"ratio_{row[0]}": row[2] for row in rows[1:]}
    write_json(options.json, {**figures, **ratios})


if __name__ == "__main__":
    main()
