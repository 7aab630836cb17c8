"""Human joint angles, in radians, from the joints of hands and bodies. An unknown angle is NaN.

Names begin with the side: "left_index_pip_flexion". All angles are 0 in this posture: the arm
hangs, thumb forward, and the hand is flat, with its fingers in the directions of `limits.SPLAY_DEG`
and the thumb's metacarpal along the hand. Signs are the same for both sides, as in anatomy.

Fingers (index, middle, ring, pinky)
    mcp_flexion, pip_flexion, dip_flexion : towards the palm.
    mcp_abduction : towards the thumb; 0 at the finger's direction in a flat, relaxed hand.
Thumb
    thumb_radial_abduction : of the metacarpal, in the palm's plane, away from the index finger.
    thumb_palmar_abduction : of the metacarpal, out of the palm's plane.
    thumb_mcp_flexion, thumb_ip_flexion : towards the palm.
Arm, where the body is known
    wrist_flexion, wrist_deviation : of the hand against the forearm: towards the palm; towards the
        thumb.
    forearm_pronation : of the palm against the elbow's plane: palm down if the forearm points
        forward; 0 with the thumb up.
    elbow_flexion : 0 with a straight arm.
    shoulder_flexion, shoulder_abduction : of the upper arm against the trunk, in this order:
        forward in the trunk's sagittal plane, then sideways out of that plane.
    shoulder_rotation : of the upper arm about itself, inwards: 0 when the bent forearm points
        forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import FINGERS, Layout
from vitpose_ros.smooth.hand_axes import HandAxes, as_right
from vitpose_ros.smooth.rotations import beside, cross, dot, unit
from vitpose_ros.types import Side

Array = npt.NDArray[np.float64]

SIDES = (Side.LEFT, Side.RIGHT)
HAND_ANGLES = (
    *("thumb_radial_abduction", "thumb_palmar_abduction", "thumb_mcp_flexion", "thumb_ip_flexion"),
    *(
        f"{finger}_{angle}"
        for finger in FINGERS[1:]
        for angle in ("mcp_flexion", "mcp_abduction", "pip_flexion", "dip_flexion")
    ),
)
"""Angles of a hand, in this order."""
ARM_ANGLES = (
    *("wrist_flexion", "wrist_deviation", "forearm_pronation", "elbow_flexion"),
    *("shoulder_flexion", "shoulder_abduction", "shoulder_rotation"),
)
"""Angles of an arm, in this order."""

MIN_ELBOW_RAD = np.radians(20.0)
"""A straighter arm does not show how it is rotated about itself."""
MIN_IN_PLANE = np.sin(np.radians(10.0))
"""A vector with less than this share in a plane has no direction in that plane."""

_Joint = Callable[[str], Array]


def angle_names(side: Side) -> tuple[str, ...]:
    """Names of the angles of a hand and its arm, in the order of HAND_ANGLES, ARM_ANGLES."""
    return tuple(f"{side.name.lower()}_{angle}" for angle in (*HAND_ANGLES, *ARM_ANGLES))


ANGLE_NAMES = tuple(name for side in SIDES for name in angle_names(side))
"""Names of all angles, the left side first."""


@dataclass(frozen=True)
class Palm:
    """The axes of a palm, all (3,) and of length 1.

    Attributes
    ----------
    ahead : from the wrist to the middle knuckle.
    thumbward : towards the thumb.
    back : out of the back of the hand.
    """

    ahead: Array
    thumbward: Array
    back: Array


@dataclass(frozen=True)
class HandAngles:
    """The angles of a hand.

    Attributes
    ----------
    values : as HAND_ANGLES, rad; NaN where unknown.
    palm : its axes, in those of the points; None where the palm is unknown.
    finger_closure : (4,) how far each finger is bent, index to pinky: the sum of its flexions, rad;
        NaN where unknown.
    """

    values: Array
    palm: Palm | None
    finger_closure: Array


def side_axes(points: Array, side: Side) -> HandAxes:
    """The axes of one hand of a known side; those of a left hand are of its mirror image.

    Parameters
    ----------
    points : (21, 3) joints in hand21's order, in right-handed axes, m; NaN where unknown.
    side : LEFT or RIGHT.

    Raises
    ------
    ValueError : the side is UNKNOWN.
    """
    if side is Side.UNKNOWN:
        raise ValueError("the axes of a hand need its side: expected LEFT or RIGHT")
    with np.errstate(invalid="ignore", divide="ignore"):
        return HandAxes(as_right(points[None], mirror_of(side)))


def mirror_of(side: Side) -> Array:
    """(1,) what `as_right` takes for a hand of this side."""
    return np.array([-1.0 if side is Side.LEFT else 1.0])


def hand_angles(hand: HandAxes, side: Side) -> HandAngles:
    """The angles of a hand's digits.

    Parameters
    ----------
    hand, side : see `side_axes`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        metacarpal = hand.directions[:, :1, 0]
        forward, thumbward = dot(metacarpal, hand.ahead), dot(metacarpal, hand.aside)
        in_plane = np.hypot(forward, thumbward)
        radial = np.where(in_plane > MIN_IN_PLANE, np.arctan2(thumbward, forward), np.nan)
        palmar = np.arctan2(-dot(metacarpal, hand.back), in_plane)
        thumb = np.concatenate([radial, palmar, hand.angle[:, 0]], axis=1)
        fingers = np.stack(
            [hand.mcp_flexion(), hand.mcp_abduction(), hand.angle[:, 1:, 0], hand.angle[:, 1:, 1]],
            axis=2,
        )
    palm = np.concatenate([hand.ahead, hand.aside, hand.back], axis=1)
    axes = as_right(palm, mirror_of(side))[0]
    return HandAngles(
        values=np.concatenate([thumb[0], fingers[0].ravel()]),
        palm=Palm(*axes) if np.isfinite(axes).all() else None,
        finger_closure=fingers[0][:, [0, 2, 3]].sum(axis=1),
    )


