"""The region of a tracked body in the next image, from its last joints."""

from __future__ import annotations

import numpy as np

from vitpose_ros.types import NO_ID, Keypoints, Region

MIN_JOINTS = 4
"""Fewer supported joints do not locate a body. MMPose needs as many to start a track."""

MIN_REGION_PX = 12.0
"""A body in a box with a shorter side is too small for any network."""

PADDING = 1.25
"""Scale of the joints' box: crown, hands and feet reach beyond the outermost joints."""

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_MIN_TORSO = 2


def body_region(
    keypoints: Keypoints,
    threshold: float = 0.3,
    padding: float = PADDING,
    track_id: int = NO_ID,
) -> Region | None:
    """The upright region in which to read a body with these joints in the next image.

    Joints with a low score are ignored: a single wrong joint far away would inflate the region, and
    the next crop would show little of the body.

    A crop that shows only a part of the body would keep the track on that part. Hence two rules: at
    least MIN_JOINTS joints, and, if the layout has shoulders and hips, at least two of those four.
    For a face or a leg alone there is no region, so the detector searches again.

    Parameters
    ----------
    keypoints : of a body, in any layout.
    threshold : joints with a lower score are ignored, 0 .. 1.
    padding : side of the region over side of the joints' box, at least 1.
    track_id : the region's track id.

    Returns
    -------
    The region; its score is the mean score of the joints used, and it may extend beyond the image.
    None if too few joints are left, or if they lie on a point or a line.

    Raises
    ------
    ValueError : the padding is below 1.
    """
    if not padding >= 1:
        raise ValueError(f"padding: expected at least 1, got {padding}")
    supported = keypoints.scored(threshold)
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
        score=float(np.clip(np.nan_to_num(keypoints.score[supported], nan=1.0).mean(), 0.0, 1.0)),
        track_id=track_id,
    )
