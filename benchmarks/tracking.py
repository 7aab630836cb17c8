"""Identity over time: sides, ids and recovery in the rendered first-person scripts.

Each script is rendered with two hands and runs through the real pipeline at 30 Hz. A true hand is
in view if all its joints lie inside the image and at least half of them are not hidden. It is found
if the raw joints of a hand that is not lost match it.

The script `tour` is played once more with each event of `synthetic.events`: pans, hands at the
image's edge, changing exposure, motion blur.

- side accuracy: share of found hands with the correct side; an unknown side is wrong.
- id switches: an id moves to another true hand. A new id after a loss does not count.
- side switches: the side of an id changes between left and right.
- recovery: number of images from the first in which a hand is in view again until it is found.

JSON: per script {side_accuracy, sided, found, id_switches, side_switches, recovery_max, ids}, the
same with an event ("tour, pan"), and for all scripts without event as "all".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import machine, parser, report, write_json

from vitpose_ros.engines.base import EngineError
from vitpose_ros.evaluate import match_hands
from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.synthetic.events import EVENTS, EventScene
from vitpose_ros.synthetic.motion import SCRIPTS
from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.truth import TrueHand
from vitpose_ros.types import ByteArray, Frame, Instance, Side

RATE_HZ = 30


@dataclass
class Score:
    """Counts over the images of one or several scripts."""

    in_view: int = 0
    found: int = 0
    sided: int = 0
    right_side: int = 0
    id_switches: int = 0
    side_switches: int = 0
    recoveries: list[int] = field(default_factory=list)
    ids: int = 0

    def add(self, other: Score) -> None:
        """Add the counts of other images."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, Any]:
        """Return the figures of the table."""
        return {
            "side_accuracy": self.right_side / max(self.found, 1),
            "sided": self.sided / max(self.found, 1),
            "found": self.found / max(self.in_view, 1),
            "id_switches": self.id_switches,
            "side_switches": self.side_switches,
            "recovery_max": max(self.recoveries, default=0),
            "ids": self.ids,
        }


class Follower:
    """Compares found hands with true ones, image by image."""

    def __init__(self) -> None:
        self.score = Score()
        self._hand_of: dict[int, Side] = {}
        self._side_of: dict[int, Side] = {}
        self._waiting: dict[Side, int] = {}  # images for which a hand in view was not found
        self._seen: set[int] = set()

    def add(self, hands: Sequence[TrueHand], instances: Sequence[Instance]) -> None:
        """Add an image."""
        score = self.score
        for instance in instances:
            before = self._side_of.get(instance.track_id, instance.side)
            if Side.UNKNOWN not in (before, instance.side):
                score.side_switches += before is not instance.side
            if instance.side is not Side.UNKNOWN:
                self._side_of[instance.track_id] = instance.side
        live = [instance for instance in instances if not instance.is_lost]
        self._seen |= {instance.track_id for instance in live}
        score.ids = len(self._seen)
        matches = match_hands([h.uv for h in hands], [i.raw.uv for i in live])
        found = {true: live[i] for true, i, _ in matches}
        for number, hand in enumerate(hands):
            in_view = hand.in_view and hand.visible.mean() >= 0.5
            self._add_hand(hand.side, in_view, found.get(number))

    def _add_hand(self, true: Side, in_view: bool, instance: Instance | None) -> None:
        score = self.score
        if not in_view:
            self._waiting[true] = 0
            return
        score.in_view += 1
        if instance is None:
            self._waiting[true] = self._waiting.get(true, 0) + 1
            return
        if true in self._waiting:
            score.recoveries.append(self._waiting.pop(true))
        score.found += 1
        score.sided += instance.side is not Side.UNKNOWN
        score.right_side += instance.side is true
        score.id_switches += self._hand_of.get(instance.track_id, true) is not true
        self._hand_of[instance.track_id] = true


def render(
    script: str, seed: int, seconds: float, event: str = ""
) -> Iterator[tuple[ByteArray, Any]]:
    """Yield the images of a script, with an event if there is one, and their true hands."""
    scene = EventScene(script, event, seed) if event else Scene(script=script, seed=seed)
    for i in range(round(seconds * RATE_HZ)):
        rendering = scene.render(i / RATE_HZ)
        yield rendering.image, rendering.hands


def follow(pipeline: Pipeline, images: Iterable[tuple[ByteArray, Any]]) -> Score:
    """Run the pipeline over images with their true hands."""
    follower = Follower()
    for i, (image, hands) in enumerate(images):
        result = pipeline(Frame(image, 1 + round(i * 1e9 / RATE_HZ)))
        follower.add(hands, result.instances)
    return follower.score


def main() -> None:
    """Measure, print the table, write the figures."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=60, help="of each script (60)")
    arguments.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="N", help="scenes of each script (0)"
    )
    arguments.add_argument("--scripts", nargs="+", default=list(SCRIPTS), choices=SCRIPTS)
    arguments.add_argument("--events", nargs="*", default=list(EVENTS), choices=EVENTS)
    options = arguments.parse_args()
    scores: dict[str, Score] = {}
    clips = [(script, "") for script in options.scripts]
    clips += [("tour", event) for event in options.events]
    for script, event in clips:
        name = f"{script}, {event}" if event else script
        for seed in options.seeds:
            try:
                pipeline = load_pipeline(ModelStore())
            except (ModelError, EngineError) as error:
                raise SystemExit(str(error)) from error
            score = follow(pipeline, render(script, seed, options.seconds, event))
            scores.setdefault(name, Score()).add(score)
            print(f"{name} {seed}: {score.figures()}", flush=True)
    everything = Score()
    for name, score in scores.items():
        if "," not in name:
            everything.add(score)
    figures = {name: score.figures() for name, score in [*scores.items(), ("all", everything)]}
    columns = tuple(figures["all"])
    report(
        f"Identity over {options.seconds:g} s of each script, scenes {options.seeds} ({machine()})",
        ("", *columns),
        [[name, *(values[column] for column in columns)] for name, values in figures.items()],
    )
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
