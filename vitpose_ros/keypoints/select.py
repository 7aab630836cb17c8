"""From one layout to another: the joints that both name alike."""

from __future__ import annotations

from functools import lru_cache

from vitpose_ros.layouts import Layout
from vitpose_ros.types import Keypoints


def select_joints(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """The same joints in another layout, which may have fewer: a whole body, or MediaPipe's 33
    points, as COCO's 17.

    Parameters
    ----------
    keypoints : of any layout that has every joint of `layout`, by name.
    layout : the layout wanted.

    Raises
    ------
    ValueError : naming the joints that are missing: none is made up.
    """
    order = list(_order(keypoints.layout, layout))
    return Keypoints(
        layout=layout,
        uv=keypoints.uv[order],
        score=keypoints.score[order],
        state=keypoints.state[order],
        xyz=keypoints.xyz[order],
        z_source=keypoints.z_source[order],
        shape_xyz=keypoints.shape_xyz[order],
    )


@lru_cache(maxsize=32)
def _order(have: Layout, want: Layout) -> tuple[int, ...]:
    missing = [joint for joint in want.joints if joint not in have.joints]
    if missing:
        raise ValueError(
            f"layout '{have.name}' cannot be given as '{want.name}': it has no {', '.join(missing)}"
        )
    return tuple(have.index(joint) for joint in want.joints)
