"""From a body layout to the joints that a lifting network reads, as data.

COCO's annotators mark most joints of Human3.6M, too, but not the spine, the neck and the head.
These are guessed from their neighbours, and every library guesses otherwise. Halpe's annotators
also mark the pelvis and the top of the head, which MotionBERT reads as Human3.6M's head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vitpose_ros.layouts import COCO17, H36M17, Layout


@dataclass(frozen=True)
class Source:
    """Where a joint comes from.

    Attributes
    ----------
    joints : names in a body layout; their mean is taken.
    guessed : no annotator marks this joint there, and it is only near that mean.
    """

    joints: tuple[str, ...]
    guessed: bool = False


_HIPS, _SHOULDERS = ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")

H36M_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "pelvis": (Source(_HIPS),),
    "spine": (Source(_HIPS + _SHOULDERS, guessed=True),),
    "thorax": (Source(_SHOULDERS),),
    "neck_base": (Source(("nose",), guessed=True),),
    "head": (Source(("head_top",)), Source(("left_eye", "right_eye"), guessed=True)),
}
"""The joints of h36m17 that a body layout does not have by name. The first source counts whose
joints the body has."""


def source_of(joint: str, given: Layout) -> Source:
    """Where a lifting network's joint comes from in a body layout.

    Returns
    -------
    The joint itself if the layout has it, else the first of its sources whose joints the layout
    has, or the last one if it has none of them completely.
    """
    sources = (Source((joint,)), *H36M_SOURCES.get(joint, ()))
    complete = (one for one in sources if set(one.joints) <= set(given.joints))
    return next(complete, sources[-1])


def reading_matrix(wanted: Layout, given: Layout) -> npt.NDArray[np.float64]:
    """(J, K) weights: `matrix @ uv` are the J joints of a lifting network's layout, from the K
    joints of a body.

    Raises
    ------
    ValueError : the network reads another layout than coco17 or h36m17, or the body lacks joints.
    """
    if wanted not in (COCO17, H36M17):
        raise ValueError(
            f"a lifting network reads the layouts coco17 or h36m17, not '{wanted.name}'"
        )
    matrix = np.zeros((len(wanted), len(given)))
    missing: list[str] = []
    for row, joint in enumerate(wanted.joints):
        names = source_of(joint, given).joints
        missing += [name for name in names if name not in given.joints]
        for name in names:
            if name in given.joints:
                matrix[row, given.index(name)] = 1 / len(names)
    if missing:
        raise ValueError(
            f"a lifting network for {wanted.name} needs the joints "
            f"{', '.join(sorted(set(missing)))}, which the layout '{given.name}' lacks; use a body "
            "model of coco17, coco_wholebody133 or halpe26"
        )
    return matrix


def shape_order(given: Layout) -> npt.NDArray[np.intp]:
    """(K,) for each joint of a body layout, its index in h36m17, or -1 where that has none."""
    order = np.full(len(given), -1, np.intp)
    for index, joint in enumerate(H36M17.joints):
        source = source_of(joint, given)
        if len(source.joints) == 1 and not source.guessed and source.joints[0] in given.joints:
            order[given.index(source.joints[0])] = index
    return order
