"""Whether a body is a person, and a hand a hand: reads them again in other crops.

A network of bodies also finds head, shoulders and hips in a forearm and hand, with scores close to
1, but it invents them anew in each crop. A person's joints are found again where they were. See
`disagreement`.

A network of hands is sure of some things of a hand's shape, but less so in crops that are mirrored,
turned, smaller or larger. See `confirmed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitpose_ros.measure.networks import HandReader, Networks
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import BodyMeasurement, HandMeasurement
from vitpose_ros.types import Crop, Frame, JointState, Keypoints, Region

SCALES = (0.85, 1.2)
"""Of the mirrored crops, relative to the body's own region."""

TRUNK = (
    "nose",
    "left_eye",
    "right_eye",
    "left_shoulder",
    "right_shoulder",
    "left_hip",
    "right_hip",
)
"""The joints that are compared, as far as the layout has them."""

LOWEST_SCORE = 0.1
"""Bodies with a lower score in the mirrored image are not compared."""

MIN_JOINTS = 3
"""With fewer measured ones, nothing is compared."""

SURE = 0.97
"""Presence from which a detected hand is not read again."""

CONFIRMED = 0.9
"""Mean presence, over the first reading of a hand and the further ones, that confirms it."""

_TURN_RAD = 0.4  # of two further readings of a hand


def with_disagreements(
    networks: Networks, i: int, frame: Frame, bodies: Sequence[BodyMeasurement], usage: Usage
) -> list[BodyMeasurement]:
    """Bodies of image number `i` with their disagreement.

    All crops run in one batch. A network that finds bodies in the whole image reads it once more,
    mirrored.
    """
    reader, finder = networks.body_reader, networks.body_finder
    if not bodies or (reader is None and finder is None):
        return list(bodies)
    mirror_image = np.ascontiguousarray(frame.image[:, ::-1])
    if finder is not None:
        with usage.stage("keypoints", finder.name, [i]):
            seen = finder(mirror_image, LOWEST_SCORE)
        others = [_unmirrored(body, frame.width) for body in seen]
        return [
            replace(
                body,
                disagreement=min(
                    (disagreement(body.keypoints, other) for other in others), default=math.inf
                ),
            )
            for body in bodies
        ]
    assert reader is not None
    crops = [
        Crop(mirror_image, _mirrored(body.region, frame.width, scale))
        for body in bodies
        if body.region is not None
        for scale in SCALES
    ]
    with usage.stage("keypoints", reader.name, [i]):
        found = iter(reader(crops))
    checked = []
    for body in bodies:
        if body.region is None:
            checked.append(body)
            continue
        values = [
            np.inf
            if other is None
            else disagreement(body.keypoints, _unmirrored(other, frame.width))
            for other in (next(found) for _ in SCALES)
        ]
        checked.append(replace(body, disagreement=float(np.max(values))))  # NaN stays
    return checked


def confirmed(reader: HandReader, jobs: Sequence[tuple[HandMeasurement, Frame]]) -> list[bool]:
    """Which detected hands further readings confirm.

    Each hand is read in four more crops: mirrored ones, smaller and larger, and two that are turned
    to either side. All crops run in one batch.

    Parameters
    ----------
    reader : a network whose presence is a probability.
    jobs : hands, each with its image.
    """
    crops, counts = [], []
    for hand, frame in jobs:
        region = hand.region
        assert region is not None  # measured hands have one
        mirror_image = np.ascontiguousarray(frame.image[:, ::-1])
        more = [Crop(mirror_image, _mirrored(region, frame.width, scale)) for scale in SCALES]
        for turn in (-_TURN_RAD, _TURN_RAD):
            turned = replace(region, rotation_rad=region.rotation_rad + turn)
            more.append(Crop(frame.image, turned))
        crops += more
        counts.append(len(more))
    if not crops:
        return []
    found = iter(reader(crops))
    answers = []
    for (hand, _), count in zip(jobs, counts, strict=True):
        others = [
            0.0 if one is None else one.presence for one in (next(found) for _ in range(count))
        ]
        answers.append(float(np.mean([hand.presence, *others])) >= CONFIRMED)
    return answers


def disagreement(one: Keypoints, other: Keypoints) -> float:
    """How far apart two readings put a body's face, shoulders and hips.

    Returns
    -------
    The median distance of the joints of TRUNK that are measured in the first reading, relative to
    the largest distance between two of them; NaN for fewer than MIN_JOINTS.
    """
    joints = [one.layout.index(name) for name in TRUNK if name in one.layout.joints]
    joints = [j for j in joints if one.state[j] >= JointState.MEASURED]
    if len(joints) < MIN_JOINTS:
        return float("nan")
    a, b = one.uv[joints].astype(np.float64), other.uv[joints].astype(np.float64)
    size = float(np.linalg.norm(a[:, None] - a[None], axis=-1).max())
    apart = np.linalg.norm(a - b, axis=1)
    distance = float(np.median(np.where(np.isnan(apart), np.inf, apart)))  # absent in the other
    return distance / size if size > 0 else float("nan")


def _mirrored(region: Region, width: int, scale: float) -> Region:
    """The region, larger by a factor, in the mirror image of an image of that width (px)."""
    return replace(
        region,
        cx=width - 1 - region.cx,
        width=scale * region.width,
        height=scale * region.height,
        rotation_rad=-region.rotation_rad,
    )


def _unmirrored(body: BodyMeasurement, width: int) -> Keypoints:
    """The joints of a body that was read in the mirror image, in the image of that width (px)."""
    joints = body.mirrored().keypoints
    uv = joints.uv.copy()
    uv[:, 0] = width - 1 - uv[:, 0]
    return replace(joints, uv=uv)
