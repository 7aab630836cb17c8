"""The frame in which a robot's fingers follow: the operator convention, across the whole palm.

    z  from the wrist to the middle finger's MCP joint
    x  the palm's normal: fingers curl towards +x
    y  across the palm: to the thumb's side on a right hand, away from it on a left one

`operator_frame` takes y from the MCP joints of the index and the middle finger, about 2 cm apart.
Here it spans from the index to the little finger, three times as far, so that an error in depth
turns the hand a third as much.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, RING_MCP, WRIST
from vitpose_ros.retarget.operator_frame import MIN_ASIDE, MIN_PALM_M
from vitpose_ros.types import Side

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def palm_axes(points: Array, known: BoolArray, side: Side) -> Array | None:
    """The axes x, y, z as columns (3, 3).

    None when wrist, middle or index MCP are not known, or when they define no direction.

    Parameters
    ----------
    points : (21, 3) m, in hand21's order, in right-handed axes.
    known : (21,) bool, which of them may be used. Without the little finger's MCP joint, y goes to
        the next one that is known.
    side : LEFT or RIGHT.
    """
    if not (known[WRIST] and known[INDEX_MCP] and known[MIDDLE_MCP]):
        return None
    ahead = points[MIDDLE_MCP] - points[WRIST]
    length = math.hypot(*ahead)
    if not length >= MIN_PALM_M:
        return None
    z = ahead / length
    far = next(joint for joint in (PINKY_MCP, RING_MCP, MIDDLE_MCP) if known[joint])
    across = points[INDEX_MCP] - points[far]
    across = across - (across @ z) * z
    width = math.hypot(*across)
    if not width >= MIN_ASIDE * length:
        return None
    y = across / (width if side is Side.RIGHT else -width)
    (a, b, c), (d, e, f) = y.tolist(), z.tolist()
    x = (b * f - c * e, c * d - a * f, a * e - b * d)  # np.cross takes as long as all of the above
    return np.array([x, y, z]).T
