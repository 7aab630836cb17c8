"""Where the hands of a body are: regions from its joints, and the arm that a hand belongs to.

Three sources, best supported first:
- the 21 points of a whole body's hand (HaMeR, demo.py and ViTDetDataset),
- MediaPipe's wrist, index and little finger (its graph hand_landmarks_from_pose_to_recrop_roi),
- wrist, elbow and shoulder (OpenPose, handDetector.cpp).

The side is that of the wrist. Regions are rotated so that the hand points up in them, as
MediaPipe's hand network needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import grow_square, known_median, upright_rotation
from vitpose_ros.layouts import HAND21, MIDDLE_MCP, WRIST
from vitpose_ros.types import FloatArray, Keypoints, Region, Side

ARM_SCORE = 0.25
"""OpenPose looks for a hand if wrist, elbow and shoulder have a higher score than this."""

POINT_SCORE, MIN_POINTS = 0.5, 4
"""HaMeR computes a hand's box from at least MIN_POINTS points with a higher score than this."""

WRIST_SCORE = 0.1
"""MediaPipe looks for a hand if the wrist has a higher visibility than this."""

MIN_SIDE_PX = 20.0
"""A smaller square shows too little of a hand (pytorch-openpose drops it, too)."""

_BEYOND_WRIST = 0.33  # of the forearm
_ARM_SIDE, _UPPER_ARM = 1.5, 0.9
_POINTS_SCALE, _POINTS_ASPECT = 2.0, 192 / 256  # HaMeR pads the box to this width over height
_PALM_SCALE, _PALM_SHIFT_Y = 2.7, -0.1
_REACH = 1.5  # forearms between a wrist and the middle of its hand


@dataclass(frozen=True)
class BodyHand:
    """Where a body should have a hand.

    Attributes
    ----------
    region : where to look.
    side : of the wrist.
    source : "points", "palm" or "arm": the origin of the region.
    """

    region: Region
    side: Side
    source: str


def hands_of_body(body: Keypoints) -> list[BodyHand]:
    """Where the hands of a body should be, at most one for each side.

    Parameters
    ----------
    body : in a layout that names wrists, as all of this package's body layouts do.

    Returns
    -------
    Left before right; a side whose joints score too low, or whose hand would be smaller than
    MIN_SIDE_PX, is left out.
    """
    hands = []
    for side in (Side.LEFT, Side.RIGHT):
        for source, rule in (("points", _points), ("palm", _palm), ("arm", _arm)):
            region = rule(body, side.name.lower())
            if region is not None and region.width >= MIN_SIDE_PX:
                hands.append(BodyHand(region, side, source))
                break
    return hands


def region_from_arm(
    wrist: Sequence[float], elbow: Sequence[float], shoulder: Sequence[float]
) -> Region | None:
    """OpenPose's rule: a square centred a third of the forearm beyond the wrist; its side is 1.5
    times the forearm, or 1.5 times 0.9 of the upper arm where that is longer.

    Parameters
    ----------
    wrist, elbow, shoulder : px.

    Returns
    -------
    Rotated along the forearm; None when its joints coincide.
    """
    forearm = math.dist(wrist, elbow)
    side = _ARM_SIDE * max(forearm, _UPPER_ARM * math.dist(elbow, shoulder))
    if not (math.isfinite(side) and side > 0 and forearm > 0):
        return None
    cx, cy = (w + _BEYOND_WRIST * (w - e) for w, e in zip(wrist, elbow, strict=True))
    return Region(float(cx), float(cy), side, side, upright_rotation(elbow, wrist))


def region_from_points(uv: npt.NDArray, score: npt.NDArray) -> Region | None:
    """HaMeR's rule: twice the box of the points with enough score, padded to 3:4, as a square.

    Parameters
    ----------
    uv : (21, 2) px, in the order of hand21.
    score : (21,).

    Returns
    -------
    Rotated from the wrist to the middle finger's MCP joint if both are supported; None if fewer
    than MIN_POINTS are, or all lie on one point.
    """
    supported = (score > POINT_SCORE) & np.isfinite(uv).all(axis=1)
    if supported.sum() < MIN_POINTS:
        return None
    points = uv[supported].astype(np.float64)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    width, height = _POINTS_SCALE * (x1 - x0), _POINTS_SCALE * (y1 - y0)
    side = float(max(height, width / _POINTS_ASPECT))
    if not side > 0:
        return None
    rotation = 0.0
    if supported[WRIST] and supported[MIDDLE_MCP] and (uv[WRIST] != uv[MIDDLE_MCP]).any():
        rotation = upright_rotation(uv[WRIST], uv[MIDDLE_MCP])
    return Region(float(x0 + x1) / 2, float(y0 + y1) / 2, side, side, rotation)


def region_from_palm(
    wrist: Sequence[float], index: Sequence[float], pinky: Sequence[float]
) -> Region | None:
    """MediaPipe's rule: a square around the middle finger's MCP joint, twice its distance from the
    wrist, then 2.7 times larger and shifted towards the fingers.

    MediaPipe runs another network on this region to refine it; that step is left out here.

    Parameters
    ----------
    wrist, index, pinky : px; the last two are MCP joints.

    Returns
    -------
    Rotated from the wrist to the middle finger's MCP joint; None if these lie on one point.
    """
    x, y = ((2 * i + p) / 3 for i, p in zip(index, pinky, strict=True))
    side = 2 * math.dist((x, y), wrist)
    if not (math.isfinite(side) and side > 0):
        return None
    square = Region(float(x), float(y), side, side, upright_rotation(wrist, (x, y)))
    return grow_square(square, _PALM_SCALE, _PALM_SHIFT_Y)


