"""Which hand or body of one camera is which of another, and one id for it in all cameras."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from vitpose_ros.assignment import assign
from vitpose_ros.geometry import known_median
from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST, Layout
from vitpose_ros.lift.shared_ids import Sighting
from vitpose_ros.lift.triangulate import PosedCamera, triangulate
from vitpose_ros.limits import rigid_bones
from vitpose_ros.types import Instance, JointState, Keypoints, Side

Array = npt.NDArray[np.float64]
Group = dict[int, int]
"""One hand or body: for each camera that sees it, its index among that camera's instances."""

FEWEST_JOINTS = 5
"""Objects with fewer joints that both cameras measured are not compared."""

SAME_SIGMAS = 2.0
"""The median reprojection error of one object in two cameras, in standard deviations, is lower."""

SIDE_WEIGHT = 0.5
"""Standard deviations for each nat of disagreement about the side."""

CONTINUITY = 1.0
"""Standard deviations by which a pair of the previous image takes precedence."""

PALM_M, LIMB_M = (0.05, 0.14), (0.12, 0.65)
"""The median distance from the wrist to the MCP joints, and the median length of a body's rigid
bones, of children and adults. Joints of different objects seldom give such a length."""

SIGMA, MIN_STD_PX = 0.05, 0.5
"""Where a joint's uncertainty (uv_std) is not known, it is twice the annotators' (the layout's
sigma, or SIGMA where there is none) times the object's size in px, the width of OKS's kernel. It is
never below MIN_STD_PX."""

_MCPS = [INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP]
_FILLED = 0.5  # an object covers about half of its box, and sigmas refer to the object's area


def pixel_std(joints: Keypoints) -> Array:
    """(K,) the standard deviation of each joint's pixel; NaN where this image does not measure it.

    A hidden joint is not measured: the network guesses it.
    """
    _, _, width, height = joints.box()
    size = np.sqrt(_FILLED * max(width, 1.0) * max(height, 1.0))
    sigmas = np.nan_to_num(np.array(joints.layout.sigmas), nan=SIGMA)
    std = np.where(np.isfinite(joints.uv_std), joints.uv_std, 2 * sigmas * size)
    std = np.maximum(std, MIN_STD_PX)
    return np.asarray(np.where(joints.state >= JointState.MEASURED, std, np.nan), np.float64)


def group_views(
    cameras: Sequence[PosedCamera | None],
    instances: Sequence[Sequence[Instance]],
    together: Collection[frozenset[Sighting]] = (),
) -> list[Group]:
    """The hands and bodies that several cameras see at one time.

    Two instances can be one object if their joints meet in space, at a size that the object can
    have. Among these, the assignment with the lowest total cost counts: the reprojection error, the
    disagreement about the side, and whether the pair was together in the previous image.

    Parameters
    ----------
    cameras : None where the pose or the geometry is not known; such a camera is never matched.
    instances : of each camera; lost ones are in no group.
    together : the pairs of the previous image.

    Returns
    -------
    Each seen instance is in one group, in the order of cameras and instances.
    """
    groups: list[Group] = []
    for camera, found in enumerate(instances):
        seen = [index for index, instance in enumerate(found) if not instance.is_lost]
        costs = np.full((len(groups), len(seen)), np.inf)
        for row, group in enumerate(groups):
            pairs = [
                _pair_costs(cameras, instances, (other, index), (camera, seen), together)
                for other, index in group.items()
            ]
            costs[row] = np.mean(pairs, axis=0)
        matched = {seen[column]: row for row, column in assign(costs)}
        for index in seen:
            if index in matched:
                groups[matched[index]][camera] = index
            else:
                groups.append({camera: index})
    return groups


def _pair_costs(
    cameras: Sequence[PosedCamera | None],
    instances: Sequence[Sequence[Instance]],
    one: tuple[int, int],
    others: tuple[int, list[int]],
    together: Collection[frozenset[Sighting]],
) -> Array:
    """The cost of each of some instances of a camera to be an instance of another camera."""
    (a, index), (b, indices) = one, others
    costs = np.full(len(indices), np.inf)
    first, second = cameras[a], cameras[b]
    mine = instances[a][index]
    fitting = [n for n, i in enumerate(indices) if instances[b][i].layout is mine.layout]
    if first is None or second is None or not fitting:
        return costs
    theirs = [instances[b][indices[n]] for n in fitting]
    errors, length = _compare((first, second), mine.raw, [other.raw for other in theirs])
    low, high = PALM_M if mine.layout.kind == "hand" else LIMB_M
    possible = (errors <= SAME_SIGMAS) & ~(length < low) & ~(length > high)
    for n, other, error in zip(fitting, theirs, errors, strict=True):
        pair = frozenset(((a, mine.track_id), (b, other.track_id)))
        continuity = CONTINUITY if pair in together else 0.0
        costs[n] = error - SIDE_WEIGHT * np.log(_agreement(mine, other)) - continuity
    costs[[n for n, can in zip(fitting, possible, strict=True) if not can]] = np.inf
    return costs


def _compare(
    cameras: tuple[PosedCamera, PosedCamera], mine: Keypoints, theirs: Sequence[Keypoints]
) -> tuple[Array, Array]:
    """For each of some objects of the second camera, as one with that of the first: the median
    reprojection error in standard deviations (infinite with too few joints), and the size, m (NaN
    if not known).
    """
    count, joints = len(theirs), len(mine.layout)
    uv = np.stack(
        [np.tile(mine.uv, (count, 1)), np.concatenate([other.uv for other in theirs])]
    ).astype(np.float64)
    std = np.stack(
        [np.tile(pixel_std(mine), count), np.concatenate([pixel_std(o) for o in theirs])]
    )
    found = triangulate(cameras, uv, std)
    both = np.isfinite(std).all(axis=0).reshape(count, joints)
    sigmas = np.sqrt(np.square(found.error_px / std).mean(axis=0)).reshape(count, joints)
    # Joints that do not meet count as the worst.
    sigmas = np.where(np.isfinite(sigmas), sigmas, np.inf)
    median = known_median(np.where(both, sigmas, np.nan))
    errors = np.where(both.sum(axis=1) >= FEWEST_JOINTS, median, np.inf)
    return errors, _size(mine.layout, found.xyz.reshape(count, joints, 3))


def _size(layout: Layout, xyz: Array) -> Array:
    bones = [(WRIST, mcp) for mcp in _MCPS] if layout.kind == "hand" else rigid_bones(layout)
    if not bones:
        return np.full(len(xyz), np.nan)
    ends = np.array(bones)
    return known_median(np.linalg.norm(xyz[:, ends[:, 0]] - xyz[:, ends[:, 1]], axis=2))


def _agreement(a: Instance, b: Instance) -> float:
    """The probability that two instances have the same side."""
    right = [
        0.5
        if i.side is Side.UNKNOWN
        else i.side_score
        if i.side is Side.RIGHT
        else 1 - i.side_score
        for i in (a, b)
    ]
    return max(right[0] * right[1] + (1 - right[0]) * (1 - right[1]), 1e-3)
