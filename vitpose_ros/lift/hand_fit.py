"""The distance of a hand of known size, from one image.

The model gives the directions of the bones, anatomy their lengths, the hand's size the scale. What
is left is where that hand is and how it is turned: the position and the turn that reproject best,
where a turn away from the model's own orientation costs. Without this cost (perspective-n-point,
such as OpenCV's SQPNP) the result flips between two orientations that look almost alike, and the
distance with it: docs/3d.md has the figures.

The model's axes are those of the crop it read, in which the hand's ray is the optical axis, so the
fit works in a camera that looks along this ray. That also serves lenses of any width.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vitpose_ros.lift.anatomy import HAND_TREE

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_JOINTS = 8
"""With fewer joints a hand is not placed."""

_NOISE_M = 0.006  # of a joint across the ray: pixels, and the shape itself
_TURN_STD_RAD = np.array([0.3, 0.3, 0.15])
_ROUNDS = 6
_OUTLIER = 1.5  # in standard deviations: beyond, an error counts linearly
_WORST_M = 0.04
"""A hand whose joints reproject worse than this, median, is not a hand of this shape."""


_FIRST, _SECOND = (np.array([bone[end] for bone in HAND_TREE], np.intp) for end in (0, 1))
_SHARES = np.array([share for _, _, share in HAND_TREE])


def with_lengths(shape: Array, length_m: float) -> Array:
    """The same hand with bones of anatomical lengths: a copy with the directions of `shape`.

    Parameters
    ----------
    shape : (21, 3).
    length_m : of the hand.

    Returns
    -------
    (21, 3) m, the wrist at the origin; NaN where a bone has no direction.
    """
    bones = shape[_SECOND] - shape[_FIRST]
    norm = np.sqrt(np.square(bones).sum(axis=1))
    bones *= (_SHARES * length_m / np.where(norm > 1e-6, norm, np.nan))[:, None]
    fingers = np.cumsum(bones.reshape(5, 4, 3), axis=1)
    return np.concatenate([np.zeros((1, 3)), fingers.reshape(20, 3)])


def fit_distance(shape: Array, rays: Array, usable: Mask) -> Array | None:
    """Where a hand of this shape and size is.

    Parameters
    ----------
    shape : (21, 3) m, in the axes of the model's crop; see `with_lengths`.
    rays : (21, 3) unit vectors towards the joints in the image.
    usable : (21,) which of them to fit.

    Returns
    -------
    (21,) distance of each joint along its ray, m; NaN where a joint has no ray. None if too few
    joints are usable, they do not fit, or a joint would be behind the camera.
    """
    usable = usable & np.isfinite(rays).all(axis=1) & np.isfinite(shape).all(axis=1)
    if int(usable.sum()) < LEAST_JOINTS:
        return None
    forward = rays[usable].mean(axis=0)
    local = rays @ _towards(forward / np.linalg.norm(forward))
    if not (local[usable, 2] > 0.1).all():
        return None
    image = local[usable, :2] / local[usable, 2:]
    middle = shape[usable].mean(axis=0)
    points = shape[usable] - middle
    place = _shifted(points, image)
    turn = np.eye(3)
    for _ in range(_ROUNDS):
        if not place[2] > 0.05:
            return None
        turned = points @ turn.T
        error, slopes = _reprojection(turned, place, image)
        weight = _OUTLIER / np.maximum(np.hypot(*error.T), _OUTLIER)
        rows = slopes.reshape(-1, 6)
        weighted = rows * np.repeat(weight, 2)[:, None]
        normal, right = rows.T @ weighted, weighted.T @ error.ravel()
        normal[(0, 1, 2), (0, 1, 2)] += 1 / _TURN_STD_RAD**2
        right[:3] += _vector(turn) / _TURN_STD_RAD**2
        step = np.linalg.solve(normal, -right)
        turn, place = _rotation(step[:3]) @ turn, place + step[3:]
    if not place[2] > 0.05:
        return None
    turned = points @ turn.T
    error, _ = _reprojection(turned, place, image)
    placed = (shape - middle) @ turn.T + place
    if np.median(np.hypot(*error.T)) * _NOISE_M > _WORST_M or not (placed[usable, 2] > 0).all():
        return None
    distance: Array = placed[:, 2] / np.where(local[:, 2] > 0.1, local[:, 2], np.nan)
    return np.where(distance > 0, distance, np.nan)


def _shifted(points: Array, image: Array) -> Array:
    """(3,) the position at which unturned points reproject best."""
    rows = np.zeros((len(points), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1.0
    rows[:, :, 2] = -image
    wanted = image * points[:, 2:] - points[:, :2]
    solution = np.linalg.lstsq(rows.reshape(-1, 3), wanted.ravel(), rcond=None)[0]
    return np.asarray(solution, np.float64)


def _reprojection(turned: Array, place: Array, image: Array) -> tuple[Array, Array]:
    """(J, 2) errors in standard deviations, and (J, 2, 6) how they change with turn and place."""
    x, y, z = (turned + place).T
    z = np.maximum(z, 1e-3)
    unit = place[2] / _NOISE_M
    error = unit * (np.stack([x / z, y / z], axis=1) - image)
    by_place = np.zeros((len(turned), 2, 3))
    by_place[:, 0, 0] = by_place[:, 1, 1] = unit / z
    by_place[:, 0, 2], by_place[:, 1, 2] = -unit * x / z**2, -unit * y / z**2
    by_turn = np.cross(turned[:, None], by_place)
    return error, np.concatenate([by_turn, by_place], axis=2)


def _towards(direction: Array) -> Array:
    """(3, 3) the smallest rotation from the optical axis to a unit direction."""
    x, y, z = direction
    if z < -0.999:  # straight behind: any half turn
        return np.diag([1.0, -1.0, -1.0])
    k = 1 / (1 + z)
    return np.array([[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, z]])


def _rotation(vector: Array) -> Array:
    """The rotation about a vector by its length, rad (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Array = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def _vector(turn: Array) -> Array:
    """The inverse of `_rotation`, for turns well below half a turn."""
    angle = math.acos(min(1.0, max(-1.0, (float(np.trace(turn)) - 1) / 2)))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return axis * (0.5 if angle < 1e-6 else angle / (2 * math.sin(angle)))
