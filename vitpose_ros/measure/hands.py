"""Measures hands: in the crops of tracks, at bodies' arms, then where a detector finds others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.body_hands import hands_of_body, holds_hand, owners_of_hands
from vitpose_ros.detect.hand_boxes import HandBox, HandBoxes
from vitpose_ros.detect.palms import whole_in_window
from vitpose_ros.geometry import known_median, letterbox_region, overlap_of_smaller
from vitpose_ros.hand_geometry import joints_box, palm_size, same_hand, same_region
from vitpose_ros.measure.aiming import Candidate, FoundHand, aim, candidate, shows
from vitpose_ros.measure.networks import HandDetector, HandReader, Networks
from vitpose_ros.measure.rereading import SURE, confirmed
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import BodyMeasurement, CropSource, FramePlan, HandMeasurement
from vitpose_ros.types import Crop, Frame, Region

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
    bodies : for each image, the bodies whose hands to measure; None in first person.
    """
    crops = [
        [Candidate(region, plan.source(region, CropSource.DETECTION)) for region in plan.hand_crops]
        for plan in plans
    ]
    hands = [_each_once(found, ()) for found in _read(networks, frames, plans, crops, usage)]
    crops = [
        [Candidate(region, CropSource.BODY) for region in _at_arms(of_image, known)]
        for of_image, known in zip(bodies, hands, strict=True)
    ]
    for i, found in enumerate(_read(networks, frames, plans, crops, usage)):
        hands[i] += _each_once(found, hands[i])
    searched = _search(networks, frames, plans, bodies, hands, usage)
    for i, plan in enumerate(plans):
        if plan.hands.input_mirrored:
            hands[i] = [hand.mirrored() for hand in hands[i]]
    return hands, searched


def _search(
    networks: Networks,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    bodies: Sequence[Sequence[BodyMeasurement] | None],
    hands: list[Hands],
    usage: Usage,
) -> set[int]:
    """Add to the hands of each image those that the detector finds; see `measure_hands`."""
    detector = networks.hand_detector
    if detector is None:
        return set()
    tells_sides = isinstance(detector, HandBoxes) and detector.tells_sides
    windows: dict[int, Sequence[Region]] = {}
    most: dict[int, int] = {}  # hands of each image that is searched
    for i, plan in enumerate(plans):
        if not (plan.hand_windows or plan.sides_due):
            continue
        free = _nobodys(bodies[i], hands[i])
        room = plan.hands.max_hands - len(free)
        if plan.hand_windows and room > 0:
            windows[i] = plan.hand_windows
            most[i] = len(hands[i]) + room + len(_at_arms(bodies[i], hands[i]))
        elif plan.sides_due and tells_sides and any(math.isnan(hand.right) for hand in free):
            windows[i] = (_whole(frames[i]),)
    candidates: list[list[Candidate]] = [[] for _ in frames]
    from_whole = dict.fromkeys(most, 0)
    for i, detected in _detect(detector, frames, plans, windows, usage).items():
        hands[i] = [_with_side(hand, detected) for hand in hands[i]]
        for window, in_window in zip(windows[i], detected if i in most else (), strict=False):
            new = _distinct(in_window, networks.hand_reader, hands[i], candidates[i])
            new = new[: most[i] - len(hands[i]) + _SPARE]
            candidates[i] += new
            if window == _whole(frames[i]):
                from_whole[i] = len(new)
    with usage.stage("keypoints", networks.hand_reader.name, ()):
        candidates = aim(networks.hand_reader, frames, candidates)
    fresh = _read(networks, frames, plans, candidates, usage)
    _drop_unconfirmed(networks, frames, plans, fresh, usage)
    for i, whole in from_whole.items():
        hands[i] = [*hands[i], *_not_copies(fresh[i][:whole], hands[i])][: most[i]]
        from_tiles = _apart(_not_copies(fresh[i][whole:], hands[i]), hands[i])
        hands[i] = [*hands[i], *from_tiles][: most[i]]
    return set(most)


def _whole(frame: Frame) -> Region:
    return letterbox_region(frame.width, frame.height)


def _at_arms(bodies: Sequence[BodyMeasurement] | None, known: Hands) -> list[Region]:
    """Regions of hands at the arms of bodies that are not measured yet."""
    return [
        place.region
        for body in bodies or ()
        for place in hands_of_body(body.keypoints)
        if not any(holds_hand(place.region, hand.uv) for hand in known)
    ]


def _nobodys(bodies: Sequence[BodyMeasurement] | None, hands: Hands) -> Hands:
    """The hands that no body explains; in first person all."""
    owners = owners_of_hands([hand.uv for hand in hands], [body.keypoints for body in bodies or ()])
    return [hand for hand, owner in zip(hands, owners, strict=True) if owner is None]


def _detect(
    detector: HandDetector,
    frames: Sequence[Frame],
    plans: Sequence[FramePlan],
    windows: Mapping[int, Sequence[Region]],
    usage: Usage,
) -> dict[int, list[list[FoundHand]]]:
    """What the detector finds in each window of the images, by the image's index."""
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
            right = math.nan if one.box is None else one.box.right
            found[i].append(replace(hand, source=one.source, detected_right=right))
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
