"""The film of an operator and a robot hand side by side, its best picture, and its figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import FINGERS, HAND21
from vitpose_ros.retarget.choice import finger_points
from vitpose_ros.retarget.least_squares import LeastSquares
from vitpose_ros.retarget.palm_frame import palm_axes
from vitpose_ros.retarget.robot import Robot
from vitpose_ros.retarget.simulation import SimulatedHand
from vitpose_ros.ros.robot_monitor import FOLLOWING, RobotMonitor, Shot
from vitpose_ros.synthetic.robot_view import RobotView
from vitpose_ros.types import ByteArray, Instance, JointState, TrackState

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COLOURS = ((60, 140, 255), (80, 205, 255), (120, 220, 120), (235, 190, 80), (245, 120, 185))
"""BGR, thumb to little finger; the same on the operator's hand, the robot's tips and the bars."""
PALM_COLOUR = (235, 235, 235)
WIDTH, HEIGHT, STRIP = 1280, 540, 104
_LEFT, _RIGHT = 720, 560
_FRAMES_PER_S = 15.0
_DISTANCE_M = 0.57
_CENTRE_M = np.array((0.02, 0.0, 0.075))
"""What the robot's picture is centred on, in the operator frame."""
_FROM_BEHIND = np.array(((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)))
"""The orientation until a hand has been seen: the back of an upright hand."""
_TURN = 0.35
"""Share of a new orientation in the picture's own: the picture should not tremble."""
_BAR_MM = 20.0
_FONT = cv2.FONT_HERSHEY_DUPLEX


