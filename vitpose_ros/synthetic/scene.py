"""A first-person camera above a table, with one or two hands whose joints are known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.camera import CameraModel
from vitpose_ros.layouts import MIDDLE_MCP
from vitpose_ros.synthetic import setting
from vitpose_ros.synthetic.anatomy import JOINT_RADIUS_MM, PALM, bone_maps, hand21_m
from vitpose_ros.synthetic.effects import (
    box_around,
    cast_shadows,
    lay_smeared,
    smear_kernel,
    union,
)
from vitpose_ros.synthetic.mesh import hand_mesh
from vitpose_ros.synthetic.motion import SCRIPTS, Motion, elbow_m, grasp_pose
from vitpose_ros.synthetic.raster import rasterise
from vitpose_ros.synthetic.skin import make_skin
from vitpose_ros.synthetic.truth import Rendering, TrueHand
from vitpose_ros.transform import Transform
from vitpose_ros.types import ByteArray, FloatArray, Side

__all__ = ["SCRIPTS", "Rendering", "Scene", "TrueHand"]

_MIN_SIDE_PX = 64
_NOISE_MARGIN_PX = 64
_BUILDS = ((0.95, 110.0), (1.0, 70.0), (1.06, 170.0))
"""The hand's girth, and the distance from the wrist to the sleeve, mm."""
_HIDDEN_BEYOND = 1.9
"""A joint is hidden if a surface is nearer by more than this multiple of half the flesh's thickness
plus 3 mm."""


@dataclass(frozen=True)
class _Surface:
    """A coloured mesh in the camera's frame."""

    points: FloatArray
    colours: FloatArray
    faces: npt.NDArray[np.int64]


