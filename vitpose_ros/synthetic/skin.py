"""The colours of a hand: skin tones, nails, creases, and a sleeve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitpose_ros.synthetic.mesh import HandMesh
from vitpose_ros.types import FloatArray

# Skin on the back of the hand, BGR, from light to dark.
_TONES = (
    (168, 190, 232),
    (140, 170, 222),
    (115, 150, 208),
    (92, 126, 186),
    (66, 94, 150),
    (48, 66, 112),
)
_SLEEVES = (
    (120, 70, 50),
    (60, 60, 60),
    (90, 110, 60),
    (60, 60, 150),
    (170, 165, 160),
    (50, 90, 120),
)


@dataclass(frozen=True)
class Skin:
    """The mesh as the renderer uses it: coloured, float32, one row per coordinate."""

    vertices: FloatArray  # (3, V)
    normals: FloatArray  # (3, V)
    influence_by_map: FloatArray  # (33, V)
    albedo: FloatArray
    open_sky: FloatArray


def make_skin(mesh: HandMesh, rng: np.random.Generator) -> Skin:
    """Colour the mesh with a random skin tone and sleeve."""
    tone = int(rng.integers(len(_TONES)))
    back = np.array(_TONES[tone], float) * rng.uniform(0.95, 1.05)
    palm = back + (np.array((165.0, 180.0, 230.0)) - back) * (0.22 + 0.09 * tone)
    nail = back + (np.array((196.0, 196.0, 238.0)) - back) * 0.55
    albedo = back + (palm - back) * mesh.palmar[:, None]
    albedo *= 1.0 - mesh.flush[:, None] * np.array((0.16, 0.16, 0.0))
    albedo *= 1.0 - (0.18 * mesh.crease + 0.20 * mesh.knuckle)[:, None]
    blotch = sum(
        np.sin(mesh.vertices_mm @ rng.normal(0, scale, 3) + rng.uniform(0, 6.3))
        for scale in (0.03, 0.05, 0.09, 0.15, 0.3)
    )
    albedo *= 1.0 + 0.014 * np.asarray(blotch)[:, None]
    albedo += (nail - albedo) * (0.9 * mesh.nail)[:, None]
    albedo += (np.array(_SLEEVES[rng.integers(len(_SLEEVES))], float) - albedo) * mesh.sleeve[
        :, None
    ]
    open_sky = 1.0 - 0.75 * mesh.cavity
    parts = (mesh.vertices_mm.T, mesh.normals.T, mesh.influence.T, albedo, open_sky)
    return Skin(*(np.ascontiguousarray(part, dtype=np.float32) for part in parts))
