"""The scene without the hands: camera, light, the table and its objects, the can and the plate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TABLE_Z_M = -0.42
_TABLE_EDGE_M = (0.85, 0.92)  # half width, far edge


@dataclass(frozen=True)
class Light:
    """A sun and a diffuse sky; directions in the world."""

    to_sun: Array
    sun: float
    sky: float
    tint: Array


@dataclass(frozen=True)
class Solid:
    """A closed triangle mesh.

    Attributes
    ----------
    vertices_m : (V, 3) in its own frame.
    normals : (V, 3).
    faces : (F, 3), clockwise in the image if seen from outside.
    colours : (V, 3) BGR 0 .. 255.
    """

    vertices_m: Array
    normals: Array
    faces: npt.NDArray[np.int64]
    colours: Array


@dataclass(frozen=True)
class Eye:
    """Where a camera is beside the middle one, which is in the wearer's face.

    Attributes
    ----------
    position_m : in the world: x right, y forward, z up, m.
    yaw_deg : how far it is turned to the right.
    """

    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_deg: float = 0.0


MIDDLE_EYE = Eye()


def camera_rotation(pitch_deg: float, yaw_deg: float = 0.0) -> Array:
    """(3, 3) the rotation from the world (x right, y forward, z up) to the optical frame of a
    camera pitched down by `pitch_deg` and turned to the right by `yaw_deg`.
    """
    cos, sin = np.cos(np.radians(pitch_deg)), np.sin(np.radians(pitch_deg))
    down = np.array(((1.0, 0.0, 0.0), (0.0, -sin, -cos), (0.0, cos, -sin)))
    cos, sin = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    return down @ np.array(((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)))


def make_light(rng: np.random.Generator) -> Light:
    """A random light from above."""
    azimuth, height = rng.uniform(-2.4, 2.4), rng.uniform(0.75, 1.25)
    to_sun = np.array(
        (np.sin(azimuth) * np.cos(height), np.cos(azimuth) * np.cos(height), np.sin(height))
    )
    warmth = rng.uniform(-0.06, 0.06)
    return Light(
        to_sun,
        rng.uniform(0.46, 0.62),
        rng.uniform(0.40, 0.50),
        np.array((1.0 - warmth, 1.0, 1.0 + warmth)),
    )


def _noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Array:
    grain = rng.uniform(-1.0, 1.0, (max(cells[1], 2), max(cells[0], 2))).astype(np.float32)
    return cv2.resize(grain, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).astype(np.float64)


def _table_texture(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(1024, 1024, 3) BGR, for a square of 1.7 m."""
    size = (1024, 1024)
    kind = rng.integers(4)
    bases = (
        (70, 105, 150),
        (105, 120, 130),
        (150, 155, 155),
        (90, 80, 70),
        (120, 100, 85),
        (60, 80, 105),
    )
    base = np.array(bases[rng.integers(len(bases))], float)
    if kind == 0:  # planks
        grain = (
            0.10 * _noise(rng, size, (240, 6))
            + 0.08 * _noise(rng, size, (90, 10))
            + 0.04 * _noise(rng, size, (500, 30))
        )
        plank = np.arange(1024) // 146
        grain = grain + rng.uniform(-0.08, 0.08, 8)[plank][None, :]
        grain[:, (np.arange(1024) % 146) < 2] -= 0.25
    elif kind == 1:  # cloth with checks
        line = ((np.arange(1024) // 40) % 2) * 0.10
        grain = line[None, :] + line[:, None] + 0.03 * _noise(rng, size, (500, 500))
    elif kind == 2:  # a cutting mat
        grain = 0.02 * _noise(rng, size, (300, 300))
        grid = (np.arange(1024) % 30) < 1
        grain[grid] += 0.12
        grain[:, grid] += 0.12
    else:  # plain, with stains
        grain = (
            0.05 * _noise(rng, size, (12, 12))
            + 0.03 * _noise(rng, size, (60, 60))
            + 0.02 * _noise(rng, size, (500, 500))
        )
    return (base * (1.0 + grain[..., None])).astype(np.float32)


def background(
    camera: Array,
    rotation: Array,
    position_m: Array,
    width: int,
    height: int,
    light: Light,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The static scene: image (H, W, 3) and inverse depth (H, W), 1/m, 0 where no surface is."""
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    ray = (
        np.stack(
            [(u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1], np.ones_like(u)],
            axis=-1,
        )
        @ rotation
    )
    # The room behind the table is an image without depth.
    room = np.array(((70, 75, 80), (95, 90, 85), (60, 70, 90))[rng.integers(3)], float)
    colour = room * (1.0 + 0.25 * _noise(rng, (height, width), (9, 6))[..., None])
    inverse = np.zeros((height, width))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (TABLE_Z_M - position_m[2]) / ray[..., 2]
        place = position_m + ray * depth[..., None]
        on = (
            (depth > 0)
            & (np.abs(place[..., 0]) < _TABLE_EDGE_M[0])
            & (place[..., 1] < _TABLE_EDGE_M[1])
        )
    texture = _table_texture(rng)
    across = np.where(on, (place[..., 0] / 1.7 + 0.5) * 1023, 0).astype(np.float32)
    along = np.where(on, (place[..., 1] + 0.3) / 1.7 * 1023, 0).astype(np.float32)
    table = cv2.remap(
        texture, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    ).astype(np.float64)
    falloff = 1.05 - 0.35 * np.clip(np.hypot(place[..., 0] - 0.2, place[..., 1] - 0.35), 0, 1)
    table *= (light.sky + light.sun * light.to_sun[2] * np.where(on, falloff, 0))[..., None]
    colour = np.where(on[..., None], table, colour)
    inverse = np.where(on, 1.0 / np.where(on, depth, 1.0), inverse)
    for centre, size, turn, paint in _things(rng):
        colour, inverse = _add_box(
            colour, inverse, ray, centre - position_m, size, turn, paint, light
        )
    image = np.clip(colour * light.tint, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image), np.ascontiguousarray(inverse, dtype=np.float32)


def _things(rng: np.random.Generator) -> list[tuple[Array, Array, float, Array]]:
    """Boxes on the table: the one that the script `occlude` reaches behind, and books near the
    edges.
    """
    paints = np.array(
        (
            (60, 90, 170),
            (150, 110, 70),
            (80, 140, 120),
            (190, 190, 195),
            (60, 60, 70),
            (90, 150, 200),
        ),
        float,
    )
    boxes = [
        (
            np.array((-0.215, 0.445, TABLE_Z_M + 0.055)),
            np.array((0.075, 0.018, 0.055)),
            rng.uniform(-0.2, 0.2),
        )
    ]
    for x, y in ((0.42, 0.62), (-0.45, 0.66), (0.05, 0.78), (-0.55, 0.30), (0.56, 0.28)):
        if rng.random() < 0.7:
            size = np.array(
                (rng.uniform(0.05, 0.10), rng.uniform(0.05, 0.10), rng.uniform(0.008, 0.03))
            )
            centre = np.array(
                (x + rng.uniform(-0.04, 0.04), y + rng.uniform(-0.04, 0.04), TABLE_Z_M + size[2])
            )
            boxes.append((centre, size, rng.uniform(-0.8, 0.8)))
    return [(c, s, t, paints[rng.integers(len(paints))]) for c, s, t in boxes]


def _add_box(
    colour: Array,
    inverse: Array,
    ray: Array,
    centre: Array,
    size: Array,
    turn: float,
    paint: Array,
    light: Light,
) -> tuple[Array, Array]:
    """Add a box on the table by ray casting, with a soft shadow around its base."""
    cos, sin = np.cos(turn), np.sin(turn)
    to_box = np.array(((cos, sin, 0.0), (-sin, cos, 0.0), (0.0, 0.0, 1.0)))
    direction, origin = ray @ to_box.T, -(to_box @ centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = (-np.sign(direction) * size - origin) / direction
        far = (np.sign(direction) * size - origin) / direction
    enter, leave = near.max(axis=-1), far.min(axis=-1)
    hit = (enter < leave) & (enter > 0.05)
    hit &= np.where(hit, 1.0 / np.where(hit, enter, 1.0), 0.0) > inverse
    face = near.argmax(axis=-1)
    normal = to_box.T @ np.eye(3)  # columns: the box's axes in the world
    facing = -np.sign(np.take_along_axis(direction, face[..., None], axis=-1))[..., 0]
    lambert = np.maximum((light.to_sun @ normal)[face] * facing, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        foot = direction * np.where(inverse > 0, 1.0 / inverse, 0.0)[..., None] + origin
    outside = np.hypot(*(np.maximum(np.abs(foot[..., i]) - size[i], 0.0) for i in (0, 1)))
    flat = (np.abs(foot[..., 2] + size[2]) < 2e-3) & (inverse > 0)
    colour = colour * np.where(flat, 1.0 - 0.45 * np.exp(-outside / 0.018), 1.0)[..., None]
    shade = (light.sky * 0.9 + light.sun * lambert)[..., None]
    return np.where(hit[..., None], paint * shade, colour), np.where(
        hit, 1.0 / np.where(hit, enter, 1.0), inverse
    )


def turned_solid(
    profile: list[tuple[float, float, tuple[int, int, int]]], around: int = 28
) -> Solid:
    """A solid of revolution about z.

    Parameters
    ----------
    profile : (radius_m, z_m, BGR) from the centre of the top along the outside to the centre of the
        bottom.
    """
    angle = np.arange(around) * 2 * np.pi / around
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(around)], axis=1)
    vertices: list[Array] = []
    normals: list[Array] = []
    colours: list[Array] = []
    faces: list[npt.NDArray[np.int64]] = []
    for (r0, z0, paint), (r1, z1, _) in pairwise(profile):
        steps = max(int(np.ceil(np.hypot(r1 - r0, z1 - z0) / 0.012)), 1)
        slope = np.array((z0 - z1, r1 - r0)) / np.hypot(z0 - z1, r1 - r0)
        first = int(sum(len(block) for block in vertices))
        for step in range(steps + 1):
            part = step / steps
            vertices.append(circle * (r0 + (r1 - r0) * part) + (0, 0, z0 + (z1 - z0) * part))
            normals.append(circle * slope[0] + (0, 0, slope[1]))
            colours.append(np.tile(np.array(paint, float), (around, 1)))
        for step in range(steps):
            upper = first + step * around + np.arange(around)
            lower, other = upper + around, first + step * around + (np.arange(around) + 1) % around
            faces += [
                np.stack([upper, other, lower], axis=1),
                np.stack([other, other + around, lower], axis=1),
            ]
    return Solid(
        np.concatenate(vertices),
        np.concatenate(normals),
        np.concatenate(faces),
        np.concatenate(colours),
    )


CAN_HEIGHT_M, CAN_RADIUS_M = 0.085, 0.031


def make_can(rng: np.random.Generator) -> Solid:
    """The can that the script `grasp` picks up."""
    paint = [(40, 40, 190), (170, 90, 40), (60, 140, 60), (40, 150, 200)][rng.integers(4)]
    metal, half, r = (175, 178, 180), CAN_HEIGHT_M / 2, CAN_RADIUS_M
    return turned_solid(
        [
            (0.0, half, metal),
            (r - 0.004, half, metal),
            (r, half - 0.006, paint),
            (r, 0.006 - half, metal),
            (r - 0.004, -half, metal),
            (0.0, -half, metal),
        ]
    )


def make_plate(rng: np.random.Generator) -> Solid:
    """The plate that the script `occlude` moves in front of a hand."""
    paint = [(205, 210, 215), (150, 120, 80), (90, 140, 190)][rng.integers(3)]
    rim = (int(0.85 * paint[0]), int(0.85 * paint[1]), int(0.85 * paint[2]))
    return turned_solid(
        [
            (0.0, 0.002, paint),
            (0.055, 0.002, rim),
            (0.085, 0.010, paint),
            (0.085, 0.006, paint),
            (0.055, -0.004, paint),
            (0.0, -0.004, paint),
        ],
        36,
    )
