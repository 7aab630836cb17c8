"""What real recordings have and a camera at rest has not: pans, hands at the image's edge, changing
exposure, strong motion blur.

Each event plays a script of `motion` before another camera. The truth belongs to the images as they
are seen.
"""

from __future__ import annotations

import math

import numpy as np

from vitpose_ros.synthetic.scene import Scene
from vitpose_ros.synthetic.truth import Rendering, TrueHand

EVENTS = ("pan", "edge", "exposure", "blur")
"""pan: the camera swings to both sides, so that hands leave and return; edge: what happens in the
middle happens at the right edge; exposure: steps between dark and overexposed, as of a camera that
adapts; blur: the shutter is open for as long as an image lasts at 30 Hz."""

_WIDE = 1.75  # the image that a window pans over, in widths of the window
_PAN_PERIOD_S = 4.0
_EDGE_PX = 80  # from the middle of the scene to the image's right edge
_GAINS = (1.0, 0.3, 1.0, 1.9)  # one after the other
_GAIN_S, _ADAPTS_S = 1.5, 0.25
_LONG_EXPOSURE_S = 1 / 30


class EventScene:
    """A script in one random setting, with an event.

    Parameters
    ----------
    script, seed, width, height : see `Scene`.
    event : one of EVENTS.

    Raises
    ------
    ValueError : an unknown script or event.
    """

    def __init__(
        self, script: str, event: str, seed: int = 0, width: int = 640, height: int = 480
    ) -> None:
        if event not in EVENTS:
            raise ValueError(f"unknown event '{event}'; known are {', '.join(EVENTS)}")
        self.event, self._width = event, width
        exposure_s = _LONG_EXPOSURE_S if event == "blur" else 0.006
        wide = event in ("pan", "edge")
        half_rad = math.atan(math.tan(math.radians(35.0)) * (_WIDE if wide else 1.0))
        self._scene = Scene(
            script,
            seed,
            round(width * _WIDE) if wide else width,
            height,
            horizontal_fov_deg=2 * math.degrees(half_rad),
            exposure_s=exposure_s,
        )
        self.duration_s = self._scene.duration_s

    def render(self, time_s: float) -> Rendering:
        """The image at a time, and its truth; see `Scene.render`."""
        rendering = self._scene.render(time_s)
        if self.event == "exposure":
            image = np.clip(rendering.image * np.float32(_gain(time_s)), 0, 255).astype(np.uint8)
            return Rendering(image, rendering.depth_m, rendering.hands, time_s)
        if self.event == "blur":
            return rendering
        left = self._left(time_s)
        columns = slice(left, left + self._width)
        return Rendering(
            np.ascontiguousarray(rendering.image[:, columns]),
            np.ascontiguousarray(rendering.depth_m[:, columns]),
            tuple(self._seen(hand, left) for hand in rendering.hands),
            time_s,
        )

    def _left(self, time_s: float) -> int:
        """The window's first column in the wide image."""
        room = self._scene.width - self._width
        if self.event == "edge":
            return max(0, round(self._scene.width / 2 - self._width + _EDGE_PX))
        return round(room / 2 * (1 + math.sin(2 * math.pi * time_s / _PAN_PERIOD_S)))

    def _seen(self, hand: TrueHand, left: int) -> TrueHand:
        uv = (hand.uv - (left, 0)).astype(np.float32)
        seen = TrueHand(hand.side, uv, hand.xyz, hand.visible, self._width, hand.height)
        visible = hand.visible & seen.inside
        return TrueHand(hand.side, uv, hand.xyz, visible, self._width, hand.height)


def _gain(time_s: float) -> float:
    """Brightness over that of the scene: constant, then quickly to the next value."""
    number, within = divmod(time_s, _GAIN_S)
    before, after = (_GAINS[(int(number) + i) % len(_GAINS)] for i in (0, 1))
    share = min(max((within - (_GAIN_S - _ADAPTS_S)) / _ADAPTS_S, 0.0), 1.0)
    return before + share * (after - before)
