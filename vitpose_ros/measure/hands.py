"""Measures hands: in the crops of tracks, at bodies' arms, and where a detector finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.body_hands import hands_of_body, holds_hand
from vitpose_ros.detect.palms import Palm, palm_region, same_palm, whole_in_window
from vitpose_ros.geometry import known_median, overlap_of_smaller
from vitpose_ros.hand_geometry import joints_box, palm_size, same_hand, same_region
from vitpose_ros.measure.networks import Networks
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import BodyMeasurement, CropSource, FramePlan, HandMeasurement
from vitpose_ros.types import Crop, Frame, Region, View

MIN_JOINTS_INSIDE = 4
"""A hand with fewer joints in the image, less than a finger, has left it: the rest is a guess."""

_COPY_PALMS, _SURE = 0.4, 0.8
"""See `_copies`: the median distance of the joints, and the probability of a side."""

_INSIDE_ANOTHER = 0.5  # a hand from a tile that overlaps another's box this much is part of it

Hands = list[HandMeasurement]


def measure_hands(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    bodies: Sequence[Sequence[BodyMeasurement] | None],
    usage: Usage,
) -> tuple[list[Hands], set[int]]:
    """The hands in each image, and the indices of the images that the hand detector searched.

    Parameters
    ----------
    bodies : for each image, the bodies whose hands to measure; None for an image in which hands are
        detected directly.
    """
    tracked = _read(networks, frames, plans, [plan.hand_crops for plan in plans], usage)
    hands = [_each_once(found, ()) for found in tracked]
    searched = {
        i
        for i, plan in enumerate(plans)
        if plan.hand_windows and bodies[i] is None and len(hands[i]) < plan.hands.max_hands
    }
    candidates: list[list[Region]] = [[] for _ in frames]
    for i, of_image in enumerate(bodies):
        if of_image is not None:
            candidates[i] = _at_arms(of_image, hands[i])
    from_whole = dict.fromkeys(searched, 0)
    for i, windows in _detect(networks, frames, plans, searched, usage).items():
        free = plans[i].hands.max_hands - len(hands[i])
        for number, palms in enumerate(windows):
            regions = _distinct(palms, hands[i], candidates[i])[:free]
            candidates[i] += regions
            if number == 0:
                from_whole[i] = len(regions)
    fresh = _read(networks, frames, plans, candidates, usage)
    for i, found in enumerate(fresh):
        if i in searched:
            most, whole = plans[i].hands.max_hands, from_whole[i]
            hands[i] = [*hands[i], *_not_copies(found[:whole], hands[i])][:most]
            from_tiles = _apart(_not_copies(found[whole:], hands[i]), hands[i])
            hands[i] = [*hands[i], *from_tiles][:most]
        else:
            hands[i] += _each_once(found, hands[i])
    for i, plan in enumerate(plans):
        if plan.hands.input_mirrored:
            hands[i] = [hand.mirrored() for hand in hands[i]]
    return hands, searched


def _at_arms(bodies: Sequence[BodyMeasurement], known: Hands) -> list[Region]:
    """Regions of hands at the arms of bodies that are not measured yet."""
    return [
        place.region
        for body in bodies
        for place in hands_of_body(body.keypoints)
        if not any(holds_hand(place.region, hand.uv) for hand in known)
    ]


def _detect(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    searched: set[int],
    usage: Usage,
) -> dict[int, list[list[Palm]]]:
    """The palms in each window of the searched images, by the image's index."""
    detector = networks.hand_detector
    if not searched or detector is None:
        return {}
    palms: dict[int, list[list[Palm]]] = {i: [] for i in sorted(searched)}
    by_threshold: dict[float, list[tuple[int, Region]]] = {}
    for i in palms:
        for window in plans[i].hand_windows:
            by_threshold.setdefault(plans[i].hands.detection_threshold, []).append((i, window))
    for threshold, jobs in by_threshold.items():
        with usage.stage("detect", detector.name, {i for i, _ in jobs}):
            found = detector([Crop(frames[i].image, window) for i, window in jobs], threshold)
        for (i, window), in_window in zip(jobs, found, strict=True):
            width, height = frames[i].width, frames[i].height
            palms[i].append([p for p in in_window if whole_in_window(p, window, width, height)])
    return palms


