"""Pictures of a robot hand: its meshes, drawn by this package's own rasteriser. It needs no OpenGL,
which machines without a display often lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.synthetic.raster import rasterise
from vitpose_ros.types import ByteArray, FloatArray

Array = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

_FOCAL = 1.9
"""Focal length over the picture's height."""
_CREASE = np.cos(np.radians(38.0))
"""Between faces at a larger angle, an edge stays sharp."""
_VISUAL_GROUP = 1
_SHELL, _DARK = np.array((0.50, 0.49, 0.49)), np.array((0.050, 0.046, 0.044))  # BGR, linear
_LIGHTS = (
    (np.array((-0.45, -0.75, -0.55)), np.array((1.00, 1.03, 1.10)) * 1.25),  # key, warm
    (np.array((0.85, 0.05, -0.45)), np.array((1.15, 0.95, 0.80)) * 0.45),  # fill, cool
    (np.array((0.35, -0.45, 0.80)), np.array((1.30, 1.10, 0.90)) * 0.80),  # rim, from behind
)
"""Direction to the light in the camera's axes, and its colour, BGR."""


class RobotView:
    """Draws a robot hand as a camera sees it.

    Parameters
    ----------
    model, data : MuJoCo's; the pose is that of `data` at the time of drawing.
    size : side of the square picture, px.
    accents : BGR colours of the bodies whose names contain these words.
    oversampling : drawn at so many times the size, against jagged edges.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        size: int,
        accents: Sequence[tuple[str, Colour]] = (),
        oversampling: float = 2.0,
    ) -> None:
        self._data, self._size, self._side = data, size, round(size * oversampling)
        self._geoms: list[int] = []
        starts, parts = 0, []
        for geom in range(model.ngeom):
            mesh = int(model.geom_dataid[geom])
            if model.geom_group[geom] != _VISUAL_GROUP or mesh < 0:
                continue
            corners, normals = _corners(model, mesh)
            body = model.body(int(model.geom_bodyid[geom])).name
            colour = _colour(body, accents)
            self._geoms.append(geom)
            parts.append((corners, normals, np.full((len(corners), 3), colour, np.float32)))
            starts += len(corners)
        self._lengths = [len(part[0]) for part in parts]
        self._local = np.concatenate([part[0] for part in parts]).astype(np.float32)
        self._normals = np.concatenate([part[1] for part in parts]).astype(np.float32)
        self._albedo = np.concatenate([part[2] for part in parts])
        self._faces = np.arange(starts, dtype=np.int64).reshape(-1, 3)[:, ::-1].copy()
        self._background = _backdrop(size)

    def project(self, points: Array, rotation: Array, centre: Array, distance_m: float) -> Array:
        """(P, 2) px of points (P, 3) in the model's world; other arguments as for `draw`."""
        seen = (points - centre) @ rotation.T
        z = seen[:, 2] + distance_m
        return np.asarray(seen[:, :2] / z[:, None] * _FOCAL * self._size + self._size / 2)

    def draw(self, rotation: Array, centre: Array, distance_m: float) -> ByteArray:
        """The hand over a dark backdrop, (size, size, 3) BGR.

        Parameters
        ----------
        rotation : (3, 3) from the model's world to the camera's optical axes.
        centre : (3,) what is in the middle of the picture, in the model's world, m.
        distance_m : of the camera from it.
        """
        side = self._side
        points, normals = np.empty_like(self._local), np.empty_like(self._normals)
        begin = 0
        for geom, count in zip(self._geoms, self._lengths, strict=True):
            turn = rotation @ self._data.geom_xmat[geom].reshape(3, 3)
            shift = rotation @ (self._data.geom_xpos[geom] - centre)
            part = slice(begin, begin + count)
            points[part] = self._local[part] @ turn.T.astype(np.float32) + shift.astype(np.float32)
            normals[part] = self._normals[part] @ turn.T.astype(np.float32)
            begin += count
        depth = points[:, 2] + np.float32(distance_m)
        near = np.where(depth > 0.05, 1.0 / np.maximum(depth, 0.05), 0.0).astype(np.float32)
        uv = points[:, :2] * near[:, None] * np.float32(_FOCAL * side) + np.float32(side / 2)
        inverse = np.zeros((side, side), np.float32)
        drawn = rasterise(uv, near, self._faces, inverse)
        light = _lit(self._albedo, normals)
        corner = self._faces[drawn.face]
        colour = drawn.weights[:, :1] * light[corner[:, 0]]
        colour += drawn.weights[:, 1:2] * light[corner[:, 1]]
        colour += drawn.weights[:, 2:] * light[corner[:, 2]]
        colour *= _openness(inverse).reshape(-1)[drawn.pixel][:, None]
        np.sqrt(colour / (1.0 + 0.30 * colour), out=colour)  # film's shoulder, and gamma
        colour *= 255.0
        layer = np.zeros((side * side, 3), np.float32)
        cover = np.zeros(side * side, np.float32)
        layer[drawn.pixel], cover[drawn.pixel] = colour, 1.0
        small = (self._size, self._size)
        shown = cv2.resize(layer.reshape(side, side, 3), small, interpolation=cv2.INTER_AREA)
        covered = cv2.resize(cover.reshape(side, side), small, interpolation=cv2.INTER_AREA)
        picture = shown + self._background * (1.0 - covered)[..., None]
        return cast(ByteArray, np.clip(picture, 0, 255).astype(np.uint8))