def holds_hand(place: Region, uv: FloatArray) -> bool:
    """Whether a hand with these joints, (21, 2) px, is the one expected at a place: its middle lies
    in the inner part.
    """
    middle = known_median(uv.T)
    return math.dist(middle, (place.cx, place.cy)) < 0.35 * place.width


def assign_hands(
    centres: Sequence[Sequence[float]], bodies: Sequence[Keypoints]
) -> list[tuple[int, Side] | None]:
    """The arm that each hand belongs to, by FrankMocap's rule: the centre of its box is closer to
    the wrist than 1.5 forearms; the nearest wins.

    Each hand goes to one arm and each arm gets one hand, nearest pairs first. FrankMocap looks at
    one arm at a time, and may give one hand to two arms.

    Parameters
    ----------
    centres : (x, y) px of each hand's box.
    bodies : their joints; arms whose wrist or elbow has at most ARM_SCORE do not count.

    Returns
    -------
    For each hand the index of its body and the side, or None when it belongs to none of them.
    """
    pairs = []
    for body, keypoints in enumerate(bodies):
        for side, wrist, elbow in _arms(keypoints):
            reach = _REACH * math.dist(wrist, elbow)
            for hand, centre in enumerate(centres):
                distance = math.dist(centre, wrist)
                if distance < reach:
                    pairs.append((distance, hand, body, side))
    assigned: list[tuple[int, Side] | None] = [None] * len(centres)
    taken: set[tuple[int, Side]] = set()
    for _, hand, body, side in sorted(pairs):
        if assigned[hand] is None and (body, side) not in taken:
            assigned[hand] = (body, side)
            taken.add((body, side))
    return assigned


def owners_of_hands(
    hands: Sequence[FloatArray], bodies: Sequence[Keypoints]
) -> list[tuple[int, Side] | None]:
    """The arm that explains each hand, by `assign_hands`; without its elbow, an arm's reach is
    unknown, but the hand may lie where the body implies.

    Parameters
    ----------
    hands : (21, 2) px each.
    bodies : their joints.

    Returns
    -------
    For each hand the index of its body and the side, or None when no body explains it. No two hands
    share an arm.
    """
    owners = assign_hands([np.nanmean(uv, axis=0).tolist() for uv in hands], bodies)
    for number, body in enumerate(bodies):
        for place in hands_of_body(body):
            if (number, place.side) in owners:
                continue
            for i, uv in enumerate(hands):
                if owners[i] is None and holds_hand(place.region, uv):
                    owners[i] = number, place.side
                    break
    return owners


def _arms(body: Keypoints) -> Iterator[tuple[Side, list[float], list[float]]]:
    """Side, wrist and elbow of the known arms."""
    for side in (Side.LEFT, Side.RIGHT):
        name = side.name.lower()
        known = _joints(body, [f"{name}_wrist", f"{name}_elbow"], ARM_SCORE)
        if known is not None:
            yield side, known[0], known[1]


def _joints(body: Keypoints, names: Sequence[str], score: float) -> list[list[float]] | None:
    """Positions of joints; None if one is not in the layout, or its score is not above `score`."""
    if any(name not in body.layout.joints for name in names):
        return None
    indices = [body.layout.index(name) for name in names]
    # NaN, of models without scores per joint, compares false: all joints that they give count.
    known = ~(body.score[indices] <= score) & np.isfinite(body.uv[indices]).all(axis=1)
    return body.uv[indices].astype(np.float64).tolist() if known.all() else None


def _points(body: Keypoints, side: str) -> Region | None:
    names = [f"{side}_hand_{joint}" for joint in HAND21.joints]
    if names[0] not in body.layout.joints:
        return None
    indices = [body.layout.index(name) for name in names]
    score = np.nan_to_num(body.score[indices], nan=1.0)
    region = region_from_points(body.uv[indices], score)
    return None if region is None else _with_score(region, score[score > POINT_SCORE].mean())


def _palm(body: Keypoints, side: str) -> Region | None:
    # In MediaPipe the MCP joints need no score of their own: they go with the wrist.
    names = [f"{side}_wrist", f"{side}_index", f"{side}_pinky"]
    known = _joints(body, names, -1.0)
    if known is None or _joints(body, names[:1], WRIST_SCORE) is None:
        return None
    return _with_score(region_from_palm(*known), body.score[body.layout.index(names[0])])


def _arm(body: Keypoints, side: str) -> Region | None:
    known = _joints(body, [f"{side}_wrist", f"{side}_elbow", f"{side}_shoulder"], ARM_SCORE)
    if known is None:
        return None
    return _with_score(region_from_arm(*known), body.score[body.layout.index(f"{side}_wrist")])


def _with_score(region: Region | None, score: float) -> Region | None:
    if region is None:
        return None
    return replace(region, score=float(np.clip(np.nan_to_num(score, nan=1.0), 0.0, 1.0)))