class Scene:
    """A scripted motion in one random setting.

    Parameters
    ----------
    script : one of SCRIPTS.
    seed : for all random choices: skin, light, table, objects, sway, noise.
    width, height : of the image, px, at least 64 each.
    hands : 1 (the right hand) or 2.
    horizontal_fov_deg : horizontal field of view.
    blur_px : standard deviation of the lens blur.
    exposure_s : exposure time, centred on the requested time; it adds motion blur, 0 for none.
        Depth and joints are those of the centre.
    noise : standard deviation of the sensor noise, out of 255.
    eye : where the camera is. Scenes that differ in nothing else show the same hands at the same
        times from several places.

    Raises
    ------
    ValueError : an unknown script, or a value out of range.
    """

    def __init__(
        self,
        script: str = "tour",
        seed: int = 0,
        width: int = 640,
        height: int = 480,
        hands: int = 2,
        horizontal_fov_deg: float = 70.0,
        *,
        blur_px: float = 0.7,
        exposure_s: float = 0.006,
        noise: float = 2.5,
        eye: setting.Eye = setting.MIDDLE_EYE,
    ) -> None:
        _check(width, height, hands, horizontal_fov_deg, blur_px, exposure_s, noise)
        self._motion = Motion(script, seed)
        self.script, self.seed, self.width, self.height = script, int(seed), int(width), int(height)
        self.duration_s = self._motion.duration_s
        focal = 0.5 * width / math.tan(math.radians(horizontal_fov_deg) / 2)
        self.camera_matrix = np.array(
            ((focal, 0.0, (width - 1) / 2), (0.0, focal, (height - 1) / 2), (0.0, 0.0, 1.0))
        )
        self._sides = (Side.RIGHT, Side.LEFT)[:hands]
        self._blur_px, self._exposure_s = float(blur_px), float(exposure_s)

        rng = np.random.default_rng((self.seed, 1))
        self._rotation = setting.camera_rotation(rng.uniform(44.0, 47.0), eye.yaw_deg)
        self._position_m = np.array(eye.position_m, np.float64)
        self._light = setting.make_light(rng)
        self._to_sun = (self._rotation @ self._light.to_sun).astype(np.float32)
        self._up = self._rotation[:, 2].astype(np.float32)
        self._size = rng.uniform(0.93, 1.05)
        self._mesh = hand_mesh(*_BUILDS[rng.integers(len(_BUILDS))])
        self._skin = make_skin(self._mesh, rng)
        self._plate, self._can = setting.make_plate(rng), setting.make_can(rng)
        self._table, self._table_inverse = setting.background(
            self.camera_matrix,
            self._rotation,
            self._position_m,
            width,
            height,
            self._light,
            rng,
        )
        self._still_image = self._blurred(self._table)
        shape = (height + _NOISE_MARGIN_PX, width + _NOISE_MARGIN_PX, 3)
        self._grain = np.round(rng.normal(0.0, noise, shape)).astype(np.int16) if noise else None
        self._can_stands_m = self._can_in_hand(grasp_pose().to_vector())

    @property
    def camera(self) -> CameraModel:
        """The camera's geometry."""
        k = self.camera_matrix
        return CameraModel(self.width, self.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])

    @property
    def pose(self) -> Transform:
        """From the camera's optical frame to the world (x right, y forward, z up)."""
        return Transform(self._rotation.T, self._position_m)

    def truth(self, time_s: float) -> tuple[TrueHand, ...]:
        """The hands at a time, without rendering; `visible` then ignores occlusion."""
        time_s = _checked_time(time_s)
        return tuple(
            self._true_hand(index, self._pose(index, time_s)[1], None)
            for index in range(len(self._sides))
        )

    def render(self, time_s: float) -> Rendering:
        """Render the scene at a time. Equal times give equal images.

        Raises
        ------
        ValueError : the time is not finite.
        """
        time_s = _checked_time(time_s)
        poses = [self._pose(index, time_s) for index in range(len(self._sides))]
        hands = [self._hand_surface(index, maps) for index, (maps, _) in enumerate(poses)]
        things = self._things(time_s)
        inverse = self._table_inverse.copy()
        image = self._paint(hands + things, inverse, time_s)
        with np.errstate(divide="ignore"):
            depth = np.where(inverse > 0, 1.0 / inverse, np.float32(np.nan)).astype(np.float32)
        truths = tuple(
            self._true_hand(index, joints, depth) for index, (_, joints) in enumerate(poses)
        )
        return Rendering(self._noisy(image, time_s), depth, truths, time_s)

    # --- positions ----------------------------------------------------------------------

    def _pose(
        self, index: int, time_s: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Transforms (33, 3, 4) from the hand at rest to the camera's frame, and joints (21, 3)."""
        pose = self._motion.hand(index, time_s)
        bones, joints = bone_maps(pose, self._size, elbow_m(pose.wrist_m))
        to_camera = self._rotation * (
            (1.0, 1.0, 1.0) if self._sides[index] is Side.RIGHT else (-1.0, 1.0, 1.0)
        )
        maps = to_camera @ np.concatenate([bones, joints])
        shift = self._rotation @ self._position_m
        maps[:, :, 3] -= shift
        return maps, hand21_m(bones) @ to_camera.T - shift

    def _true_hand(
        self, index: int, joints: npt.NDArray[np.float64], depth: FloatArray | None
    ) -> TrueHand:
        with np.errstate(divide="ignore", invalid="ignore"):
            image = joints @ self.camera_matrix.T
            uv = (image[:, :2] / image[:, 2:]).astype(np.float32)
        hand = TrueHand(
            self._sides[index],
            uv,
            joints.astype(np.float32),
            np.ones(21, bool),
            self.width,
            self.height,
        )
        visible = hand.inside
        if depth is not None:
            u, v = np.round(uv[visible]).astype(int).T
            allowed = JOINT_RADIUS_MM[visible] * (1e-3 * self._size * _HIDDEN_BEYOND) + 0.003
            visible[visible] = depth[v, u] > joints[visible, 2] - allowed
        return TrueHand(hand.side, uv, hand.xyz, visible, self.width, self.height)

    def _can_in_hand(self, vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        pose = type(grasp_pose()).from_vector(vector)
        palm = bone_maps(pose, self._size, elbow_m(pose.wrist_m))[0][PALM]
        return palm[:, :3] @ np.array((84.0, 2.0, -44.0)) + palm[:, 3]

    def _things(self, time_s: float) -> list[_Surface]:
        held = self._motion.hold(time_s)
        stands = self._can_stands_m * (1, 1, 0) + (
            0,
            0,
            setting.TABLE_Z_M + setting.CAN_HEIGHT_M / 2,
        )
        lift = (
            self._can_in_hand(self._motion.hand(0, time_s).to_vector()) - self._can_stands_m
            if held
            else np.zeros(3)
        )
        surfaces = []
        if self.script in ("grasp", "tour"):
            surfaces.append(self._solid_surface(self._can, stands + held * lift, np.eye(3)))
        if self.script in ("occlude", "tour"):
            tilt = 0.45
            turn = np.array(
                (
                    (1, 0, 0),
                    (0, math.cos(tilt), -math.sin(tilt)),
                    (0, math.sin(tilt), math.cos(tilt)),
                )
            )
            surfaces.append(self._solid_surface(self._plate, self._motion.plate_m(time_s), turn))
        return surfaces

    # --- appearance -----------------------------------------------------------------------

    def _lit(
        self, albedo: FloatArray, normals: FloatArray, open_sky: FloatArray, soft: float
    ) -> FloatArray:
        light, sun, up = self._light, self._to_sun, self._up
        lambert = np.clip((normals @ sun + soft) / (1.0 + soft), 0.0, 1.0)
        sky = light.sky * open_sky * (0.78 + 0.22 * (normals @ up))
        return (
            albedo
            * (sky + light.sun * lambert * (0.4 + 0.6 * open_sky))[:, None]
            * light.tint.astype(np.float32)
        )

    def _hand_surface(self, index: int, maps: npt.NDArray[np.float64]) -> _Surface:
        mesh, skin = self._mesh, self._skin
        # One row of the blended transforms at a time: 9 columns of rotation, 3 of translation.
        carried = maps.reshape(33, 12).T.astype(np.float32) @ skin.influence_by_map
        x, y, z = skin.vertices
        nx, ny, nz = skin.normals
        points = np.empty((len(x), 3), np.float32)
        normals = np.empty((len(x), 3), np.float32)
        for row in range(3):
            ax, ay, az, shift = carried[4 * row : 4 * row + 4]
            points[:, row] = ax * x + ay * y + az * z + shift
            normals[:, row] = ax * nx + ay * ny + az * nz
        length = np.sqrt(normals[:, 0] ** 2 + normals[:, 1] ** 2 + normals[:, 2] ** 2)
        normals /= length[:, None]
        colours = self._lit(skin.albedo, normals, skin.open_sky, 0.25)
        faces = mesh.faces if self._sides[index] is Side.RIGHT else mesh.faces[:, ::-1]
        return _Surface(points, colours, faces)

    def _solid_surface(
        self, solid: setting.Solid, place_m: npt.NDArray[np.float64], turn: npt.NDArray
    ) -> _Surface:
        to_camera = self._rotation @ turn
        place = self._rotation @ (place_m - self._position_m)
        points = (solid.vertices_m @ to_camera.T + place).astype(np.float32)
        normals = (solid.normals @ to_camera.T).astype(np.float32)
        colours = self._lit(
            solid.colours.astype(np.float32), normals, np.ones(len(points), np.float32), 0.0
        )
        return _Surface(points, colours, solid.faces)

    def _paint(self, surfaces: list[_Surface], inverse: FloatArray, time_s: float) -> ByteArray:
        counts = np.cumsum([0] + [len(surface.faces) for surface in surfaces])
        firsts = np.cumsum([0] + [len(surface.points) for surface in surfaces])
        points = np.concatenate([surface.points for surface in surfaces])
        colours = np.concatenate([surface.colours for surface in surfaces])
        faces = np.concatenate(
            [part.faces + first for part, first in zip(surfaces, firsts[:-1], strict=True)]
        )
        z = np.maximum(points[:, 2], 1e-3)
        centre = self.camera_matrix[:2, 2].astype(np.float32)
        uv = points[:, :2] * (np.float32(self.camera_matrix[0, 0]) / z)[:, None] + centre
        nearness = np.where(points[:, 2] > 0.05, 1.0 / z, 0.0).astype(np.float32)
        drawn = rasterise(uv, nearness, faces, inverse)

        sharp = self._table.copy()
        table_m = setting.TABLE_Z_M - float(self._position_m[2])
        changed = cast_shadows(sharp, points, self._up, table_m, self._to_sun, self.camera_matrix)
        corner = faces[drawn.face]
        colour = drawn.weights[:, :1] * colours[corner[:, 0]]
        colour += drawn.weights[:, 1:2] * colours[corner[:, 1]]
        colour += drawn.weights[:, 2:] * colours[corner[:, 2]]
        colour = np.minimum(colour, 255.0).astype(np.uint8)
        # Hands with motion blur are drawn over everything else.
        owner = np.searchsorted(counts, drawn.face, side="right") - 1
        fast = [
            (index, kernel)
            for index, kernel in enumerate(self._smears(time_s))
            if kernel is not None
        ]
        steady = ~np.isin(owner, [index for index, _ in fast]) if fast else slice(None)
        pixel = drawn.pixel[steady]
        sharp.reshape(-1, 3)[pixel] = colour[steady]
        v, u = np.divmod(pixel, self.width)
        changed = union(changed, box_around(u, v, 0, self.width, self.height))
        for index, kernel in fast:
            own = owner == index
            if own.any():
                changed = union(changed, lay_smeared(sharp, drawn.pixel[own], colour[own], kernel))
        x0, y0, x1, y1 = changed
        x0, y0, x1, y1 = (
            max(x0 - 4, 0),
            max(y0 - 4, 0),
            min(x1 + 4, self.width),
            min(y1 + 4, self.height),
        )
        image = self._still_image.copy()
        image[y0:y1, x0:x1] = self._blurred(np.ascontiguousarray(sharp[y0:y1, x0:x1]))
        return image

    def _smears(self, time_s: float) -> list[FloatArray | None]:
        """The motion blur of each hand, from its middle knuckle's motion during the exposure."""
        kernels: list[FloatArray | None] = []
        for index in range(len(self._sides) if self._exposure_s > 0 else 0):
            ends = []
            for part in (-0.5, 0.5):
                joint = self._pose(index, time_s + part * self._exposure_s)[1][MIDDLE_MCP]
                image = self.camera_matrix @ joint
                ends.append(image[:2] / image[2] if image[2] > 0.05 else np.zeros(2))
            kernels.append(smear_kernel(ends[1] - ends[0]))
        return kernels

    def _blurred(self, image: ByteArray) -> ByteArray:
        if self._blur_px == 0:
            return image.copy()
        return cast(ByteArray, cv2.GaussianBlur(image, (0, 0), self._blur_px))

    def _noisy(self, image: ByteArray, time_s: float) -> ByteArray:
        if self._grain is None:
            return image
        x, y = np.random.default_rng((self.seed, round(abs(time_s) * 1e6))).integers(
            0, _NOISE_MARGIN_PX, 2
        )
        grain = self._grain[y : y + self.height, x : x + self.width]
        return cast(ByteArray, cv2.add(image, grain, dtype=cv2.CV_8U))


def _checked_time(time_s: float) -> float:
    if not math.isfinite(time_s):
        raise ValueError(f"time_s: expected a finite number of seconds, got {time_s}")
    return float(time_s)


def _check(
    width: int,
    height: int,
    hands: int,
    fov_deg: float,
    blur_px: float,
    exposure_s: float,
    noise: float,
) -> None:
    if not (isinstance(width, (int, np.integer)) and isinstance(height, (int, np.integer))):
        raise ValueError(
            f"width and height: expected whole numbers of pixels, got {width!r} x {height!r}"
        )
    if min(width, height) < _MIN_SIDE_PX:
        raise ValueError(
            f"width and height: expected at least 64x64 px to show a hand, got {width}x{height}"
        )
    if hands not in (1, 2):
        raise ValueError(f"hands: expected 1 (the right hand) or 2, got {hands!r}")
    if not (math.isfinite(fov_deg) and 20.0 <= fov_deg <= 140.0):
        raise ValueError(f"horizontal_fov_deg: expected 20 to 140, got {fov_deg}")
    for name, value in (("blur_px", blur_px), ("exposure_s", exposure_s), ("noise", noise)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: expected a finite number of at least 0, got {value}")
