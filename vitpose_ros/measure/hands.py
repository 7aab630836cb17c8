"""Measures hands: in the crops of tracks, at bodies' arms, and where a detector finds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.body_hands import hands_of_body, holds_hand
from vitpose_ros.detect.hand_boxes import HandBox, HandBoxes
from vitpose_ros.detect.palms import whole_in_window
from vitpose_ros.geometry import known_median, letterbox_region, overlap_of_smaller
from vitpose_ros.hand_geometry import joints_box, palm_size, same_hand, same_region
from vitpose_ros.measure.aiming import Candidate, FoundHand, aim, candidate, shows
from vitpose_ros.measure.networks import HandReader, Networks
from vitpose_ros.measure.rereading import SURE, confirmed
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import BodyMeasurement, CropSource, FramePlan, HandMeasurement
from vitpose_ros.types import Crop, Frame, Region, View

MIN_JOINTS_INSIDE = 4
"""A hand with fewer joints in the image, less than a finger, has left it: the rest is a guess."""

_COPY_PALMS, _SURE = 0.4, 0.8
"""See `_copies`: the median distance of the joints, and the probability of a side."""

_INSIDE_ANOTHER = 0.5  # a hand from a tile that overlaps another's box this much is part of it

_SPARE = 1  # detections to read beyond max_hands: one may turn out to be no hand

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
    crops = [[Candidate(region) for region in plan.hand_crops] for plan in plans]
    tracked = _read(networks, frames, plans, crops, usage)
    hands = [_each_once(found, ()) for found in tracked]
    windows = {
        i: plan.hand_windows
        for i, plan in enumerate(plans)
        if plan.hand_windows and bodies[i] is None and len(hands[i]) < plan.hands.max_hands
    }
    searched = set(windows)
    if isinstance(networks.hand_detector, HandBoxes) and networks.hand_detector.tells_sides:
        for i, plan in enumerate(plans):
            if plan.sides_due and any(math.isnan(hand.right) for hand in hands[i]):
                windows.setdefault(i, (_whole(frames[i]),))
    candidates: list[list[Candidate]] = [[] for _ in frames]
    for i, of_image in enumerate(bodies):
        if of_image is not None:
            candidates[i] = [Candidate(region) for region in _at_arms(of_image, hands[i])]
    from_whole = dict.fromkeys(searched, 0)
    for i, detected in _detect(networks, frames, plans, windows, usage).items():
        hands[i] = [_with_side(hand, detected) for hand in hands[i]]
        free = plans[i].hands.max_hands - len(hands[i])
        for window, in_window in zip(windows[i], detected if i in searched else (), strict=False):
            new = _distinct(in_window, networks.hand_reader, hands[i], candidates[i])
            new = new[: free + _SPARE]
            candidates[i] += new
            if window == _whole(frames[i]):
                from_whole[i] = len(new)
    with usage.stage("keypoints", networks.hand_reader.name, ()):
        candidates = aim(networks.hand_reader, frames, candidates)
    fresh = _read(networks, frames, plans, candidates, usage)
    _drop_unconfirmed(networks, frames, plans, fresh, usage)
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


def _whole(frame: Frame) -> Region:
    return letterbox_region(frame.width, frame.height)


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
    windows: Mapping[int, Sequence[Region]],
    usage: Usage,
) -> dict[int, list[list[FoundHand]]]:
    """What the detector finds in each window of the images, by the image's index."""
    detector = networks.hand_detector
    if not windows or detector is None:
        return {}
    hands: dict[int, list[list[FoundHand]]] = {i: [] for i in sorted(windows)}
    by_threshold: dict[float, list[tuple[int, Region]]] = {}
    for i in hands:
        for window in windows[i]:
            by_threshold.setdefault(plans[i].hands.detection_threshold, []).append((i, window))
    for threshold, jobs in by_threshold.items():
        with usage.stage("detect", detector.name, {i for i, _ in jobs}):
            found = detector([Crop(frames[i].image, window) for i, window in jobs], threshold)
        for (i, window), in_window in zip(jobs, found, strict=True):
            width, height = frames[i].width, frames[i].height
            hands[i].append([p for p in in_window if whole_in_window(p, window, width, height)])
    return hands


def _read(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    candidates: Sequence[Sequence[Candidate]],
    usage: Usage,
) -> list[list[HandMeasurement | None]]:
    """The hand of each candidate of each image, all in one batch; None for no hand."""
    jobs = [(i, one) for i, of_image in enumerate(candidates) for one in of_image]
    found: list[list[HandMeasurement | None]] = [[] for _ in frames]
    if not jobs:
        return found
    reader = networks.hand_reader
    with usage.stage("keypoints", reader.name, {i for i, _ in jobs}):
        hands = reader([Crop(frames[i].image, one.region) for i, one in jobs])
    for (i, one), hand in zip(jobs, hands, strict=True):
        if hand is not None and _is_hand(hand, frames[i], plans[i]):
            new = CropSource.BODY if plans[i].view is View.THIRD_PERSON else CropSource.DETECTION
            right = math.nan if one.box is None else one.box.right
            source = plans[i].source(one.region, new)
            found[i].append(replace(hand, source=source, detected_right=right))
        else:
            found[i].append(None)
    return found


def _drop_unconfirmed(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    found: list[list[HandMeasurement | None]],
    usage: Usage,
) -> None:
    """Replace detected hands that only look like hands by None; see `measure.rereading`.

    The detector finds a hand again in the next image, so that one of them confirms it. Hands of
    tracks and of bodies' arms are kept: they have other evidence. In static mode there is no next
    image.
    """
    reader = networks.hand_reader
    unsure = [
        (i, n, hand)
        for i, of_image in enumerate(found)
        for n, hand in enumerate(of_image)
        if hand is not None
        and hand.source is CropSource.DETECTION
        and hand.presence < SURE
        and not plans[i].hands.static
    ]
    if not unsure or not reader.tells_presence:
        return
    with usage.stage("keypoints", reader.name, {i for i, _, _ in unsure}):
        answers = confirmed(reader, [(hand, frames[i]) for i, _, hand in unsure])
    for (i, n, _), answer in zip(unsure, answers, strict=True):
        if not answer:
            found[i][n] = None


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


def _distinct(
    found: Sequence[FoundHand], reader: HandReader, known: Hands, before: Sequence[Candidate]
) -> list[Candidate]:
    """Where detected hands are, best first, except known ones and those of better detections."""
    taken = [hand.region for hand in known if hand.region is not None]
    taken += [one.region for one in before]
    new: list[Candidate] = []
    for detected in sorted(found, key=lambda one: -one.score):
        one = candidate(detected, reader)
        if one is None or any(shows(detected, hand) for hand in known):
            continue
        if not any(same_region(one.region, other) for other in taken):
            taken.append(one.region)
            new.append(one)
    return new


def _with_side(hand: HandMeasurement, detected: Sequence[Sequence[FoundHand]]) -> HandMeasurement:
    """A known hand with the side that the detector gives it, if it does."""
    for found in detected:
        for one in found:
            if isinstance(one, HandBox) and not math.isnan(one.right) and shows(one, hand):
                return replace(hand, detected_right=one.right)
    return hand


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
