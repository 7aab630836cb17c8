"""Fingers that bend as fingers do.

The palm (wrist, index, middle and little knuckle) gives the axes: towards the middle knuckle, towards
the thumb, out of the back. In them a finger's first bone has a flexion and an abduction; the other
joints are hinges about the finger's own lateral axis. A joint beyond its range and tolerance is
turned back to just there, and what hangs on it turns with it, so that no length changes.

Which way the back is follows from the side of the hand. Hinges tell it as well, since fingers bend
only towards the palm: where a hand's side is unknown they decide, and where they contradict its
side, nothing that needs it is limited. Then only overbending is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitpose_ros import limits
from vitpose_ros.smooth.turns import beside, bend, cross, dot, excess, ramp, turned, unit

Array = npt.NDArray[np.float64]

_PALM = (0, 5, 9, 17)  # wrist, knuckles of index, middle and little finger
_BONES = np.arange(20).reshape(5, 4)[:, 1:]  # the first joint of each digit's three bones ...
_BONES = np.array([[4 * digit + joint for joint in (1, 2, 3)] for digit in range(5)])
_MIRROR = np.array((-1.0, 1.0, 1.0))

_AGREES_RAD = np.radians((-30.0, -10.0))
"""Flexion of a hand's hinges, from where on its known side is believed not at all, and wholly."""
_DECIDES_RAD = np.radians((30.0, 60.0))
"""The same for a side that the hinges alone decide."""
_WITHIN = (0.25, 0.5)
"""How much of a bone lies in its hinge's plane, from where on its angle counts not, and wholly."""

_SPLAY = np.radians(limits.SPLAY_DEG)[:, None]
_MCP_FLEXION, _MCP_ABDUCTION = limits.MCP_FLEXION.radians(), limits.MCP_ABDUCTION.radians()
_CONE_RAD = np.radians(limits.THUMB_CONE_DEG + limits.TOLERANCE_DEG)
_HINGES = [
    tuple(np.concatenate(pair) for pair in zip(thumb.radians(), finger.radians(), strict=True))
    for thumb, finger in (
        (limits.THUMB_MCP_FLEXION, limits.PIP_FLEXION),
        (limits.THUMB_IP_FLEXION, limits.DIP_FLEXION),
    )
]


def limit_hands(points: Array, right: Array) -> Array:
    """Hands whose joints are within their limits.

    Parameters
    ----------
    points : (N, 21, 3) joints in hand21's order, in right-handed axes, any unit; NaN where unknown.
    right : (N,) 1 for a right hand, -1 for a left one, 0 where that is unknown.

    Returns
    -------
    (N, 21, 3) : the same where nothing is beyond a limit, or where it cannot be told. A digit is
        limited as far as its joints are known from the palm on.
    """
    mirror = np.where(np.asarray(right) < 0, -1.0, 1.0)
    seen = _mirrored(points, mirror)  # all are right hands now
    bones = seen[:, _BONES + 1] - seen[:, _BONES]
    palm = _palm(seen)
    hinge = _hinges(palm, unit(bones[:, :, 0]))
    flexion = _evidence(unit(bones), hinge)
    unknown = np.asarray(right) == 0
    if (unknown & (flexion < 0)).any():
        return limit_hands(points, np.where(unknown & (flexion < 0), -1, np.where()))
    return points


def _mirrored(points: Array, mirror: Array) -> Array:
    return points
