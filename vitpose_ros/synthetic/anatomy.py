"""The skeleton of a hand and its forearm: proportions, joint limits, and forward kinematics.

The model is a right hand at rest: flat, fingers spread, thumb abducted. Its axes are x from the
wrist to the middle finger, y towards the thumb, z out of the back of the hand; the origin is the
wrist; units are millimetres. The caller mirrors it for a left hand. Lengths follow adult
anthropometry (phalanges of 43/25, 47/29, 43/27 and 33/19 mm, end of the forearm to middle knuckle
93 mm, hand 193 mm long); limits are those of the AAOS tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BONES = 17
"""Forearm, palm, then three per digit, from the thumb to the little finger."""

FOREARM, PALM = 0, 1

_ORIGINS_MM = np.array(
    (
        (25.0, 29.0, -11.0),
        (91.0, 25.0, 0.0),
        (93.0, 3.0, 3.0),
        (89.0, -17.0, 1.0),
        (83.0, -35.0, -5.0),
    )
)
_LENGTHS_MM = np.array(
    (
        (38.0, 30.0, 29.0),
        (43.0, 25.0, 21.0),
        (47.0, 29.0, 22.0),
        (43.0, 27.0, 22.0),
        (33.0, 19.0, 18.0),
    )
)
_SPLAY_DEG = np.array((10.0, 1.0, -8.0, -18.0))
_THUMB_AXIS, _THUMB_DORSAL = np.array((0.78, 0.55, -0.30)), np.array((-0.35, 0.66, 0.66))

WRIST_OFFSET_MM = np.array((11.0, 1.0, 0.0))
"""The wrist joint of hand21: in the carpal bones, where annotators put it, not at the end of the
forearm."""

JOINT_RADIUS_MM = np.array(
    (
        20.0,
        15.0,
        12.5,
        10.5,
        8.5,
        12.0,
        9.5,
        8.2,
        7.0,
        12.5,
        9.7,
        8.4,
        7.2,
        12.0,
        9.2,
        8.0,
        6.8,
        11.0,
        8.0,
        7.0,
        6.0,
    )
)
"""Half the flesh's thickness at each joint of hand21, from back to palm."""


@dataclass(frozen=True)
class HandPose:
    """Joint angles of one hand, degrees, and its position.

    Attributes
    ----------
    digits : (5, 4), thumb to little finger. Fingers: MCP flexion, MCP abduction (towards the
        thumb), PIP and DIP flexion. Thumb: CMC flexion (across the palm), CMC palmar abduction,
        MCP and IP flexion.
    wrist_flexion_deg, wrist_deviation_deg : towards the palm; towards the thumb.
    supination_deg : 0 with the palm down, 90 with the thumb up, 180 with the palm up.
    wrist_m : (3,) the wrist in the world of a right hand, metres: x right, y forward, z up.
    """

    digits: Array
    wrist_flexion_deg: float = 0.0
    wrist_deviation_deg: float = 0.0
    supination_deg: float = 0.0
    wrist_m: Array = field(default_factory=lambda: np.zeros(3))

    VALUES = 26

    def to_vector(self) -> Array:
        """(26,) the digits, the three wrist angles, the position."""
        angles = (self.wrist_flexion_deg, self.wrist_deviation_deg, self.supination_deg)
        return np.concatenate([np.ravel(self.digits), angles, self.wrist_m])

    @staticmethod
    def from_vector(vector: Array) -> HandPose:
        """The inverse of `to_vector`."""
        return HandPose(
            vector[:20].reshape(5, 4),
            float(vector[20]),
            float(vector[21]),
            float(vector[22]),
            vector[23:26],
        )


def _limits() -> tuple[Array, Array]:
    finger_low, finger_high = (-30.0, -25.0, 0.0, 0.0), (90.0, 25.0, 110.0, 90.0)
    low = np.array([(-20.0, -10.0, -10.0, -15.0)] + [finger_low] * 4)
    high = np.array([(50.0, 50.0, 60.0, 85.0)] + [finger_high] * 4)
    return np.concatenate([low.ravel(), (-70.0, -32.0, -10.0)]), np.concatenate(
        [high.ravel(), (80.0, 20.0, 180.0)]
    )


ANGLE_LIMITS_DEG = _limits()
"""(low, high), (23,) each, for the first 23 numbers of `HandPose.to_vector`."""


def _frame(axis: Array, dorsal: Array) -> Array:
    x = axis / np.linalg.norm(axis)
    z = dorsal - x * (x @ dorsal)
    z = z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _rest_frames() -> Array:
    fingers = [
        _frame(np.array((np.cos(a), np.sin(a), 0.0)), np.array((0.0, 0.0, 1.0)))
        for a in np.radians(_SPLAY_DEG)
    ]
    # The metacarpal arch falls off at the ring and little fingers, so their backs lean outwards.
    lean = np.radians((6.0, 0.0, -5.0, -14.0))
    fingers = [
        frame @ _turn(0, np.array(angle)) for frame, angle in zip(fingers, -lean, strict=True)
    ]
    return np.stack([_frame(_THUMB_AXIS, _THUMB_DORSAL), *fingers])