def arm_angles(layout: Layout, points: Array, side: Side, palm: Palm | None) -> Array:
    """The angles of an arm.

    Parameters
    ----------
    layout : of a body; joints are found by their names.
    points : (K, 3) its joints, in right-handed axes, any unit; NaN where unknown.
    side : LEFT or RIGHT.
    palm : of the hand at the arm's end, in the same axes and from the same source; None if unknown.

    Returns
    -------
    (7,) : as ARM_ANGLES, rad; NaN where unknown.
    """
    joints = {name: index for index, name in enumerate(layout.joints)}

    def joint(name: str) -> Array:
        index = joints.get(name)
        return np.full(3, np.nan) if index is None else points[index]

    name = side.name.lower()
    shoulder, elbow, wrist = (joint(f"{name}_{part}") for part in ("shoulder", "elbow", "wrist"))
    # Mirrored, a left arm is a right one: `out` points away from the trunk on both sides.
    hand = 1.0 if side is Side.RIGHT else -1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        upper, fore = unit(elbow - shoulder), unit(wrist - elbow)
        hinge = cross(upper, fore)
        bent = float(np.sqrt(dot(hinge, hinge)))
        flexion = float(np.arctan2(bent, dot(upper, fore)))
        shows_rotation = MIN_ELBOW_RAD <= flexion <= np.pi - MIN_ELBOW_RAD
        wrist_flexion = wrist_deviation = pronation = np.nan
        if palm is not None:
            along, behind = dot(fore, palm.ahead), dot(fore, palm.back)
            wrist_flexion = float(np.arctan2(behind, along))
            wrist_deviation = -float(np.arcsin(np.clip(dot(fore, palm.thumbward), -1.0, 1.0)))
            if shows_rotation:
                outwards = hand * hinge / bent
                above = beside(-upper, fore)
                back = palm.back - dot(palm.back, fore) * fore
                if np.sqrt(dot(back, back)) > MIN_IN_PLANE:
                    pronation = float(np.arctan2(dot(back, above), dot(back, outwards)))
        trunk = _shoulder(joint, hand, upper, fore if shows_rotation else np.full(3, np.nan))
    return np.array([wrist_flexion, wrist_deviation, pronation, flexion, *trunk], np.float64)


def _shoulder(joint: _Joint, hand: float, upper: Array, fore: Array) -> tuple[float, float, float]:
    """Flexion, abduction and inward rotation of a shoulder; see the module's docstring."""
    shoulders = joint("left_shoulder") + joint("right_shoulder")
    hips = joint("left_hip") + joint("right_hip")
    up = unit(shoulders - hips)
    left = beside(joint("left_shoulder") - joint("right_shoulder"), up)
    forward, out = cross(left, up), -hand * left
    ahead, aside, down = float(dot(upper, forward)), float(dot(upper, out)), -float(dot(upper, up))
    abduction = float(np.arcsin(np.clip(aside, -1.0, 1.0)))
    if not np.hypot(ahead, down) > MIN_IN_PLANE:
        return np.nan, abduction, np.nan
    flexion = float(np.arctan2(ahead, down))
    forearm = fore - dot(fore, upper) * upper
    onward = np.cos(flexion) * forward + np.sin(flexion) * up
    outward = cross(onward, upper) * -hand
    rotation = -float(np.arctan2(dot(forearm, outward), dot(forearm, onward)))
    return flexion, abduction, rotation
