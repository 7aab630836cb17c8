"""The skin of a hand: a closed mesh at rest, with skinning weights and colour masks per vertex.

The shape is the zero level of a distance function, a smooth union of tapered capsules along the
bones; naive surface nets (Gibson, 1998) turn it into quadrilaterals. Meshes are cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vitpose_ros.synthetic.anatomy import REST_FRAMES, REST_JOINTS_MM

Array = npt.NDArray[np.float64]

FOREARM_MM = 520.0
_VOXEL_MM = 3.4
_INFLUENCE_POWER = 8.0

# Half thickness of each digit at its joints and midway between them, from the root to just before
# the tip, mm.
_GIRTHS_MM = (
    (14.0, 12.0, 11.6, 10.2, 10.4, 9.8, 7.0),
    (10.5, 9.7, 9.3, 8.4, 8.0, 7.7, 6.0),
    (10.8, 10.0, 9.6, 8.7, 8.2, 7.9, 6.2),
    (10.2, 9.4, 9.0, 8.2, 7.7, 7.4, 5.8),
    (9.2, 8.3, 7.9, 7.2, 6.8, 6.4, 5.0),
)

# The palm's capsules: ends and radii, mm.
_PALM = (
    ((6, 13, 0), (88, 24, -2), 15.5, 12.0),
    ((6, 5, 1), (92, 4, 0), 16.0, 12.5),
    ((6, -5, 0), (86, -16, -1), 16.0, 12.0),
    ((6, -12, -2), (77, -33, -6), 15.0, 11.0),
    ((20, -20, -9), (58, -33, -10), 12.0, 11.0),
    ((16, 16, -11), (50, 36, -18), 14.5, 13.5),
    ((38, 26, -6), (72, 25, -5), 10.0, 8.0),
    ((80, 20, -6), (74, -28, -10), 10.0, 9.0),
)
_WEBS = ((107, 15, -4, 5.0), (106, -8, -4, 5.0), (100, -29, -7, 4.6))
_KNUCKLES = ((91, 25, 5.8, 8.4), (93, 3, 8.0, 8.8), (88, -17.5, 6.4, 8.2), (81, -36, -0.3, 7.2))


@dataclass(frozen=True)
class HandMesh:
    """A right hand at rest.

    Attributes
    ----------
    vertices_mm : (V, 3), in the axes of `anatomy`.
    normals : (V, 3), outwards, of length 1.
    faces : (F, 3), clockwise in the image if seen from outside.
    influence : (V, 33) skinning weights of the 17 bones and 16 joints; rows sum to 1.
    palmar : (V,) 0 on the back, 1 on the palm's side.
    nail, crease, knuckle, sleeve, flush : (V,) masks, 0 to 1; `flush` is reddish skin.
    cavity : (V,) ambient occlusion of the hand at rest, 0 to 1.
    """

    vertices_mm: Array
    normals: Array
    faces: npt.NDArray[np.int64]
    influence: Array
    palmar: Array
    nail: Array
    crease: Array
    knuckle: Array
    sleeve: Array
    flush: Array
    cavity: Array


def _smooth(low: float, high: float, value: Array) -> Array:
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def _capsule(points: Array, a: Array, b: Array, radius_a: float, radius_b: float) -> Array:
    axis = b - a
    along = np.clip((points - a) @ axis / (axis @ axis), 0.0, 1.0)
    gap = points - a - along[..., None] * axis
    return np.sqrt(np.einsum("...i,...i->...", gap, gap)) - (
        radius_a + (radius_b - radius_a) * along
    )


def _digit_distance(points: Array, digit: int, girth: float) -> Array:
    joints, radii = REST_JOINTS_MM[digit], np.array(_GIRTHS_MM[digit]) * girth
    stations = [joints[0]]
    for start, end in pairwise(joints):
        stations += [(start + end) / 2, end]
    dorsal = REST_FRAMES[digit, :, 2]
    # Flesh below the phalanges between the joints, and the pad below the last one.
    for station, drop in ((1, 0.8), (3, 0.6), (5, 1.2), (6, 0.6)):
        stations[station] = stations[station] - drop * dorsal
    pieces = [
        _capsule(points, stations[i], stations[i + 1], radii[i], radii[i + 1]) for i in range(6)
    ]
    return np.min(pieces, axis=0)


def _soft_union(distances: list[Array], softness: float) -> Array:
    stack = np.stack(distances)
    nearest = stack.min(axis=0)
    return nearest - softness * np.log(np.exp((nearest - stack) / softness).sum(axis=0))


def _forearm_distance(points: Array, girth: float) -> Array:
    along = np.clip(-points[..., 0] / FOREARM_MM, 0.0, 1.0)
    swell = np.clip(along * 2.4, 0, 1) ** 0.8
    # Towards the hand, the forearm tapers off inside the carpus, so that no rim shows.
    carpus = _smooth(-18.0, 34.0, points[..., 0])
    wide = (27.0 + 17.0 * swell - 5.0 * carpus) * girth
    thick = (19.0 + 17.0 * swell - 7.0 * carpus) * girth
    y, z = points[..., 1] / wide, points[..., 2] / thick
    ring = (np.sqrt(y * y + z * z) - 1.0) * (wide * thick) ** 0.5
    beyond = np.maximum(points[..., 0] - 40.0, -points[..., 0] - FOREARM_MM)
    return np.maximum(ring, beyond)


def _distance(points: Array, girth: float) -> Array:
    """Approximate signed distance from the skin at rest, mm, negative inside."""
    palm = [
        _capsule(points, np.array(a, float), np.array(b, float), ra * girth, rb * girth)
        for a, b, ra, rb in _PALM
    ]
    palm += [
        _capsule(points, np.array((x, y, z)), np.array((x - 12.0, y, z)), r, r)
        for x, y, z, r in _WEBS
    ]
    palm += [
        _capsule(points, np.array((x, y, z)), np.array((x - 10.0, y, z)), r, r - 1.5)
        for x, y, z, r in _KNUCKLES
    ]
    body = _soft_union([*palm, _forearm_distance(points, girth)], 3.0) + 2.5
    digits = [_digit_distance(points, digit, girth) for digit in range(5)]
    return _soft_union([body, *digits], 1.6)


def _axis_mm(low: float, high: float) -> Array:
    return np.arange(low, high + _VOXEL_MM, _VOXEL_MM)


def _surface_nets(
    values: Array, axes: tuple[Array, Array, Array]
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Vertices (V, 3) and quadrilaterals (Q, 4) of the zero level on a grid; counter-clockwise if
    seen from outside.
    """
    inside = values < 0
    shape = np.array(values.shape) - 1
    total, count = np.zeros((*shape, 3)), np.zeros(tuple(shape))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cuts = []
    for axis in range(3):
        lower = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        upper = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        cut = inside[lower] != inside[upper]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(cut, values[lower] / (values[lower] - values[upper]), 0.0)
        place = np.where(
            cut[..., None], grid[lower] + part[..., None] * (grid[upper] - grid[lower]), 0.0
        )
        others = [i for i in range(3) if i != axis]
        for step in np.ndindex(2, 2):
            window: list[slice] = [slice(None)] * 3
            for i, offset in zip(others, step, strict=True):
                window[i] = slice(offset, offset + shape[i])
            total += place[tuple(window)]
            count += cut[tuple(window)]
        cuts.append((axis, cut, inside[lower]))
    used = count > 0
    number = np.full(tuple(shape), -1)
    number[used] = np.arange(used.sum())
    quads = []
    for axis, cut, starts_inside in cuts:
        j, k = (axis + 1) % 3, (axis + 2) % 3
        at = np.argwhere(cut)
        at = at[(at[:, j] > 0) & (at[:, k] > 0) & (at[:, j] < shape[j]) & (at[:, k] < shape[k])]
        ring = []
        for dj, dk in ((1, 1), (0, 1), (0, 0), (1, 0)):
            cell = at.copy()
            cell[:, j] -= dj
            cell[:, k] -= dk
            ring.append(number[tuple(cell.T)])
        quad = np.stack(ring, axis=1)
        outward = starts_inside[tuple(at.T)]
        quads.append(np.where(outward[:, None], quad, quad[:, ::-1]))
    return total[used] / count[used][:, None], np.concatenate(quads)