def _turn(axis: int, angle: Array) -> Array:
    """Rotations (..., 3, 3) about one axis by angles in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((*np.shape(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., i, i] = matrix[..., j, j] = cos
    matrix[..., j, i], matrix[..., i, j] = sin, -sin
    return matrix


REST_FRAMES = _rest_frames()
"""(5, 3, 3) the axes of each digit at rest, in columns: along the bones, towards the thumb, out of
the back."""

REST_JOINTS_MM = np.zeros((5, 4, 3))
"""(5, 4, 3) the joints of each digit at rest, from root to tip."""
REST_JOINTS_MM[:, 0] = _ORIGINS_MM
for _i in range(3):
    REST_JOINTS_MM[:, _i + 1] = (
        REST_JOINTS_MM[:, _i] + _LENGTHS_MM[:, _i, None] * REST_FRAMES[:, :, 0]
    )


def rest_hand21_mm() -> Array:
    """(21, 3) the joints of hand21 at rest."""
    return np.concatenate([WRIST_OFFSET_MM[None], REST_JOINTS_MM.reshape(20, 3)])


def _about(origin: Array, rotation: Array) -> Array:
    """Affine transforms (..., 3, 4): rotations about a point."""
    shift = origin - np.einsum("...ij,...j->...i", rotation, origin)
    return np.concatenate([rotation, shift[..., None]], axis=-1)


def _chain(first: Array, second: Array) -> Array:
    """Affine transforms that apply `second`, then `first`."""
    linear = first[..., :3] @ second[..., :3]
    shift = first[..., :3] @ second[..., 3:] + first[..., 3:]
    return np.concatenate([linear, shift], axis=-1)


def bone_maps(pose: HandPose, scale: float, elbow_m: Array) -> tuple[Array, Array]:
    """Forward kinematics: the transforms from the hand at rest to a pose.

    Parameters
    ----------
    pose : the angles and the wrist's position.
    scale : the hand's size relative to the model.
    elbow_m : (3,) the elbow in the world of a right hand, metres.

    Returns
    -------
    bones : (17, 3, 4) transforms from the model's millimetres to the world's metres, one per bone.
    joints : (16, 3, 4) the same for each joint, rotated by half its angle: skin over a bent joint
        follows these and so keeps its volume. Order: wrist, then the root, middle and end joint of
        each digit.
    """
    forearm_x = pose.wrist_m - elbow_m
    forearm = _frame(forearm_x, np.array((0.0, 0.0, 1.0))) @ _turn(
        0, np.radians(np.array(pose.supination_deg))
    )
    size = scale * 1e-3
    base = np.concatenate([forearm * size, pose.wrist_m[:, None]], axis=1)
    flexion, deviation = np.radians(pose.wrist_flexion_deg), np.radians(pose.wrist_deviation_deg)
    wrist = np.zeros(3)

    def hand(part: float) -> Array:
        turn = _turn(2, np.array(deviation * part)) @ _turn(1, np.array(flexion * part))
        return _chain(base, _about(wrist, turn))

    bones, joints = np.empty((BONES, 3, 4)), np.empty((16, 3, 4))
    bones[FOREARM], bones[PALM], joints[0] = base, hand(1.0), hand(0.5)
    digits = np.radians(pose.digits)
    twist = np.zeros(5)
    # The saddle joint turns the thumb's pad towards the fingers as it abducts.
    twist[0] = -0.6 * digits[0, 1]
    parent = np.broadcast_to(bones[PALM], (5, 3, 4))
    frames, back = REST_FRAMES, np.swapaxes(REST_FRAMES, 1, 2)
    for level, (flex, side) in enumerate(((0, 1), (2, None), (3, None))):
        angle = digits[:, flex]
        aside = digits[:, side] if side is not None else np.zeros(5)
        roll = twist if level == 0 else np.zeros(5)
        for part, store in ((0.5, joints[1:]), (1.0, bones[2:])):
            local = _turn(2, aside * part) @ _turn(1, angle * part) @ _turn(0, roll * part)
            store.reshape(5, 3, 3, 4)[:, level] = _chain(
                parent, _about(REST_JOINTS_MM[:, level], frames @ local @ back)
            )
        parent = bones[2:].reshape(5, 3, 3, 4)[:, level]
    return bones, joints


def hand21_m(bones: Array) -> Array:
    """(21, 3) the joints of hand21 in the world, from the transforms of the 17 bones."""
    carrier = np.array(
        [PALM] + [2 + 3 * digit + max(joint - 1, 0) for digit in range(5) for joint in range(4)]
    )
    rest = rest_hand21_mm()
    maps = bones[carrier]
    return np.einsum("kij,kj->ki", maps[..., :3], rest) + maps[..., 3]
