"""From joints in the image to joints in metres.

Lifting comes before smoothing. Depth is read where the joint was measured in this image: a smoothed
position lags behind the pixels, and at the edge of a moving finger it reads the background. The
metres of an image are then measurements like its pixels, and the same filters, outlier gate and
gap bridging apply to both, with the same lag. Metric results are put into the target frame first,
so that a moving camera does not blur them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vitpose_ros.lift.lifter import Lifter
from vitpose_ros.lift.target import in_target_frame
from vitpose_ros.types import Frame, Instance

__all__ = ["Across", "Lifter", "lift"]

Across = Callable[[Sequence[Frame], list[list[Instance]]], list[list[Instance]]]
"""Adds what several cameras know together to the instances of each; see `views.Views`."""


def lift(
    lifters: Sequence[Lifter],
    frames: Sequence[Frame],
    instances: Sequence[Sequence[Instance]],
    across: Across | None = None,
) -> list[list[Instance]]:
    """The instances of the images of several cameras, with metres where they can be known.

    Each camera is lifted by itself, in its own optical frame; then by what the cameras see
    together; then its results are put into `Frame.to_target`.

    Parameters
    ----------
    lifters : one per camera.
    frames : the image of each camera.
    instances : what was found in each image, with tracks; raw joints as measured. Lost tracks have
        no joints and stay as they are.
    across : for cameras that see the same scene.

    Returns
    -------
    The same instances in the same order. `raw` has xyz, xyz_std and z_source, and `keypoints` is
    the same object; pixels, scores and states do not change.
    """
    lifted = [
        lifter(frame, found)
        for lifter, frame, found in zip(lifters, frames, instances, strict=True)
    ]
    if across is not None:
        lifted = across(frames, lifted)
    return [
        in_target_frame(frame.to_target, found) for frame, found in zip(frames, lifted, strict=True)
    ]