def _gradient(points: Array, girth: float) -> Array:
    step = 0.7
    columns = []
    for axis in range(3):
        offset = np.zeros(3)
        offset[axis] = step
        columns.append(
            (_distance(points + offset, girth) - _distance(points - offset, girth)) / (2 * step)
        )
    return np.stack(columns, axis=-1)


def _segment_gaps(points: Array) -> tuple[Array, Array]:
    """Distances from the bones (V, 17) and the joints (V, 16), mm."""

    def gap(a: Array, b: Array) -> Array:
        return _capsule(points, a, b, 0.0, 0.0)

    # The palm's bones end short of the knuckles; the gap belongs to the joints.
    palm = np.min(
        [
            gap(np.array((12.0, y / 3, 0.0)), REST_JOINTS_MM[d, 0])
            for d, y in ((1, 30), (2, 0), (3, -20), (4, -36))
        ],
        axis=0,
    )
    palm = np.minimum(palm, gap(np.array((15.0, -18.0, -8.0)), np.array((60.0, -34.0, -10.0))))
    palm = np.minimum(palm, gap(np.array((70.0, 24.0, -6.0)), np.array((64.0, -20.0, -8.0))))
    bones = [gap(np.array((-FOREARM_MM, 0.0, 0.0)), np.array((-14.0, 0.0, 0.0))), palm]
    joints = [gap(np.array((-4.0, -14.0, 0.0)), np.array((-4.0, 14.0, 0.0)))]
    for digit in range(5):
        for level in range(3):
            bones.append(gap(REST_JOINTS_MM[digit, level], REST_JOINTS_MM[digit, level + 1]))
            joints.append(gap(REST_JOINTS_MM[digit, level], REST_JOINTS_MM[digit, level] + 1e-6))
    return np.stack(bones, axis=-1), np.stack(joints, axis=-1)


