"""Proportions that lifting relies on: bone lengths, and how far joints lie behind the skin.

Lengths are those of adult phalanges and metacarpals in the anatomical literature, with the carpus
and the soft tissue of the fingertip added, as fractions of the hand's length: flat, from the crease
of the wrist to the tip of the middle finger.

For the distance between skin and joint no agreed table exists. The radii here are halves of adult
limb thicknesses, from back to front, as hand and body measurement tables and OpenXR's joint radii
have them. People differ by some 20 %.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import Layout

Array = npt.NDArray[np.float64]

HAND_LENGTH_M = 0.185
"""The mean of adults."""

HAND_TREE: tuple[tuple[int, int, float], ...] = (
    *((0, 1, 0.18), (1, 2, 0.235), (2, 3, 0.17), (3, 4, 0.155)),
    *((0, 5, 0.475), (5, 6, 0.23), (6, 7, 0.13), (7, 8, 0.115)),
    *((0, 9, 0.47), (9, 10, 0.255), (10, 11, 0.153), (11, 12, 0.122)),
    *((0, 13, 0.445), (13, 14, 0.235), (14, 15, 0.147), (15, 16, 0.12)),
    *((0, 17, 0.44), (17, 18, 0.183), (18, 19, 0.104), (19, 20, 0.106)),
)
"""Bones of hand21 from the wrist outwards: first joint, second joint, length in hand lengths."""

_KNUCKLES = ((5, 9, 0.125), (9, 13, 0.115), (13, 17, 0.115))

PALM = np.array([0, 5, 9, 13, 17], np.intp)
"""The joints of hand21 that move with the palm: the wrist and the fingers' MCP joints."""


def _palm_plan() -> Array:
    """The palm's joints in its plane, from the lengths of its bones and between the knuckles."""
    lengths = {second: share for first, second, share in HAND_TREE if first == 0}
    plan, angle = [(0.0, 0.0, 0.0)], 0.0
    for first, second, gap in ((None, 5, 0.0), *_KNUCKLES):
        b = lengths[second]
        if first is not None:
            a = lengths[first]
            angle += math.acos((a * a + b * b - gap * gap) / (2 * a * b))
        plan.append((b * math.cos(angle), b * math.sin(angle), 0.0))
    return np.array(plan)


PALM_PLAN = _palm_plan()
"""(5, 3) the joints PALM of a flat palm, in hand lengths; mirrored or not, it is the same shape."""

_HAND_MM = (
    19.0,
    *(15.0, 12.0, 9.5, 7.5),
    *(13.0, 9.0, 7.0, 6.0),
    *(13.5, 9.2, 7.2, 6.2),
    *(13.0, 8.8, 7.0, 6.0),
    *(12.0, 7.8, 6.3, 5.5),
)
"""Radii in the order of hand21, for a hand of HAND_LENGTH_M."""

_BODY_MM = {
    "shoulder": 50.0,
    "elbow": 40.0,
    "wrist": 22.0,
    "hip": 85.0,
    "pelvis": 85.0,  # the middle of the hips
    "mid_hip": 85.0,
    "neck": 60.0,
    "knee": 55.0,
    "ankle": 38.0,
    "heel": 30.0,
    "index": 13.0,
    "pinky": 12.0,
    "thumb": 12.0,
    "foot_index": 15.0,
    "big_toe": 12.0,
    "small_toe": 10.0,
}
"""By the joint's name without its side. Face points lie on the skin."""

RADIUS_STD = 0.25
"""Of a radius, as a share of it: people differ, and limbs are not round."""

LONGEST_BONE_M = 0.6
"""Of a body or an animal, between connected joints."""

LARGEST_M = {"hand": 0.3, "body": 2.3, "animal": 2.5}
"""Between any two joints."""


@lru_cache(maxsize=32)
def radii_m(layout: Layout) -> Array:
    """(K,) distance from the skin to each joint of an adult, m; 0 for points on the skin.

    For animals nothing is known, and their joints stay on the skin.
    """
    if layout.kind == "hand":
        return np.array(_HAND_MM) * 1e-3
    if layout.kind == "animal":
        return np.zeros(len(layout))
    names = [name.removeprefix("left_").removeprefix("right_") for name in layout.joints]
    return np.array([_BODY_MM.get(name, 0.0) for name in names]) * 1e-3


@lru_cache(maxsize=32)
def reach_m(layout: Layout) -> Array:
    """(K, K) the largest distance between two joints, m: that of the bones between them, stretched.

    For a hand of HAND_LENGTH_M. Joints that no bones connect are as far apart as the whole object
    can be.
    """
    count = len(layout)
    reach = np.full((count, count), np.inf)
    np.fill_diagonal(reach, 0.0)
    if layout.kind == "hand":
        bones = [(a, b, share * HAND_LENGTH_M) for a, b, share in (*HAND_TREE, *_KNUCKLES)]
    else:
        bones = [(a, b, LONGEST_BONE_M) for a, b in layout.edges]
    for a, b, length in bones:
        reach[a, b] = reach[b, a] = length
    for joint in range(count):  # Floyd and Warshall
        reach = np.minimum(reach, reach[:, joint, None] + reach[None, joint])
    return np.minimum(reach, LARGEST_M[layout.kind])
