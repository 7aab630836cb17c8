"""Where a body is looked at next: regions from its last joints."""

from __future__ import annotations

import numpy as np

from vitpose_ros.types import NO_ID, Keypoints, Region

MIN_JOINTS = 4
"""Fewer supported joints tell no body's place (MMPose starts no track with fewer, either)."""

MIN_REGION_PX = 12.0
"""A box with a shorter side holds no body that any network could read."""

PADDING = 1.25
"""Of the joints' own box: the crown, the hands and the feet reach beyond the outermost joints."""

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_MIN_TORSO = 2


def body_region(
    keypoints: Keypoints,
    threshold: float = 0.3,
    padding: float = PADDING,
    track_id: int = NO_ID,
) -> Region | None:
    """The upright region in which a body with these joints is looked for in the next image.

    Only joints with enough support count: one junk joint far away would blow the region up, and the
    next crop would show little of the body.

    A region around a part of the body shows the network nothing else, so that it would stay with
    that part. Hence two rules: at least MIN_JOINTS joints, and, where the layout names shoulders
    and hips, at least two of these four. A face alone, or a leg, gives no region: the detector has
    to look again.

    Parameters
    ----------
    keypoints : of a body, in any layout.
    threshold : joints of a lower score do not count, 0 .. 1.
    padding : sides of the region over those of the joints' box, at least 1.
    track_id : handed on to the region.

    Returns
    -------
    The region, its score the mean of the joints that count; it may reach beyond the image. None
    when too few joints count, or when they lie on a spot or a line.

    Raises
    ------
    ValueError : a padding below 1.
    """
    if not padding >= 1:
        raise ValueError(f"padding: expected at least 1, got {padding}")
    supported = (keypoints.score >= threshold) & np.isfinite(keypoints.uv).all(axis=1)
    layout = keypoints.layout
    torso = [layout.joints.index(joint) for joint in _TORSO if joint in layout.joints]
    if supported.sum() < MIN_JOINTS or (torso and supported[torso].sum() < _MIN_TORSO):
        return None
    joints = keypoints.uv[supported].astype(np.float64)
    (x0, y0), (x1, y1) = joints.min(axis=0), joints.max(axis=0)
    width, height = (x1 - x0) * padding, (y1 - y0) * padding
    if min(width, height) < MIN_REGION_PX:
        return None
    return Region(
        cx=float(x0 + x1) / 2,
        cy=float(y0 + y1) / 2,
        width=float(width),
        height=float(height),
        score=float(min(max(keypoints.score[supported].mean(), 0.0), 1.0)),
        track_id=track_id,
    )
