"""Two real hands in front of a turning first-person camera: images with ground truth.

A scene is a sequence of events in random order: the camera turns until a hand is out of view, a
hand leaves while the other one takes its place, hands cross, hold something, are seen edge-on, the
light dims. Between events the hands move a little, without repetition. The background is a
photograph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.bench.real.material import Material, Sprite
from vitpose_ros.layouts import MIDDLE_MCP, WRIST
from vitpose_ros.types import ByteArray, FloatArray, Side

WIDTH, HEIGHT, RATE_HZ = 640, 480, 30

EVENTS = (
    "look_left",
    "left_leaves",
    "edge_on",
    "cross",
    "look_right",
    "hold",
    "look_away",
    "low",
    "right_leaves",
    "dim",
    "hold_edge_on",
    "seam",
)
"""Each is shown once, in an order that depends on the seed."""

EVENT_S, PAUSE_S = 2.2, 1.0
DURATION_S = PAUSE_S + EVENT_S * len(EVENTS) + PAUSE_S

_HOME = {Side.LEFT: (185.0, 330.0), Side.RIGHT: (455.0, 330.0)}  # wrists, px
_PALM_PX = 78.0  # wrist to middle MCP of a hand of size 1
_WANDER_PX, _WANDER_RAD, _WANDER_SIZE = 26.0, 0.25, 0.12
_EDGE_ON, _HALF_EDGE_ON = 0.36, 0.5  # remaining width of a hand that rotates about its arm
_HELD = ((6, 18, 0.6), (1, 4, 0.5))  # joints that a held object covers, and its width in palms
_EXPOSURE_S = 0.012
_GROUND_MOVES = 0.4  # share of the camera's turn, because the photograph is too small for all of it

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RealHand:
    """The truth about one hand in an image.

    Attributes
    ----------
    side : left or right.
    uv : (21, 2) float32, px; may lie outside the image.
    hidden : (21,) bool, covered by the other hand or by an object.
    width, height : of the image, px.
    """

    side: Side
    uv: FloatArray
    hidden: npt.NDArray[np.bool_]
    width: int
    height: int

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(21,) bool, whether a joint lies inside the image."""
        u, v = self.uv.T
        return (u >= -0.5) & (v >= -0.5) & (u < self.width - 0.5) & (v < self.height - 0.5)


@dataclass(frozen=True)
class RealImage:
    """An image with its true hands.

    Attributes
    ----------
    image : (H, W, 3) uint8, BGR.
    hands : all hands, including those out of view.
    unknown : (x, y, radius) in px: circles in which hands may be found, but need not be.
    """

    image: ByteArray
    hands: tuple[RealHand, ...]
    unknown: tuple[tuple[float, float, float], ...] = ()


