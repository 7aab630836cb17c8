"""The clips of one half of the material, and a pipeline's answers to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vitpose_ros.bench.real.material import JointsReader, load_material
from vitpose_ros.bench.real.photographs import ROWS, WindowScene
from vitpose_ros.bench.real.scene import RATE_HZ, RealImage, RealScene
from vitpose_ros.bench.real.score import FoundHand, RealFollower, RealScore
from vitpose_ros.layouts import HAND21
from vitpose_ros.pipeline import Pipeline
from vitpose_ros.types import Frame

_FIRST_NS = 1_000_000_000


def clips(
    folder: Path, part: str, read: JointsReader, seeds: Sequence[int]
) -> Iterator[tuple[str, list[RealImage]]]:
    """The clips of one part, each with a name; images at RATE_HZ.

    Parameters
    ----------
    folder : of the material.
    part : a key of `material.PARTS`.
    read : the hand model: its joints in single images are the ground truth.
    seeds : one moving scene for each. The photographs are shown once.

    Raises
    ------
    BenchError : a file is missing, or the hand model finds no hand in it.
    """
    for row in ROWS[part]:
        window = WindowScene(folder, row, read, seeds[0] if seeds else 0)
        yield row.name, [window.render(i) for i in range(len(window))]
    if seeds:
        material = load_material(folder, part, read)
    for seed in seeds:
        scene = RealScene(material, seed)
        yield f"scene {seed}", [scene.render(i) for i in range(len(scene))]


def follow(pipeline: Pipeline, images: Iterable[tuple[int, RealImage]]) -> RealScore:
    """Run a new pipeline over a clip, and compare its results with the truth.

    Parameters
    ----------
    images : each with its number; see `variants.Variant`.
    """
    follower = RealFollower()
    for number, seen in images:
        result = pipeline(Frame(seen.image, _FIRST_NS + round(number * 1e9 / RATE_HZ)))
        hands = [i for i in result.instances if i.layout is HAND21 and not i.is_lost]
        found = [FoundHand(hand.raw.uv, hand.side, hand.track_id) for hand in hands]
        follower.add(number / RATE_HZ, seen, found)
    return follower.score