def _colour(body: str, accents: Sequence[tuple[str, Colour]]) -> Array:
    for word, colour in accents:
        if word in body:
            return (np.array(colour) / 255.0) ** 2.2
    dark = ("palm", "knuckle", "metacarpal", "wrist", "forearm", "base", "hub")
    return _DARK if any(word in body for word in dark) else _SHELL


def _corners(model: Any, mesh: int) -> tuple[Array, Array]:
    """Corners (3 F, 3) of a mesh's faces, and their normals: smooth, but sharp at creases."""
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    vertices = model.mesh_vert[first : first + count].astype(np.float64)
    first, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    faces = model.mesh_face[first : first + count].astype(np.int64)
    _, same = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)  # twice the area along the normal
    unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-12)
    owner = same.reshape(-1)[faces].reshape(-1)  # the place of each corner
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner)
    starts = np.cumsum(counts) - counts
    # Every pair of corners at one place.
    of = np.repeat(order, counts[owner[order]])
    steps = np.arange(len(of)) - np.repeat(
        np.cumsum(counts[owner[order]]) - counts[owner[order]], counts[owner[order]]
    )
    other = order[np.repeat(starts[owner[order]], counts[owner[order]]) + steps]
    smooth = (unit[of // 3] * unit[other // 3]).sum(axis=1) > _CREASE
    normals = np.zeros((len(owner), 3))
    np.add.at(normals, of[smooth], area[other[smooth] // 3])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return vertices[faces].reshape(-1, 3), normals


def _lit(albedo: FloatArray, normal: FloatArray) -> FloatArray:
    """Light (C, 3) BGR, linear, that corners with these normals send to the camera."""
    sky = np.array((1.15, 1.0, 0.9), np.float32)
    light = (0.30 - 0.14 * normal[:, 1:2]) * sky
    shine = np.zeros_like(normal)
    for direction, colour in _LIGHTS:
        to_light = (direction / np.linalg.norm(direction)).astype(np.float32)
        half = to_light + np.array((0, 0, -1), np.float32)
        half /= np.linalg.norm(half)
        tint = colour.astype(np.float32)
        light += np.clip(normal @ to_light, 0, 1)[:, None] * tint
        gloss = np.clip(normal @ half, 0, 1)[:, None]
        for _ in range(3):
            gloss = gloss * gloss  # to the power of 8, and below of 32
        shine += (0.06 * gloss + 0.30 * gloss**4) * tint
    edge = (1.0 - np.clip(-normal[:, 2:3], 0, 1)) ** 3
    return np.asarray(albedo * light + shine + 0.05 * edge, np.float32)


def _openness(inverse: FloatArray) -> FloatArray:
    """How far each pixel's surroundings are open, 0 to 1, from inverse depth: ambient occlusion."""
    small = cv2.resize(inverse, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
    with np.errstate(divide="ignore"):
        depth = np.where(small > 0, 1.0 / np.maximum(small, 1e-6), 9.0).astype(np.float32)
    shade = np.zeros_like(depth)
    for radius, weight in ((3, 0.5), (8, 0.35), (18, 0.25)):
        for angle in np.arange(8) * (np.pi / 4):
            v, u = round(radius * np.sin(angle)), round(radius * np.cos(angle))
            shifted = np.roll(depth, (v, u), axis=(0, 1))
            ahead = depth - shifted  # m by which the neighbour is nearer
            shade += weight / 8 * np.clip(ahead / (0.0008 * radius), 0, 1) * (ahead < 0.06)
    size = (inverse.shape[1], inverse.shape[0])
    soft = cv2.resize(cv2.GaussianBlur(shade, (0, 0), 1.5), size)
    return np.asarray(1.0 - np.clip(soft, 0, 0.85), np.float32)


def _backdrop(size: int) -> FloatArray:
    """A dark studio: a glow behind the hand."""
    v, u = np.mgrid[0:size, 0:size].astype(np.float32) / size
    glow = np.exp(-(((u - 0.5) / 0.42) ** 2 + ((v - 0.46) / 0.42) ** 2))[..., None]
    dark, bright = np.array((30, 24, 20), np.float32), np.array((92, 78, 66), np.float32)
    return np.asarray(dark + glow * (bright - dark), np.float32)
