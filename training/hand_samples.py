"""Hands for training: images with transparency around each hand, and the ground truth.

There are two kinds. Free hands are drawn alone, in any anatomically possible pose, from any
viewpoint; backgrounds and occluders are added later (`hand_crops`). Scene hands are cropped from
frames of the package's own camera over a table, with shadows, objects and other hands.

A sample shows the region that the package would use (`hand_geometry.hand_region`), upright and
enlarged by MARGIN, so that misplaced regions can be cropped from it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.geometry import apply_affine
from vitpose_ros.hand_geometry import hand_region
from vitpose_ros.keypoints.warp import crop_to_image
from vitpose_ros.synthetic import motion
from vitpose_ros.synthetic.anatomy import (
    ANGLE_LIMITS_DEG,
    JOINT_RADIUS_MM,
    HandPose,
    bone_maps,
    hand21_m,
)
from vitpose_ros.synthetic.mesh import HandMesh, hand_mesh
from vitpose_ros.synthetic.raster import rasterise
from vitpose_ros.synthetic.scene import SCRIPTS, Scene
from vitpose_ros.synthetic.skin import Skin, make_skin
from vitpose_ros.types import ByteArray, FloatArray, Region, Side

SAMPLE_PX = 200
"""The side of a sample's picture."""

MARGIN = 1.6
"""How much more than the hand's region it shows."""

_FREE_PER_IDENTITY = 24
_FRAMES_PER_SCENE = 24
_BUILDS = ((0.92, 60.0), (0.97, 140.0), (1.0, 85.0), (1.04, 220.0), (1.1, 110.0))
_POSES = np.array(
    [
        motion.RELAXED,
        motion.OPEN,
        motion.FLAT,
        motion.READY,
        motion.HOLD,
        motion.PINCH,
        motion.POINT,
        motion.FIST,
    ],
    float,
)
_LEAST_PALM = 0.45  # visible share of its length: palms are not seen end-on
_HIDDEN_BEYOND = 1.9  # as in synthetic.scene


@dataclass(frozen=True)
class Sample:
    """One hand.

    Attributes
    ----------
    image : (SAMPLE_PX, SAMPLE_PX, 4) uint8, premultiplied BGR and alpha.
    uv : (21, 2) float32, px, the joints; they may lie outside.
    visible : (21,) bool, visible to the camera.
    """

    image: ByteArray
    uv: FloatArray
    visible: npt.NDArray[np.bool_]


def own_region() -> Region:
    """The hand's region within its sample."""
    middle = (SAMPLE_PX - 1) / 2
    side = (SAMPLE_PX - 1) / MARGIN
    return Region(middle, middle, side, side)


def shown_by_sample(uv: FloatArray) -> Region | None:
    """The region that a hand's sample shows; None if the joints form no region."""
    region = hand_region(uv, 1.0, 0)
    if region is None:
        return None
    return replace(region, width=region.width * MARGIN, height=region.height * MARGIN)


def free_hands(rng: np.random.Generator) -> Iterator[Sample]:
    """An endless sequence of free hands; the person changes every few hands."""
    while True:
        mesh = hand_mesh(*_BUILDS[rng.integers(len(_BUILDS))])
        skin = make_skin(mesh, rng)
        albedo = skin.albedo * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        stretch = np.diag(rng.normal(1.0, 0.04, 3))
        for _ in range(_FREE_PER_IDENTITY):
            sample = None
            while sample is None:
                sample = _free_hand(mesh, replace(skin, albedo=albedo), stretch, rng)
            yield sample


