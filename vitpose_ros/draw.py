"""Skeletons drawn over an image, for the debug image, the demo's video and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from vitpose_ros.layouts import FINGERS
from vitpose_ros.types import ByteArray, Instance, JointState, Side, TrackState

Colour = tuple[int, int, int]

# BGR. Left is blue, right is orange: distinct also for people with red-green colour blindness.
SIDE_COLOURS: dict[Side, Colour] = {
    Side.LEFT: (255, 160, 40),
    Side.RIGHT: (30, 130, 255),
    Side.UNKNOWN: (190, 190, 190),
}
_SIDE_LETTERS = {Side.LEFT: "L", Side.RIGHT: "R", Side.UNKNOWN: ""}
_OUTLINE: Colour = (25, 25, 25)
_WHITE: Colour = (255, 255, 255)
_DIM = 0.45  # share of its colour that a bone or joint keeps when it was not measured
_FINGER_SHADES = (0.55, 0.35, 0.0, 0.15, 0.3)  # thumb .. little finger: towards white, then dark
_SHIFT = 3  # fractional bits of cv2's fixed point: joints are drawn to an eighth of a pixel
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_instances(image: ByteArray, instances: Iterable[Instance]) -> ByteArray:
    """Draw skeletons into an image.

    Measured joints are filled. Occluded and predicted joints are hollow and, like their bones,
    dimmed. Absent joints and their bones are not drawn. A label shows side, identity, score, and
    whether the track is lost; it is dimmed while the track is not confirmed.

    Parameters
    ----------
    image : (H, W, 3) uint8, BGR; changed in place.
    instances : the skeletons to draw.

    Returns
    -------
    The same image.
    """
    drawn = tuple(instances)
    for instance in drawn:
        _draw_skeleton(image, instance)
    for instance in drawn:
        _draw_label(image, instance)
    return image


def draw_caption(image: ByteArray, lines: Iterable[str]) -> ByteArray:
    """Write lines of text at the top left of an image, on a dark background; returns the image."""
    lines = list(lines)
    if not lines:
        return image
    scale = max(0.4, min(image.shape[:2]) / 1000)
    sizes = [cv2.getTextSize(line, _FONT, scale, 1)[0] for line in lines]
    pitch, pad = int(1.7 * max(size[1] for size in sizes)), int(12 * scale)
    panel = image[: pitch * len(lines) + 2 * pad, : max(size[0] for size in sizes) + 2 * pad]
    panel[:] = panel // 3
    for row, line in enumerate(lines):
        position = (pad, pad + int((row + 0.8) * pitch))
        cv2.putText(image, line, position, _FONT, scale, _WHITE, 1, cv2.LINE_AA)
    return image


def _draw_skeleton(image: ByteArray, instance: Instance) -> None:
    keypoints = instance.keypoints
    present = keypoints.state != JointState.ABSENT
    if not present.any():
        return
    size = _size(instance)
    bone_px, joint_px = max(1, round(size / 45)), max(1.5, size / 40)
    colours = [_joint_colour(instance, joint) for joint in range(len(keypoints.layout))]
    visible = keypoints.state >= JointState.MEASURED
    edges = [(a, b) for a, b in keypoints.layout.edges if present[a] and present[b]]
    for start, end in edges:
        _line(image, keypoints.uv[start], keypoints.uv[end], _OUTLINE, bone_px + 2)
    for start, end in edges:
        colour = colours[end] if visible[start] and visible[end] else _dimmed(colours[end])
        _line(image, keypoints.uv[start], keypoints.uv[end], colour, bone_px)
    for joint in np.flatnonzero(present):
        at, colour = keypoints.uv[joint], colours[joint]
        if visible[joint]:
            _circle(image, at, joint_px + 1, _OUTLINE, -1)
            _circle(image, at, joint_px, colour, -1)
            _circle(image, at, joint_px * 0.45, _WHITE, -1)
        else:
            _circle(image, at, joint_px, _OUTLINE, 3)
            _circle(image, at, joint_px, _dimmed(colour), 1)


def _draw_label(image: ByteArray, instance: Instance) -> None:
    """Side, identity and score, above the skeleton's box and inside the image."""
    x, y, width, _ = instance.keypoints.box()
    if not math.isfinite(x):
        return
    parts = [_SIDE_LETTERS[instance.side]]
    parts += [f"#{instance.track_id}"] if instance.track_state != TrackState.NONE else []
    parts += ["lost"] if instance.track_state == TrackState.LOST else []
    text = " ".join([part for part in parts if part] + [f"{instance.score:.2f}"])
    scale = max(0.35, min(0.9, _size(instance) / 280))
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, 1)
    pad = max(2, round(5 * scale))
    box_width, box_height = text_width + 2 * pad, text_height + below + 2 * pad
    left = int(min(max(x + width / 2 - box_width / 2, 0), max(image.shape[1] - box_width, 0)))
    top = int(min(max(y - box_height - 3 * pad, 0), max(image.shape[0] - box_height, 0)))
    colour = SIDE_COLOURS[instance.side]
    if instance.track_state in (TrackState.TENTATIVE, TrackState.LOST):
        colour = _dimmed(colour)
    cv2.rectangle(image, (left, top), (left + box_width, top + box_height), colour, -1)
    baseline = (left + pad, top + pad + text_height)
    cv2.putText(image, text, baseline, _FONT, scale, _OUTLINE, 1, cv2.LINE_AA)


def _size(instance: Instance) -> float:
    """The skeleton's size in px for the choice of line widths: 40 .. 400."""
    _, _, width, height = instance.keypoints.box()
    if instance.layout.kind != "hand":
        width, height = width / 3, height / 3
    return min(max(max(width, height), 40.0), 400.0)


def _joint_colour(instance: Instance, joint: int) -> Colour:
    """The side's colour; a hand's fingers range from a light thumb to a dark little finger."""
    colour = SIDE_COLOURS[instance.side]
    name = instance.layout.joints[joint]
    if instance.layout.kind != "hand":
        side = next((s for s in (Side.LEFT, Side.RIGHT) if name.startswith(s.name.lower())), None)
        return SIDE_COLOURS[side or Side.UNKNOWN]
    order = next((i for i, finger in enumerate(FINGERS) if name.startswith(finger)), 2)
    return _mixed(colour, _WHITE if order < 3 else _OUTLINE, _FINGER_SHADES[order])


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return blue, green, red


def _dimmed(colour: Colour) -> Colour:
    return _mixed((128, 128, 128), colour, _DIM)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """A point in cv2's fixed point, clipped to the range that cv2 can draw."""
    x, y = np.clip(np.asarray(point, np.float64), -16000, 16000) * (1 << _SHIFT)
    return round(x), round(y)


def _line(image: ByteArray, a: np.ndarray, b: np.ndarray, colour: Colour, width: int) -> None:
    cv2.line(image, _fixed(a), _fixed(b), colour, width, cv2.LINE_AA, _SHIFT)


def _circle(image: ByteArray, at: np.ndarray, radius: float, colour: Colour, width: int) -> None:
    fixed_radius = max(1, round(radius * (1 << _SHIFT)))
    cv2.circle(image, _fixed(at), fixed_radius, colour, width, cv2.LINE_AA, _SHIFT)
