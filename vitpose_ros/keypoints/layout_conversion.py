"""Converts keypoints from one layout to another by the names of the joints."""

from __future__ import annotations

from functools import lru_cache

from vitpose_ros.layouts import Layout
from vitpose_ros.types import Keypoints


def convert_layout(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """Convert keypoints to another layout, e.g. a whole body or MediaPipe's 33 points to COCO's 17.

    Parameters
    ----------
    keypoints : in a layout that has every joint of `layout`, by name; other joints are dropped.
    layout : the target layout.

    Raises
    ------
    ValueError : joints are missing in the source layout; the text names them.
    """
    return keypoints.pick(_order(keypoints.layout, layout), layout)


@lru_cache(maxsize=32)
def _order(source: Layout, target: Layout) -> tuple[int, ...]:
    missing = [joint for joint in target.joints if joint not in source.joints]
    if missing:
        raise ValueError(
            f"layout '{source.name}' cannot be converted to '{target.name}': it has no "
            f"{', '.join(missing)}"
        )
    return tuple(source.index(joint) for joint in target.joints)
