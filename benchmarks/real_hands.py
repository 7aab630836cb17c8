"""Sides, identity, false hands and smoothing on real hands, beside MediaPipe's own Hands API.

The material lies in the folder `real` of the test data (VITPOSE_ROS_TEST_DATA or ../shared/data):
a filmed hand, which is cut out and moved, with its mirror image as the other hand, over
first-person photographs; and these photographs themselves. See `vitpose_ros.bench.real`. One half
is to tune on ("tune"), the figures come from the other one ("report"). Each clip is shown in twelve
variants that leave the truth as it is: mirrored, reversed, fewer images, darker, blurred, smaller,
begun later.

- side_right: published hands that lie at a true one in view and have its side.
- id_moves: ids that go from one true hand to the other.
- false_hands: hands published for more than 0.2 s where none is. (MediaPipe has no ids: images in
  a row with any such hand count as one.)
- coverage: true hands in view at which a hand is published.
- wrong_s: the longest time for which a hand had the wrong side.

Smoothing is that of `vitpose_ros bench smoothing --real`, on the held-out half of its recordings:
acceleration over that of the raw joints, and lag, of each preset and published filter.

MediaPipe runs in an environment of its own, which the first use makes; where that fails, its row is
left out.

JSON: side_right, id_moves, false_hands, coverage, sided, side_moves, wrong_s of the part "report";
the same for each variant under "variants", for the other part under "tune", and for MediaPipe, on
the variants that it was shown, under "mediapipe". {accel_ratio, lag_ms} of each smoothing in metres
(`balanced`, `ema_0.5`, ...) and in the image (`balanced_px`, ...).
Targets: side_right at least 0.97, id_moves at most 1, false_hands 0; those of `smoothing.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from _mediapipe_peer import MEDIAPIPE, MediaPipe, data_folder, mediapipe_python
from common import machine, parser, report, write_json

from vitpose_ros.bench import real_joints
from vitpose_ros.bench.errors import BenchError
from vitpose_ros.bench.methods import methods
from vitpose_ros.bench.real.clips import clips, follow
from vitpose_ros.bench.real.material import CLIP, PARTS, JointsReader
from vitpose_ros.bench.real.scene import RATE_HZ, RealImage
from vitpose_ros.bench.real.score import FoundHand, RealFollower, RealScore
from vitpose_ros.bench.real.variants import VARIANTS
from vitpose_ros.engines.base import EngineError
from vitpose_ros.factory import load_pipeline
from vitpose_ros.models.errors import ModelError
from vitpose_ros.models.store import ModelStore
from vitpose_ros.pipeline import Settings
from vitpose_ros.settings import HandSettings
from vitpose_ros.smooth.settings import PRESETS
from vitpose_ros.types import Frame, Side

PEER_VARIANTS = ("as filmed", "mirrored", "reversed")
COLUMNS = ("side_right", "id_moves", "false_hands", "coverage", "wrong_s")
_CHUNK = 60

Follow = Callable[[Iterable[tuple[int, RealImage]]], RealScore]


def single_image_reader(store: ModelStore) -> JointsReader:
    """The hand model on single images: what is true of the joints."""
    alone = HandSettings(static=True, max_hands=6)
    pipeline = load_pipeline(store, settings=Settings(alone))
    return lambda image: [hand.raw.uv for hand in pipeline(Frame(image)).instances]


def ours(store: ModelStore, max_hands: int) -> Follow:
    """What this package answers; each clip gets a new pipeline."""
    settings = Settings(HandSettings(max_hands=max_hands), smoothing=PRESETS["none"])
    return lambda images: follow(load_pipeline(store, settings=settings), images)


def theirs(peer: MediaPipe) -> Follow:
    """What MediaPipe answers."""

    def answer(images: Iterable[tuple[int, RealImage]]) -> RealScore:
        follower = RealFollower()
        for chunk in _chunks(images):
            found = peer.find([seen.image for _, seen in chunk], static=False, complexity=1)
            hands: list[list[FoundHand]] = [[] for _ in chunk]
            for at, uv, label in zip(found["frame"], found["uv"], found["label"], strict=True):
                # The API takes its input for mirrored, which ours is not.
                hands[at].append(FoundHand(uv, Side.RIGHT if label == "Left" else Side.LEFT))
            for (number, seen), of_image in zip(chunk, hands, strict=True):
                follower.add(number / RATE_HZ, seen, of_image)
        return follower.score

    return answer


def _chunks(images: Iterable[tuple[int, RealImage]]) -> Iterator[list[tuple[int, RealImage]]]:
    rest = iter(images)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def measure(
    answers: dict[str, Follow], made: Iterable[tuple[str, list[RealImage]]]
) -> dict[str, dict[str, RealScore]]:
    """Scores by whose answers they are, then by the variant."""
    scores: dict[str, dict[str, RealScore]] = {who: {} for who in answers}
    for name, images in made:
        for variant in VARIANTS:
            for who, answer in answers.items():
                if who == "MediaPipe" and variant.name not in PEER_VARIANTS:
                    continue
                score = scores[who].setdefault(variant.name, RealScore())
                score += answer(variant(images))
        print(f"{name}: {len(images)} images, {len(VARIANTS)} variants", flush=True)
    return scores


def total(scores: Iterable[RealScore]) -> dict[str, Any]:
    """The figures of all variants together."""
    everything = RealScore()
    for score in scores:
        everything += score
    return everything.figures()


def _row(name: str, figures: dict[str, Any]) -> list[Any]:
    return [name, *(figures[column] for column in COLUMNS)]


def tables(part: str, scores: dict[str, dict[str, RealScore]]) -> dict[str, Any]:
    """Print the table of one part; its figures."""
    own = scores["ours"]
    figures = total(own.values())
    rows = [_row(name, score.figures()) for name, score in own.items()]
    rows.append(_row("all", figures))
    result = {**figures, "variants": {name: score.figures() for name, score in own.items()}}
    if "MediaPipe" in scores:
        peer = scores["MediaPipe"]
        like = total(own[name] for name in peer)
        result["mediapipe"] = {**total(peer.values()), "id_moves": None}
        rows.append(_row(", ".join(peer), like))
        rows.append(_row("MediaPipe on these", result["mediapipe"]))
    report(f"Real hands, part '{part}' ({machine()})", ("", *COLUMNS), rows)
    return result


def smoothing(store: ModelStore, folder: Path) -> dict[str, Any]:
    """Print the table of smoothings on the held-out half; {accel_ratio, lag_ms} of each."""
    hands = real_joints.load(folder, load_pipeline(store)).held_out
    figures: dict[str, Any] = {}
    for row in real_joints.measure(hands, methods(hands.rate_hz)):
        for suffix, found in (("", row.metres), ("_px", row.image)):
            if found is not None:
                of_row = {"accel_ratio": found.accel_ratio, "lag_ms": found.lag_ms}
                figures[row.name + suffix] = of_row
    rows = [[name, one["accel_ratio"], one["lag_ms"]] for name, one in figures.items()]
    report("Smoothing on a real hand, held-out half", ("", "accel_ratio", "lag_ms"), rows)
    return figures


def _peer(folder: Path, python: Path | None) -> MediaPipe | None:
    try:
        return MediaPipe(mediapipe_python(python), "_mediapipe_hands.py", folder)
    except SystemExit as reason:
        print(f"Without MediaPipe: {reason}")
        return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, write the figures."""
    options = parser(__doc__)
    options.add_argument(
        "--parts", nargs="+", default=["report"], choices=list(PARTS), help="halves (report)"
    )
    options.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="N", help="moving scenes (0)"
    )
    options.add_argument("--max-hands", type=int, default=2, help="HandSettings.max_hands (2)")
    options.add_argument(
        "--venv", type=Path, metavar="DIR", help="an environment with " + MEDIAPIPE
    )
    options.add_argument("--alone", action="store_true", help="without MediaPipe")
    chosen = options.parse_args(arguments)
    folder = data_folder() / "real"
    if not (folder / CLIP).is_file():
        print(
            f"Skipped: {folder} has no {CLIP}. Set VITPOSE_ROS_TEST_DATA to a folder of test data "
            "whose folder 'real' has it"
        )
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        peer = None if chosen.alone else _peer(Path(scratch), chosen.venv)
        try:
            store = ModelStore()
            read = single_image_reader(store)
            answers = {"ours": ours(store, chosen.max_hands)}
            if peer is not None:
                answers["MediaPipe"] = theirs(peer)
            for part in chosen.parts:
                scores = measure(answers, clips(folder, part, read, chosen.seeds))
                found = tables(part, scores)
                figures.update(found if part == "report" else {part: found})
            figures.update(smoothing(store, folder))
        except (ModelError, EngineError, BenchError) as error:
            raise SystemExit(str(error)) from error
        finally:
            if peer is not None:
                peer.close()
    write_json(chosen.json, figures)


if __name__ == "__main__":
    main()
