"""The wrist frame of a hand in the operator convention, as dex_retargeting's examples use it.

    z  from the wrist to the fingers: to the middle finger's MCP joint
    x  the palm's normal: an open hand's fingers curl towards +x
    y  across the palm: pinky to thumb on a right hand, thumb to pinky on a left one

The origin is the wrist. Both frames are right-handed. A left hand is a right hand's mirror image,
so in its own frame it has the right hand's coordinates with y negated.

Wrist, index MCP and middle MCP define the frame. If they lie on a line, or on a spot, it is not
defined: `OperatorFrames` then holds the last orientation for a short time and says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from vitpose_ros.layouts import HAND21, INDEX_MCP, MIDDLE_MCP, WRIST
from vitpose_ros.types import Keypoints, Side

Array = npt.NDArray[np.float64]

MIN_PALM_M = 0.005
"""Below this distance from wrist to middle MCP, a palm has no direction."""
MIN_ASIDE = 0.05
"""The least distance of the index MCP from the line through wrist and middle MCP, in lengths of
that line; 0.27 in a real hand."""
MAX_HOLD_S = 0.5
"""How long an orientation is held while the palm defines none."""

_PALM = [WRIST, INDEX_MCP, MIDDLE_MCP]


@dataclass(frozen=True)
class HandPoints:
    """The joints of a hand in 3D, all from one source.

    Attributes
    ----------
    points : (21, 3) m, in hand21's order and the axes of the keypoints; NaN where unknown.
    metric : True: metric positions (Keypoints.xyz). False: the model's shape (Keypoints.shape_xyz),
        which has orientation and fingers, but no position.
    """

    points: Array
    metric: bool


@dataclass(frozen=True)
class OperatorFrame:
    """Where a wrist is and how it is turned.

    Attributes
    ----------
    rotation : (3, 3) its columns are the frame's axes x, y, z.
    origin : (3,) the wrist, m.
    quaternion : (4,) the rotation as x, y, z, w; its sign is continuous over time.
    held : the orientation is that of an earlier image, because this palm defines none.
    """

    rotation: Array
    origin: Array
    quaternion: Array
    held: bool = False

    def local(self, points: Array) -> Array:
        """Points (..., 3) in this frame, m: relative to the wrist, along the frame's axes."""
        return np.asarray((points - self.origin) @ self.rotation)


def hand_points(keypoints: Keypoints) -> HandPoints | None:
    """The joints of a hand in 3D: its metric positions, or, where the palm has none, its shape.

    The two are never mixed: a joint without a metric position is NaN in a metric hand.

    Parameters
    ----------
    keypoints : of the layout hand21.

    Returns
    -------
    None when neither has the three joints that define the frame.

    Raises
    ------
    ValueError : the layout is another one.
    """
    if keypoints.layout is not HAND21:
        raise ValueError(
            f"expected joints of the layout '{HAND21.name}', got '{keypoints.layout.name}'"
        )
    for points, metric in ((keypoints.xyz, True), (keypoints.shape_xyz, False)):
        if np.isfinite(points[_PALM]).all():
            return HandPoints(points.astype(np.float64), metric)
    return None


def operator_axes(points: Array, side: Side) -> Array | None:
    """The axes of the operator frame.

    Parameters
    ----------
    points : (21, 3) joints in hand21's order, in right-handed axes, m.
    side : LEFT or RIGHT.

    Returns
    -------
    (3, 3) : the axes x, y, z as columns. None when the palm defines none: one of its joints is
        unknown, or they lie on a line or on a spot.

    Raises
    ------
    ValueError : the side is UNKNOWN, and x and y depend on it.
    """
    if side is Side.UNKNOWN:
        raise ValueError("the operator frame of a hand needs its side: expected LEFT or RIGHT")
    wrist, index, middle = points[_PALM]
    ahead = middle - wrist
    length = math.sqrt(ahead @ ahead)
    if not length >= MIN_PALM_M:  # NaN too
        return None
    z = ahead / length
    across = index - middle
    across = across - (across @ z) * z
    width = math.sqrt(across @ across)
    if not width >= MIN_ASIDE * length:
        return None
    y = across / (width if side is Side.RIGHT else -width)
    return np.stack([np.cross(y, z), y, z], axis=1)


class OperatorFrames:
    """The operator frames of tracked hands, over the images of one camera.

    A palm that defines no frame keeps its last orientation for at most MAX_HOLD_S; `held` is then
    set. The signs of quaternions are continuous.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[Side, int, OperatorFrame]] = {}

    def reset(self) -> None:
        """Forget all hands, as when tracking restarts."""
        self._last.clear()

    def forget_others(self, track_ids: Collection[int]) -> None:
        """Forget the hands that are not among these."""
        self._last = {key: value for key, value in self._last.items() if key in track_ids}

    def __call__(
        self, track_id: int, stamp_ns: int, points: Array, side: Side
    ) -> OperatorFrame | None:
        """The frame of a hand in an image.

        Parameters
        ----------
        track_id : which hand it is.
        stamp_ns : the image's stamp.
        points, side : see `operator_axes`.

        Returns
        -------
        None when the wrist is unknown, or when the palm defines no orientation and none is held.

        Raises
        ------
        ValueError : the side is UNKNOWN.
        """
        axes = operator_axes(points, side)
        origin = points[WRIST]
        last_side, last_ns, last = self._last.get(track_id, (Side.UNKNOWN, 0, None))
        if last_side is not side:
            last = None
        if axes is None:
            too_old = not 0 <= 1e-9 * (stamp_ns - last_ns) <= MAX_HOLD_S
            if last is None or too_old or not np.isfinite(origin).all():
                return None
            return OperatorFrame(last.rotation, origin, last.quaternion, held=True)
        quaternion = Rotation.from_matrix(axes).as_quat()
        reference = quaternion[3] if last is None else quaternion @ last.quaternion
        frame = OperatorFrame(axes, origin, -quaternion if reference < 0 else quaternion)
        self._last[track_id] = side, stamp_ns, frame
        return frame
