"""Crops for hands that a detector found as palms or as boxes.

A palm tells how the hand is rotated. A box does not: a hand model that needs the hand to point up
reads it in four directions, and the reading with the highest presence leads to the crop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vitpose_ros.detect.hand_boxes import HandBox, box_region, same_box
from vitpose_ros.detect.palms import Palm, palm_region, same_palm
from vitpose_ros.measure.networks import HandReader
from vitpose_ros.measurements import CropSource, HandMeasurement
from vitpose_ros.types import Crop, Frame, Region

FoundHand = Palm | HandBox

DIRECTIONS = 4
"""Directions in which a hand of unknown rotation is read."""


@dataclass(frozen=True)
class Candidate:
    """Where a hand may be.

    Attributes
    ----------
    region : in which to read it.
    source : why it is read.
    box : what a detector by boxes found there, if one did.
    """

    region: Region
    source: CropSource = CropSource.DETECTION
    box: HandBox | None = None


def candidate(found: FoundHand, reader: HandReader) -> Candidate | None:
    """Where a hand model first reads what a detector found; None if it is too small."""
    if isinstance(found, HandBox):
        region = box_region(found, reader.turned)
        return None if region is None else Candidate(region, box=found)
    region = palm_region(found)
    return None if region is None else Candidate(region)


def shows(found: FoundHand, hand: HandMeasurement) -> bool:
    """Whether a detector found this measured hand."""
    if isinstance(found, HandBox):
        return same_box(found, hand.uv)
    return same_palm(found, hand.uv)


def aim(
    reader: HandReader, frames: Sequence[Frame], candidates: Sequence[Sequence[Candidate]]
) -> list[list[Candidate]]:
    """Candidates with crops in which the hand points up, if the hand model needs that.

    Parameters
    ----------
    reader : the hand model; all crops run in one batch.
    frames, candidates : of the images.
    """
    jobs = [
        Crop(frames[i].image, replace(one.region, rotation_rad=turn * 2 * math.pi / DIRECTIONS))
        for i, of_image in enumerate(candidates)
        for one in of_image
        if one.box is not None
        for turn in range(DIRECTIONS)
    ]
    if not jobs or not reader.turned:
        return [list(of_image) for of_image in candidates]
    found = iter(reader(jobs))

    def aimed(one: Candidate) -> Candidate:
        if one.box is None:
            return one
        readings = [hand for hand in (next(found) for _ in range(DIRECTIONS)) if hand is not None]
        best = max(readings, key=lambda hand: hand.presence, default=None)
        if best is None or best.region is None:
            return one
        return replace(one, region=replace(best.region, score=one.region.score))

    return [[aimed(one) for one in of_image] for of_image in candidates]
