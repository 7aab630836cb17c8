"""The first step of the core: runs the networks on the images of one or several cameras."""

from __future__ import annotations

from collections.abc import Sequence

from vitpose_ros.measure.bodies import measure_bodies
from vitpose_ros.measure.hands import measure_hands
from vitpose_ros.measure.networks import Networks
from vitpose_ros.measure.usage import Usage
from vitpose_ros.measurements import FramePlan, Measurements
from vitpose_ros.types import Frame, View


def measure(
    networks: Networks, frames: Sequence[Frame], plans: Sequence[FramePlan]
) -> list[Measurements]:
    """Measure hands and bodies.

    All crops of a kind, from all images, run in one batch. The measurements of an image do not
    depend on the other images.

    Parameters
    ----------
    networks : the networks to run.
    frames : images of any size.
    plans : one for each image.

    Returns
    -------
    The measurements of each image, in the same order.

    Raises
    ------
    EngineError : a network fails.
    """
    usage = Usage(len(frames))
    bodies, persons_searched = measure_bodies(networks, frames, plans, usage)
    owners = [
        found if plan.view is View.THIRD_PERSON else None
        for found, plan in zip(bodies, plans, strict=True)
    ]
    hands, hands_searched = measure_hands(networks, frames, plans, owners, usage)
    return [
        Measurements(
            tuple(hands[i]),
            None if found is None else tuple(found),
            i in hands_searched,
            i in persons_searched,
            tuple(usage.models[i]),
            dict(usage.stage_s),
        )
        for i, found in enumerate(bodies)
    ]
