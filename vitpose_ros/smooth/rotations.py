"""Vectors and rotations for joint limits. Angles are in radians."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TINY = 1e-9


def dot(a: Array, b: Array) -> Array:
    """(...,) of (..., 3) and (..., 3); for few vectors several times as fast as einsum."""
    return np.asarray((a[..., None, :] @ b[..., None])[..., 0, 0])


def cross(a: Array, b: Array) -> Array:
    """(..., 3) of (..., 3) and (..., 3); for few vectors several times as fast as numpy's."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def unit(vectors: Array) -> Array:
    """(..., 3) of length 1; NaN where the length is 0."""
    return vectors / np.sqrt(dot(vectors, vectors))[..., None]


def beside(vectors: Array, axis: Array) -> Array:
    """The part of vectors (..., 3) that is at right angles to a unit axis (..., 3), length 1."""
    return unit(vectors - dot(vectors, axis)[..., None] * axis)


def rotated(vectors: Array, axis: Array, angle: Array) -> Array:
    """Vectors (..., 3) rotated about unit axes (..., 3) by angles (...,): Rodrigues' formula."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    along = dot(vectors, axis)[..., None] * axis
    return along + cos * (vectors - along) + sin * cross(axis, vectors)


def bend(first: Array, second: Array, hinge: Array) -> tuple[Array, Array]:
    """How far a bone is bent against the one before it, about a hinge.

    Parameters
    ----------
    first, second : (..., 3) directions of the two bones, length 1.
    hinge : (..., 3) length 1, at right angles to `first`; positive angles follow the right-hand
        rule.

    Returns
    -------
    angle : (...,) -pi .. pi.
    within : (...,) 0 .. 1, how much of `second` lies in the plane in which the hinge rotates it; if
        little, the angle is unreliable.
    """
    straight, aside = dot(second, first), dot(second, cross(hinge, first))
    return np.arctan2(aside, straight), np.hypot(straight, aside)


def excess(angle: Array, low: Array, high: Array) -> Array:
    """By how much angles are above `high` (positive) or below `low` (negative); 0 between.

    An angle outside of both counts by the shorter way round.
    """
    middle = (low + high) / 2
    angle = middle + np.remainder(angle - middle + np.pi, 2 * np.pi) - np.pi
    return np.maximum(angle - high, 0.0) + np.minimum(angle - low, 0.0)


def ramp(value: Array, start: float, end: float) -> Array:
    """0 before `start`, 1 after `end`, smooth between."""
    share = np.minimum(np.maximum((value - start) / (end - start), 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)
