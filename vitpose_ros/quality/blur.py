"""How blurred a hand is in its image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from vitpose_ros.hand_geometry import palm_size
from vitpose_ros.layouts import HAND21
from vitpose_ros.types import ByteArray

SIDE_PX = 128
"""Hands are compared at this size: a larger one is scaled down, so that blur counts against the
hand, not against the pixel."""

SMALLEST_PX = 32
"""Nothing is said about a hand whose box has a shorter side."""

_FLESH = 0.3  # palms: width of the part of the image around each bone that counts
_REACH = 11  # px over which an edge is blurred again
_ANGLES = (0.0, 45.0, 90.0, 135.0)


def hand_blur(image: ByteArray, uv: npt.NDArray) -> float:
    """Blur of a hand, 0 (sharp) to 1; NaN where it cannot be told.

    The share of the differences between neighbouring pixels that survives a further blur (Crete et
    al., "The blur effect", SPIE 2007): what is blurred already loses little. It does not depend on
    contrast. Only the image around the bones counts, since what is behind the hand does not move
    with it, and of four directions the worst, since motion blurs one.

    Parameters
    ----------
    image : (H, W, 3) uint8, BGR.
    uv : (21, 2) px, the hand's joints; NaN where unknown.
    """
    known = np.isfinite(uv).all(axis=1)
    palm_px = palm_size(uv)
    if not known.any() or not palm_px > 0:
        return math.nan
    margin = _FLESH / 2 * palm_px
    height, width = image.shape[:2]
    low = np.maximum(np.floor(uv[known].min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(uv[known].max(axis=0) + margin) + 1, (width, height)).astype(int)
    if (high - low).min() < SMALLEST_PX:
        return math.nan
    grey = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2GRAY)
    scale = min(SIDE_PX / max(grey.shape), 1.0)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    points = np.rint((uv - low) * scale)
    mask = np.zeros(grey.shape, np.uint8)
    for a, b in HAND21.edges:
        if known[a] and known[b]:
            start, end = ((int(points[joint, 0]), int(points[joint, 1])) for joint in (a, b))
            cv2.line(mask, start, end, 255, max(1, round(_FLESH * palm_px * scale)))
    blurs = [_along(*_turned(grey, mask, angle)) for angle in _ANGLES]
    return float(np.fmax.reduce(blurs))


def _turned(grey: np.ndarray, mask: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Both, turned about their centre, on a canvas that holds them."""
    if angle == 0.0:
        return grey.astype(np.float32), mask > 0
    if angle == 90.0:
        return np.ascontiguousarray(grey.T).astype(np.float32), np.ascontiguousarray(mask.T) > 0
    height, width = grey.shape
    side = math.ceil(math.hypot(height, width))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    turn[:, 2] += ((side - width) / 2, (side - height) / 2)
    size = (side, side)
    turned = cv2.warpAffine(grey.astype(np.float32), turn, size, borderMode=cv2.BORDER_REPLICATE)
    return turned, cv2.warpAffine(mask, turn, size, flags=cv2.INTER_NEAREST) > 0


def _along(grey: np.ndarray, mask: np.ndarray) -> float:
    """Blur along the rows."""
    again = cv2.blur(grey, (_REACH, 1), borderType=cv2.BORDER_REPLICATE)
    sharp = np.abs(np.diff(grey, axis=1))
    lost = np.maximum(sharp - np.abs(np.diff(again, axis=1)), 0.0)
    inside = mask[:, 1:] & mask[:, :-1]
    total = float(sharp[inside].sum())
    return 1.0 - float(lost[inside].sum()) / total if total > 0 else math.nan