def _influence(points: Array) -> Array:
    bones, joints = _segment_gaps(points)
    joints = joints.copy()
    joints[:, 1] += 6.0  # the thumb's root is deep inside: its skin follows the adjacent bones
    strength = (np.concatenate([bones, joints], axis=1) + 1.0) ** -_INFLUENCE_POWER
    strength /= strength.sum(axis=1, keepdims=True)
    strength[strength < 0.005] = 0.0
    return strength / strength.sum(axis=1, keepdims=True)


_CREASES = (  # the palm's three lines, mm
    ((84, 30, -12), (72, 18, -14), (66, -2, -14), (52, -22, -16), (44, -36, -16)),
    ((78, 30, -12), (66, 22, -14), (52, 6, -16), (34, -4, -18), (18, -6, -18)),
    ((96, 4, -12), (84, -6, -14), (74, -22, -14), (68, -44, -14)),
    ((2, 22, -18), (2, 0, -20), (2, -22, -18)),
)


@lru_cache(maxsize=8)
def hand_mesh(girth: float = 1.0, sleeve_mm: float = 90.0) -> HandMesh:
    """The mesh of a hand with a relative girth and a sleeve that starts `sleeve_mm` behind the
    wrist.
    """
    coarse = -np.cumsum(np.r_[_VOXEL_MM, np.minimum(_VOXEL_MM * 1.12 ** np.arange(90), 16.0)])
    coarse = coarse[coarse > -FOREARM_MM - 30.0][::-1] - 20.0
    # Grid planes on both sides of the sleeve's edge give it a clean outline.
    edge = -sleeve_mm + np.array((-3.0, -1.0, 1.0, 3.0))
    coarse = np.sort(np.r_[coarse[np.abs(coarse + sleeve_mm) > 6.0], edge])
    axes = (
        np.concatenate([coarse, _axis_mm(-20.0, 205.0)]),
        _axis_mm(-75.0, 105.0),
        _axis_mm(-58.0, 48.0),
    )
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    vertices, quads = _surface_nets(_distance(points, girth), axes)
    for _ in range(3):
        slope = _gradient(vertices, girth)
        steepness = np.maximum((slope * slope).sum(axis=1), 0.25)
        vertices = (
            vertices - np.clip(_distance(vertices, girth) / steepness, -1.0, 1.0)[:, None] * slope
        )
    normals = _gradient(vertices, girth)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    faces = np.concatenate([quads[:, [0, 2, 1]], quads[:, [0, 3, 2]]])
    return _tinted(vertices, normals, faces, girth, sleeve_mm)