class RealScene:
    """Two hands over DURATION_S.

    Parameters
    ----------
    material : the cut-outs and photographs to use.
    seed : for the order of the events and all motion; also selects the photograph.
    """

    def __init__(self, material: Material, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._sprites = material.sprites
        self._ground = material.grounds[seed % len(material.grounds)]
        starts = PAUSE_S + EVENT_S * rng.permutation(len(EVENTS))
        self._start_s = dict(zip(EVENTS, starts.tolist(), strict=True))
        self._hands = {side: _Motion(side, rng, len(self._sprites)) for side in _HOME}
        self._thing = _thing(self._ground, rng)

    def __len__(self) -> int:
        return round(DURATION_S * RATE_HZ)

    def during(self, event: str) -> tuple[float, float]:
        """When an event begins and ends, s."""
        return self._start_s[event], self._start_s[event] + EVENT_S

    def render(self, number: int) -> RealImage:
        """Image `number` of the scene."""
        time_s = number / RATE_HZ
        camera = self._camera(time_s)
        canvas = self._ground_at(camera)
        hands, covers = [], []
        for side in (Side.LEFT, Side.RIGHT):  # the right one is in front
            motion = self._hands[side]
            sprite = self._sprites[motion.sprite(time_s)]
            matrix = self._placed(sprite, side, time_s)
            matrix[:, 2] -= camera
            uv = sprite.uv @ matrix[:, :2].T + matrix[:, 2]
            cover = _paste(canvas, sprite.image, sprite.alpha, matrix)
            hold = max(self._amount(event, time_s) for event in ("hold", "hold_edge_on"))
            thing = self._hold(canvas, uv) if hold > 0.5 else np.zeros_like(cover)
            hands.append((side, uv))
            covers.append((cover, thing))
        (_, left_thing), (right, right_thing) = covers
        above_left = np.maximum(left_thing, np.maximum(right, right_thing))
        image = self._exposed(canvas, time_s)
        return RealImage(
            image,
            tuple(
                RealHand(side, uv.astype(np.float32), _at(above, uv), WIDTH, HEIGHT)
                for (side, uv), above in zip(hands, (above_left, right_thing), strict=True)
            ),
        )

    def _amount(self, event: str, time_s: float, rise_s: float = 0.5) -> float:
        """The progress of an event, 0 .. 1: it rises at the start and falls at the end."""
        since = time_s - self._start_s[event]
        return _smooth(since / rise_s) * _smooth((EVENT_S - 0.1 - since) / rise_s)

    def _camera(self, time_s: float) -> Array:
        """(2,) px, how far the camera is turned to the right and down."""
        x = 330.0 * (self._amount("look_right", time_s) - self._amount("look_left", time_s))
        y = -420.0 * self._amount("look_away", time_s, 0.4)
        return np.array((x, y))

    def _placed(self, sprite: Sprite, side: Side, time_s: float) -> Array:
        """(2, 3) map from a cut-out's pixels to those of an image without camera motion."""
        motion = self._hands[side]
        outward = -1.0 if side is Side.LEFT else 1.0
        leaves, other = ("left_leaves", "right_leaves")[:: int(-outward)]
        x, y = motion.wrist(time_s)
        x -= outward * 250.0 * self._amount("cross", time_s, 0.7)
        x -= outward * 70.0 * self._amount("seam", time_s)
        y += 330.0 * self._amount(leaves, time_s)
        y += 190.0 * self._amount("low", time_s)
        # While a hand is away, the other one takes its place.
        since = time_s - self._start_s[other] - 0.4
        x -= outward * 250.0 * _smooth(since / 0.4) * _smooth((EVENT_S - 0.3 - since) / 0.5)
        narrow = 1.0 - (1.0 - _EDGE_ON) * self._amount("edge_on", time_s)
        narrow -= (1.0 - _HALF_EDGE_ON) * self._amount("hold_edge_on", time_s)
        return _affine(sprite.uv, side, (x, y), motion.turn(time_s), motion.size(time_s), narrow)

    def _ground_at(self, camera: Array) -> ByteArray:
        height, width = self._ground.shape[:2]
        zoom = max(WIDTH / (width - 2 * 0.5 * _GROUND_MOVES * 330), HEIGHT / (height - 180))
        middle = np.array((width, height)) / 2 + _GROUND_MOVES * camera / zoom
        matrix = np.array(
            (
                (zoom, 0.0, WIDTH / 2 - zoom * middle[0]),
                (0.0, zoom, HEIGHT / 2 - zoom * middle[1]),
            )
        )
        shown = cv2.warpAffine(
            self._ground, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(shown, np.uint8)

    def _hold(self, canvas: ByteArray, uv: Array) -> ByteArray:
        """Paint an object over fingers and thumb; return the area that it covers."""
        height, width = self._thing.shape[:2]
        palm = float(np.linalg.norm(uv[MIDDLE_MCP] - uv[WRIST]))
        alpha = np.full((height, width), 255, np.uint8)
        covers = []
        for first, last, wide in _HELD:
            along = 2.0 * (uv[last] - uv[first]) / width
            across = np.array((-along[1], along[0]))
            across *= wide * palm / height / max(float(np.linalg.norm(along)), 1e-6)
            turn = np.stack((along, across), axis=1)
            middle = (uv[first] + uv[last]) / 2 - turn @ (width / 2, height / 2)
            matrix = np.hstack((turn, middle[:, None]))
            covers.append(_paste(canvas, self._thing, alpha, matrix))
        return np.maximum(*covers)

    def _exposed(self, canvas: ByteArray, time_s: float) -> ByteArray:
        """The image with motion blur from the exposure time, and the current brightness."""
        step = (self._camera(time_s + 1e-3) - self._camera(time_s - 1e-3)) / 2e-3 * _EXPOSURE_S
        length = int(np.abs(step).max())
        if length >= 2:
            along_x = abs(step[0]) >= abs(step[1])
            canvas = np.asarray(cv2.blur(canvas, (length, 1) if along_x else (1, length)), np.uint8)
        gain = 1.0 - 0.6 * self._amount("dim", time_s)
        return canvas if gain == 1.0 else np.asarray(cv2.convertScaleAbs(canvas, alpha=gain))


class _Motion:
    """The motion of a hand apart from events: sums of slow waves."""

    def __init__(self, side: Side, rng: np.random.Generator, images: int) -> None:
        self._home = np.array(_HOME[side])
        self._waves = rng.uniform(0.12, 0.55, (4, 3)), rng.uniform(0, 2 * np.pi, (4, 3))
        self._rate, self._first = rng.uniform(0.8, 1.2), rng.uniform(0, images)
        self._images = images

    def _wave(self, which: int, time_s: float) -> float:
        hertz, phase = self._waves[0][which], self._waves[1][which]
        return float(np.sin(2 * np.pi * hertz * time_s + phase).mean())

    def wrist(self, time_s: float) -> Array:
        """(2,) px."""
        wander = np.array((self._wave(0, time_s), self._wave(1, time_s)))
        return np.asarray(self._home + 2 * _WANDER_PX * wander)

    def turn(self, time_s: float) -> float:
        """Angle in the image, rad."""
        return 2 * _WANDER_RAD * self._wave(2, time_s)

    def size(self, time_s: float) -> float:
        """Of the hand; 1 on average."""
        return 1.0 + 2 * _WANDER_SIZE * self._wave(3, time_s)

    def sprite(self, time_s: float) -> int:
        """The index of the clip's image to show: back and forth, so that nothing jumps."""
        at = int(self._first + self._rate * RATE_HZ * time_s) % (2 * self._images)
        return at if at < self._images else 2 * self._images - 1 - at


def _affine(
    uv: FloatArray,
    side: Side,
    wrist: Sequence[float],
    turn_rad: float,
    size: float,
    narrow: float,
) -> Array:
    """(2, 3) map that places a cut-out's wrist at a position.

    `narrow` compresses it across the arm, like a flat hand that rotates about its arm.
    """
    along = (uv[MIDDLE_MCP] - uv[WRIST]).astype(np.float64)
    scale = size * _PALM_PX / float(np.linalg.norm(along))
    axis = along / np.linalg.norm(along)
    across = np.array((-axis[1], axis[0]))
    squeeze = np.outer(axis, axis) + narrow * np.outer(across, across)
    mirror = np.diag((-1.0 if side is Side.LEFT else 1.0, 1.0))
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    linear = scale * np.array(((cos, -sin), (sin, cos))) @ mirror @ squeeze
    return np.hstack((linear, (np.asarray(wrist) - linear @ uv[WRIST])[:, None]))


def _paste(canvas: ByteArray, image: ByteArray, alpha: ByteArray, matrix: Array) -> ByteArray:
    """Paint over the canvas; return its coverage, (H, W), 0 .. 255."""
    size = canvas.shape[1], canvas.shape[0]
    cover = np.asarray(cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
    x, y, width, height = cv2.boundingRect(cover)
    if width and height:
        box = np.s_[y : y + height, x : x + width]
        shifted = matrix.copy()
        shifted[:, 2] -= x, y
        painted = cv2.warpAffine(image, shifted, (width, height), borderMode=cv2.BORDER_REPLICATE)
        share = cover[box].astype(np.float32)[..., None] / 255
        canvas[box] = np.rint(canvas[box] + share * (painted.astype(np.float32) - canvas[box]))
    return cover


def _at(cover: ByteArray, uv: Array) -> npt.NDArray[np.bool_]:
    """(K,) which joints are covered."""
    u, v = np.rint(uv).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < cover.shape[1]) & (v < cover.shape[0])
    covered = np.zeros(len(uv), np.bool_)
    covered[inside] = cover[v[inside], u[inside]] > 127
    return covered


def _thing(ground: ByteArray, rng: np.random.Generator) -> ByteArray:
    """An object to hold: a strip of the photograph."""
    height, width = ground.shape[:2]
    x, y = rng.integers(0, width - 240), rng.integers(0, height - 40)
    return np.ascontiguousarray(ground[y : y + 40, x : x + 240])


def _smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)