class RobotFilm:
    """Draws and measures what a RobotMonitor recorded.

    Parameters
    ----------
    robot : as recorded.
    monitor : after the run.
    """

    def __init__(self, robot: Robot, monitor: RobotMonitor) -> None:
        self._monitor, self._robot = monitor, robot
        self._solver = LeastSquares(robot)
        self._hand = SimulatedHand(robot)
        self._views = {
            scale: RobotView(
                self._hand.model, self._hand.data, _RIGHT, _accents(self._solver), scale
            )
            for scale in (1.5, 2.0)
        }
        self._turn: Array | None = None
        self._errors_mm = np.zeros(len(FINGERS))

    # --- figures

    def summary(self) -> dict[str, Any]:
        """Distances of the robot's tips from where the operator wants them, mm, and latencies.

        The simulated robot's own joints at the moment at which the skeletons arrive: filter,
        network, limits and the robot's inertia are all in it. Beside it, the same against the true
        hand of the image, where there is one.
        """
        shown, true, images = [], [], 0
        for shot in self._monitor.shots:
            joints = self._monitor.joints_at(shot.seen_ns)
            if joints is None or shot.state != FOLLOWING:
                continue
            images += 1
            shown += self._errors(self._followed(shot.instances), joints)
            true += self._errors(
                self._followed(self._monitor.true_hands.get(shot.stamp_ns, ())), joints
            )
        latency = self._monitor.command_ms
        return {
            "robot": self._robot.name,
            "images_followed": images,
            "tip_error_mm": _spread(shown),
            "tip_error_to_truth_mm": _spread(true),
            "image_to_command_ms": {
                "p50": _number(latency.get("image to command (ms) median")),
                "p95": _number(latency.get("image to command (ms) p95")),
            },
            "skeletons_to_command_ms": {
                "p50": _number(latency.get("skeletons to command (ms) median")),
                "p95": _number(latency.get("skeletons to command (ms) p95")),
            },
        }

    def _errors(self, hand: Instance | None, joints: Array) -> list[float]:
        """Of the tips of all fingers that are known as a whole, mm."""
        placed = _in_operator_frame(hand)
        if placed is None:
            return []
        errors = self._solver.tip_errors(placed[0], placed[1], joints)
        return [1e3 * error for error in errors.values()]

    def _followed(self, instances: Iterable[Instance]) -> Instance | None:
        hands = [
            hand
            for hand in instances
            if hand.layout is HAND21
            and hand.side is self._robot.side
            and hand.track_state is TrackState.CONFIRMED
        ]
        return max(hands, key=lambda hand: hand.track_age_s, default=None)

    # --- pictures

    def write(self, video: Path, picture: Path, shots: Iterable[Shot]) -> None:
        """Write the film at 15 images per second, and the picture that shows most.

        Parameters
        ----------
        video, picture : the files.
        shots : all shots of the monitor, perhaps under a progress bar.
        """
        code = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]
        writer = cv2.VideoWriter(str(video), code, _FRAMES_PER_S, (WIDTH, HEIGHT + STRIP))
        best, best_shot, due_ns = -1.0, None, 0
        state = self._turn, self._errors_mm
        for shot in shots:
            if shot.stamp_ns < due_ns:
                continue
            due_ns = max(due_ns + round(1e9 / _FRAMES_PER_S), shot.stamp_ns)
            before = self._turn, self._errors_mm
            writer.write(self._frame(shot, 1.5))
            worth = self._worth(shot)
            if worth > best:
                best, best_shot, state = worth, shot, before
        writer.release()
        if best_shot is not None:
            self._turn, self._errors_mm = state
            cv2.imwrite(str(picture), self._frame(best_shot, 2.0))

    def _worth(self, shot: Shot) -> float:
        """How much a picture shows: fingertips apart from each other, bent fingers, both hands."""
        joints = self._monitor.joints_at(shot.seen_ns)
        if joints is None or shot.state != FOLLOWING:
            return 0.0
        tips = self._tip_pixels(self._solver.tips(joints))
        gaps = np.linalg.norm(tips[:, None] - tips[None], axis=-1)[np.triu_indices(len(tips), 1)]
        bent = float(np.abs(joints).sum())
        close = 1.0 / (4.0 + float(self._errors_mm.mean()))
        return float(min(gaps.min(), 45.0) * (4.0 + bent) * close) * (1 + len(shot.instances))

    def _frame(self, shot: Shot, scale: float) -> ByteArray:
        followed = self._followed(shot.instances)
        placed = _in_operator_frame(followed)
        joints = self._monitor.joints_at(shot.seen_ns)
        if placed is not None:
            last = placed[2] if self._turn is None else self._turn
            left, _, right = np.linalg.svd((1 - _TURN) * last + _TURN * placed[2])
            self._turn = left @ right
        canvas = np.full((HEIGHT + STRIP, WIDTH, 3), (26, 21, 18), np.uint8)
        image = shot.image
        for hand in shot.instances:
            _draw_hand(image, hand, hand is followed)
        canvas[:HEIGHT, :_LEFT] = _fitted(image, _LEFT, HEIGHT)
        right = np.zeros((_RIGHT, _RIGHT, 3), np.uint8)
        wanted: dict[int, Array] = {}
        if joints is not None:
            if placed is not None:
                wanted = self._solver.wanted_tips(placed[0], placed[1])
                self._note(wanted, joints)
            right = self._draw_robot(joints, wanted, shot.state == FOLLOWING, scale)
        cut = (_RIGHT - HEIGHT) // 2
        canvas[:HEIGHT, _LEFT:] = right[cut : cut + HEIGHT, : WIDTH - _LEFT]
        self._draw_strip(canvas, shot)
        return canvas

    def _note(self, wanted: dict[int, Array], joints: Array) -> None:
        tips = self._solver.tips(joints)
        for tip, vector in wanted.items():
            error = 1e3 * float(np.linalg.norm(vector - tips[tip]))
            finger = (tip - 1) // 4
            self._errors_mm = self._errors_mm.copy()
            self._errors_mm[finger] += 0.3 * (error - self._errors_mm[finger])

    def _draw_robot(
        self, joints: Array, wanted: dict[int, Array], following: bool, scale: float
    ) -> ByteArray:
        kinematics = self._solver.kinematics
        kinematics.set(joints)
        kinematics.pose(self._hand.model, self._hand.data)
        picture = self._views[scale].draw(*self._camera())
        if following:
            place = self._tip_pixels(wanted)
            for tip, (u, v) in zip(wanted, place, strict=True):
                colour = COLOURS[(tip - 1) // 4]
                at = (round(16 * u), round(16 * v))
                cv2.circle(picture, at, 16 * 11, (20, 16, 14), 4, cv2.LINE_AA, 4)
                cv2.circle(picture, at, 16 * 11, colour, 2, cv2.LINE_AA, 4)
        return picture

    def _tip_pixels(self, tips: dict[int, Array]) -> Array:
        """(T, 2) px of vectors from each finger's knuckle."""
        kinematics = self._solver.kinematics
        place = dict(zip(kinematics.points, kinematics.positions(), strict=True))
        roots = [place[1 + 4 * ((tip - 1) // 4)] for tip in tips]
        points = np.array([root + tips[tip] for root, tip in zip(roots, tips, strict=True)])
        world = kinematics.origin + points.reshape(-1, 3) @ kinematics.axes.T
        return self._views[2.0].project(world, *self._camera())

    def _camera(self) -> tuple[Array, Array, float]:
        """Rotation, centre and distance of the picture: as the operator's hand is seen."""
        axes, origin = self._solver.kinematics.axes, self._solver.kinematics.origin
        turn = _FROM_BEHIND if self._turn is None else self._turn
        return turn @ axes.T, origin + axes @ _CENTRE_M, _DISTANCE_M

    def _draw_strip(self, canvas: ByteArray, shot: Shot) -> None:
        top = HEIGHT
        cv2.line(canvas, (0, top), (WIDTH, top), (64, 54, 46), 1)
        for finger, name in enumerate(FINGERS):
            x, y, full = 24 + 138 * finger, top + 40, 112
            error, colour = self._errors_mm[finger], COLOURS[finger]
            _text(canvas, name, (x, y - 12), 0.5, (200, 195, 190))
            _text(canvas, f"{error:.1f} mm", (x + 62, y - 12), 0.5, colour)
            cv2.rectangle(canvas, (x, y), (x + full, y + 10), (56, 48, 42), -1)
            length = round(full * min(error / _BAR_MM, 1.0))
            cv2.rectangle(canvas, (x, y), (x + max(length, 2), y + 10), colour, -1)
        _text(canvas, "fingertips: robot against operator", (24, top + 82), 0.5, (150, 145, 140))
        _text(canvas, self._robot.name, (_LEFT + 24, top + 28), 0.55, (235, 232, 228))
        latency = self._monitor.command_ms.get("image to command (ms) median")
        if latency:
            words = f"image to joint command: {float(latency):.0f} ms"
            _text(canvas, words, (_LEFT + 24, top + 55), 0.5, (200, 195, 190))
        good = shot.state == FOLLOWING
        colour = (120, 220, 120) if good else (80, 180, 255)
        cv2.circle(canvas, (_LEFT + 30, top + 77), 5, colour, -1, cv2.LINE_AA)
        words = shot.state if len(shot.state) < 58 else shot.state[:55] + "..."
        _text(canvas, words, (_LEFT + 44, top + 82), 0.5, colour)


def _accents(solver: LeastSquares) -> list[tuple[str, tuple[int, int, int]]]:
    """The colour of each finger's last body."""
    names = solver.kinematics.bodies()
    return [(names[4 + 4 * f], COLOURS[f]) for f in range(len(FINGERS)) if 4 + 4 * f in names]


def _in_operator_frame(hand: Instance | None) -> tuple[Array, BoolArray, Array] | None:
    """Points, which are known, and the frame's axes; None where the hand has no frame."""
    found = None if hand is None else finger_points(hand)
    if hand is None or found is None:
        return None
    points, known = found
    axes = palm_axes(points, known, hand.side)
    return None if axes is None else ((points - points[0]) @ axes, known, axes)


def _draw_hand(image: ByteArray, hand: Instance, followed: bool) -> None:
    """The skeleton: a colour per finger for the followed hand, grey for others."""
    if hand.layout is not HAND21 or hand.track_state is TrackState.LOST:
        return
    uv, state = hand.keypoints.uv, hand.keypoints.state
    size = float(max(hand.keypoints.box()[2:]))
    wide = max(1, round(size / 70))
    passes = ((wide + 3, True), (wide, False)) if followed else ((wide, False),)
    for thick, shadow in passes:
        for a, b in HAND21.edges:
            if JointState.ABSENT in (state[a], state[b]):
                continue
            colour = _edge_colour(a, b) if followed else (170, 170, 170)
            ends = [(round(16 * float(uv[j, 0])), round(16 * float(uv[j, 1]))) for j in (a, b)]
            cv2.line(
                image, ends[0], ends[1], (30, 26, 24) if shadow else colour, thick, cv2.LINE_AA, 4
            )
    if followed:
        for finger in range(len(FINGERS)):
            tip = 4 + 4 * finger
            if state[tip] != JointState.ABSENT:
                at = (round(16 * float(uv[tip, 0])), round(16 * float(uv[tip, 1])))
                cv2.circle(image, at, 16 * (wide + 3), (30, 26, 24), -1, cv2.LINE_AA, 4)
                cv2.circle(image, at, 16 * (wide + 2), COLOURS[finger], -1, cv2.LINE_AA, 4)


def _edge_colour(a: int, b: int) -> tuple[int, int, int]:
    if a == 0 or (a - 1) // 4 != (b - 1) // 4:
        return PALM_COLOUR
    return COLOURS[(b - 1) // 4]


def _fitted(image: ByteArray, width: int, height: int) -> ByteArray:
    """The image in a frame of this size, as large as it fits."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    small = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    frame = np.full((height, width, 3), (26, 21, 18), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    frame[y : y + size[1], x : x + size[0]] = small
    return cast(ByteArray, frame)


def _text(
    image: ByteArray, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(image, text, at, _FONT, size, colour, 1, cv2.LINE_AA)


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"mean": None, "p95": None}
    return {
        "mean": round(float(np.mean(values)), 2),
        "p95": round(float(np.percentile(values, 95)), 2),
    }


def _number(text: str | None) -> float | None:
    return None if text is None or text == "none yet" else float(text)
