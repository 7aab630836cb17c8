"""One picture of one or several results, for the user to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from vitpose_ros.draw import draw_caption
from vitpose_ros.types import ByteArray

_TILE_PX = 480
_ALONE_PX = 1280


def sheet(tiles: Sequence[tuple[str, ByteArray]]) -> ByteArray:
    """The pictures side by side, each under its caption of one or several lines.

    Parameters
    ----------
    tiles : captions and pictures; at least one.
    """
    side = _ALONE_PX if len(tiles) == 1 else _TILE_PX
    shown = [_captioned(_fitted(picture, side), caption) for caption, picture in tiles]
    columns = min(len(shown), max(2, math.ceil(math.sqrt(len(shown)))))
    height, width = (max(one.shape[axis] for one in shown) for axis in (0, 1))
    padded = [
        cv2.copyMakeBorder(
            one, 0, height - one.shape[0], 0, width - one.shape[1], cv2.BORDER_CONSTANT
        )
        for one in shown
    ]
    padded += [np.zeros((height, width, 3), np.uint8)] * (-len(padded) % columns)
    rows = [np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)]
    return np.asarray(np.concatenate(rows), np.uint8)


def _fitted(picture: ByteArray, side: int) -> ByteArray:
    scale = side / max(picture.shape[:2])
    if scale >= 1 and side == _ALONE_PX:
        return picture
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _captioned(picture: ByteArray, caption: str) -> ByteArray:
    """The caption above the picture, where it hides nothing."""
    lines = [part for line in caption.splitlines() for part in _wrapped(line, picture.shape[1])]
    scale = max(0.4, min(picture.shape[:2]) / 1000)
    band = np.full((int(len(lines) * 34 * scale + 30 * scale), picture.shape[1], 3), 48, np.uint8)
    whole = np.concatenate([band, picture])
    return draw_caption(np.asarray(whole, np.uint8), lines)


def _wrapped(line: str, width: int) -> list[str]:
    """A line in parts that fit the width."""
    limit = max(20, width // 9)
    parts: list[str] = []
    for word in line.split():
        if parts and len(parts[-1]) + len(word) < limit:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts
