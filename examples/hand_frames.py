"""Draws the pictures of docs/retargeting.md, without ROS: python3 examples/hand_frames.py FOLDER.

operator_frame.jpg: the wrist frames of both hands, from both sides. openxr_joints.jpg: the frames
of the OpenXR joints. joint_angles.jpg: where each angle is. The hands are flat: all angles of
their fingers are 0.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import FINGERS
from vitpose_ros.retarget.angles import HAND_ANGLES, side_axes
from vitpose_ros.retarget.openxr import openxr_hand
from vitpose_ros.retarget.operator_frame import operator_axes
from vitpose_ros.synthetic.anatomy import rest_hand21_mm
from vitpose_ros.synthetic.mesh import hand_mesh
from vitpose_ros.synthetic.raster import rasterise
from vitpose_ros.synthetic.skin import make_skin
from vitpose_ros.types import Side

AXES = (("x", (50, 50, 225)), ("y", (60, 170, 50)), ("z", (230, 110, 30)))
INK, PAPER = (40, 40, 40), (250, 248, 246)
FOCAL_PX, AWAY_M = 2100.0, 0.9
UPRIGHT = np.array(((0, -1, 0), (-1, 0, 0), (0, 0, -1)), float)
"""To the camera, from a right hand with x to the fingers, y to the thumb, z out of its back."""

MESH = hand_mesh(sleeve_mm=60.0)
SKIN = make_skin(MESH, np.random.default_rng(5))


@dataclass
class Hand:
    """A flat hand before the camera: its mesh and its joints, in the camera's frame, m."""

    side: Side
    vertices: np.ndarray
    normals: np.ndarray
    points: np.ndarray


def hand(side, right_m=0.0, palm=False, tilt_deg=(0.0, 0.0)):
    """A hand with its fingers up, its back (or its palm) towards the camera, then tilted."""
    turn = UPRIGHT @ Rotation.from_euler("x", 180 * palm, degrees=True).as_matrix()
    turn = Rotation.from_euler("xy", tilt_deg, degrees=True).as_matrix() @ turn
    turn = turn @ np.diag((1.0, 1.0 if side is Side.RIGHT else -1.0, 1.0))

    def placed(points_mm):
        return (points_mm - (70.0, 0.0, 0.0)) @ turn.T / 1000 + (right_m, 0.0, AWAY_M)

    return Hand(side, placed(MESH.vertices_mm), MESH.normals @ turn.T, placed(rest_hand21_mm()))


def pixel(image, point):
    """Where a point in the camera's frame is in the image, px."""
    height, width = image.shape[:2]
    return FOCAL_PX * np.array(point)[..., :2] / np.array(point)[..., 2:] + (width / 2, height / 2)


def whole(point):
    """The nearest pixel, as OpenCV wants it."""
    return tuple(round(float(x)) for x in point)


def picture(width, height, *hands):
    """An image of these hands."""
    image = np.full((height, width, 3), PAPER, np.float32)
    nearness = np.zeros((height, width), np.float32)
    light = np.array((-0.3, -0.5, -0.8)) / np.linalg.norm((0.3, 0.5, 0.8))
    for h in hands:
        faces = MESH.faces if h.side is Side.RIGHT else MESH.faces[:, ::-1]
        uv = pixel(image, h.vertices).astype(np.float32)
        drawn = rasterise(uv, (1 / h.vertices[:, 2]).astype(np.float32), faces, nearness)
        shade = 0.55 + 0.45 * np.clip(h.normals @ light, 0, 1)
        colours = 0.35 * np.array(PAPER) + 0.65 * SKIN.albedo * (shade * SKIN.open_sky)[:, None]
        corners = colours[faces[drawn.face]]
        image.reshape(-1, 3)[drawn.pixel] = np.einsum("pk,pkc->pc", drawn.weights, corners)
    return np.clip(image, 0, 255).astype(np.uint8)


def text(image, words, at, colour=INK, size=0.8, right=False):
    """Words whose left end (or right end) is at a pixel, at half their height."""
    (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
    place = whole((at[0] - right * width, at[1] + height / 2))
    for shade, thick in ((PAPER, 6), (colour, 2)):
        cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, shade, thick, cv2.LINE_AA)