def _tinted(
    vertices: Array, normals: Array, faces: npt.NDArray[np.int64], girth: float, sleeve_mm: float
) -> HandMesh:
    count = len(vertices)
    gaps = np.stack([_digit_distance(vertices, digit, girth) for digit in range(5)], axis=1)
    nearest = gaps.argmin(axis=1)
    digit = np.where(gaps.min(axis=1) < 2.0, nearest, -1)
    back = normals[:, 2].copy()
    nail, crease, knuckle, flush = (np.zeros(count) for _ in range(4))
    for d in range(5):
        on = (nearest == d) & (gaps[:, d] < 5.0)
        frame, joints = REST_FRAMES[d], REST_JOINTS_MM[d]
        local = (vertices - joints[0]) @ frame
        up = normals @ frame[:, 2]
        stations = (joints - joints[0]) @ frame[:, 0]
        blend = _smooth(5.0, 25.0, local[:, 0]) if d == 0 else _smooth(0.0, 10.0, local[:, 0])
        back = np.where(on, back + (up - back) * blend, back)
        radius = np.array(_GIRTHS_MM[d]) * girth
        # The nail extends from the middle of the last phalanx to the fingertip.
        along = (local[:, 0] - stations[2]) / (stations[3] + radius[6] - stations[2])
        wide = np.abs(local[:, 1]) / (0.80 * radius[5])
        nail = np.where(
            on,
            _smooth(0.36, 0.44, along)
            * _smooth(1.04, 0.98, along)
            * _smooth(1.05, 0.85, wide)
            * _smooth(0.1, 0.35, up),
            nail,
        )
        tip = _smooth(stations[2] + 4.0, stations[3], local[:, 0])
        flush = np.maximum(flush, np.where(on, 0.8 * tip, 0.0))
        for level in (0, 1, 2):
            off = local[:, 0] - stations[level]
            if level > 0:
                knuckle = np.maximum(
                    knuckle,
                    np.where(
                        on & (up > 0), np.exp(-((off / 6.0) ** 2)) * _smooth(0.2, 0.8, up), 0.0
                    ),
                )
            fold = off + (0.0 if level else -24.0)
            if level or d:
                crease = np.maximum(
                    crease,
                    np.where(
                        on & (up < 0.3), np.exp(-((fold / 2.0) ** 2)) * _smooth(0.3, -0.3, up), 0.0
                    ),
                )
    for line in _CREASES:
        bends = np.array(line, float)
        gap = np.min(
            [_capsule(vertices[:, :2], a[:2], b[:2], 0.0, 0.0) for a, b in pairwise(bends)],
            axis=0,
        )
        crease = np.maximum(
            crease, np.exp(-((gap / 2.4) ** 2)) * _smooth(-0.1, -0.5, normals[:, 2]) * (digit < 0)
        )
    knuckle = np.maximum(
        knuckle,
        sum(
            0.7 * np.exp(-(((vertices[:, :2] - np.array(k[:2])) ** 2).sum(axis=1)) / 80.0)
            for k in _KNUCKLES
        )
        * _smooth(0.2, 0.8, normals[:, 2]),
    )
    sleeve = _smooth(-sleeve_mm + 1.5, -sleeve_mm - 1.5, vertices[:, 0])
    vertices = vertices + normals * (sleeve * 4.0)[:, None]
    flush = np.maximum(flush, 0.5 * knuckle)
    cavity = np.zeros(count)
    for reach in (6.0, 12.0, 20.0):
        open_space = _distance(vertices + normals * reach, girth)
        cavity += np.clip(1.0 - open_space / reach, 0.0, 1.0) / 3.0
    return HandMesh(
        vertices,
        normals,
        faces,
        _influence(vertices),
        _smooth(0.15, -0.35, back),
        nail,
        crease,
        knuckle,
        sleeve,
        flush,
        cavity,
    )