def _read(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    regions: Sequence[Sequence[Region]],
    usage: Usage,
) -> list[list[HandMeasurement | None]]:
    """The hand in each region of each image, all in one batch; None for no hand."""
    jobs = [(i, region) for i, of_image in enumerate(regions) for region in of_image]
    found: list[list[HandMeasurement | None]] = [[] for _ in frames]
    if not jobs:
        return found
    reader = networks.hand_reader
    with usage.stage("keypoints", reader.name, {i for i, _ in jobs}):
        hands = reader([Crop(frames[i].image, region) for i, region in jobs])
    for (i, region), hand in zip(jobs, hands, strict=True):
        if hand is not None and _is_hand(hand, frames[i], plans[i]):
            new = CropSource.BODY if plans[i].view is View.THIRD_PERSON else CropSource.DETECTION
            found[i].append(replace(hand, source=plans[i].source(region, new)))
        else:
            found[i].append(None)
    return found


def _is_hand(hand: HandMeasurement, frame: Frame, plan: FramePlan) -> bool:
    return (
        hand.presence >= plan.hands.presence_threshold
        and hand.inside(frame.width, frame.height).sum() >= MIN_JOINTS_INSIDE
        and hand.region is not None
    )


def _each_once(found: Sequence[HandMeasurement | None], known: Sequence[HandMeasurement]) -> Hands:
    """Hands that are not known yet, in the given order; of several measurements of a hand, the one
    with the highest presence.
    """
    kept: Hands = []
    given = [hand for hand in found if hand is not None]
    for hand in sorted(given, key=lambda hand: -hand.presence):
        if not any(same_hand(hand.uv, other.uv) for other in (*known, *kept)):
            kept.append(hand)
    return [hand for hand in given if any(hand is one for one in kept)]


def _not_copies(found: Sequence[HandMeasurement | None], known: Hands) -> Hands:
    """Each hand that is neither known yet nor a bad measurement of a known one, once."""
    new = _each_once(found, known)
    return [hand for hand in new if not any(_copies(hand, other) for other in known)]


def _copies(hand: HandMeasurement, known: HandMeasurement) -> bool:
    """Whether a new hand is a bad measurement of a known one: close to it, with the same side.

    This happens when one hand of a person hides the other. The detector finds a palm in what
    remains visible of the hidden one, but its crop shows the hand in front.
    """
    one_side = min(hand.right, known.right) > _SURE or max(hand.right, known.right) < 1.0 - _SURE
    apart = known_median(np.linalg.norm(hand.uv - known.uv, axis=1))
    return one_side and bool(apart < _COPY_PALMS * palm_size(known.uv))


def _distinct(palms: Sequence[Palm], known: Hands, before: Sequence[Region]) -> list[Region]:
    """Regions of palms, best first, except those of known hands and of better palms."""
    taken = [hand.region for hand in known if hand.region is not None] + list(before)
    regions: list[Region] = []
    for palm in sorted(palms, key=lambda palm: -palm.score):
        region = palm_region(palm)
        if region is None or any(same_palm(palm, hand.uv) for hand in known):
            continue
        if not any(same_region(region, other) for other in (*taken, *regions)):
            regions.append(region)
    return regions


def _apart(hands: Hands, known: Hands) -> Hands:
    """Hands that do not overlap another one: in a tile, a part of a large hand can look like a
    small hand.
    """
    kept: Hands = []
    for hand in hands:
        box = joints_box(hand.uv)
        others = (joints_box(other.uv) for other in (*known, *kept))
        if all(overlap_of_smaller(box, other) <= _INSIDE_ANOTHER for other in others):
            kept.append(hand)
    return kept