def frame(image, origin, axes, length_m, width, labels=True):
    """Three axes; one that points away from the viewer is pale, as it lies behind the hand."""
    start = pixel(image, origin)
    for k in sorted(range(3), key=lambda k: -axes[2, k]):
        name, colour = AXES[k]
        end = pixel(image, origin + length_m * axes[:, k])
        length = max(np.linalg.norm(end - start), 1.0)
        before = image.copy()
        for shade, thick in ((PAPER, width + 3), (colour, width)):
            tip = min(0.4, 4.0 * width / length)
            cv2.arrowedLine(image, whole(start), whole(end), shade, thick, cv2.LINE_AA, 0, tip)
        if labels and axes[2, k] > 0.65:
            cv2.addWeighted(before, 0.65, image, 0.35, 0, dst=image)
        if labels:
            text(image, name, end + 20 * (end - start) / length - (8, 0), colour)
    cv2.circle(image, whole(start), width + 1, INK, -1, cv2.LINE_AA)


def operator_frames():
    """Both hands with the operator frames at their wrists, their backs, then their palms."""
    panels = []
    for palm in (False, True):
        # With palms towards the viewer the right hand is on the left.
        sides = (Side.RIGHT, Side.LEFT) if palm else (Side.LEFT, Side.RIGHT)
        tilt = (-28.0 if palm else 32.0, 0.0)
        hands = [
            hand(side, x, palm, (tilt[0], 25.0 * np.sign(x)))
            for side, x in zip(sides, (-0.13, 0.13), strict=True)
        ]
        image = picture(1100, 760, *hands)
        for h in hands:
            frame(image, h.points[0], operator_axes(h.points, h.side), 0.085, 5)
            words = f"{h.side.name.lower()} hand, {'palm' if palm else 'back'}"
            text(image, words, (pixel(image, h.points[0])[0] - 110, 40))
        panels.append(image)
    return np.hstack(panels)


def openxr_joints():
    """Both hands with the frame of each OpenXR joint."""
    hands = [
        hand(side, x, False, (32.0, 200.0 * x))
        for side, x in ((Side.LEFT, -0.12), (Side.RIGHT, 0.12))
    ]
    image = picture(1100, 760, *hands)
    for h in hands:
        wrist = operator_axes(h.points, h.side)
        joints = openxr_hand(h.points, side_axes(h.points, h.side), h.side, wrist)
        for i in np.flatnonzero(joints.valid):
            axes = Rotation.from_quat(joints.orientation[i]).as_matrix()
            large = i == 1
            frame(image, joints.position[i], axes, 0.05 if large else 0.018, 3, labels=large)
        text(image, f"{h.side.name.lower()} hand, back", (pixel(image, h.points[0])[0] - 110, 40))
    return image


def joint_angles():
    """A right hand from its back: the names of its angles, and where abduction is positive."""
    h = hand(Side.RIGHT, 0.05)
    image = picture(1300, 860, h)
    names = {0: "wrist_flexion, wrist_deviation"}
    for finger in (0, 1):
        of = [angle for angle in HAND_ANGLES if angle.startswith(FINGERS[finger])]
        for joint, words in enumerate((", ".join(of[:2]), *of[2:])):
            names[4 * finger + joint + 1] = words
    at = pixel(image, h.points)
    joints = sorted(names, key=lambda joint: at[joint][1])
    for joint, row in zip(joints, np.linspace(120, 800, len(joints)), strict=True):
        cv2.line(image, whole(at[joint]), (500, round(row)), INK, 1, cv2.LINE_AA)
        cv2.circle(image, whole(at[joint]), 5, INK, -1, cv2.LINE_AA)
        text(image, names[joint], (492, row), INK, 0.65, right=True)
    for tip in (4, 8, 12, 16, 20):
        base = at[1] if tip == 4 else at[tip - 3]
        start = base + 1.12 * (at[tip] - base)
        end = start + 0.18 * np.array((start[1] - base[1], base[0] - start[0]))
        cv2.arrowedLine(image, whole(start), whole(end), AXES[1][1], 3, cv2.LINE_AA, 0, 0.35)
        text(image, "+", end - (4, 14), AXES[1][1], 0.65, right=True)
    legend = ("green: abduction,", "towards the thumb", "", "flexion:", "towards the palm")
    for row, words in enumerate(legend):
        text(image, words, (1010, 120 + 32 * row), AXES[1][1] if row < 2 else INK, 0.65)
    text(image, "middle, ring, pinky: as index", (910, 640), INK, 0.65)
    return image


def main(folder: str) -> None:
    pictures = {
        "operator_frame.jpg": operator_frames,
        "openxr_joints.jpg": openxr_joints,
        "joint_angles.jpg": joint_angles,
    }
    for name, draw in pictures.items():
        if not cv2.imwrite(str(Path(folder) / name), draw()):
            raise SystemExit(f"OpenCV cannot write {name} into '{folder}': does the folder exist?")
    print(f"drawn into {folder}: {', '.join(pictures)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