def random_digits(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(5, 4) joint angles, degrees: mixed and perturbed typical poses, or random flexion."""
    if rng.random() < 0.5:
        share = rng.dirichlet(np.full(2, 0.8))
        digits = np.tensordot(share, _POSES[rng.integers(len(_POSES), size=2)], 1)
        digits = digits + rng.normal(0.0, 7.0, (5, 4)) * (1.0, 0.5, 1.0, 0.7)
    else:
        curl = np.clip(rng.uniform(-0.15, 1.0) + rng.normal(0, 0.3, 5), -0.2, 1.0)
        digits = np.stack(
            [
                90.0 * curl + rng.normal(0, 14, 5),
                rng.normal(0, 6.0) * np.linspace(-1, 1, 5) + rng.normal(0, 4, 5),
                100.0 * np.clip(curl + rng.normal(0, 0.2, 5), 0, 1),
                np.zeros(5),
            ],
            axis=1,
        )
        digits[:, 3] = digits[:, 2] * rng.uniform(0.3, 0.8, 5)
        low, high = (limit[:20].reshape(5, 4)[0] for limit in ANGLE_LIMITS_DEG)
        digits[0] = low + (high - low) * rng.beta(1.4, 1.4, 4)
    low, high = (limit[:20].reshape(5, 4) for limit in ANGLE_LIMITS_DEG)
    return np.clip(digits, low, high)


def _rotation(axis: npt.ArrayLike, angle_deg: float) -> npt.NDArray[np.float64]:
    vector = np.asarray(axis, float) / np.linalg.norm(axis) * np.radians(angle_deg)
    return np.asarray(cv2.Rodrigues(vector)[0])


def _free_hand(
    mesh: HandMesh, skin: Skin, stretch: npt.NDArray[np.float64], rng: np.random.Generator
) -> Sample | None:
    """A person's hand somewhere in front of the camera; None if it would not be visible."""
    pose = HandPose(
        random_digits(rng),
        float(np.clip(rng.normal(0, 22), -60, 60)),
        float(np.clip(rng.normal(0, 9), -30, 20)),
    )
    # The forearm points along x. Viewpoints are all around, more often across the forearm than
    # along it.
    bones, middles = bone_maps(pose, float(rng.uniform(0.9, 1.1)), np.array((-0.3, 0.0, 0.0)))
    roll = _rotation((1, 0, 0), rng.uniform(0, 360))
    pitch = _rotation((0, 1, 0), float(np.clip(rng.normal(0, 28), -75, 75)))
    turn = _rotation((0, 0, 1), rng.uniform(0, 360)) @ pitch @ roll @ stretch
    joints = hand21_m(bones) @ turn.T
    depth = np.exp(rng.uniform(np.log(0.22), np.log(0.9)))
    place = np.array((rng.uniform(-0.5, 0.5) * depth, rng.uniform(-0.5, 0.5) * depth, depth))
    place = place - joints[[0, 9]].mean(axis=0)
    joints = joints + place
    maps = turn @ np.concatenate([bones, middles])
    maps[..., 3] += place
    length = np.linalg.norm(joints[0] - joints[9])
    if joints[:, 2].min() < 0.1 or np.hypot(*(joints[9] - joints[0])[:2]) < _LEAST_PALM * length:
        return None
    focal = 1000.0
    uv = (focal * joints[:, :2] / joints[:, 2:]).astype(np.float32)
    shown = shown_by_sample(uv)
    if shown is None:
        return None
    to_frame = crop_to_image([shown], (SAMPLE_PX, SAMPLE_PX), udp=True)[0]
    to_sample = np.asarray(cv2.invertAffineTransform(to_frame), np.float64)

    carried = maps.reshape(33, 12).T.astype(np.float32) @ skin.influence_by_map
    carried = carried.reshape(3, 4, -1)
    points = np.einsum("ijv,jv->vi", carried[:, :3], skin.vertices) + carried[:, 3].T
    normals = np.einsum("ijv,jv->vi", carried[:, :3], skin.normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    z = np.maximum(points[:, 2], 1e-3)
    pixels = apply_affine(to_sample, focal * points[:, :2] / z[:, None]).astype(np.float32)
    nearness = np.where(points[:, 2] > 0.05, 1.0 / z, 0.0).astype(np.float32)
    inverse = np.zeros((SAMPLE_PX, SAMPLE_PX), np.float32)
    drawn = rasterise(pixels, nearness, mesh.faces, inverse)

    colours = _lit(skin.albedo, normals, skin.open_sky, rng)
    corner = mesh.faces[drawn.face]
    colour = sum(drawn.weights[:, i : i + 1] * colours[corner[:, i]] for i in range(3))
    image = np.zeros((SAMPLE_PX, SAMPLE_PX, 4), np.uint8)
    image.reshape(-1, 4)[drawn.pixel, :3] = np.clip(colour, 0, 255)
    image.reshape(-1, 4)[drawn.pixel, 3] = 255
    own = apply_affine(to_sample, uv).astype(np.float32)
    with np.errstate(divide="ignore"):
        seen = _seen(own, joints[:, 2], 1.0 / inverse)
    return Sample(image, own, seen)


def _lit(
    albedo: FloatArray, normals: FloatArray, open_sky: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Colours under a sun on the camera's side and a sky in any direction."""
    sun = rng.normal(size=3)
    sun[2] = -abs(sun[2]) if rng.random() < 0.8 else sun[2]
    sun /= np.linalg.norm(sun)
    up = rng.normal(size=3)
    up /= np.linalg.norm(up)
    bright, sky = rng.uniform(0.2, 0.9), rng.uniform(0.3, 0.65)
    soft = rng.uniform(0.0, 0.6)
    lambert = np.clip((normals @ sun + soft) / (1.0 + soft), 0.0, 1.0)
    ambient = sky * open_sky * (0.75 + 0.25 * (normals @ up))
    light = ambient + bright * lambert * (0.4 + 0.6 * open_sky)
    tint = rng.normal(1.0, 0.06, 3)
    return (albedo * light[:, None] * tint).astype(np.float32)


def _seen(uv: FloatArray, z: npt.NDArray, depth: FloatArray) -> npt.NDArray[np.bool_]:
    u, v = np.clip(np.round(uv), 0, SAMPLE_PX - 1).astype(int).T
    inside = (np.abs(uv - (SAMPLE_PX - 1) / 2) <= SAMPLE_PX / 2).all(axis=1)
    return inside & (depth[v, u] > z - JOINT_RADIUS_MM * 1e-3 * _HIDDEN_BEYOND - 0.003)


def scene_hands(rng: np.random.Generator, first_seed: int) -> Iterator[Sample]:
    """An endless sequence of hands cropped from rendered frames; room and person change often."""
    seed = first_seed
    while True:
        script = SCRIPTS[:-1][seed % (len(SCRIPTS) - 1)]
        scene = Scene(
            script,
            seed,
            horizontal_fov_deg=float(rng.uniform(55, 95)),
            blur_px=float(rng.uniform(0.3, 1.0)),
            exposure_s=float(rng.uniform(0.0, 0.012)),
            noise=float(rng.uniform(0.0, 4.0)),
        )
        for time_s in rng.uniform(0, scene.duration_s, _FRAMES_PER_SCENE):
            drawn = scene.render(float(time_s))
            for hand in drawn.hands:
                if hand.inside.sum() >= 12 and hand.xyz[:, 2].min() > 0.05:
                    sample = _cut(drawn.image, hand.uv, hand.visible, hand.side)
                    if sample is not None:
                        yield sample
        seed += 1


def _cut(
    frame: ByteArray, uv: FloatArray, visible: npt.NDArray[np.bool_], side: Side
) -> Sample | None:
    """The sample of a hand in a frame; left hands are mirrored to right ones."""
    shown = shown_by_sample(uv)
    if shown is None:
        return None
    to_frame = crop_to_image([shown], (SAMPLE_PX, SAMPLE_PX), udp=True)[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    colour = cv2.warpAffine(frame, to_frame, (SAMPLE_PX, SAMPLE_PX), flags=flags)
    image = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
    own = apply_affine(np.asarray(cv2.invertAffineTransform(to_frame)), uv).astype(np.float32)
    if side is Side.LEFT:
        image = np.ascontiguousarray(image[:, ::-1])
        own[:, 0] = SAMPLE_PX - 1 - own[:, 0]
    return Sample(image, own, visible.copy())
