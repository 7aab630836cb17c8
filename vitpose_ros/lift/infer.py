"""Which measured depths belong to the object, and where its other joints are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Pairs = tuple[tuple[int, int], ...]

_STRETCH, _SLACK_M = 1.25, 0.015
"""Joints are at most so much farther apart than the bones between them: people and skin differ."""

_INSIDE = 0.8
"""Flesh gives way, and radii differ: closer than this share of both radii is inside."""

_LEAST_ALIGNED = 4
_FLAT = 0.1
"""Joints on a line, with a second axis shorter than this share of the first, fix no turn."""

_SHAPE_STD = (0.008, 0.25)  # m, and share of the bones between the joint and the measured one
_BONE_STD = (0.008, 1.0)  # m, and share of how far the bone can point away


def plausible(points: Array, reach_m: Array) -> Mask:
    """Which measured points can belong to one skeleton.

    What hides a joint, or lies behind it, is farther from the other joints than bones reach. The
    point that contradicts most others goes first, of several the farthest, until none is left.

    Parameters
    ----------
    points : (K, 3) m, NaN where not measured.
    reach_m : (K, K) lengths of the bones between joints.

    Returns
    -------
    (K,) bool.
    """
    measured = ~np.isnan(points[:, 2])
    if not measured.any():
        return measured
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    with np.errstate(invalid="ignore"):
        agree = apart <= _STRETCH * reach_m + _SLACK_M
    against = ~agree & measured[:, None] & measured
    while True:
        votes = against.sum(axis=1)
        if not votes.any():
            return measured
        worst = np.flatnonzero(votes == votes.max())
        gone = worst[np.argmax(points[worst, 2])]
        measured[gone] = False
        against[gone] = against[:, gone] = False


def overlapping(points: Array, radii_m: Array, bones: Pairs, rigid: Mask) -> Mask:
    """Which joints lie inside another bone's flesh, where no joint can be: one of the two is hidden
    behind the other, and depth shows only the one in front.

    Parameters
    ----------
    points : (K, 3) m, NaN where not measured.
    radii_m : (K,) of the flesh around each joint.
    bones : pairs of joints.
    rigid : (K,) joints that share flesh, such as those of a palm; they are not compared with the
        bones that begin there.

    Returns
    -------
    (K,) bool.
    """
    first, second = np.array(bones, np.intp).T
    start, along = points[first], points[second] - points[first]
    squared = np.maximum(np.square(along).sum(axis=1), 1e-12)
    offset = points[:, None] - start
    share = np.clip(np.einsum("kbd,bd->kb", offset, along) / squared, 0.0, 1.0)
    apart = np.linalg.norm(offset - share[..., None] * along, axis=2)
    flesh = radii_m[:, None] + (1 - share) * radii_m[first] + share * radii_m[second]
    joints = np.arange(len(points))[:, None]
    own = (joints == first) | (joints == second)
    own |= rigid[:, None] & (rigid[first] | rigid[second])
    with np.errstate(invalid="ignore"):
        inside: Mask = ((apart < _INSIDE * flesh) & ~own).any(axis=1)
    return inside


def aligned(shape: Array, points: Array, scaled: bool) -> Array | None:
    """A shape turned and moved onto measured points, and scaled where its scale is not known.

    Least squares (Kabsch; Umeyama with the scale).

    Parameters
    ----------
    shape : (K, 3); NaN where the model gives none.
    points : (K, 3) m; NaN where not measured.
    scaled : whether the scale is free.

    Returns
    -------
    (K, 3) m; None when too few points are measured, or they lie on a line.
    """
    both = ~np.isnan(shape[:, 0] + points[:, 0])
    if int(both.sum()) < _LEAST_ALIGNED:
        return None
    source, target = shape[both], points[both]
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    source, target = source - middle, target - goal
    u, spread, v = np.linalg.svd(source.T @ target)
    if not spread[1] > _FLAT**2 * spread[0]:
        return None
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    turn = (u * signs) @ v
    scale = float((spread * signs).sum() / np.square(source).sum()) if scaled else 1.0
    if not scale > 0:
        return None
    result: Array = scale * (shape - middle) @ turn + goal
    return result


def turn_onto(points: Array, goal: Array) -> Array:
    """(3, 3) the rotation that turns points (K, 3) onto others, both about their middle: least
    squares (Kabsch).
    """
    u, _, v = np.linalg.svd((points - points.mean(axis=0)).T @ (goal - goal.mean(axis=0)))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    turn: Array = ((u * signs) @ v).T
    return turn


def inferred(
    points: Array, std_m: Array, rays: Array, reach_m: Array, model: Array | None
) -> tuple[Array, Array]:
    """Points for the joints that were not measured, on their rays.

    Each goes by the nearest measured joint along the bones. With a model of the shape, as `aligned`
    gives it, its depth differs from that joint's as the model says. Without, it lies where its ray
    passes that joint most closely, because the bone may point towards the camera or away; a joint
    that no bones connect stays unknown.

    Parameters
    ----------
    points, std_m : (K, 3), (K,) m; NaN where not measured.
    rays : (K, 3) unit vectors; NaN for joints without a pixel.
    reach_m : (K, K) lengths of the bones between joints, inf for none.
    model : (K, 3) m, or None.

    Returns
    -------
    (K, 3) points and (K,) standard deviations, m; as given where measured, NaN where unknown.
    """
    measured = ~np.isnan(points[:, 2])
    open_ = ~measured & ~np.isnan(rays[:, 2])
    if not measured.any() or not open_.any():
        return points, std_m
    reach = reach_m[:, measured]
    source = np.flatnonzero(measured)[reach.argmin(axis=1)]
    bones = reach.min(axis=1)
    from_shape = np.zeros_like(open_)
    goal = points[source]
    if model is not None:
        from_shape = open_ & ~np.isnan(model[:, 0] + model[source, 0])
        goal = np.where(from_shape[:, None], goal + model - model[source], goal)
    along = np.einsum("kd,kd->k", goal, rays)  # NaN without a ray
    found = rays * along[:, None]
    across = np.linalg.norm(found - points[source], axis=1)
    away = np.sqrt(np.maximum(np.square(np.minimum(bones, 10.0)) - np.square(across), 0.0))
    by_bone = np.hypot(_BONE_STD[0], _BONE_STD[1] * away)
    by_shape = _SHAPE_STD[0] + _SHAPE_STD[1] * bones
    std = np.hypot(std_m[source], np.where(from_shape, by_shape, by_bone))
    with np.errstate(invalid="ignore"):
        filled = open_ & np.isfinite(bones) & (along > 0)
    return np.where(filled[:, None], found, points), np.where(filled, std, std_m)
